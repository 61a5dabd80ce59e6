# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The case when a snapshot shall be restored instead of a server's own datastore: who restores it, what others need."""

from __future__ import annotations

from dataclasses import replace

from . import _messages
from ._catalog import Row
from ._classify import Case, Need, Refusal, may_still_run, rank


def with_snapshot(case: Case, choice: Row | Refusal, *, survivor: str = "") -> Case:
    """Judge again with the snapshot that was chosen, or with the reason why there is none.

    survivor: the user's choice of the server that restores it; else the one that holds it, else the one with the most
    free disk.
    """
    if case.kind not in ("datastore_lost", "quorum_lost"):
        return replace(case, refusals=(*case.refusals, _messages.refusal("snapshot-needless", case=case.kind)))
    if isinstance(choice, Refusal):
        return replace(case, refusals=(choice,))
    if case.kind == "quorum_lost":
        return case
    reachable = [server for server in case.servers if server.reachable]
    best = rank(reachable, prefer=survivor or choice.stored.host)[0]
    refusals = [refusal for server in case.servers for refusal in may_still_run(server)]
    if survivor not in ("", best.name):
        refusals.append(_messages.refusal("survivor-silent", host=survivor))
    needs: list[tuple[str, Need]] = [
        (s.name, "nothing" if s == best else "rejoin" if s.reachable else "stays_off") for s in case.servers
    ]
    text = f"{case.reason} {best.name} restores {choice.stored.name}."
    return replace(case, reason=text, base=(best,), needs=tuple(needs), refusals=tuple(refusals))
