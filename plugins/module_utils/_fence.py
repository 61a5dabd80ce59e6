# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What other hosts may answer where a cluster is made anew."""

from __future__ import annotations

import typing as t

from . import _classify, _distro

JSON = t.Mapping[str, t.Any]
ETCD, SSH = (2379, 2380), 22


def targets(peers: t.Sequence[JSON], distro: str) -> list[tuple[str, int]]:
    """(address, port) of everything by which a peer could vote or serve, and SSH, by which it shows that it lives."""
    ports = [*ETCD, 6443, SSH]
    if _distro.DISTROS[distro].supervisor_port not in ports:
        ports.insert(2, _distro.DISTROS[distro].supervisor_port)
    return [(peer["address"], port) for peer in peers for port in ports]


def may_join(plan: JSON, name: str) -> bool:
    """A server that a killed run had started to join may have become a voter since it was looked at: without it, the
    quorum that stands would be lost. A peer of a lost quorum is stopped whatever it does, and so is a host that leaves
    the cluster, of which the plan names no servers.
    """
    mine = [server for server in plan.get("servers", ()) if server["name"] == name]
    return plan.get("case") not in _classify.RESETS and any(
        server["need"] == "rejoin" and server["etcd"] == "stopped" for server in mine
    )


def judge(
    peers: t.Sequence[JSON], powered_off: t.Collection[str], asked: t.Sequence[tuple[str, int]], out: str
) -> list[str]:
    """Sentences about peers that are not proved away; none = go on. A question without an answer counts against it."""
    faults = []
    for peer, mine in _answers(peers, asked, out):
        open_ports = [str(port) for port, said in mine.items() if port != SSH and said == "open"]
        silent_tool = [str(port) for port, said in mine.items() if said not in ("open", "refused", "silent")]
        if open_ports:
            faults.append(f"{peer['name']} ({peer['address']}) still answers on port {', '.join(open_ports)}.")
        elif silent_tool:
            faults.append(f"Port {', '.join(silent_tool)} of {peer['name']} could not be looked at.")
        elif peer["name"] in powered_off and any(said != "silent" for said in mine.values()):
            faults.append(
                f"{peer['name']} is named in requorum_powered_off, but the host at {peer['address']} answers."
            )
    return faults


def seen(asked: t.Sequence[tuple[str, int]], out: str) -> bool:
    """Whether anything was answered; a host whose own tool fails has looked at nobody."""
    return any({*words[2:]} & {"open", "refused", "silent"} for words in map(str.split, out.split("\n"))) or not asked


def serving(peers: t.Sequence[JSON], asked: t.Sequence[tuple[str, int]], out: str) -> list[str]:
    """Sentences about peers that were off and serve again. One that could not be asked is none of them: nothing is
    begun because of it.
    """
    found = []
    for peer, mine in _answers(peers, asked, out):
        ports = [str(port) for port, said in mine.items() if said == "open"]
        if ports:
            found.append(f"{peer['name']} ({peer['address']}) is on again and answers on port {', '.join(ports)}.")
    return found


def silent(peers: t.Sequence[JSON], asked: t.Sequence[tuple[str, int]], out: str) -> list[str]:
    """Names of those that say nothing at all, on no port."""
    return [str(peer["name"]) for peer, mine in _answers(peers, asked, out) if set(mine.values()) == {"silent"}]


def _answers(
    peers: t.Sequence[JSON], asked: t.Sequence[tuple[str, int]], out: str
) -> t.Iterator[tuple[JSON, dict[int, str]]]:
    """Each peer with its ports; `unknown` where nothing was answered."""
    answers = {
        (words[0], int(words[1])): words[2] for words in (line.split() for line in out.split("\n")) if len(words) == 3
    }
    for peer in peers:
        yield peer, {port: answers.get((at, port), "unknown") for at, port in asked if at == peer["address"]}
