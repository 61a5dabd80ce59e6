# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The plan that replaces CAs before they end: new ones into the datastore, then every host restarts, one after another.

A run that was killed shows by hosts that are not under the CAs of the datastore. These are brought there first, and as
long as there is one no CA is made: whatever a run has saved is the one that counts.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, replace

from . import _cas, _rotate, _tls, _tls_files, _turns, _x509
from ._classify import Case, Refusal
from ._distro import Distro
from ._plan import Plan
from ._step import Todo

SERVER_CA = f"{_tls_files.TLS}server-ca.crt"
"""Full tokens hold its hash."""
AIM = (
    "Every host is under the new CAs and still trusts the old ones. Tokens that hold the hash of an older server-ca no "
    "longer let anybody join: `requorum token check` names them."
)


def plan(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """Make successors of the CAs that end soon, or go on with those that an earlier run has made."""
    days = int(ask.options.get("ca_days") or _cas.DAYS)
    found, known = _rotate.judgements(ask, _rotate.DAYS), _tls.common(ask.tls.values())
    behind = tuple(j for j in found if j.state == "foreign" or j.remedy == _rotate.RESTORE)
    new = tuple(_cas.due(known or {}, now=ask.now, days=days, distro=distro.name))
    if new:
        needs = dict.fromkeys((server.name for server in case.servers), _serving(distro, new))
        todo = _fresh(case, ask, new, needs)
    else:
        needs = _rotate.needed(behind)
        todo = _rest(case, ask, needs, _x509.pin(str(known[SERVER_CA]["text"]).encode()) if known else "")
    forbidden = _forbidden(case, ask, new, days, {j.node for j in behind}, todo)
    made = _rotate.framed(case, distro, ask, found, todo, needs, AIM, forbidden, {"successors": _names(new)})
    return replace(made, successors=tuple(asdict(one) for one in new))


def _serving(distro: Distro, new: t.Iterable[_cas.Successor]) -> _rotate.Work:
    """The leaf of the supervisor's listener: a start does not ask who has signed it, so it has to be taken away."""
    mine = any(one.path == SERVER_CA for one in new)
    return _rotate.Work((f"{distro.name}-server",), (_tls_files.DYNAMIC,)) if mine else _rotate.Work()


def _fresh(
    case: Case, ask: _turns.Ask, new: tuple[_cas.Successor, ...], needs: t.Mapping[str, _rotate.Work]
) -> list[Todo]:
    """The swap on one server, then everybody."""
    voters = sorted(server.name for server in case.base if server.etcd == "voting")
    todo = [Todo(key, name) for name in voters[:1] for key in ("issue", "swap")]
    for name in _rotate.order(case, ask):
        todo += _rotate.turn(name, needs[name], match="", stop="stop to swap", alone=True)
    pinned = _pins(ask) if any(one.path == SERVER_CA for one in new) else {}
    for name in ask.agents:
        todo += _agent(name, pin=name in pinned)
    return todo


def _rest(case: Case, ask: _turns.Ask, needs: t.Mapping[str, _rotate.Work], pin: str) -> list[Todo]:
    """Those that an earlier run did not come to, or did not finish."""
    todo, pins = list(_rotate.turns(case, ask, needs, alone=True)), _pins(ask)
    for name in ask.wanted(ask.agents):
        if name in needs:
            todo += _agent(name, pin=pins.get(name, pin) != pin)
    return todo


def _agent(name: str, *, pin: bool) -> t.Iterator[Todo]:
    """An agent whose token holds the hash of the old CA would be refused at its start."""
    steps = ("agent pin", "agent restart", "fresh") if pin else ("refresh", "agent", "fresh")
    return (Todo(key, name, name) for key in steps)


def _pins(ask: _turns.Ask) -> dict[str, str]:
    """Agent -> the hash of the CA in its token."""
    links = {str(entry["name"]): entry.get("link") or {} for entry in ask.entries}
    return {name: str(pin) for name in ask.agents if (pin := links.get(name, {}).get("pin"))}


def _names(new: t.Iterable[_cas.Successor]) -> str:
    return ", ".join(one.path.removeprefix(_tls_files.TLS).removesuffix(".crt") for one in new)


def _forbidden(
    case: Case, ask: _turns.Ask, new: tuple[_cas.Successor, ...], days: int, behind: set[str], todo: t.Sequence[Todo]
) -> t.Iterator[Refusal]:
    if not _tls.common(ask.tls.values()):
        why = "; ".join(str(node["bootstrap_unread"]) for node in ask.tls.values() if node.get("bootstrap_unread"))
        yield Refusal(f"The CAs in the datastore could not be read. {why}", "servers", "Name the token's file.")
    if days >= _cas.LIFE:
        yield Refusal(
            f"requorum_ca_days is {days}, and new CAs last {_cas.LIFE}: each run would make others.",
            "requorum_ca_days",
            "Give a smaller number.",
        )
    if new and behind:
        where = ", ".join(sorted(behind))
        what = f"{where}: not everything there is under the CAs of the datastore."
        yield Refusal(what, where, "playbooks/rotate_certs.yml puts it right; then run this again.")
    if new and ask.only:
        yield Refusal("New CAs are for all hosts.", "requorum_only", "Leave requorum_only out.")
    if new and case.kind != "healthy":
        yield Refusal(
            f"Not every server works ({case.kind}), and all of them have to restart.",
            ", ".join(server.name for server in case.servers),
            "playbooks/inspect.yml says what is wrong; bring it in order first.",
        )
    for one in new:
        if not one.signer:
            yield Refusal(
                f"{one.path}: {one.old} is below a root that its file does not hold.",
                one.path,
                "Make its successor with the PKI that made it, then `certificate rotate-ca`.",
            )
    entries = {str(entry["name"]): entry for entry in ask.entries}
    for step in todo:
        if step.key == "agent pin" and entries[step.node]["link"].get("token_from") == "flag":
            yield Refusal(
                f"{step.node}: its token, which holds the hash of the CA, stands on its unit's command line.",
                step.node,
                "Move it to its configuration, or give the token without hash; then run this again.",
            )
