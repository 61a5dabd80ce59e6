# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several questions in one call: what each says, fails with and needs stays its own."""

from __future__ import annotations

import os
import shlex
import shutil
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action import etcd_snapshot_info, node_info, node_logs
from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _node, _tls_read
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._node import Done, Question
from tests.unit.local_node import LocalNode

SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]
shells = pytest.mark.parametrize("shell", SHELLS)
MARK = "requorum-0123456789ab"
SCRIPTS = {
    "plain": 'echo "$GREETING it\'s"; echo',
    "silent": "true",
    "fails": 'echo half; die "what $GREETING said"',
    "hangs": "echo begun; sleep 30",
    "slow": "sleep 1; echo slow",
    "large": "head -c 400000 /dev/zero | tr '\\0' x",
    "reads": "cat; echo read",
    "loud": "head -c 300000 /dev/zero | tr '\\0' x >&2; echo last >&2; echo said",
}
ARGUMENT = 128 << 10
"""Bytes of one argument that Linux lets a program have."""


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of our scripts, and a few more."""
    folder = Path(shutil.copytree(_node.SCRIPTS, tmp_path / "sh"))
    for name, text in SCRIPTS.items():
        (folder / f"{name}.sh").write_text(text + "\n")
    monkeypatch.setattr(_node, "SCRIPTS", folder)
    return folder


def ask(shell: str, *names: str, timeout: int = 20) -> dict[str, Done]:
    questions = [Question(name, 1 if name == "hangs" else timeout, {"GREETING": "he'llo"}) for name in names]
    done = LocalNode(shell).run(_node.together(questions, MARK, DISTRO="rke2"))
    assert done.rc == 0, done.err
    return _node.apart(done, MARK, questions)


@shells
@pytest.mark.parametrize(
    ("name", "rc", "out", "err"),
    [
        ("plain", 0, "he'llo it's\n", ""),
        ("silent", 0, "", ""),
        ("fails", 1, "half", "what he'llo said"),
        ("hangs", 124, "begun", ""),
        ("slow", 0, "slow", ""),
        ("large", 0, "x" * 400000, ""),
        ("reads", 0, "read", ""),
        ("loud", 0, "said", "last"),
    ],
)
@pytest.mark.parametrize("others", [(), ("silent",), ("fails", "plain")])
def test_an_answer_is_what_it_is_alone(
    shell: str, name: str, rc: int, out: str, err: str, others: tuple[str, ...]
) -> None:
    for names in ((name, *others), (*others, name)):
        found = ask(shell, *names)
        assert set(found) == set(names)
        answer = found[name]
        assert (answer.rc, answer.out) == (rc, out) and answer.err.strip().endswith(err)
        assert answer.known == (rc != 124)


@shells
def test_they_run_side_by_side_and_none_waits_for_the_others_to_be_read(shell: str) -> None:
    begun = time.monotonic()
    found = ask(shell, "large", "slow", "hangs", "loud", "silent", timeout=3)
    assert time.monotonic() - begun < 4
    assert {name: answer.rc for name, answer in found.items()} == {
        "large": 0, "slow": 0, "hangs": 124, "loud": 0, "silent": 0,
    }  # fmt: skip
    came = [answer.came for answer in found.values()]
    assert found["silent"].came < max(came) - 0.5 and max(came) <= time.time()


ONE = f"\n{MARK} a\nsaid\n\n{MARK}! a 0 10.5\n\n"
TWO = f"\n{MARK} b\nmore\n\n{MARK}! b 3 12.5\nwhy\n"
CUT = Done(-1, "", "")


@pytest.mark.parametrize(
    ("done", "a", "b"),
    [
        (Done(0, ONE + TWO, ""), Done(0, "said", ""), Done(3, "more", "why")),
        (Done(0, TWO + ONE, ""), Done(0, "said", ""), Done(3, "more", "why")),
        (Done(0, ONE, ""), Done(0, "said", ""), CUT),
        (Done(-1, ONE + TWO[:-12], ""), Done(0, "said", ""), CUT),
        (Done(0, ONE + TWO[:30], ""), Done(0, "said", ""), CUT),
        (Done(0, "", ""), CUT, CUT),
        (Done(-1, "", "sudo: a password is required"), *[Done(-1, "", "sudo: a password is required")] * 2),
        (Done(127, "", "timeout: not found"), *[Done(127, "", "timeout: not found")] * 2),
        (Done(0, ONE.replace("10.5", "10.%N") + TWO, ""), Done(0, "said", ""), Done(3, "more", "why")),
    ],
)
def test_what_is_missing_is_unknown(done: Done, a: Done, b: Done) -> None:
    found = _node.apart(done, MARK, [Question("a", 1), Question("b", 1)])
    assert {name: replace(answer, err=answer.err.strip()) for name, answer in found.items()} == {"a": a, "b": b}


def test_an_answer_came_when_it_was_given_by_the_clock_of_the_controller() -> None:
    done = Done(0, TWO + ONE, "", came=1000.0)
    found = _node.apart(done, MARK, [Question("a", 1), Question("b", 1)])
    assert (found["a"].came, found["b"].came) == (998.0, 1000.0)  # however long others are worked on meanwhile


@pytest.mark.parametrize("rc", [_node.SINGLY, 124, 137])
def test_where_the_call_itself_is_lost_each_is_asked_alone(rc: int) -> None:
    assert _node.apart(Done(rc, ONE, ""), MARK, [Question("a", 1)]) == {}


def test_a_node_without_base64(tmp_path: Path) -> None:  # busybox brings its own
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("timeout", "sh", "cat", "sleep"):
        (folder / program).symlink_to(shutil.which(program) or "")
    text = "".join(
        line for line in _node.together([Question("plain", 5)], MARK).splitlines(True) if "PATH=$PATH" not in line
    )
    done = LocalNode(shutil.which("dash") or "", env={**os.environ, "PATH": str(folder)}).run(text)
    assert done.rc == _node.SINGLY


def test_the_longest_call_fits_into_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [
        Question("info", 60, {"SIDE": "agent"}), Question("agent", 30, {"DO": "look"}), Question("tails", 30),
        Question("tls", 60, {"PATHS": _tls_read.PATHS}), Question("tokens", 60, {"NAMED": "/etc/" + "x" * 200}),
    ]  # fmt: skip
    command = _node.command(_node.together(asked, MARK), MARK, 70)
    for _shell in ("sudo", "ssh", "the user's own"):
        command = f"/bin/sh -c {shlex.quote(command)}"
    assert len(command) < ARGUMENT - (16 << 10)


class Calls(LocalNode):
    """Counts, and gives what a script cannot find on this machine."""

    trips = 0

    def run(self, script: str, *, stdin: bytes | None = None, timeout: int = 60) -> Done:
        self.trips += 1
        return super().run(script, stdin=stdin, timeout=timeout)


class Reading(node_info.ActionModule):
    """node_info on this machine."""

    def __init__(self, side: str, **args: Any) -> None:
        self.host = self.turn = "r1"
        self.node, self._task = Calls("dash"), SimpleNamespace(args=args)
        self._templar = SimpleNamespace(template=lambda value: value)
        self.vars = {
            "groups": {"servers": [], "agents": [], side: ["r1"]},
            "requorum_distro": "rke2",
            "requorum_data_dir": "/nonexistent",
        }


@pytest.mark.parametrize("side", ["servers", "agents"])
def test_all_that_inspect_asks_of_a_host_is_one_call(side: str) -> None:
    action = Reading(side, parts=["logs", "tls", "tokens"])
    found = action.act()
    assert action.node.trips == 1
    left = [question.name for question, _answer in action.ahead or ()]
    assert left == (["agent"] if side == "agents" else [])  # no program is installed here
    assert found["requorum_node"]["reachable"] and found["requorum_node"]["unread"].keys() == {"program"}
    assert "requorum_logs" in found["logs"] and "unread" in found["logs"]
    assert found["tls"]["requorum_tls"]["distro"] == "rke2" and found["tokens"]["requorum_tokens"]["keys"] is None


def test_a_part_that_fails_is_a_result_and_the_others_are_there(scripts: Path) -> None:
    (scripts / "tails.sh").write_text("die 'the disk is gone'\n")
    (scripts / "tls.sh").write_text("echo clock=now\n")
    found = Reading("servers", parts=["logs", "tls", "tokens"]).act()
    assert found["logs"] == {"msg": "r1: its logs cannot be read: the disk is gone. Look at its disk."}
    assert found["requorum_node"]["reachable"] and found["tokens"]["requorum_tokens"]
    assert found["tls"]["requorum_tls"]["error"] == "the answer of the node ends in the middle"


def test_snapshots_are_hashed_in_a_call_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    action = Reading("servers", parts=["tls", "snapshots"])
    assert action.act()["snapshots"] == {"changed": False, "requorum_snapshots": []}
    assert action.node.trips == 2
    assert not hasattr(etcd_snapshot_info.ActionModule, "question") and hasattr(node_logs.ActionModule, "question")


def test_a_distribution_that_is_none_is_refused_before_anything_is_asked() -> None:
    action = Reading("servers", parts=["logs"])
    action.vars["requorum_distro"] = "rancher"
    with pytest.raises(RequorumError, match="requorum_distro is 'rancher'"):
        action.act()
    assert action.node.trips == 0


def test_the_same_is_read_once() -> None:
    asked: list[Any] = []

    def answers(requests: Any) -> list[bytes]:
        asked.append(list(requests))
        return [bytes([request.offset]) for request in requests]

    read = _node.once(answers)
    one, other = _bbolt.Range(1, 5), _bbolt.Range(2, 5)
    assert read([one]) == read([one]) == [b"\x01"] and read([one, other]) == [b"\x01", b"\x02"]
    assert asked == [[one], [one, other]]
    alone = Reading("servers")
    assert alone.pages("/a") is not alone.pages("/a")  # who waits for a file to change looks anew
    alone.act()
    assert alone.pages("/a") is alone.pages("/a")


def test_an_answer_is_given_to_its_own_question_only() -> None:
    action = Reading("servers")
    asked = [Question("plain", 5, {"GREETING": "one"}), Question("silent", 5)]
    action.ask_ahead(asked)
    assert action.ask(Question("plain", 5, {"GREETING": "other"})).out == "other it's\n"
    assert action.script("plain", GREETING="third").out == "third it's\n"
    trips = action.node.trips
    assert action.ask(asked[0]).out == "one it's\n" and action.node.trips == trips
    assert action.ask(asked[0]).out == "one it's\n" and action.node.trips == trips + 1  # it was given


def test_a_part_that_is_none_is_refused() -> None:
    action = Reading("servers", parts=["certs"])
    with pytest.raises(RequorumError, match=r"certs: no part of a host\. There are logs, tls, tokens, snapshots"):
        action.act()
    assert action.node.trips == 0


@pytest.mark.parametrize("rc", [_node.SINGLY, 124])
def test_a_host_that_cannot_be_asked_at_once_is_asked_one_by_one(rc: int) -> None:
    class Singly(Calls):
        def run(self, script: str, *, stdin: bytes | None = None, timeout: int = 60) -> Done:
            done = super().run(script, stdin=stdin, timeout=timeout)
            return Done(rc, "", "") if "Several scripts in one call" in script else done

    action = Reading("servers", parts=["tls", "tokens"])
    action.node = Singly("dash")
    found = action.act()
    assert action.node.trips == 4
    assert found["requorum_node"]["reachable"]
    assert found["tls"]["requorum_tls"]["distro"] == "rke2" and found["tokens"]["requorum_tokens"]["keys"] is None


@shells
@pytest.mark.parametrize("lost", ["head", "script"])
def test_what_cannot_be_decoded_is_unknown(shell: str, lost: str, tmp_path: Path) -> None:
    """base64 that is killed, as on a host without memory: no part has run, and none says so with success."""
    once = f': >{tmp_path}/once; exec {shutil.which("base64")} "$@"'
    first = f"[ -e {tmp_path}/once ] || {{ {once}; }}\n" if lost == "script" else ""
    (tmp_path / "base64").write_text(f"#!/bin/sh\n{first}exit 137\n")
    (tmp_path / "base64").chmod(0o755)
    asked = [Question("plain", 5), Question("silent", 5)]
    text = _node.together(asked, MARK).replace("# Several", f"PATH={tmp_path}:$PATH\n# Several", 1)
    done = LocalNode(shell).run(text)
    found = _node.apart(done, MARK, asked)
    assert found == {} if lost == "head" else [answer.known for answer in found.values()] == [False, False]


@pytest.mark.parametrize(
    ("patience", "late", "trips", "reachable"), [(40, 1, 2, True), (40, 2, 2, False), (0, 1, 1, False)]
)
def test_a_busy_host_is_read_once_more_where_there_is_patience(
    patience: int, late: int, trips: int, reachable: bool
) -> None:
    class Busy(Calls):
        def run(self, script: str, *, stdin: bytes | None = None, timeout: int = 60) -> Done:
            done = super().run(script, stdin=stdin, timeout=timeout)
            return Done(124, "", "") if self.trips <= late else done

    action = Reading("servers", patience=patience)
    action.node = Busy("dash")
    entry = action.act()["requorum_node"]
    assert entry["reachable"] is reachable and action.node.trips == trips
    assert reachable or entry["error"].endswith("no answer before the deadline")
