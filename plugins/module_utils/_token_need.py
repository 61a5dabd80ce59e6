# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Which token a recovery needs, where it lies, who gets it before START, and whether a newer one is put back after it.

The key of a datastore and of a snapshot names its token. Three cases: the configuration holds it; it is lost there, or
stale, and is put into place for good; the snapshot is older than a rotation, and its token is lent until the running
server has rotated it to the one of the configuration.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, replace

from . import _messages, _tokens, _versions
from ._catalog import Row
from ._classify import RESETS, Case, Refusal

JSON = t.Mapping[str, t.Any]


@dataclass(frozen=True)
class Need:
    """What the tokens at hand mean for a recovery; empty where the configuration is right, or nothing was read."""

    key: str = ""
    """Of the token that is put into place."""
    place: str = ""
    """Where that token lies."""
    put: t.Mapping[str, str] = field(default_factory=dict)
    """Server -> step by which it gets it before its start."""
    back: str = ""
    """Key of the token that the running server is rotated to, which its configuration holds."""
    keep: tuple[str, ...] = ()
    """Agents that alone hold the token: BACKUP copies it from there."""
    refusals: tuple[Refusal, ...] = ()
    at_hand: tuple[str, ...] = ()
    """Keys of all tokens that BACKUP copies, or finds on the controller: each may open what it saves."""

    @property
    def words(self) -> dict[str, str]:
        """For the texts of the steps."""
        return {"token_key": self.key, "token_place": self.place, "token_back": self.back}

    @property
    def document(self) -> dict[str, t.Any]:
        """For plan.json."""
        return {"key": self.key, "back": self.back, "at_hand": list(self.at_hand)}


def need(case: Case, tokens: JSON, *, chosen: Row | None = None, version: str = "") -> Need:
    """tokens: `Ask.tokens`, what INSPECT read. chosen: the snapshot that is restored instead of the survivor's own."""
    hosts = dict(tokens.get("hosts") or {})
    if case.survivor is None or case.survivor.name not in hosts:
        return Need()
    survivor = case.survivor.name
    resets = case.kind in RESETS
    found = [_copied(host, survivor) for host in hosts.values()]
    seen = _tokens.judge(found, tokens.get("kept") or (), keys=_keys(case, hosts, chosen))
    best, mine = seen.opener, hosts[survivor]["in_force"]
    copied = {row.key for row in seen.rows if row.opens is not None and (row.where != "agent" or row == best)}
    held = Need(at_hand=tuple(sorted(copied)))
    if chosen and chosen.stored.bootstrap is None:  # it is known when it was copied
        return replace(held, put={survivor: "put its token"})
    starting = [survivor] if resets else list(case.having("start"))
    wrong = [name for name in starting if name in hosts and hosts[name]["in_force"] not in seen.keys]
    if not seen.keys or not wrong:
        return held
    flags = tuple(_messages.refusal("token-flag", host=name) for name in wrong if hosts[name].get("source") == "flag")
    if best is None:
        # A file may hold the keys of a rotation that was cut off; what opens it then, BACKUP tells by its proof.
        doubt = not resets or (not chosen and mine in (hosts[survivor].get("seen") or ()))
        return replace(held, refusals=() if doubt else (_lost(seen.keys, survivor, chosen),))
    rotated = bool(chosen and mine)
    back = mine if rotated and rotates(version) else ""
    step = "lend token" if back else "keep old token" if rotated else "put found token"
    return Need(
        best.key,
        best.name,
        dict.fromkeys(wrong, step),
        back,
        keep=(best.node,) if best.where == "agent" else (),
        refusals=flags,
        at_hand=held.at_hand,
    )


def rotates(version: str) -> bool:
    """Whether this version of K3s or RKE2 has `token rotate`."""
    since = {25: 15, 26: 10, 27: 7, 28: 3}
    major, minor, patch = _versions.numbers(version)
    return (major, minor) > (1, 28) or ((major == 1) and patch >= since.get(minor, 1 << 16))


def _copied(host: JSON, survivor: str) -> JSON:
    """A host with the tokens that can be had from it: its datastore is copied only where it is the survivor's."""
    if host["name"] == survivor:
        return host
    return {**host, "tokens": [token for token in host.get("tokens") or () if " on disk: " not in token["place"]]}


def _keys(case: Case, hosts: t.Mapping[str, JSON], chosen: Row | None) -> tuple[str, ...] | None:
    """Keys of what is restored; None: those of the datastores that were read."""
    if chosen:
        return tuple(chosen.stored.bootstrap or ())
    if case.kind in RESETS and case.survivor:
        return tuple(hosts[case.survivor.name].get("keys") or ())
    return None


def _lost(keys: t.Sequence[str], survivor: str, chosen: Row | None) -> Refusal:
    what = chosen.stored.name if chosen else f"the datastore of {survivor}"
    return _messages.refusal("token-lost", datastore=what, keys=", ".join(keys), host=survivor)
