# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What plan.json says of the nodes beside the plan."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _classify,
    _distro,
    _plan,
    _plan_document,
    _server,
    _turns,
)
from tests.unit.runs import DRILL, HEALTHY, JSON, entry


def document(entries: list[JSON], purpose: str, *agents: JSON) -> JSON:
    case = _classify.classify([_server.view(one) for one in entries])
    names = [str(agent["name"]) for agent in agents]
    made = _plan.make_plan(case, _distro.DISTROS["rke2"], cluster="prod", agents=names)
    return _plan_document.of_nodes(case, made, _turns.Ask("prod", [*entries, *agents], names), purpose)


def test_servers_have_what_the_case_says_that_they_need() -> None:
    found = document(copy.deepcopy(DRILL["nodes"]), "recover")
    assert {server["name"]: server["need"] for server in found["servers"]} == {
        "r1": "nothing",
        "r2": "rejoin",
        "r3": "stays_off",
    }
    assert found["ranking"] == ["r1"] and found["version"] == "v1.34.3+rke2r1"


def test_a_repair_leaves_those_alone_that_must_join_again() -> None:
    found = document(copy.deepcopy(DRILL["nodes"]), "repair")
    assert [server["need"] for server in found["servers"]] == ["nothing", "stays_off", "stays_off"]


@pytest.mark.parametrize(("state", "journal", "enable"), [
    ("enabled", [], True), ("disabled", [], False), ("disabled", ["enabled=enabled"], True),
])  # fmt: skip
def test_units_start_at_boot_again_where_one_did_so_before(state: str, journal: list[str], enable: bool) -> None:
    entries = copy.deepcopy(HEALTHY["nodes"])
    for one in entries:
        one["unit"]["UnitFileState"] = "disabled"
    entries[1]["unit"]["UnitFileState"], entries[2]["journal"] = state, journal
    assert document(entries, "backup")["enable"] is enable


def test_agents_have_the_names_of_their_nodes() -> None:
    agent = {**entry("healthy", "r2"), "name": "a1", "hostname": "a1.lan"}
    named = {**agent, "program": {**agent["program"], "node_name": "worker-1"}}
    for one, node in ((agent, "a1.lan"), (named, "worker-1"), ({**agent, "program": None}, "a1.lan")):
        assert document(copy.deepcopy(HEALTHY["nodes"]), "recover", one)["agent_nodes"] == [node]
