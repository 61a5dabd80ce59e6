# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An inventory that is not the cluster: a table of what is wrong, and what only looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _diagnose, _inventory, _root, _server, _state
from ansible_collections.requorum.cluster.plugins.module_utils._classify import classify, may_still_run
from ansible_collections.requorum.cluster.plugins.module_utils._node import Done
from ansible_collections.requorum.cluster.plugins.plugin_utils import _inspected
from tests.unit import runs
from tests.unit.cases import leaderless, off, server, stopped, voting, wiped

JSON = dict[str, Any]
UNITS = {"on": {"ActiveState": "active", "UnitFileState": "enabled"},
         "failing": {"ActiveState": "activating", "UnitFileState": "disabled"},
         "fenced": {"ActiveState": "inactive", "UnitFileState": "disabled"},
         "at boot": {"ActiveState": "inactive", "UnitFileState": "enabled"},
         "none": {"ActiveState": "inactive", "UnitFileState": "", "LoadState": "not-found"}}  # fmt: skip


def host(name: str, *, unit: str = "on", agent: str = "none", store: bool = True, **facts: Any) -> JSON:
    """A host that answers; a server that runs, where nothing else is said."""
    number = name.strip("abcdefghijklmnopqrstuvwxyz-") or "0"
    return {
        "name": name, "host": f"10.0.0.{number}", "reachable": True, "hostname": name, "root": True, "missing": [],
        "boot_id": "one-kernel", "addresses": ["127.0.0.1", f"10.0.0.{number}", "10.42.0.0"],
        "program": {"distro": "rke2"}, "unit": UNITS[unit], "agent": UNITS[agent], "datastore": {"present": store},
    } | facts  # fmt: skip


def agent(name: str, **facts: Any) -> JSON:
    return host(name, **{"unit": "none", "agent": "on", "store": False} | facts)


def bare(name: str, **facts: Any) -> JSON:
    """What sh/info.sh says of a host without either program."""
    said = "@@ tools 0\n@@ about 0\n uid=0\n@@ program 1\n neither rke2 nor k3s is installed here\n@@ done 0\n"
    return _state.node(name, "10.0.0.9", said, received=0.0) | facts


def dead(name: str, address: str = "") -> JSON:
    return _state.unreachable(name, address or name, "Connection timed out")


SERVERS = [host("r1"), host("r2"), host("r3")]
TWIN = {key: host("r1")[key] for key in ("boot_id", "hostname", "addresses")}


@pytest.mark.parametrize(
    ("servers", "agents", "wrong"),
    [
        # --- right
        (SERVERS, [agent("a9")], {}),
        ([host("r1"), dead("r2"), dead("r3")], [dead("a9")], {}),
        ([host("r1"), host("r10"), host("r11")], [], {}),
        ([host("r1", unit="failing"), host("r2", unit="fenced"), host("r3", unit="fenced", store=False)], [], {}),
        ([host("r1"), host("r2", unit="none", agent="none", store=False)], [], {}),  # a new disk with the program
        ([host("r1"), host("r2", unit="fenced", agent="on")], [], {}),  # it holds a datastore: a server all the same
        ([host("r1")], [agent("a9", datastore={"present": True})], {}),  # it was a server once
        ([host("r1", addresses=None), host("r2", addresses=None, hostname="r1")], [], {}),  # nothing can be concluded
        ([host("r1"), host("x9", program=None, unread={"program": "no answer before the deadline"})], [], {}),
        ([{k: v for k, v in host("r1").items() if k not in ("missing", "program", "root")}], [], {}),
        # --- one host, two names
        ([host("r1"), host("old", **TWIN), host("r3")], [], {"inventory": "r1, old are names of one and the same"}),
        (SERVERS, [agent("a9", **TWIN)], {"inventory": "r1, a9 are names of one"}),
        ([host("r1"), dead("r2", "10.0.0.2"), dead("old", "10.0.0.2")], [], {"inventory": "r2, old are names of one"}),
        (SERVERS, [host("r1")], {"inventory": "r1 stands in the group servers and in the group agents",
                                 "r1": "r1 is a server, and"}),
        # --- no server, no agent
        ([host("r1"), bare("x9")], [], {"x9": "x9 has neither RKE2 nor K3s"}),
        ([host("r1"), agent("a9")], [], {"a9": "a9 is an agent, and the inventory has it in the group servers"}),
        ([host("r1"), agent("a9", agent="at boot")], [], {"a9": "a9 is an agent"}),
        ([host("r1")], [agent("a9"), host("r2")], {"r2": "r2 is a server, and the inventory has it in the group age"}),
        ([host("r1")], [host("r2", unit="fenced")], {"r2": "r2 is a server"}),
        # --- what is needed on a host
        ([bare("r1", root=False)], [], {"r1": "r1 was read without the rights of root"}),
        ([host("r1", missing=["sha256sum", "systemd-run"])], [],
         {"r1": "r1 lacks programs that a recovery calls there: sha256sum, systemd-run."}),
    ],
)  # fmt: skip
def test_faults(servers: list[JSON], agents: list[JSON], wrong: dict[str, str]) -> None:
    doors = {entry["name"]: f"{entry['host']}:22" for entry in (*servers, *agents)}
    found = _inventory.faults(servers, agents, doors)
    assert [refusal.where for refusal in found] == list(wrong), found
    for refusal in found:
        assert refusal.what.startswith(wrong[refusal.where]) and refusal.next


def test_hosts_behind_one_address_have_their_own_ports() -> None:
    ports = {"r1": 2201, "r2": 2202, "r3": "2202"}
    hosts: JSON = {name: {"ansible_host": "gate", "ansible_port": port} for name, port in ports.items()}
    hosts["r4"] = {"ansible_connection": "podman"}
    doors = _inspected.doors(hosts, hosts)
    assert doors == {"r1": "gate:2201", "r2": "gate:2202", "r3": "gate:2202"}
    found = _inventory.faults([dead(name, "gate") for name in hosts], [], doors)
    assert [refusal.what for refusal in found] == ["r2, r3 are names of one and the same host."]
    assert "r2 or r3" in found[0].next


def test_a_diagnosis_is_told_it_too() -> None:
    one = {"role": "server", "boot_id": "b", "hostname": "r1", "addresses": ["10.89.0.21"]}
    entries = [{**runs.entry("healthy", name), **one} for name in ("r1", "r2")]
    state = {**runs.HEALTHY, "nodes": entries}
    _seen, case = _diagnose.viewed(state)
    assert case.refusals[0].what == "r1, r2 are names of one and the same host."


# --- a host that SSH reaches and that cannot be read


def barred(name: str, reason: str = _root.PASSWORD, *, named: bool = False) -> _server.Server:
    entry = _state.unreachable(name, f"10.0.0.1{name[1:]}", f"{_root.BARRED}{reason}")
    return _server.view(entry, [name] if named else ())


@pytest.mark.parametrize("named", [False, True])
def test_a_host_that_cannot_be_read_is_never_taken_for_one_that_is_off(named: bool) -> None:
    mine = barred("r2", named=named)
    assert (mine.reachable, mine.powered_off, mine.barred) == (False, False, _root.PASSWORD)
    said = f"r2 answers over SSH, but nothing can be read there: {_root.PASSWORD}."
    for servers in (
        [leaderless("r1"), mine, off("r3")],
        [wiped("r1"), mine, wiped("r3")],
        [voting("r1"), mine, voting("r3")],
        [mine],
    ):
        case = classify(servers)
        assert said in [refusal.what for refusal in case.refusals], case.reason
        assert not any("does not answer" in r.what or "be reached" in r.what for r in case.refusals)
        assert "-K" in str(next(refusal for refusal in case.refusals if refusal.what == said))
    assert [refusal.what for refusal in may_still_run(mine)] == [said]
    assert classify([stopped("r1"), stopped("r3"), mine]).refusals == ()  # a quorum is started without it


def test_a_host_under_load_is_read_again_and_not_tried_by_hand() -> None:
    [refusal] = classify([barred("r2", Done(124, "", "").why)]).refusals
    assert refusal.what == "r2 answers over SSH, but nothing can be read there: no answer before the deadline."
    assert "Run this again" in refusal.next and "uptime" in refusal.next and "-a id" not in refusal.next


def test_why_it_cannot_be_read_is_kept_apart_from_silence() -> None:
    assert server("r2", reachable=False).barred == ""
    assert _server.view(dead("r2"), ["r2"]).powered_off
