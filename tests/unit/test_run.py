# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum.run`: what a playbook gets and does not get, its events, and the ways in which it ends."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import requorum
from ansible_collections.requorum.cluster.plugins.module_utils import _events, _s3
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from requorum import api, environment, events

JSON = dict[str, Any]
SECRET = "only-in-the-environment"


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], JSON]:
    """An ansible-playbook beside this Python that writes down how it was called, and all that lies in the folder."""
    programs = tmp_path / "bin"
    programs.mkdir()
    script = f"""#!{sys.executable}
import json, os, sys
file = next((word[1:] for word in sys.argv if word.startswith("@")), None)
folder = os.path.dirname(os.environ["REQUORUM_STOP"])
paths = [os.path.join(at, name) for at, _folders, names in os.walk(folder) for name in names]
json.dump({{"argv": sys.argv, "variables": json.load(open(file)) if file else {{}},
           "cwd": os.getcwd(), "folder": folder,
           "modes": {{path: oct(os.stat(path).st_mode) for path in [folder, *paths]}},
           "files": {{path: open(path, errors="replace").read() for path in paths}},
           "env": dict(os.environ)}}, open({str(tmp_path / "call.json")!r}, "w"))
sys.exit(int(os.environ.get("ANSIBLE_TEST_RC", "0")))
"""
    (programs / "ansible-playbook").write_text(script)
    (programs / "ansible-playbook").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    return lambda: dict(json.loads((tmp_path / "call.json").read_text()))


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {localhost: {ansible_connection: local}}}\n")
    return tmp_path / "hosts.yml"


@pytest.fixture
def played(tmp_path: Path, inventory: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., api.Run]:
    """Plays tasks of a test, as a playbook of a collection that lies elsewhere."""
    home = tmp_path / "ansible_collections" / "requorum" / "cluster"
    (home / "playbooks").mkdir(parents=True)
    monkeypatch.setattr(environment, "COLLECTION", home)
    monkeypatch.chdir(tmp_path)

    def start(tasks: str, **options: Any) -> api.Run:
        text = f"- name: (1/2) INSPECT | Look\n  hosts: all\n  gather_facts: false\n  tasks: [{tasks}]\n"
        (home / "playbooks" / "test.yml").write_text(text)
        return api.Run("test", inventory, **options)

    return start


def alive(run: api.Run) -> list[str]:
    """Processes that know of this run."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            found += [path.parent.name] if str(run._folder).encode() in path.read_bytes() else []
        except OSError:
            continue
    return found


# What it gets


def test_variables_go_through_a_file_of_the_owner_that_is_gone_afterwards(
    recorded: Callable[[], JSON], inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = requorum.run("snapshot_prune", "hosts.yml", {"requorum_s3_bucket": "only-in-the-file"}, check=True)
    call = recorded()
    assert (result.status, result.failures) == ("successful", [])
    assert call["variables"] == {"requorum_s3_bucket": "only-in-the-file"}
    assert "only-in-the-file" not in " ".join(call["argv"])
    assert call["modes"][call["folder"]] == oct(stat.S_IFDIR | 0o700)
    assert call["modes"][f"{call['folder']}/env/extravars"] == oct(stat.S_IFREG | 0o600)
    assert not os.path.exists(call["folder"])
    assert call["argv"][-1].endswith("/playbooks/snapshot_prune.yml") and Path(call["argv"][-1]).is_file()
    assert "--check" in call["argv"] and str(inventory) in call["argv"]
    assert call["cwd"] == call["env"]["PWD"] == str(tmp_path)
    assert call["env"]["ANSIBLE_HOST_KEY_CHECKING"] == "True"
    assert Path(call["env"]["ANSIBLE_COLLECTIONS_PATH"].split(":")[0], "ansible_collections").is_dir()


def test_nothing_secret_of_the_callers_environment_is_handed_on_or_written_but_keys_of_s3(
    recorded: Callable[[], JSON], inventory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = {"DATABASE": SECRET, "ANSIBLE_BECOME_PASSWORD": SECRET, "REQUORUM_TOKEN": SECRET, "SSHPASS": SECRET,
              "ANSIBLE_BECOME_PASS": SECRET,
              "https_proxy": f"http://me:{SECRET}@proxy", "AWS_PROFILE": SECRET}  # fmt: skip
    harmless = {"SSH_AUTH_SOCK": "/run/agent", "ANSIBLE_BECOME_PASSWORD_FILE": "/p", "http_proxy": "http://proxy:3128"}
    keys = {"AWS_ACCESS_KEY_ID": "access-key", "AWS_SECRET_ACCESS_KEY": "secret-key"}
    for name, value in {**secret, **harmless, **keys}.items():
        monkeypatch.setenv(name, value)
    requorum.run("inspect", inventory)
    call = recorded()
    assert SECRET not in json.dumps(call)
    assert {**call["env"], **harmless} == call["env"] and not set(call["env"]) & (set(keys) | set(secret))
    holding = [path for path, text in call["files"].items() if "secret-key" in text]
    assert holding == [call["env"]["REQUORUM_S3_KEYS"]]
    monkeypatch.setenv("REQUORUM_S3_KEYS", str(inventory.parent / "keys"))
    (inventory.parent / "keys").write_text(call["files"][holding[0]])
    read = _s3.Settings.of({"requorum_s3_bucket": "b"}, {"REQUORUM_S3_KEYS": str(inventory.parent / "keys")})
    assert (read.access_key, read.secret_key, read.session_token) == ("access-key", "secret-key", None)


def test_what_the_caller_has_set_stays(tmp_path: Path) -> None:
    (tmp_path / "ansible.cfg").touch()
    given = {"SSH_ASKPASS": "/mine", "ANSIBLE_COLLECTIONS_PATH": "/c", "PATH": "/p"}
    env = environment.of(given, str(tmp_path), tmp_path)
    assert env["SSH_ASKPASS"] == "/mine" and "ANSIBLE_CONFIG" not in env
    assert env["ANSIBLE_COLLECTIONS_PATH"].endswith(":/c") and env["PATH"].endswith(":/p")
    assert environment.of({}, "/", tmp_path)["ANSIBLE_CONFIG"].endswith("/ansible.cfg")
    assert environment.of({"ANSIBLE_CONFIG": "/my.cfg"}, "/", tmp_path)["ANSIBLE_CONFIG"] == "/my.cfg"


@pytest.mark.parametrize("name", ["ansible_become_password", "ansible_become_pass", "ansible_ssh_pass", "my_token"])
def test_a_secret_is_no_variable(name: str, inventory: Path) -> None:
    with pytest.raises(RequorumError, match=f"{name} is a secret.*{name}_file"):
        requorum.run("inspect", inventory, {name: "x"})


def test_an_inventory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RequorumError, match="no such file"):
        requorum.run("inspect", tmp_path / "none.yml")


# How it ends


def test_what_is_wrong_before_any_task_is_told(recorded: Callable[[], JSON], inventory: Path,
                                               monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("ANSIBLE_TEST_RC", "4")
    result = requorum.run("inspect", inventory)
    assert (result.status, result.ok, result.failures) == ("failed", False, ["ansible-playbook could not be run"])


def test_a_failed_task(played: Callable[..., api.Run]) -> None:
    result = played("{ansible.builtin.fail: {msg: no room}}").wait()
    assert result and (result.status, result.failures) == ("failed", ["no room"])


def test_a_deadline(played: Callable[..., api.Run]) -> None:
    begun = time.monotonic()
    run = played("{ansible.builtin.pause: {seconds: 60}}", timeout=2)
    result = run.wait()
    assert result and result.status == "timeout" and time.monotonic() - begun < 15
    assert not alive(run) and not run._folder.exists()


NO_PLAN = events.Plan("abc", "prod", "healthy", "", "", 0, (), (), "/r")


@pytest.mark.parametrize(
    ("event", "check", "acts"),
    [
        (events.Action("begun", "x", "reset"), False, True),
        (events.Action("planned", "x", "reset"), True, False),
        (NO_PLAN, False, False),
        (replace(NO_PLAN, actions=({},)), False, True),
        (replace(NO_PLAN, actions=({},)), True, False),
        (replace(NO_PLAN, actions=({},), refused=("no",)), False, False),
        (events.Task("x"), False, False),
    ],
)
def test_from_when_on_a_stop_waits(event: events.Event, check: bool, acts: bool) -> None:
    assert api.acts(event, check=check) is acts


@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_while_nothing_is_changed_both_end_it_at_once(how: str, played: Callable[..., api.Run]) -> None:
    going = threading.Event()
    run = played("{ansible.builtin.pause: {seconds: 60}}", on_event=lambda _event: going.set())
    assert going.wait(20) and run.running and run.wait(0.1) is None and alive(run)
    getattr(run, how)()
    result = run.wait(20)
    assert result and result.status == "canceled" and not run.running and not alive(run)


BEGUN = {"id": "1.1", "phase": 1, "node": "r1", "verb": "reset", "what": "reset", "expect_s": 5}


def test_a_stop_lets_the_current_action_end(played: Callable[..., api.Run]) -> None:
    """The second task looks for what each action looks for before it begins."""
    begun = threading.Event()
    tasks = (
        "{ansible.builtin.pause: {seconds: 3}},"
        "{ansible.builtin.fail: {msg: stopped on request before this began},"
        " when: \"lookup('env', 'REQUORUM_STOP') is exists\"}"
    )

    def hear(event: events.Event) -> None:
        if isinstance(event, events.Action):
            begun.set()

    run = played(tasks, on_event=hear)
    run._heard(line("action", state="begun", **BEGUN))
    assert begun.wait(5)
    run.stop()
    result = run.wait(30)
    assert result and (result.status, result.failures) == ("stopped", ["stopped on request before this began"])


def test_a_run_that_fails_by_itself_was_not_stopped(played: Callable[..., api.Run]) -> None:
    run = played("{ansible.builtin.pause: {seconds: 2}}, {ansible.builtin.fail: {msg: no room}}")
    run._acts = True
    run.stop()
    result = run.wait(30)
    assert result and (result.status, result.failures) == ("failed", ["no room"])


def test_what_the_listener_raises_ends_the_run(played: Callable[..., api.Run]) -> None:
    def hear(_event: events.Event) -> None:
        raise ZeroDivisionError

    run = played("{ansible.builtin.pause: {seconds: 60}}", on_event=hear)
    with pytest.raises(ZeroDivisionError):
        run.wait(20)


def test_a_block_that_ends_early_cancels(played: Callable[..., api.Run], inventory: Path) -> None:
    played("{ansible.builtin.pause: {seconds: 60}}").cancel()
    with pytest.raises(ZeroDivisionError), api.started("test", inventory) as run:
        raise ZeroDivisionError
    assert not run.running


# Its events


def raw(kind: str, **data: Any) -> JSON:
    return {"event": kind, "event_data": data}


def line(event: str, **fields: Any) -> JSON:
    return {"event": "verbose", "stdout": _events.line(event, **fields)}


PLAN = {"plan_id": "abc", "cluster": "prod", "case": "quorum_lost", "survivor": "r1", "loss": "Nothing.", "expect_s": 9,
        "refusals": [{"what": "No.", "next": "Do."}], "actions": [BEGUN]}  # fmt: skip
FINDING = {"id": "no_leader", "severity": "blocker", "node": None, "summary": "No leader.", "more": 1}
READ = [
    (raw("playbook_on_play_start", name="(4/9) FENCE | Take it away"), [events.Phase(4, 9, "FENCE", "Take it away")]),
    (raw("playbook_on_play_start", name="Build"), []),
    (raw("playbook_on_task_start", play="P", task="T"), [events.Task("P: T")]),
    (raw("runner_on_ok", host="r1", task_action=f"{events.OURS}node_info", res={}), [events.Node("r1", "answers")]),
    (raw("runner_on_ok", host="r1", task_action="ansible.builtin.assert", res={}), []),
    (raw("runner_on_ok", host="localhost", res={}), []),
    (raw("runner_on_unreachable", host="r2", res={"msg": "Task failed: No\nroute"}),
     [events.Node("r2", "silent", "No route")]),
    (raw("runner_on_failed", host="r1", res={"msg": "no"}, ignore_errors=True), []),
    (raw("runner_on_failed", host="r1", res={"msg": "token: abc"}), [events.Node("r1", "failed", "token: <hidden>")]),
    (raw("runner_on_ok", host="localhost", task_action="requorum.cluster.recovery_plan",
         res={"plan": PLAN, "requorum_run_dir": "/r/prod/1"}),
     [events.Plan("abc", "prod", "quorum_lost", "r1", "Nothing.", 9, ("No. Do.",), (BEGUN,), "/r/prod/1")]),
    (raw("runner_on_ok", host="localhost", res={"findings": [FINDING, FINDING]}),
     [events.Finding("no_leader", "blocker", None, "No leader.")]),
    (line("action", state="begun", **BEGUN), [events.Action("begun", "reset", "reset", "r1", "1.1", 1, 5)]),
    (line("said", node="r1", text="waiting 5 s of 600 s: /ping; seen last: refused; twice"),
     [events.Wait("r1", "/ping", 5, 600, "refused; twice")]),
    (line("said", node="r1", text="token: abc"), [events.Said("r1", "token: <hidden>")]),
    ({"event": "verbose", "stdout": "ok: [r1]"}, []),
    ({"event": "verbose", "stdout": "requorum-event {"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("given", "made"), READ)
def test_events(given: JSON, made: list[events.Event]) -> None:
    assert list(events.Reader().read(given)) == made
    for event in made:
        assert json.loads(json.dumps(event.document))["event"] == type(event).__name__.lower()


def test_an_action_that_was_told_is_not_told_again_by_its_task() -> None:
    reader = events.Reader()
    took = {"seconds": 2.5, "result": "done"}
    [begun] = reader.read(line("action", state="begun", **BEGUN))
    [ended] = reader.read(line("action", state="done", **BEGUN, **took))
    reported = [BEGUN | took, {**BEGUN, "what": "x", "result": "would be done"}]
    task = raw("runner_on_ok", host="r1", res={"requorum_actions": reported})
    after = [event for event in reader.read(task) if isinstance(event, events.Action)]
    assert [(a.state, a.what) for a in (begun, ended, *after) if isinstance(a, events.Action)] == [
        ("begun", "reset"), ("done", "reset"), ("planned", "x"),
    ]  # fmt: skip


def test_a_host_is_named_once_and_silent_ones_fail_nothing_by_themselves() -> None:
    result = api.Result()
    for kind, host, msg, more in (
        ("runner_on_failed", "r1", "r1: no room.", {"task_action": "requorum.cluster.snapshot_put"}),
        ("runner_on_failed", "r2", "no room.", {}),
        ("runner_on_failed", "localhost", "no bucket.", {}),
        ("runner_on_failed", "r3", "ignored", {"ignore_errors": True}),
        ("runner_on_unreachable", "r4", "Task failed: No route\nto host", {}),
    ):
        given = raw(kind, host=host, res={"msg": msg}, **more)
        api._note(result, given)
        for event in events.Reader().read(given):
            api._of_host(result, event)
    assert result.failures == ["r1: no room.", "r2: no room.", "no bucket."]
    assert result.silent == {"r4": "No route to host"}
    assert result.results == {"snapshot_put": {"msg": "r1: no room.", "failed": True}}


def test_the_reports_of_a_run_are_its_files(tmp_path: Path) -> None:
    (tmp_path / "report.html").touch()
    (tmp_path / "backup").mkdir()
    result = api.Result({"recovery_plan": {"requorum_run_dir": str(tmp_path)}, "other": {}})
    assert result.folder == tmp_path and result.reports == {"report.html": tmp_path / "report.html"}
    assert api.Result().reports == {}
