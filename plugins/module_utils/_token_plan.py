# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The plan for tokens and node passwords while the quorum stands: one host after another."""

from __future__ import annotations

import typing as t
from dataclasses import asdict, replace

from . import _tokens, _turns
from ._bootstrap import advice
from ._classify import Case, Refusal
from ._distro import Distro
from ._plan import Plan
from ._step import Todo

TRIES = "activating"
"""State of an agent's unit that waits to be let in."""


def plan(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """Every server gets the token that opens the datastore; every host's node password is the stored one."""
    hosts = ask.tokens.get("hosts") or {}
    seen = _tokens.judge(list(hosts.values()), ask.tokens.get("kept") or (), ask.tokens.get("refused") or ())
    wrong, refused = ask.wanted(seen.wrong), ask.wanted(seen.refused)
    ended = [name for name in _cut_off(case, ask) if name not in wrong]
    idle = {name: hosts[name]["idle"] for name in ask.wanted(hosts) if hosts[name].get("idle") and name not in wrong}
    opener = seen.opener
    made = _turns.make(
        case,
        distro,
        ask,
        work="TOKENS",
        todo=[
            *(Todo("keep token", opener.node) for _only in wrong[:1] if opener and opener.where == "agent"),
            *_ended(case, ended),
            *_servers(case, wrong, refused),
            *_passwords(case, hosts, wrong, refused, ask),
            *(Todo("take drop-in", name, name) for name in idle),
        ],
        aim=_aim([*ended, *wrong], refused, idle),
        refusals=tuple(_forbidden(seen, hosts, wrong)),
        words={"token_key": opener.key if opener else ""},
    )
    return replace(
        made,
        nodes={name: (host.get("node") or name,) for name, host in hosts.items()},
        tokens={"key": seen.keys[0] if len(seen.keys) == 1 else "", "idle": idle, **_document(seen)},
    )


def _document(seen: _tokens.Verdict) -> dict[str, t.Any]:
    return {
        "keys": list(seen.keys),
        "rows": [asdict(row) for row in seen.rows],
        "problems": _tokens.problems(seen),
        "table": _tokens.table(seen),
    }


def _servers(case: Case, wrong: t.Sequence[str], refused: t.Collection[str]) -> t.Iterator[Todo]:
    """Those that do not work come first: then more voters work when the others are stopped."""
    working = {server.name for server in case.base if server.etcd == "voting"}
    for name in sorted(wrong, key=lambda name: name in working):
        anchor = _turns.anchor_for(case, name)
        if name in refused:
            yield Todo("drop password", anchor, name)
        for key in ("margin", "yield", "stop for token", "put token", "start", "serve"):
            yield Todo(key, name, name)
        yield Todo("report", anchor, name)
        yield Todo("release now", name, name)


def _cut_off(case: Case, ask: _turns.Ask) -> t.Iterator[str]:
    """Servers that an earlier run gave the token, and whose turn it did not end."""
    names = ask.wanted(server.name for server in case.servers)
    return (entry["name"] for entry in ask.entries if entry["name"] in names and _turns.cut_off(entry))


def _ended(case: Case, names: t.Iterable[str]) -> t.Iterator[Todo]:
    """The rest of their turns; a start of a unit that runs changes nothing."""
    for name in names:
        yield from (Todo(key, name, name) for key in ("start", "serve"))
        yield Todo("report", _turns.anchor_for(case, name), name)
        yield Todo("release now", name, name)


def _passwords(
    case: Case, hosts: t.Mapping[str, t.Any], wrong: t.Collection[str], refused: t.Sequence[str], ask: _turns.Ask
) -> t.Iterator[Todo]:
    for name in refused:
        anchor = _turns.anchor_for(case, name)
        if name not in wrong:
            yield Todo("drop password", anchor, name)
        if name in ask.agents and hosts[name].get("agent") == TRIES:
            yield Todo("admit", anchor, name)


def _forbidden(seen: _tokens.Verdict, hosts: t.Mapping[str, t.Any], wrong: t.Sequence[str]) -> t.Iterator[Refusal]:
    if len(seen.keys) > 1:
        yield Refusal("An interrupted token rotation.", ", ".join(seen.keys), str(advice(seen.keys)))
    elif wrong and not seen.opener:
        what = f"No token at hand opens the datastore, whose key is {', '.join(seen.keys)}."
        yield Refusal(what, ", ".join(wrong), "Name the file with the token by requorum_token_file.")
    for name in wrong:
        if hosts[name].get("source") == "flag" and hosts[name]["in_force"] not in seen.keys:
            what = f"{name}: the token stands on the command line of its unit, which overrules every file."
            yield Refusal(what, name, "Change it in the unit file, then run this again.")


def _aim(wrong: t.Sequence[str], refused: t.Sequence[str], idle: t.Collection[str]) -> str:
    words = []
    if wrong:
        words.append(
            f"{', '.join(wrong)}: started with the token that opens the datastore. Where it came as "
            "zz-requorum-token.yaml, write it into your own configuration; the next run then takes that file away."
        )
    if refused:
        words.append(f"{', '.join(refused)}: the stored node password is gone or is its own.")
    if idle:
        words.append(f"{', '.join(idle)}: its own configuration holds the token; our drop-in is moved aside.")
    return " ".join(words)
