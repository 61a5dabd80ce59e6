# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Peers that come back, and hosts that are lost, while a run goes on."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from ansible_collections.requorum.cluster.plugins.action import cluster_reset, fence_proof, member_promote, server_start
from ansible_collections.requorum.cluster.plugins.module_utils import _datastore, _node, _silence
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_action, _peers, _run_folder
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction

JSON = dict[str, Any]
SERVERS = [
    {
        "name": f"r{n}", "node": f"r{n}", "address": f"10.0.0.1{n}", "need": "nothing", "cluster_id": "A",
        "tokens": ["k"], "reachable": True,
    }
    for n in (1, 2, 3)
]


def member(number: int) -> JSON:
    return {"id": f"{number}", "name": f"r{number}-0000000{number}", "address": f"10.0.0.1{number}", "learner": False}


def acting(kind: type[PlanAction], answer: Callable[[str, JSON], _node.Done], folder: Any = "", **plan: Any) -> Any:
    """An action on r1, whose scripts are answered by `answer` and kept in `calls`."""

    class Acting(kind):  # type: ignore[misc, valid-type]
        settings: ClassVar[JSON] = {}

        def __init__(self) -> None:
            self.host, self.turn, self.run_dir, self.vars = "r1", "", str(folder), {}
            self._task = SimpleNamespace(check_mode=False, args={})
            self.plan = {
                "stamp": "s", "servers": SERVERS, "members": [member(1)], "case": "quorum_lost", "purpose": "recover",
                "distro": "rke2", "powered_off": [], "survivor": "r1", "actions": [], "method": "restore",
                "snapshot": None, "tokens": {}, "anchors": {}, **plan,
            }  # fmt: skip
            self.calls: list[tuple[str, JSON]] = []
            self.said: list[str] = []

        def script(self, name: str, **given: Any) -> _node.Done:
            self.calls.append((name, given))
            return answer(name, given)

        def timeout(self, name: str, default: float) -> float:
            return 500.0

        def say(self, text: str) -> None:
            self.said.append(text)

    return Acting()


def knocked(given: JSON, **said: str) -> _node.Done:
    """The answer of sh/prove.sh: refused, but for what is given by address and port, or by address."""
    targets = [line.split() for line in given["TARGETS"].split("\n")]
    answers = [(a, p, said.get(f"r{a[-1]}_{p}", said.get(f"r{a[-1]}", "refused"))) for a, p in targets]
    return _node.Done(0, "\n".join(map(" ".join, answers)), "")


def asked(action: Any) -> set[str]:
    """Servers at whose ports it knocked."""
    lines = [line for name, given in action.calls if name == "prove" for line in given["TARGETS"].split("\n")]
    return {f"r{line.split()[0][-1]}" for line in lines}


@pytest.mark.parametrize(
    ("case", "members", "peers"),
    [
        ("quorum_lost", [member(1)], {"r2", "r3"}),
        ("datastore_lost", [], {"r2", "r3"}),
        ("quorum_recoverable", [member(1)], {"r2", "r3"}),
        ("quorum_recoverable", [member(1), member(2)], {"r3"}),
        ("quorum_recoverable", [member(1), member(2), member(3)], set()),
        ("member_lost", [member(1), member(2), member(3)], set()),
    ],
)
def test_who_must_be_silent_before_a_start(case: str, members: list[JSON], peers: set[str]) -> None:
    def answer(name: str, given: JSON) -> _node.Done:
        return knocked(given) if name == "prove" else _node.Done(0, "@@ ping 0\n pong\n", "")

    action = acting(server_start.ActionModule, answer, case=case, members=members)
    action.do_start()
    assert asked(action) == peers
    assert [given["ROLE"] for name, given in action.calls if name == "start"] == [
        "alone" if case != "member_lost" and len(members) < 2 else "member"
    ]


@pytest.mark.parametrize(
    ("powered_off", "said", "words"),
    [
        ([], {"r2_2380": "open"}, "r2 (10.0.0.12) still answers on port 2380. Cut its power or its network, "),
        (["r2"], {"r2": "silent", "r2_22": "open"}, "or take it out of requorum_powered_off if it may stay on; then"),
    ],
)
def test_a_peer_that_answers_forbids_the_start(powered_off: list[str], said: dict[str, str], words: str) -> None:
    action = acting(server_start.ActionModule, lambda _n, given: knocked(given, **said), powered_off=powered_off)
    with pytest.raises(RequorumError) as error:
        action.do_start()
    assert words in str(error.value) and "This step was not begun" in str(error.value)
    assert [name for name, _given in action.calls] == ["prove"]


@pytest.mark.parametrize(
    ("done", "why"),
    [
        (_node.Done(124, "", ""), "no answer before the deadline"),
        (_node.Done(0, "10.0.0.12 2379 unknown\n10.0.0.13 22 unknown\n", ""), "its tool gave no answer about any port"),
    ],
)
def test_nobody_could_look(done: _node.Done, why: str) -> None:
    action = acting(server_start.ActionModule, lambda *_: done)
    with pytest.raises(RequorumError) as error:
        action.do_start()
    assert f"r1 could not look at its peers: {why}. See that curl works on r1" in str(error.value)


OLD = "old=/d/db/etcd-old-1\n"
ENDED = "SubState=exited\nResult=success\nExecMainStatus=0\nflag=present\nsaid=yes\nlog=x\n"


@pytest.mark.parametrize(
    ("first", "last", "revision", "said"),
    [
        ("store=present\n", ENDED + OLD, 700, ""),
        ("", ENDED, 700, ""),
        ("store=present\n", ENDED, 700, "it has not replaced the datastore"),
        ("store=present\n" + OLD, ENDED + OLD, 700, "it has not replaced the datastore"),
        ("store=present\n", ENDED + OLD, 7, "it has made an empty cluster"),
        ("store=present\n", ENDED.replace("said=yes", "") + OLD, 700, r"failed .*x\. Its old datastore lies beside"),
        (
            "store=present\n",
            ENDED.replace("success", "exit-code") + OLD,
            700,
            r"failed .*x; /var is full\. Its",
        ),
        ("store=present\n", ENDED.replace("success", "timeout"), 700, r"timeout.*x\. The old datastore is where"),
    ],
)
def test_a_reset_is_not_believed(
    first: str, last: str, revision: int, said: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = {"checks": [{"ok": True}], "node_path": "/snapshot.db", "revision": 690, "bootstrap": ["k"]}
    _run_folder.write(str(tmp_path / "backup.json"), source)
    states = iter([first, last, last])
    new = SimpleNamespace(members=[SimpleNamespace(name="r1-new")], revision=revision)
    monkeypatch.setattr(cluster_reset._bbolt, "drive", lambda *_: new)
    monkeypatch.setattr(_datastore, "summary", lambda *_: None)

    def answer(name: str, given: JSON) -> _node.Done:
        if name == "prove":
            return knocked(given)
        full = "; /var is full" if name == "reset_end" and "exit-code" in last else ""
        return _node.Done(0, next(states) if name == "reset_state" else f"path=/db\nbytes=1\nfull={full}\n", "")

    action = acting(cluster_reset.ActionModule, answer, tmp_path)
    action.node = None
    if said:
        with pytest.raises(RequorumError, match=said):
            action.do_reset()
    else:
        assert "one member (r1-new)" in action.do_reset()
    assert next(given for name, given in action.calls if name == "reset")["LEAST"] == "690"
    looks = [name for name, _given in action.calls].count("reset_state")
    assert looks == (2 if "said=yes" in last else 3)  # the journal may get the success line a moment later


def test_a_second_look_that_fails_takes_nothing_back(tmp_path: Any) -> None:
    """The unit had ended, and the datastore had been moved: that is what is said and kept."""
    source = {"checks": [{"ok": True}], "node_path": "/snapshot.db", "revision": 690, "bootstrap": ["k"]}
    _run_folder.write(str(tmp_path / "backup.json"), source)
    ended = ENDED.replace("said=yes\n", "").replace("said=yes", "") + "old=/db/etcd-old-1\n"
    states = iter([_node.Done(0, "", ""), _node.Done(0, ended, ""), _node.Done(124, "", "")])

    def answer(name: str, given: JSON) -> _node.Done:
        if name == "prove":
            return knocked(given)
        return next(states) if name == "reset_state" else _node.Done(0, "path=/db\nbytes=1\n", "")

    action = acting(cluster_reset.ActionModule, answer, tmp_path)
    action.node = None
    with pytest.raises(RequorumError, match="lies beside the new one"):
        action.do_reset()
    assert _run_folder.load(str(tmp_path), "reset.json", {})["moved"] == ["/db/etcd-old-1"]


def test_no_reset_beside_a_peer(tmp_path: Any) -> None:
    source = {"checks": [{"ok": True}], "node_path": "/snapshot.db", "revision": 690}
    _run_folder.write(str(tmp_path / "backup.json"), source)

    def answer(name: str, given: JSON) -> _node.Done:
        return knocked(given, r3_2379="open") if name == "prove" else _node.Done(0, ENDED, "")

    action = acting(cluster_reset.ActionModule, answer, tmp_path)
    with pytest.raises(RequorumError, match=r"r3 .* still answers on port 2379.*not begun"):
        action.do_reset()
    assert "reset" not in [name for name, _given in action.calls]


def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits end after so many looks, and take no time."""
    looks = itertools.count()
    no_time = {"clock": lambda: float(next(looks)), "sleep": lambda _s: None}
    monkeypatch.setattr(_node_action._wait.wait, "__kwdefaults__", no_time)


def test_a_server_that_was_off_ends_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 10)
    monkeypatch.setattr(_node_action.time, "monotonic", lambda: float(next(clock)))
    patient(monkeypatch)
    off = [SERVERS[0], SERVERS[1] | {"need": "stays_off"}, SERVERS[2]]
    said = {"r2": "silent"}
    action = acting(server_start.ActionModule, lambda _n, given: knocked(given, **said), servers=off)
    left = iter([False] * 5 + [True])
    assert action.wait("it", lambda: (next(left), "seen"), seconds=99, hint="") == "seen"
    assert asked(action) == {"r2"}
    said["r2_2380"] = "open"
    with pytest.raises(RequorumError, match=r"r2 \(10.0.0.12\) is on again and answers on port 2380\. Stop its unit"):
        action.wait("it", lambda: (False, "seen"), seconds=99, hint="")
    assert [(wait["what"], wait["node"], wait["last"], wait["result"]) for wait in action.waits] == [
        ("it", "r1", "seen", "done"), ("it", "r1", "", "failed"),
    ]  # fmt: skip
    assert all(wait["started"] <= wait["ended"] and wait["seconds"] > 0 for wait in action.waits)


def test_a_member_that_is_off_is_no_stranger() -> None:
    """Where the quorum stands, SSH to a member may be down while its etcd votes."""
    off = [SERVERS[0], SERVERS[1], SERVERS[2] | {"need": "stays_off"}]
    members = [member(1), member(2), member(3)]
    action = acting(server_start.ActionModule, lambda *_: 1 / 0, servers=off, members=members, case="member_lost")
    _peers.must_stay_off(action)


GONE = {"led": False, "voters": ["r1", "r2"], "missing": ["r2", "r3"], "gone": ["r2"]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "The quorum is lost again: r2 of the voters r1, r2"),
        ({"gone": []}, ""),
        ({"gone": ["r3"]}, ""),
        ({"led": True}, ""),
        ({"voters": ["r1", "r2", "r3"]}, ""),
        ({"voters": ["r1", "r2", "r3"], "gone": ["r2", "r3"]}, "The quorum is lost again: r2, r3 of the voters"),
        ({"led": True, "missing": ["r2"]}, "r2 gives no sign of life any more; the other servers are voters"),
        ({"led": True, "missing": []}, ""),
    ],
)
def test_what_no_wait_brings_back(changes: JSON, said: str) -> None:
    found = _silence.ended(**{**GONE, **changes})
    assert (found[0] if found else "").startswith(said) and bool(found) == bool(said)


def test_silence_counts_without_a_break() -> None:
    silence, asked = _silence.Silence(), ["r2", "r3", "r4"]
    assert silence.gone(0, asked, ["r4"]) == []
    assert silence.gone(1, asked, ["r2", "r4"]) == silence.gone(60, asked, ["r2", "r4"]) == []
    assert silence.gone(61, asked, ["r2", "r3", "r4"]) == ["r2"]  # r4 was never heard: its address may be wrong
    assert silence.gone(62, asked, []) == silence.gone(130, asked, ["r2"]) == []


@pytest.mark.parametrize("reachable", [True, False])
def test_one_that_cannot_be_reached_is_known_by_its_member(reachable: bool) -> None:
    """Its name may be one that only the controller can resolve; its member's address is where it would vote."""
    named = {**SERVERS[1], "address": "r2.example.org", "reachable": reachable}
    action = acting(fence_proof.ActionModule, lambda _n, given: knocked(given))
    action.plan |= {"servers": [SERVERS[0], named], "members": [member(1), member(2)]}
    assert [peer["address"] for peer in _peers.others(action)] == ["r2.example.org" if reachable else "10.0.0.12"]


def test_a_learner_whose_host_is_lost_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 8)
    monkeypatch.setattr(member_promote.time, "monotonic", lambda: float(next(clock)))
    patient(monkeypatch)
    listed = {1: False, 2: True}

    def look() -> str:
        rows = ", ".join(
            f'{{"ID": "{n}", "name": "r{n}-0000000{n}", "peerURLs": ["https://10.0.0.1{n}:2380"]'
            f"{', ' + chr(34) + 'isLearner' + chr(34) + ': true' if learner else ''}}}"
            for n, learner in listed.items()
        )
        status = '{"header": {"member_id": "1", "cluster_id": "9", "revision": "5"}, "leader": "1"}'
        return f'@@ status 0\n {status}\n@@ members 0\n {{"members": [{rows}]}}\n@@ readyz 0\n ok\n'

    def answer(name: str, given: JSON) -> _node.Done:
        if name == "member":
            assert (given["CALL"], given["ID"]) == ("remove", "2")
            del listed[2]
            listed[3] = False
        knocks = [each for each, _given in action.calls if each == "prove"]
        if name == "prove":
            return knocked(given, **({"r2": "silent"} if len(knocks) > 1 else {}))
        return _node.Done(0, look(), "")

    action = acting(member_promote.ActionModule, answer)
    with pytest.raises(RequorumError, match="r2 gives no sign of life any more; the other servers are voters"):
        action.do_promote()
    assert any("a learner, is removed" in text for text in action.said) and listed == {1: False, 3: False}
