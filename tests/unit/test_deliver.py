# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leaves the controller, and that it arrives: a folder, a git repository, an upload."""

from __future__ import annotations

import base64
import http.client
import shlex
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from ansible_collections.requorum.cluster.plugins.action import run_deliver
from ansible_collections.requorum.cluster.plugins.module_utils import _deliver
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

RUN = {
    "report.html": "<p>report</p>",
    "plan.json": "{}",
    "timeline.jsonl": "{}",
    "command.json": "{}",
    "evidence/s1.log": "log",
    "backup/s1/files.tar": "the token in clear",
    "join/n4/config.yaml": "password",
    "secret.tar": "?",
}
SENT = ["evidence/s1.log", "plan.json", "report.html", "timeline.jsonl"]


class Acting(run_deliver.ActionModule):
    """Without Ansible around it."""

    def __init__(self, **args: Any) -> None:
        self._task = type("Task", (), {"args": args})()
        self.vars: dict[str, Any] = {}
        self.host = "localhost"
        self.given: dict[str, Any] = {}

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.given)

    def say(self, text: str) -> None:
        pass


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "recoveries" / "prod" / "20261125T023012Z"
    for name, content in RUN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


def test_only_masked_documents_go_unless_the_backup_was_asked_for() -> None:
    assert _deliver.chosen(RUN, backup=False) == SENT
    assert _deliver.chosen(RUN, backup=True) == sorted([*SENT, "backup/s1/files.tar"])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("/mnt/reports", _deliver.Target("folder", "/mnt/reports")),
        ("s3://reports/requorum/", _deliver.Target("s3", "reports", "requorum")),
        ("git+git@host:ops/reports.git#runs", _deliver.Target("git", "git@host:ops/reports.git", "runs")),
        ("git+https://host/reports.git", _deliver.Target("git", "https://host/reports.git", "main")),
        ("git+ssh://git@host/x.git", _deliver.Target("git", "ssh://git@host/x.git", "main")),
        ("https://host/upload/", _deliver.Target("http", "https://host/upload")),
    ],
)
def test_a_word_names_a_place(text: str, wanted: _deliver.Target) -> None:
    assert _deliver.target(text) == wanted


@pytest.mark.parametrize("text", ["reports", "s3://bucket", "ftp://host", "git+--upload-pack=x", "https://me:pw@host/x"])
def test_a_word_that_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(RequorumError):
        _deliver.target(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://me:tok-9@host/x",
        "git+https://me:tok-9@host/x.git",
        "git+https://me:tok#tok-9@host/x.git",
        "git+HTTPS://tok-9@host/x.git",
        "git+ssh://me:tok-9@host/x.git",
        "s3://me:tok-9@bucket/x",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_told(text: str, run: Path) -> None:
    result = Acting(run_dir=str(run), targets=[text]).act()
    assert result["failed"] is True and result["delivered"] == []
    assert "with a password in it" in result["msg"]
    assert "tok-9" not in str(result)


@pytest.mark.parametrize(
    ("key", "hosts", "wanted"),
    [
        ("", "", []),
        ("/a b/key", "", ["-o", "IdentitiesOnly=yes", "-i", "/a b/key"]),
        ("", "/a b/known", ["-o", 'UserKnownHostsFile="/a b/known"']),
        ("/k", "/h", ["-o", "IdentitiesOnly=yes", "-i", "/k", "-o", 'UserKnownHostsFile="/h"']),
    ],
)
def test_ssh_is_called_with_what_was_given(key: str, hosts: str, wanted: list[str]) -> None:
    assert shlex.split(_deliver.ssh(key, hosts)) == ["ssh", "-o", "BatchMode=yes", *wanted]


@pytest.mark.parametrize(
    ("folder", "backups", "wanted"),
    [
        ("reports", ("b", ""), True),
        ("rke2/reports", ("b", "rke2"), True),
        ("rke2-reports", ("b", "rke2"), False),
        ("reports", ("other", ""), False),
    ],
)
def test_reports_do_not_lie_among_snapshots(folder: str, backups: tuple[str, str], wanted: bool) -> None:
    assert _deliver.clash("b", folder, backups) is wanted


MOUNTS = """\
1 0 0:1 / / rw - overlay overlay rw
2 1 0:2 / /runner rw - ext4 /dev/sda1 rw
3 1 0:3 / /var/lib/requorum rw - ext4 /dev/sda1 rw
4 1 0:4 / /dev/shm rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/runner/project/recoveries/prod/1", False),
        ("/home/runner/recoveries", False),
        ("/var/lib/requorum", True),
        ("/var/lib/requorum/prod/1", True),
        ("/var/lib/requorum-2/prod/1", False),
        ("/dev/shm/prod", False),
    ],
)
def test_a_folder_lasts_on_a_mount_of_its_own(path: str, wanted: bool) -> None:
    assert _deliver.lasts(path, MOUNTS) is wanted


def below(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and ".git" not in p.parts)


def test_a_folder_takes_it_for_its_owner_only(run: Path, tmp_path: Path) -> None:
    there = tmp_path / "mnt"
    result = Acting(run_dir=str(run), targets=str(there)).act()
    assert result["delivered"] == [f"{there}/prod/{run.name}"]
    assert result["ansible_stats"]["data"] == {"requorum_delivered": result["delivered"]}
    assert below(there / "prod" / run.name) == SENT
    assert all(path.stat().st_mode & 0o077 == 0 for path in (there / "prod").rglob("*"))


def test_a_git_repository_takes_it_twice(run: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(bare)], check=True)
    for _time in range(2):
        assert not Acting(run_dir=str(run), targets=[f"git+{bare}#runs"]).act().get("failed")
    copy = tmp_path / "seen"
    subprocess.run(["git", "clone", "--quiet", "--branch", "runs", str(bare), str(copy)], check=True)
    assert below(copy / "prod" / run.name) == SENT
    log = subprocess.check_output(["git", "log", "--format=%an %s"], cwd=copy, text=True)
    assert log == f"Requorum Run prod/{run.name}\n"


def test_a_push_that_is_refused_is_no_delivery(run: Path, tmp_path: Path) -> None:
    """Into a branch that is not there yet: the next try finds the commit of the last one, and nothing to add."""
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(bare)], check=True)
    (bare / "hooks" / "pre-receive").write_text("#!/bin/sh\nexit 1\n")
    (bare / "hooks" / "pre-receive").chmod(0o755)
    result = Acting(run_dir=str(run), targets=[f"git+{bare}#runs"]).act()
    assert (result["failed"], result["delivered"]) == (True, [])


def test_git_runs_no_hook_and_signs_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine is set to."""
    hooks, ran = tmp_path / "hooks", tmp_path / "ran"
    hooks.mkdir()
    for name in ("pre-commit", "post-commit", "pre-push"):
        (hooks / name).write_text(f"#!/bin/sh\necho {name} >>{ran}\n")
        (hooks / name).chmod(0o755)
    settings = tmp_path / "gitconfig"
    signing = "[commit]\ngpgSign = true\n[push]\ngpgSign = true\n[gpg]\nprogram = /bin/false\n"
    settings.write_text(f"[core]\nhooksPath = {hooks}\n{signing}")
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(bare)], check=True)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    result = Acting(run_dir=str(run), targets=[f"git+{bare}#runs"]).act()
    assert (result["msg"], ran.exists()) == ("", False)


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        ({}, "own -o X=y git@host"),
        ({"key_file": "/k"}, "ssh -o BatchMode=yes -o IdentitiesOnly=yes -i /k git@host"),
        ({"known_hosts_file": "/h"}, 'ssh -o BatchMode=yes -o UserKnownHostsFile="/h" git@host'),
    ],
)
def test_git_takes_the_ssh_of_the_user_unless_one_was_asked_for(
    args: dict[str, str], wanted: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ssh", "own"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >{tmp_path}/ran\nexit 1\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("GIT_SSH_COMMAND", "own -o X=y")
    assert Acting(run_dir=str(run), targets=["git+git@host:x.git"], **args).act()["failed"] is True
    said = (tmp_path / "ran").read_text().replace(" -o SendEnv=GIT_PROTOCOL", "")
    assert said.startswith(wanted)


def test_a_bucket_takes_it(run: Path, tmp_path: Path) -> None:
    """With the endpoint and keys of the backups, and never where their table looks."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        address = "http://{}:{}".format(*server.get_host_and_port())
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        client = boto3.client("s3", endpoint_url=address, region_name="us-east-1", **keys)
        client.create_bucket(Bucket="deliver-test")
        acting = Acting(run_dir=str(run), targets="s3://deliver-test/reports")
        acting.given = {"requorum_s3_bucket": "deliver-test", "requorum_s3_folder": "rke2"}
        acting.given["requorum_s3_endpoint"] = address
        for name in ("access", "secret"):
            (tmp_path / name).write_text({"access": "key", "secret": "secret"}[name])
            acting.given[f"requorum_s3_{name}_key_file"] = str(tmp_path / name)
        assert acting.act()["msg"] == ""
        listed = client.list_objects_v2(Bucket="deliver-test")["Contents"]
        assert [each["Key"] for each in listed] == [f"reports/prod/{run.name}/{name}" for name in SENT]
        acting.given["requorum_s3_folder"] = ""
        assert "where snapshots are looked for" in acting.act()["msg"]
    finally:
        server.stop()


@pytest.fixture
def upload() -> Iterator[tuple[str, dict[str, str], list[str]]]:
    taken, authorities = dict[str, str](), list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            authorities.append(self.headers.get("Authorization", ""))
            content = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if authorities[-1]:
                taken[self.path] = content
            self.send_response(201 if authorities[-1] else 401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/up", taken, authorities
    server.shutdown()
    server.server_close()


def test_an_upload_takes_it(run: Path, tmp_path: Path, upload: tuple[str, dict[str, str], list[str]]) -> None:
    address, taken, authorities = upload
    password = tmp_path / "password"
    password.write_text("me:word\n")
    result = Acting(run_dir=str(run), targets=[address], password_file=str(password)).act()
    assert taken == {f"/up/prod/{run.name}/{name}": RUN[name] for name in SENT}
    assert set(authorities) == {f"Basic {base64.b64encode(b'me:word').decode()}"}
    assert "word" not in str(result)


def test_a_place_that_is_away_is_told_and_the_others_take_it(
    run: Path, tmp_path: Path, upload: tuple[str, dict[str, str], list[str]]
) -> None:
    address = upload[0]
    result = Acting(run_dir=str(run), targets=[address, str(tmp_path / "mnt")], must=False).act()
    assert "answers 401" in result["msg"]
    assert not result.get("failed")
    assert len(result["delivered"]) == 1
    assert Acting(run_dir=str(run), targets=[address]).act()["failed"] is True


@pytest.mark.parametrize("content", ["tok-9\nmore", "me:word\rtok-9", "tok-9\u20ac", b"tok-9\xff"])
def test_a_password_that_is_no_header_is_refused_and_not_told(
    content: str | bytes, run: Path, tmp_path: Path, upload: tuple[str, dict[str, str], list[str]]
) -> None:
    password = tmp_path / "password"
    password.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = Acting(run_dir=str(run), targets=[upload[0]], password_file=str(password), must=False).act()
    assert "password" in result["msg"] and "failed" not in result
    assert "tok-9" not in str(result)
    assert upload[2] == []


@pytest.mark.parametrize("error", [http.client.BadStatusLine("Bearer tok-9"), ValueError("b'Bearer tok-9'")])
def test_a_place_that_talks_nonsense_fails_nothing_and_is_not_quoted(
    error: Exception, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answering(*_args: Any, **_options: Any) -> None:
        raise error

    monkeypatch.setattr("urllib.request.urlopen", answering)
    result = Acting(run_dir=str(run), targets=["http://host/up"], must=False).act()
    assert type(error).__name__ in result["msg"] and "failed" not in result
    assert "tok-9" not in str(result)


@pytest.mark.parametrize("cluster", ["prod", ""])
def test_no_run_is_told_and_nothing_is_called_delivered(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that only looks like a run, where nobody has named a place of runs, is none."""
    there = tmp_path / "mnt"
    for stray in ("20261125T023012Z", "prod/20261125T023012Z"):
        (tmp_path / stray).mkdir(parents=True)
        (tmp_path / stray / "report.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    for output in ("", str(tmp_path / "nowhere")):
        result = Acting(cluster=cluster, output=output, targets=str(there)).act()
        assert (result["failed"], result["changed"], result["delivered"]) == (True, False, [])
        assert "no run to deliver" in result["msg"] and "requorum_run_folder" in result["msg"]
        assert not there.exists()
