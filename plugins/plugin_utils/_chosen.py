# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The snapshot that the user chose: where its copy lies, and its proof against the cluster that it shall restore."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _catalog, _messages, _snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction

FOLDER = "restore"
"""Below backup/ of a run."""
UNTOUCHED, NOT_RESET = "Nothing was touched.", "Nothing was reset."
HINT = f"{NOT_RESET} See playbooks/snapshots.yml for another one."


def here(run_dir: str, chosen: t.Mapping[str, t.Any]) -> str:
    """Its path on the controller: where it lies, or where its copy does."""
    if chosen["place"] == "controller":
        return str(chosen["path"])
    return _beside(run_dir, os.path.basename(chosen["path"]))


def _beside(run_dir: str, name: str) -> str:
    return os.path.join(run_dir, "backup", FOLDER, name)


def proved(action: PlanAction, path: str, *, uid: str, untouched: str) -> tuple[str, _snapshot.Proof]:
    """(path of the bare snapshot, proof that holds); RequorumError says why it does not, in the words of the table.

    uid: of kube-system, as the plan or a backup knows it; may be empty. untouched: what is true if it is refused.
    """
    plan, shelf = action.plan, os.path.dirname(action.run_dir)
    chosen = plan["snapshot"]
    path = _shelf.unpacked(path, _beside(action.run_dir, "snapshot.raw"), HINT)
    tokens = next(server["tokens"] for server in plan["servers"] if server["name"] == plan["survivor"])
    at_hand = _shelf.names_at_hand(action.settings, shelf, chosen["name"])
    wanted = _snapshot.Wanted(
        token_hashes={*tokens, *at_hand, *plan["tokens"].get("at_hand", ())},
        system_uid=plan["system_uid"] or uid or _shelf.kept_uid(shelf, chosen["path"]),
        version=plan["version"] or "",
    )
    proof = _snapshot.prove(path, wanted)
    if proof.ok:
        return path, proof
    stored = _catalog.Stored(chosen["place"], chosen["host"], chosen["path"], proof.bytes, chosen["time"])
    (row,) = _shelf.judged([_catalog.proved(stored, proof)], wanted)
    why = row.refusal or _messages.refusal("snapshot-unproved", name=chosen["name"], faults=proof.faults)
    raise RequorumError(f"{why.what} {untouched}", why.next)
