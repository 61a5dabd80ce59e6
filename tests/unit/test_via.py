# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`--via`: what travels to a bastion and what comes back, how a run ends there. ssh is a shell with another HOME."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import stat
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import requorum
from ansible_collections.requorum.cluster.plugins.action import recovery_plan
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from requorum import api, cli, events, luggage, via, worker

JSON = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
PROBE = '''
import glob, json, os, time
from ansible.plugins.action import ActionBase
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

class ActionModule(ActionBase):
    """A stand-in for a module of ours: it writes a run's folder, and tells how it was played."""
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        folder = os.path.dirname(os.environ["REQUORUM_STOP"])
        paths = [os.path.join(at, name) for at, _f, names in os.walk(folder) for name in names]
        run = os.path.join(os.environ["PWD"], "recoveries", "prod", "20261129T000000Z")
        os.makedirs(os.path.join(run, "backup"), 0o755)
        asks = NodeAction.__new__(NodeAction)
        asks.vars = task_vars
        typed = asks.typed("inspect -i INV")
        for name, text in (("report.json", typed), ("backup/snapshot.db", "backup/snapshot.db")):
            with open(os.path.join(run, name), "w") as file:
                file.write(text)
            os.chmod(os.path.join(run, name), 0o644)
        os.symlink("/etc/passwd", os.path.join(run, "link"))
        if bundle := task_vars.get("requorum_bundle"):
            with open(bundle, "w") as file:
                file.write("bundle")
        return {"changed": False, "requorum_run_dir": run, "said": "lies in " + run, "folder": folder,
                "modes": {path: os.stat(path).st_mode for path in [folder, *paths]},
                "files": {path: open(path, errors="replace").read() for path in paths},
                "variables": {k: v for k, v in task_vars.items() if k.startswith("requorum_")},
                "env": dict(os.environ), "check": self._task.check_mode}
'''
ACT = '''
import os, time
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.requorum.cluster.plugins.module_utils import _events

class ActionModule(ActionBase):
    """An action of a plan: it is not ended by a stop, which the next one sees."""
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        if os.path.exists(os.environ["REQUORUM_STOP"]):
            return {"failed": True, "msg": "stopped on request"}
        step = {"id": "1.1", "phase": 1, "node": "r1", "verb": "reset", "what": "reset", "expect_s": 3}
        Display().display(_events.line("action", state="begun", **step))
        with open(os.path.expanduser("~/acting"), "w"):
            time.sleep(float(self._task.args.get("seconds", 3)))
        with open(os.path.expanduser("~/acted"), "a") as file:
            file.write("x")
        return {"changed": True}
'''


class Bastion:
    """A home of its own, an ssh that leads there, and a playbook of a test."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.home = folder, folder / "home"
        collection = self.home / "ansible_collections" / "requorum" / "cluster"
        for path in ("playbooks", "plugins/action"):
            (collection / path).mkdir(parents=True)
        (collection / "plugins/action/recovery_plan.py").write_text(PROBE)
        (collection / "plugins/action/node_start.py").write_text(ACT)
        self.playbook = collection / "playbooks" / "test.yml"
        self.play("requorum.cluster.recovery_plan: {}")
        for path in ("module_utils", "plugin_utils"):
            (collection / "plugins" / path).symlink_to(ROOT / "plugins" / path)
        work = f"""import sys; from pathlib import Path; from requorum import cli, environment
environment.COLLECTION = Path({str(collection)!r}); sys.exit(cli.main(sys.argv[1:]))"""
        self.install(f'exec {sys.executable} -c {shlex.quote(work)} "$@"')
        self.ssh(f'echo $$ >{folder}/pid; exec /bin/sh -c "$last"')
        cwd = folder / "cwd"
        (cwd / "group_vars").mkdir(parents=True)
        (cwd / "hosts.yml").write_text("all: {hosts: {r1: {ansible_connection: local}}}\n")
        (cwd / "group_vars" / "all.yml").write_text("requorum_cluster: prod\n")
        monkeypatch.chdir(cwd)
        monkeypatch.setenv("PATH", f"{folder}/bin:/usr/bin:/bin")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / ".collections"), str(ROOT / "src")]))

    def install(self, text: str) -> None:
        script(self.home / ".local/bin/requorum", text)

    def ssh(self, text: str) -> None:
        begin = f'printf "%s\\n" "$@" >{self.folder}/argv; for last; do :; done; export HOME={self.home}; cd; '
        script(self.folder / "bin/ssh", begin + text)

    def play(self, *tasks: str) -> None:
        text = "- name: (1/2) INSPECT | Look\n  hosts: all\n  gather_facts: false\n  tasks:\n"
        self.playbook.write_text(text + "".join(f"    - {task}\n" for task in tasks))

    @property
    def left(self) -> list[str]:
        return [name for name in os.listdir(self.folder / "tmp") if name.startswith("requorum-")]


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def bastion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bastion:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    return Bastion(tmp_path, monkeypatch)


def start(**options: Any) -> api.Run:
    return requorum.Run("test", "hosts.yml", via="me@bastion", **options)


def until(holds: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


# What travels and what comes back


def test_a_run(bastion: Bastion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-key")
    Path("token").write_text("SEKRET")
    given = {"requorum_token_file": "token", "requorum_bundle": "out/b.zip", "requorum_s3_bucket": "only-in-a-file"}
    heard: list[events.Event] = []
    run = start(variables=given, check=True, on_event=heard.append)
    result = run.wait(60)
    assert result and (result.status, result.failures) == ("successful", [])
    seen, here = result.results["recovery_plan"], Path.cwd() / "recoveries/prod/20261129T000000Z"

    argv = (bastion.folder / "argv").read_text()
    assert not re.search("SEKRET|only-in-a-file|secret-key", argv) and "StrictHostKeyChecking=yes\n" in argv
    assert argv.splitlines()[-3:-1] == ["--", "me@bastion"] and seen["check"] is True
    assert "secret-key" not in json.dumps(seen["env"]) and seen["env"]["PWD"] == str(bastion.home)
    holding = {word: [p for p, text in seen["files"].items() if word in text] for word in ("SEKRET", "secret-key")}
    names = {word: [os.path.basename(path) for path in paths] for word, paths in holding.items()}
    assert names == {"SEKRET": ["token"], "secret-key": ["s3-keys"]}
    assert seen["variables"]["requorum_token_file"] == str(Path.cwd() / "token")  # as it is called here
    modes = {stat.S_IMODE(mode) for path, mode in seen["modes"].items() if "/env/" not in path}
    assert modes == {0o700, 0o600} and seen["variables"]["requorum_cluster"] == "prod"

    assert result.folder == here and seen["said"] == f"lies in {here}"
    assert result.elsewhere == f"me@bastion:{bastion.home}/recoveries/prod/20261129T000000Z"
    kept = {str(p.relative_to(here)): stat.S_IMODE(p.stat().st_mode) for p in here.rglob("*")}
    assert kept == {"report.json": 0o600, "backup": 0o700, "backup/snapshot.db": 0o600}
    assert (here / "backup/snapshot.db").read_text() == "backup/snapshot.db"
    assert (here / "report.json").read_text() == f"inspect -i {shlex.quote(str(Path.cwd() / 'hosts.yml'))}"
    assert stat.S_IMODE(here.stat().st_mode) == 0o700
    assert (Path("out/b.zip").read_text(), stat.S_IMODE(os.stat("out/b.zip").st_mode)) == ("bundle", 0o600)
    assert (bastion.home / "recoveries/prod/20261129T000000Z/report.json").exists() and bastion.left == []
    assert events.Phase(1, 2, "INSPECT", "Look") in heard


def test_a_failed_run_comes_back_too(bastion: Bastion) -> None:
    bastion.play("requorum.cluster.recovery_plan: {}", "ansible.builtin.fail: {msg: no room}")
    result = start().wait(60)
    assert result and (result.status, result.failures) == ("failed", ["r1: no room"])
    assert set(result.reports) == {"report.json"} and bastion.left == []


def test_what_is_wrong_before_any_task_is_told(bastion: Bastion) -> None:
    bastion.playbook.write_text("- hosts: [")
    result = start().wait(60)
    assert result and result.status == "failed" and "YAML" in result.failures[0], result


DOCS = (ROOT / "docs/variables.md").read_text()
ELSEWHERE = {"requorum_output", "requorum_data_dir", "requorum_inventory"}
"""A folder of the bastion; of the nodes; a word in the commands of a report."""


def test_each_variable_that_is_a_path_is_known() -> None:
    rows = re.findall(r"^\| (`requorum_.*?) \| path", DOCS, re.M)
    names = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(names) > 10
    assert {name for name in names - ELSEWHERE if not name.endswith("_file")} <= {*luggage.READ, *luggage.WRITTEN}
    assert all(f"`{name}`" in DOCS for name in (*luggage.READ, *luggage.WRITTEN))


@pytest.mark.parametrize(
    ("name", "value", "travels"),
    [
        ("requorum_token_file", "{here}/token", "read/1/token"),
        ("requorum_token_file", "r1:/token", None),
        ("requorum_token_file", "/nowhere", None),
        ("requorum_kubeconfig", "token", "read/1/token"),
        ("requorum_rules", ["{here}/rules"], "read/1/rules/a.yml"),
        ("requorum_snapshot", "newest", None),
        ("requorum_snapshot", "{here}/prod/1/backup/r1/snapshot.db", "read/1/backup/r1/snapshot.db"),
        ("requorum_cluster", "token", None),
        ("requorum_keep_last", 3, None),
        ("requorum_prometheus", "{here}/new.prom", "written/1"),
    ],
)
def test_what_travels(name: str, value: Any, travels: str | None, tmp_path: Path,
                      monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for path in ("hosts.yml", "token", "newest", "rules/a.yml", "prod/1/backup/r1/snapshot.db",
                 "prod/1/backup/r1/files.tar", "prod/1/backup/r2/files.tar", "prod/1/report.json"):  # fmt: skip
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    given = [v.format(here=tmp_path) for v in value] if isinstance(value, list) else value
    given = given.format(here=tmp_path) if isinstance(given, str) else given
    bags = luggage.pack(f"{tmp_path}/hosts.yml", {name: given}, tmp_path / "sent", "/there")
    assert bags.inventory == "/there/inventory/hosts.yml" and not bags.keys
    sent = {str(p.relative_to(tmp_path / "sent")) for p in (tmp_path / "sent").rglob("*")} - {
        "inventory", "inventory/hosts.yml"}  # fmt: skip
    if travels is None:
        assert (bags.variables, sent) == ({name: given}, set())
        return
    assert travels in sent
    assert str(bags.variables[name]).strip("[]'").startswith("/there/" + "/".join(travels.split("/")[:3]))
    tars = {path for path in sent if path.endswith("files.tar")}
    assert len(tars) == (2 if name == "requorum_snapshot" else 0)
    assert not any(path.endswith("report.json") for path in sent)


def sent(*members: tuple[str, bytes, int]) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, kind, mode in members:
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.linkname = kind, mode, "/etc/passwd"
            member.size = 3 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"new"))
    buffer.seek(0)
    return buffer


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11.2, that of Debian 12."""
    for owner, name in ((tarfile, "data_filter"), (tarfile, "FilterError"), (tarfile, "OutsideDestinationError"),
                        (tarfile.TarInfo, "replace"), (tarfile.TarFile, "extraction_filter"),
                        (tarfile.TarFile, "extract"), (tarfile.TarFile, "extractall")):  # fmt: skip
        monkeypatch.delattr(owner, name, raising=False)


@pytest.mark.usefixtures("old")
def test_files_come_back_for_the_owner_alone(tmp_path: Path) -> None:
    place, single = tmp_path / "run", tmp_path / "out/b.zip"
    single.parent.mkdir()
    single.write_text("an older and longer one")
    single.chmod(0o644)
    luggage.unpack(
        sent(("0", tarfile.DIRTYPE, 0o777), ("0/a", tarfile.DIRTYPE, 0o777), ("0/a/f", tarfile.REGTYPE, 0o4777),
             ("0/l", tarfile.SYMTYPE, 0o777), ("0/p", tarfile.FIFOTYPE, 0o777), ("1", tarfile.REGTYPE, 0o666)),
        [str(place), str(single)],
    )  # fmt: skip
    kept = {str(p.relative_to(tmp_path)): stat.S_IMODE(p.lstat().st_mode) for p in place.rglob("*")}
    assert kept == {"run/a": 0o700, "run/a/f": 0o600} and (place / "a/f").read_text() == "new"
    assert (single.read_text(), stat.S_IMODE(single.stat().st_mode)) == ("new", 0o600)


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize(
    "name", ["0/../../escaped", "0/..", "0/a/../../../escaped", "0/{there}/escaped", "0/out/escaped"]
)
def test_nothing_comes_back_to_another_place(name: str, tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/out").symlink_to(tmp_path)
    strange = (name.format(there=tmp_path), tarfile.REGTYPE, 0o600)
    with pytest.raises(OSError, match="would not lie in"):
        luggage.unpack(sent(("0/fine", tarfile.REGTYPE, 0o600), strange), [str(tmp_path / "a/b")])
    assert (tmp_path / "a/b/fine").exists() and not (tmp_path / "escaped").exists()


def test_what_to_type_next_has_paths_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {"/there/inventory/prod.yml": "/my clusters/prod.yml", "/there/read/1/s.db": "/my clusters/s.db"}
    monkeypatch.setenv("REQUORUM_PLACES", json.dumps(places))
    monkeypatch.setattr(recovery_plan.ActionModule, "settings", {})
    action = recovery_plan.ActionModule.__new__(recovery_plan.ActionModule)
    action.vars = {"ansible_inventory_sources": ["/there/inventory/prod.yml"]}
    action._task = SimpleNamespace(args={"snapshot": "/there/read/1/s.db"})
    words = shlex.split(action._command())
    assert words[2:] == ["-i", "/my clusters/prod.yml", "-e", '{"requorum_snapshot": "/my clusters/s.db"}']
    assert action.typed({"next": ["requorum inspect -i INV"]}) == {
        "next": ["requorum inspect -i '/my clusters/prod.yml'"]}  # fmt: skip


# Who is there


@pytest.mark.parametrize(
    ("installed", "words"),
    [
        ("echo not found >&2; exit 127", "has no requorum that can be a bastion: not found. Install requorum"),
        ('echo Welcome; echo \'{"requorum": "0.0.1"}\'', "has requorum 0.0.1, and here is .* Install requorum"),
        ("exit 255", "cannot be reached by ssh: it says nothing. Make `ssh me@bastion true`"),
    ],
)
def test_a_bastion_that_is_none(bastion: Bastion, installed: str, words: str) -> None:
    bastion.install(installed)
    with pytest.raises(RequorumError, match=words):
        start()
    assert bastion.left == []


def test_its_command_may_be_named(bastion: Bastion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(via.COMMAND, "/opt/requorum")
    with pytest.raises(RequorumError, match="/opt/requorum: not found"):
        start()
    with pytest.raises(RequorumError, match="is no bastion"):
        requorum.Run("test", "hosts.yml", via="-oProxyCommand=x")


def test_the_command_passes_it_on_and_says_both_places(bastion: Bastion, capsys: pytest.CaptureFixture[str]) -> None:
    bastion.playbook.rename(bastion.playbook.with_name("snapshots.yml"))
    assert cli.main(["snapshot", "list", "-i", "hosts.yml", "--via", "me@bastion"]) == 1  # the probe makes no table
    assert "lies there too: me@bastion:" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.parser().parse_args(["--help"])
    assert "worker" not in capsys.readouterr().out


# How it ends


def test_a_stop_lets_the_current_action_end(bastion: Bastion) -> None:
    bastion.play("requorum.cluster.node_start: {seconds: 2}", "requorum.cluster.node_start: {}")
    begun = threading.Event()
    run = start(on_event=lambda event: begun.set() if isinstance(event, events.Action) else None)
    assert begun.wait(30)
    run.stop()
    result = run.wait(30)
    assert result and (result.status, result.failures) == ("stopped", ["r1: stopped on request"])
    assert (bastion.home / "acted").read_text() == "x" and bastion.left == []


def test_a_cancel_ends_it_there(bastion: Bastion) -> None:
    bastion.play("requorum.cluster.node_start: {seconds: 60}")
    run = start()
    until((bastion.home / "acting").exists)
    run.cancel()
    result = run.wait(20)
    assert result and result.status == "canceled" and not (bastion.home / "acted").exists() and bastion.left == []


def test_a_deadline(bastion: Bastion) -> None:
    bastion.play("requorum.cluster.node_start: {seconds: 60}")
    result = start(timeout=3).wait(30)
    assert result and result.status == "timeout" and bastion.left == []


def test_a_line_that_breaks_ends_it_there_after_the_current_action(bastion: Bastion) -> None:
    """ssh is a process between two pipes, so its end is what an sshd makes of a connection that is gone."""
    bastion.ssh(
        f"mkfifo {bastion.folder}/in {bastion.folder}/out; cat {bastion.folder}/out & "
        f'setsid /bin/sh -c "$last" <{bastion.folder}/in >{bastion.folder}/out & exec cat >{bastion.folder}/in'
    )
    bastion.play("requorum.cluster.recovery_plan: {}", "requorum.cluster.node_start: {seconds: 2}",
                 "requorum.cluster.node_start: {}")  # fmt: skip
    run = start()
    until((bastion.home / "acting").exists)
    run._runner._ssh.kill()
    run._runner._from.heard_at = 0  # as after so many seconds
    result = run.wait(20)
    assert result and result.status == "failed"
    assert re.search("line to me@bastion was lost.*not known here.*Run the same command again", result.failures[-1])
    assert f"me@bastion:{bastion.home}/recoveries/prod/20261129T000000Z" in result.failures[-1]
    until(lambda: bastion.left == [])
    assert (bastion.home / "acted").read_text() == "x"


def test_what_does_not_fit_here_is_said_and_lies_there(bastion: Bastion) -> None:
    Path("recoveries/prod/20261129T000000Z").mkdir(parents=True)
    Path("recoveries/prod/20261129T000000Z/backup").touch()  # a folder cannot be put there
    result = start().wait(60)
    assert result and result.status == "failed"
    assert re.search("could not be kept here: .*It lies on the bastion: me@bastion:/", result.failures[-1])


def test_a_line_that_breaks_while_files_come_back(bastion: Bastion) -> None:
    """What comes ends within the tar; the playbook itself had ended."""
    bastion.ssh("/bin/sh -c \"$last\" | sed -u '/brings/q'")
    result = start().wait(60)
    assert result and (result.status, len(result.failures)) == ("failed", 1)
    assert "line to me@bastion was lost" in result.failures[0]


@pytest.mark.parametrize(("begun", "canceled"), [(True, False), (False, True)])
def test_no_sign_of_life_is_a_lost_line(begun: bool, canceled: bool, tmp_path: Path,
                                        monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    out = worker.Out(io.BytesIO())
    played = worker.Worker(io.BytesIO(), out, tmp_path, "/")
    played._acts = begun
    assert played._ends() is False and not (tmp_path / "stop").exists()
    played._heard_at -= worker.LOST + 1
    assert played._ends() is canceled and (tmp_path / "stop").exists() and out.broken
