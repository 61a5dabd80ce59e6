# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of agents: what it asks of which host, when it is content, when it gives an agent up."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action.node_agent import ActionModule
from ansible_collections.requorum.cluster.plugins.module_utils import _wait
from ansible_collections.requorum.cluster.plugins.module_utils._node import Done

NOW = 1764000000
SERVERS = [{"name": f"r{n}", "address": f"10.0.0.1{n}", "need": "nothing"} for n in (1, 2, 3)]
STATE = {
    "nodes": [{"name": s["name"], "token": {"pin": "a" * 64}, "api": {"endpoints": ["10.0.0.11"]}} for s in SERVERS]
    + [{"name": "a1", "link": {"node": "node-of-a1"}}]
}


def look(age: int = 2, *, listed: str = "10.0.0.11", ready: bool = True) -> str:
    renewed = datetime.datetime.fromtimestamp(NOW + 10 - age, datetime.UTC).isoformat()
    files = json.dumps({"ServerAddresses": [f"{listed}:9345"]})
    return (
        f"unit=active\nkill=process\nclock={NOW + 10}\nready={ready}\nrenewed={renewed}\nnode=a1\nlist=/lb.json|{files}"
    )


class Calls(list[tuple[str, dict[str, Any]]]):
    """What was asked of the node, and what it answers: output by DO, or a failure."""

    def __init__(self) -> None:
        self.answers: dict[str, Done] = {}

    def __call__(self, name: str, **given: Any) -> Done:
        self.append((name, given))
        return self.answers.get(given.get("DO", name), Done(0, "", ""))


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[ActionModule, Calls]]:
    monkeypatch.setattr(_wait, "EVERY", 0.01)
    (tmp_path / "state-before.json").write_text(json.dumps(STATE))

    def make(turn: str = "a1", host: str = "", failures: int = 0) -> tuple[ActionModule, Calls]:
        action, calls = ActionModule.__new__(ActionModule), Calls()
        action.vars = {"requorum_timeouts": {"restart": 0.05}}
        action._templar = SimpleNamespace(template=lambda value: value)
        action._task = SimpleNamespace(args={"failures": failures})
        action.turn, action.host, action.results = turn, host or turn, {}
        action.plan = {"servers": SERVERS, "anchors": {}, "survivor": "r2", "distro": "rke2", "stamp": "now"}
        action.run_dir = str(tmp_path)
        action.script = calls
        calls.answers = {"look": Done(0, look(), ""), "restart": Done(0, f"since={NOW}", "")}
        return action, calls

    return make


Made = Callable[..., tuple[ActionModule, Calls]]


def test_what_is_asked_of_the_agent(made: Made) -> None:
    action, calls = made()
    calls.answers["unlist"] = Done(0, "moved=/a|/b\nmoved=/c|/d", "")
    assert action.do_unlist() == "moved=/a|/b; moved=/c|/d"
    action.do_point()
    action.do_pin()
    assert calls[1][1]["URL"] == "https://10.0.0.12:9345"
    assert calls[2][1]["PIN"] == "a" * 64
    assert {given["STAMP"] for _name, given in calls} == {"now"}


def test_content_after_a_restart(made: Made) -> None:
    action, _calls = made()
    assert action.do_restart() == "restarted; unit active, Ready True, reported 2 s ago"


@pytest.mark.parametrize("seen", [look(11), look(listed="10.0.0.99"), look(ready=False), ""])
def test_not_content_after_a_restart(made: Made, seen: str) -> None:
    """A report of before the restart, a dead server in a list, a Node that is not Ready, no answer."""
    action, calls = made()
    calls.answers["look"] = Done(0, seen, "")
    with pytest.raises(Exception, match="a1: its Node to report: not within"):
        action.do_restart()


def test_agents_are_given_up_as_long_as_it_is_allowed(made: Made, tmp_path: Path) -> None:
    lines = []
    for name, words in (("a1", "given up: a1: "), ("a1", "given up: an earlier step"), ("a2", "given up: a2: ")):
        action, calls = made(name, failures=2)
        calls.answers["point"] = Done(1, "", "https://10.0.0.12:9345 does not answer from here")
        result = action.do_point()
        assert result.startswith(words)
        lines.append(json.dumps({"node": name, "result": result}))
        (tmp_path / "actions.jsonl").write_text("".join(f"{line}\n" for line in lines))
    action, calls = made("a3", failures=2)
    calls.answers["point"] = Done(1, "", "x")
    with pytest.raises(Exception, match="a3: x"):
        action.do_point()
