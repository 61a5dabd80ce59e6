# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time: who is refused, what is taken over, and the shell that decides it on a node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _lock, _node, _state
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _holder, _node_action, _run_folder, _stream
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from lab.progress import wait_for

JSON = dict[str, Any]
SHELLS = [shell for shell in ("dash", "busybox sh", "bash --posix") if shutil.which(shell.split()[0])]
shells = pytest.mark.parametrize("shell", SHELLS)
HOME = "/var/lib/rancher/requorum"


def found(node: str, ident: str, age: float, **more: str) -> JSON:
    """A node as INSPECT has read it, with a lock."""
    lock = {"id": ident, "age": f"{age:.0f}", "owner": "anna", "host": "desk", "started": "2026-11-29T01:00:00.000Z",
            "run": "ansible-playbook recover.yml -i prod.yml"}  # fmt: skip
    return {"name": node, "lock": {**lock, **more}}


FREE: JSON = {"name": "s9", "lock": None}


# Who is refused, and who is taken over


@pytest.mark.parametrize(
    ("entries", "refused", "noted"),
    [
        ([FREE, {"name": "s8"}], 0, 0),
        ([found("s1", "a", 5)], 1, 0),
        ([found("s1", "a", 599)], 1, 0),
        ([found("s1", "a", 600)], 0, 1),
        ([found("s1", "a", -599)], 1, 0),
        ([found("s1", "a", -1e6)], 0, 1),
        ([found("s1", "a", 5000), FREE, found("s2", "a", 20)], 1, 0),
        ([found("s1", "a", 5000), found("s2", "b", 20)], 1, 1),
        ([found("s1", "dead", 5)], 0, 1),
        ([found("s1", "dead", 5), found("s2", "b", 5), found("s3", "b", 5)], 1, 1),
        ([{"name": "s1", "lock": {"age": "5"}}], 1, 0),
        ([{"name": "s1", "lock": {}}], 0, 0),
    ],
)
def test_verdicts(entries: list[JSON], refused: int, noted: int) -> None:
    verdict = _lock.judge(entries, lambda one: one.id == "dead", 600)
    assert (len(verdict.refusals), len(verdict.notes)) == (refused, noted)


def test_a_refusal_says_who_where_since_when_and_what_to_do() -> None:
    entries = [found("s1", "a", 300), found("s2", "a", 7)]
    [refusal] = _lock.judge(entries, lambda _one: False, 600).refusals
    assert refusal.what == (
        "Another run works on this cluster: anna on desk since 2026-11-29T01:00:00.000Z, heard 7 s ago on s2: "
        "ansible-playbook recover.yml -i prod.yml (locked)."
    )
    assert refusal.where == f"s2, {HOME}/lock"
    assert refusal.next.startswith("Wait for it, or end it on desk. 600 s after its last sign of life")


def test_a_holder_has_ended_only_where_its_process_would_be_seen() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        held = {"place": _holder.place(), "pid": str(process.pid), "began": _holder.began(str(process.pid))}
        assert not _holder.ended(held)
        assert _holder.ended({**held, "began": "1"}), "another process has its number now"
        assert not _holder.ended({**held, "began": "1", "place": "another machine"})
        process.kill()
        wait_for("its end", lambda: (_holder.ended(held), "it lives"), 10, poll=0.05)  # nobody has asked for it yet
        assert Path(f"/proc/{process.pid}").exists()
    assert _holder.ended(held)
    assert not _holder.ended({}) and not _holder.ended({**held, "place": ""})


def test_the_lock_names_the_process_that_has_started_the_worker() -> None:
    me = _holder.me()
    assert me["pid"] == str(os.getppid()) and not _holder.ended(me)
    assert len({me["id"], _holder.me()["id"]}) == 2


# On a node


class Place:
    """A node whose folder of ours lies in a temporary one."""

    def __init__(self, folder: Path, shell: str = "dash") -> None:
        self.folder, self.shell, self.file = folder, shell.split(), folder / "lock"

    def here(self, text: str) -> str:
        assert HOME in text
        return text.replace(HOME, str(self.folder))

    def words(self, do: str, ident: str, **more: str) -> list[str]:
        given = {"STAMP": "20261129T010000Z", "LIMIT": "600", "DEAD": ""} | more
        return [*self.shell, "-c", self.here(_node.script("lock", DO=do, ID=ident, **given))]

    def call(self, do: str, ident: str, **more: str) -> str:
        done = subprocess.run(self.words(do, ident, **more), input=text(ident), capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return _node.pairs(done.stdout.decode())["lock"]

    def silent_for(self, seconds: float) -> None:
        os.utime(self.file, (time.time() - seconds,) * 2)

    @property
    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


def text(ident: str) -> bytes:
    return f"id={ident}\nowner=anna\nhost=desk\nstarted=now\nrun=recover\n".encode()


@shells
def test_a_lock_is_taken_refused_and_let_go(shell: str, tmp_path: Path) -> None:
    place = Place(tmp_path / "requorum", shell)
    assert place.call("free", "a") == "freed" and not place.folder.exists()
    assert place.call("take", "a") == "taken"
    assert place.file.read_bytes() == text("a") and place.file.stat().st_mode & 0o777 == 0o600
    assert place.call("take", "a") == "taken"
    done = subprocess.run(place.words("take", "b"), input=text("b"), capture_output=True, check=True)
    told = _lock.held("s1", _node.pairs(done.stdout.decode()))
    assert (told.id, told.owner, told.host, told.started) == ("a", "anna", "desk", "now") and 0 <= told.age < 60
    assert _node.pairs(done.stdout.decode())["lock"] == "other"
    assert place.call("free", "b") == "freed" and place.file.read_bytes() == text("a")
    assert place.call("back", "b") == "freed" and place.file.read_bytes() == text("a")
    assert place.call("free", "a") == "freed" and place.names == []


@shells
@pytest.mark.parametrize(
    ("age", "dead", "state"),
    [(590, "", "other"), (610, "", "taken"), (-590, "", "other"), (-610, "", "taken"), (5, "x a y", "taken"),
     (5, "aa b", "other")],
)  # fmt: skip
def test_what_a_node_takes_over(age: float, dead: str, state: str, shell: str, tmp_path: Path) -> None:
    place = Place(tmp_path, shell)
    place.call("take", "a")
    place.silent_for(age)
    assert place.call("take", "b", DEAD=dead) == state
    assert place.file.read_bytes() == text("b" if state == "taken" else "a")
    aside = tmp_path / "20261129T010000Z" / "lock"
    assert (aside.read_bytes() == text("a")) if state == "taken" else not aside.exists()


@shells
def test_what_was_taken_over_comes_back_where_the_run_is_refused(shell: str, tmp_path: Path) -> None:
    place = Place(tmp_path, shell)
    place.call("take", "a")
    place.silent_for(700)
    before = place.file.stat().st_mtime
    assert place.call("take", "b") == "taken"
    assert place.call("back", "b") == "freed"
    assert (place.file.read_bytes(), place.file.stat().st_mtime) == (text("a"), before)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


@shells
def test_a_torn_lock_hinders_until_it_expires(shell: str, tmp_path: Path) -> None:
    place = Place(tmp_path, shell)
    place.file.write_text("")
    assert place.call("take", "a") == "other"
    place.silent_for(700)
    assert place.call("take", "a") == "taken"


def test_a_lock_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    place = Place(tmp_path)
    done = subprocess.run(place.words("take", "a"), input=b"", capture_output=True, check=False)
    assert done.returncode == 1 and b"cannot be written" in done.stderr
    script = place.words("take", "a")[-1].replace("command -v flock", "command -v no-flock")
    done = subprocess.run(["dash", "-c", script], input=text("a"), capture_output=True, check=False)
    assert done.returncode == 1 and b"flock (of util-linux) is missing" in done.stderr
    assert not place.file.exists()


@shells
def test_of_two_at_the_same_instant_exactly_one_wins(shell: str, tmp_path: Path) -> None:
    for number in range(40):
        place = Place(tmp_path / str(number), shell)
        stale = number % 2
        if stale:
            place.call("take", "old")
            place.silent_for(700)
        gate = tmp_path / f"gate-{number}"
        wait = f"while [ ! -e {gate} ]; do :; done\n"
        runs = {}
        for ident in ("a", "b"):
            words = place.words("take", ident, STAMP=ident)
            words[-1] = wait + words[-1]
            runs[ident] = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for ident, run in runs.items():
            assert run.stdin
            run.stdin.write(text(ident))
            run.stdin.close()
        gate.touch()
        said = {ident: run.stdout.read().decode() for ident, run in runs.items() if run.stdout}
        assert [run.wait(20) for run in runs.values()] == [0, 0]
        states = {ident: _node.pairs(out)["lock"] for ident, out in said.items()}
        assert sorted(states.values()) == ["other", "taken"], states
        [winner] = [ident for ident, state in states.items() if state == "taken"]
        assert place.file.read_bytes() == text(winner)
        loser = "b" if winner == "a" else "a"
        assert _node.pairs(said[loser])["id"] == winner
        assert place.names == (sorted(["lock", f"{winner}/lock"]) if stale else ["lock"])


# A run that holds it


def sleeping(seconds: str) -> int:
    """Processes that are `sleep SECONDS`."""
    listed = subprocess.run(["ps", "-e", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return listed.splitlines().count(f"sleep {seconds}")


@shells
def test_signs_of_life_as_long_as_a_command_takes(shell: str, tmp_path: Path) -> None:
    place, pause = Place(tmp_path, shell), f"0.3{os.getpid()}"
    place.call("take", "a")
    script = place.here(_node.under("a", "held cat; echo $?")).replace("sleep 20", f"sleep {pause}")
    with subprocess.Popen([*shell.split(), "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        for _sign in range(3):
            place.silent_for(500)
            wait_for("a sign of life", lambda: (time.time() - place.file.stat().st_mtime < 400, "none"), 30, poll=0.1)
        out, _err = run.communicate(b"all of it\n", timeout=30)
    assert out == b"all of it\n0\n"


@shells
def test_nothing_is_left_on_the_node(shell: str, tmp_path: Path) -> None:
    place, pause = Place(tmp_path, shell), f"30.{os.getpid()}"
    place.call("take", "a")
    script = place.here(_node.under("a", "held sleep 0.5")).replace("sleep 20", f"sleep {pause}")
    with subprocess.Popen([*shell.split(), "-c", script]) as run:
        wait_for("the pause", lambda: (sleeping(pause) == 1 or run.poll() is not None, "none"), 30, poll=0.05)
    assert run.returncode == 0 and sleeping(pause) == 0


@shells
@pytest.mark.parametrize("left", [b"id=b\n", None])
@pytest.mark.parametrize("timeout", [10, 900])
def test_a_run_that_has_lost_its_lock_does_nothing_more(
    timeout: int, left: bytes | None, shell: str, tmp_path: Path
) -> None:
    place = Place(tmp_path / "requorum", shell)
    if left:
        place.folder.mkdir()
        place.file.write_bytes(left)
        place.silent_for(100)
    command = place.here(_node.command(f"touch {tmp_path}/done", "mark", timeout, "a"))
    done = subprocess.run([*shell.split(), "-c", command], input=b"", capture_output=True, check=True)
    assert _node.result("mark", done.stdout.decode(), "").rc == _node.LOST
    assert not (tmp_path / "done").exists()
    assert not left or time.time() - place.file.stat().st_mtime > 90


@shells
@pytest.mark.parametrize("timeout", [10, 900])
def test_a_script_is_a_sign_of_life_and_ends_as_without_the_lock(timeout: int, shell: str, tmp_path: Path) -> None:
    place = Place(tmp_path, shell)
    place.call("take", "a")
    place.silent_for(500)
    command = place.here(_node.command("cat; echo said >&2; exit 3", "mark", timeout, "a"))
    done = subprocess.run([*shell.split(), "-c", command], input=b"given", capture_output=True, check=True)
    assert _node.result("mark", done.stdout.decode(), done.stderr.decode()) == _node.Done(3, "given", "said\n")
    assert time.time() - place.file.stat().st_mtime < 400


@shells
def test_a_stream_of_bytes_needs_the_lock_too(shell: str, tmp_path: Path) -> None:
    place = Place(tmp_path, shell)
    place.call("take", "a")
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    for ident, rc in (("a", 0), ("b", _node.LOST)):
        script = place.here(_stream._cat(f"{tmp_path}/file", ident))
        done = subprocess.run([*shell.split(), "-c", script], capture_output=True, check=False)
        assert (done.returncode, len(done.stdout)) == (rc, 0 if rc else 100_000)


# In a run


def test_two_runs_of_one_second_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = iter(["first", "first", "first", "second"])
    monkeypatch.setattr(_node_action.time, "strftime", lambda *_now: next(stamps))
    made = [_run_folder.new_folder(str(tmp_path), "prod") for _run in range(2)]
    assert made == [str(tmp_path / "prod" / "first"), str(tmp_path / "prod" / "second")]


class Action(PlanAction):
    """On s1, with a connection that answers what a test says."""

    VERBS = ("work",)

    def __init__(self, answer: str = "") -> None:
        self.host, self.answer, self.sent = "s1", answer, list[str]()
        self.node = _node_action.ConnectionNode(self)

    def do_work(self) -> str:
        self.node.run("true")
        return "worked"

    def _low_level_execute_command(self, command: str, **_options: Any) -> JSON:
        self.sent.append(command)
        mark = re.search(r"echo (requorum-\w+)", command)[1]  # type: ignore[index]
        return {"stdout": f"{mark}\n\n{mark} {self.answer}\n", "stderr": ""}


def test_scripts_run_under_the_lock_where_it_is_held() -> None:
    action = Action("0")
    action.node.run("true")
    action.locked = {"id": "abc", "nodes": ["s2"]}
    action.node.run("true")
    assert not [command for command in action.sent if "held" in command]
    action.locked = {"id": "abc", "nodes": ["s1", "s2"]}
    action.node.run("true")
    assert action.sent[-1].startswith("LOCK=abc\n") and "; mine && timeout -k 5 60 " in action.sent[-1]
    action.node.run("true", timeout=61)
    assert "; held timeout -k 5 61 " in action.sent[-1]


def test_a_lost_lock_fails_an_action_at_once_and_not_a_script_of_a_run_without() -> None:
    action = Action(str(_node.LOST))
    assert action.node.run("true").rc == _node.LOST
    action.locked = {"id": "abc", "nodes": ["s1"]}
    with pytest.raises(RequorumError, match="s1: this run no longer has the lock of the cluster"):
        action.node.run("true")


def test_an_action_of_a_plan_works_under_the_lock_of_its_run(tmp_path: Path) -> None:
    _run_folder.write(str(tmp_path / _lock.FILE), {"id": "abc", "nodes": ["s1"], "tried": ["s1"]})
    todo = {"id": "4.1", "phase": 4, "node": "s1", "verb": "work", "what": "it works", "turn": "", "expect_s": 1}
    for answer, result in (("0", "worked"), (str(_node.LOST), "failed: s1: this run no longer has the lock")):
        action = Action(answer)
        action.turn, action._connection = "s1", None
        plan = {"actions": [todo], "phases": ["WORK"] * 9}
        args = {"plan": plan, "phase": 4, "run_dir": str(tmp_path)}
        action._task = SimpleNamespace(args=args, check_mode=False)
        [done] = action.act()["requorum_actions"]
        assert done["result"].startswith(result)
        assert action.sent[0].startswith("LOCK=abc\n")


def test_inspect_reads_a_lock(tmp_path: Path) -> None:
    place = Place(tmp_path)
    script = place.here(_node.script("info"))
    script = script[: script.index("if ! find_distro")] + "printf '@@ done 0\\n'"
    place.call("take", "a")
    place.silent_for(30)
    for there in (True, False):
        if not there:
            place.file.unlink()
        out = subprocess.run(["dash", "-c", script], capture_output=True, text=True, check=True).stdout
        entry = _state.node("s1", "10.0.0.1", out, received=0.0)
        verdict = _lock.judge([entry], lambda _one: False, 600)
        assert [r.what.partition("since now, heard 3")[0] for r in verdict.refusals] == (
            ["Another run works on this cluster: anna on desk "] if there else []
        )
        assert (entry["lock"] is not None) == there
