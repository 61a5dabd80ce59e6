# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our own bundles: what was written is read again, no secret gets in, and what others have made of one is refused."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _bundle, _seen
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from requorum import bundles

JSON = dict[str, Any]
STATE: JSON = {
    "schema": 1,
    "cluster": "prod",
    "time": "2026-11-28T20:20:18Z",
    "source": {"kind": "live", "name": "prod", "created": "2026-11-28T20:20:18Z", "unread": []},
    "distro": "rke2",
    "nodes": [{"name": "n1", "host": "10.0.0.1", "reachable": True, "error": None, "unread": {}}],
    "kubernetes": None,
    "harvester": None,
    "objects": {"nodes": None},
    "unread": {"objects.nodes": "no answer"},
    "logs": [],
    "hits": [],
}


def written(path: Path, state: JSON, *logs: tuple[str | None, str, str, str]) -> Path:
    _bundle.write(str(path / "b.zip"), state, logs)
    return path / "b.zip"


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    path = written(tmp_path, STATE, ("n1", "etcd", "etcd.log", "one\n"), (None, "rancher", "rancher.log", "two\n"))
    source = bundles.read([path])
    assert source.state == {**STATE, "source": {**STATE["source"], "kind": "requorum", "name": "b"}}
    assert [(node, word, file, b"".join(chunks)) for node, word, file, chunks in source.logs()] == [
        ("n1", "etcd", "etcd.log", b"one\n"), (None, "rancher", "rancher.log", b"two\n")]  # fmt: skip
    assert path.stat().st_mode & 0o777 == 0o600 and os.listdir(tmp_path) == ["b.zip"]


@pytest.mark.parametrize("folder", ["mail/", "a/b/"])
def test_one_that_was_packed_again(folder: str, tmp_path: Path) -> None:
    inner = written(tmp_path, STATE, ("n1", "etcd", "etcd.log", "one\n"))
    with zipfile.ZipFile(inner) as old, zipfile.ZipFile(tmp_path / "again.zip", "w") as made:
        for name in old.namelist():
            made.writestr(folder + name, old.read(name))
    source = bundles.read([tmp_path / "again.zip"])
    assert source.state["nodes"] == STATE["nodes"] and [log[1] for log in source.logs()] == ["etcd"]


def test_no_file_is_left_where_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        written(tmp_path, STATE, ("n1", "etcd", "etcd.log", None))  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []


SECRETS = ("sekret-1", "sekret-2", "sekret-3", "sekret-4", "sekret-5", "sekret-6", "sekret-7")


def test_no_secret_gets_in(tmp_path: Path) -> None:
    machine = {
        "kind": "VirtualMachine",
        "metadata": {"name": "web", "annotations": {_seen.MARKED: '{"password":"sekret-1"}'}},
        "spec": {"volumes": [{"cloudInitNoCloud": {"userData": "#cloud-config\npassword: sekret-1\n"}}]},
    }
    workload = {
        "kind": "Deployment",
        "metadata": {"name": "rancher"},
        "spec": {"containers": [{"env": [{"name": "CATTLE_BOOTSTRAP_PASSWORD", "value": "sekret-2"}],
                                 "args": ["--token=sekret-3"]}], "token": "sekret-4", "secretName": "shown"},
    }  # fmt: skip
    secret = {"kind": "Secret", "metadata": {"name": "x"}, "data": {"password": "sekret-5", "failure-count": "MA=="}}
    setting = {"metadata": {"name": "backup-target"}, "value": '{"accessKeyId":"sekret-6","endpoint":"shown-too"}'}
    objects = {"vms": [machine], "deployments": [workload], "secrets": [secret], "config": [setting]}
    state = {**STATE, "objects": {name: _seen.kept(items) for name, items in objects.items()}}
    path = written(tmp_path, state, ("n1", "rke2-server", "x", "agent-token: sekret-7\nuserData: |\n  a: sekret-1\n"))
    with zipfile.ZipFile(path) as made:
        text = "\n".join(made.read(name).decode() for name in made.namelist())
    assert not [each for each in SECRETS if each in text] and "shown" in text and "shown-too" in text and "MA==" in text


BROKEN: tuple[tuple[Any, str], ...] = (
    (b"{", "no JSON"),
    (b"[" * 100_000, "no JSON"),
    ([], "another one"),
    ({**STATE, "schema": 2}, "another one"),
    ({**STATE, "nodes": [{"name": 1}]}, "nodes"),
    ({**STATE, "nodes": None}, "nodes"),
    ({**STATE, "objects": {"pods": [1]}}, "objects"),
    ({**STATE, "objects": []}, "objects"),
    ({**STATE, "kubernetes": "x"}, "kubernetes"),
    ({key: value for key, value in STATE.items() if key != "distro"}, "distro"),
)


@pytest.mark.parametrize(("document", "why"), BROKEN)
def test_what_is_none_of_ours(document: Any, why: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as made:
        made.writestr("state.json", document if isinstance(document, bytes) else json.dumps(document))
    with pytest.raises(RequorumError, match=why):
        bundles.read([tmp_path / "b.zip"])


def test_an_index_that_somebody_has_changed(tmp_path: Path) -> None:
    index = [{"place": "logs/0.log", "node": 7, "source": "../x", "file": "f"}, {"place": 1}, "x",
             {"place": "logs/gone.log", "node": "n1", "source": "etcd", "file": "g"}]  # fmt: skip
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as made:
        made.writestr("state.json", json.dumps({**STATE, "source": 7, "hits": [1], _bundle.INDEX: index}))
        made.writestr("logs/0.log", "text")
    source = bundles.read([tmp_path / "b.zip"])
    assert [(node, word, file) for node, word, file, _chunks in source.logs()] == [(None, "other", "f")]
    assert source.state["hits"] == [] and set(source.notes.unread) == {"logs/gone.log"}
