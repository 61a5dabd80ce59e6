# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a backup run: what goes and what never does, what lies in S3, what monitoring is told."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.session
import pytest
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from ansible_collections.requorum.cluster.plugins.action.recovery_report import ActionModule
from ansible_collections.requorum.cluster.plugins.module_utils import _catalog, _retention, _s3
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _backups
from ansible_collections.requorum.cluster.plugins.plugin_utils._keep import Keep
from tests.unit.test_s3 import boto
from tests.unit.test_s3 import store as bucket

JSON = dict[str, Any]
TOKEN, UID = "e2e269d4f6ec", "ac37934f-15bf-4bd6-9a13-6f84aafbfafd"
NOW = datetime(2026, 11, 25, 2, 0, 10, tzinfo=UTC).timestamp()
OWN = "20261125T020000Z"
NONE = {"last": 0, "hours": 0, "days": 0, "weeks": 0}


@dataclass(frozen=True)
class Shelf:
    """The folder of the cluster's runs."""

    path: Path

    def run(self, stamp: str, /, *, proved: bool = True, files: JSON | None = None, **plan: Any) -> Path:
        """A run with its backup."""
        folder = self.path / stamp
        (folder / "backup" / "r1").mkdir(parents=True)
        document = {
            "purpose": "backup", "stamp": stamp, "cluster": "prod", "saver": "r1", "system_uid": UID,
            "actions": [{"id": "3.1"}], "reason": "All is well.",
            "servers": [{"name": "r1", "node": "node-1", "tokens": [TOKEN]}], **plan,
        }  # fmt: skip
        snapshot = folder / "backup" / "r1" / "snapshot.db"
        snapshot.write_bytes(stamp.encode() * 100)
        checks = [{"name": "token", "ok": True}, {"name": "structure", "ok": proved}]
        record = {"revision": 2484, "bootstrap": ["aaaaaaaaaaaa", TOKEN], "etcd": "3.6", "bytes": 1600}
        contents = {
            "plan.json": document,
            "backup.json": {"bytes": 1600, "revision": 2484, "checks": checks},
            "backup/r1/snapshot.db.json": record,
            **(files or {}),
        }
        for name, content in contents.items():
            if content is None:
                (folder / name).unlink(missing_ok=True)
            else:
                (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return folder

    def names(self) -> list[str]:
        return sorted(path.name for path in self.path.iterdir())


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "prod").mkdir()
    return Shelf(tmp_path / "prod")


def keep(folder: Path, max_age_s: int = 0, connect: Callable[[], _s3.Store] | None = None, *, dry: bool = False,
         now: float = NOW, **policy: int) -> JSON:  # fmt: skip
    return Keep(str(folder), {**NONE, **policy}, max_age_s, now, connect, dry).act()


# What goes


def test_without_a_policy_everything_stays(shelf: Shelf) -> None:
    for stamp in ("20250101T020000Z", "20261124T020000Z"):
        shelf.run(stamp)
    result = keep(shelf.run(OWN))
    assert (result["removed"], result["changed"]) == ([], False)
    assert len(shelf.names()) == 3


def test_the_policy_takes_whole_runs_and_names_them(shelf: Shelf) -> None:
    for stamp in ("20261123T020000Z", "20261124T010000Z", "20261124T020000Z"):
        shelf.run(stamp)
    result = keep(shelf.run(OWN), days=2)
    assert result["removed"] == [str(shelf.path / name) for name in ("20261124T010000Z", "20261123T020000Z")]
    assert shelf.names() == ["20261124T020000Z", OWN]
    assert result["changed"] and "failed" not in result
    assert json.loads((shelf.path / OWN / "keep.json").read_text()) == result


def test_check_mode_removes_nothing_and_names_the_same(shelf: Shelf) -> None:
    for stamp in ("20261123T020000Z", "20261124T020000Z"):
        shelf.run(stamp)
    nothing_yet = {"backup.json": None, "backup/r1/snapshot.db": None, "backup/r1/snapshot.db.json": None}
    result = keep(shelf.run(OWN, files=nothing_yet), last=2, dry=True)
    assert result["removed"] == [str(shelf.path / "20261123T020000Z")]
    assert len(shelf.names()) == 3 and not (shelf.path / OWN / "keep.json").exists()
    assert "1 d old" in result["line"]


@pytest.mark.parametrize(
    "other",
    [
        {"purpose": "recover"},
        {"purpose": None},
        {"cluster": "other"},
        {"stamp": "20261001T020001Z"},
        {"system_uid": "of the cluster that had this name before"},
        {"files": {"plan.json": '{"purpose": "backup", "st'}},
        {"files": {"plan.json": "[1]"}},
        {"files": {"plan.json": None}},
    ],
)
def test_what_is_not_the_backup_run_of_this_cluster_stays(shelf: Shelf, other: JSON) -> None:
    shelf.run("20261001T020000Z", **other)
    shelf.run("20261124T020000Z")
    assert keep(shelf.run(OWN), last=1)["removed"] == [str(shelf.path / "20261124T020000Z")]
    assert "20261001T020000Z" in shelf.names()


def test_links_and_other_names_are_left_alone(shelf: Shelf, tmp_path: Path) -> None:
    elsewhere = Shelf(tmp_path / "elsewhere" / "prod")
    real = elsewhere.run("20261001T020000Z")
    (shelf.path / "20261001T020000Z").symlink_to(real)
    for name in ("20261001T020000Z.old", "99999999T999999Z", "notes"):
        elsewhere.run(name).rename(shelf.path / name)
    result = keep(shelf.run(OWN), last=1)
    assert result["removed"] == [] and "failed" not in result
    assert len(shelf.names()) == 5 and (real / "plan.json").exists()
    for path in (shelf.path / "20261001T020000Z", shelf.path / "notes"):
        with pytest.raises(RequorumError, match="is not the folder of a run"):
            _backups.remove(str(path))
    assert len(shelf.names()) == 5


def test_a_snapshot_that_a_recovery_restores_stays(shelf: Shelf) -> None:
    old = shelf.run("20261001T020000Z")
    named = str(old / "backup" / "r1" / ".." / "r1" / "snapshot.db")
    shelf.run("20261124T020000Z", purpose="recover", snapshot={"name": named})
    assert keep(shelf.run(OWN), last=1)["removed"] == []


def test_an_unproved_backup_does_not_count_and_goes_when_it_is_a_day_old(shelf: Shelf) -> None:
    shelf.run("20261122T020000Z")
    shelf.run("20261123T020000Z", proved=False)
    shelf.run("20261124T020000Z", files={"backup/r1/snapshot.db": "cut off"})
    shelf.run("20261125T010000Z", proved=False)  # may still be at work
    assert keep(shelf.run(OWN), last=2)["removed"] == [
        str(shelf.path / name) for name in ("20261124T020000Z", "20261123T020000Z")
    ]


def test_nothing_goes_when_the_backup_of_this_run_has_failed(shelf: Shelf) -> None:
    for stamp in ("20261123T020000Z", "20261124T020000Z"):
        shelf.run(stamp)
    action = json.dumps({"result": "failed: r1: no snapshot could be saved. Look at the disk."}) + "\n"
    result = keep(shelf.run(OWN, proved=False, files={"actions.jsonl": action}), last=1)
    assert result["failed"] and result["removed"] == [] and len(shelf.names()) == 3
    assert result["msg"] == "This run's own backup failed: r1: no snapshot could be saved. Look at the disk."
    assert result["line"].startswith("newest proved backup off the node: 1 d old")


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ({"files": {"backup.json": None}}, "it was stopped on the way"),
        ({"files": {"backup.json": {"bytes": 1600, "checks": []}}}, "it was stopped on the way"),
        ({"files": {"backup.json": {"bytes": 1600, "checks": ["ok"]}}}, "it was stopped on the way"),
        ({"actions": [], "files": {"backup.json": None}}, "nothing could be planned. All is well."),
    ],
)
def test_a_run_without_a_proof_fails(shelf: Shelf, run: JSON, words: str) -> None:
    result = keep(shelf.run(OWN, **run))
    assert result["failed"] and words in result["msg"]


@pytest.mark.parametrize(
    ("run", "call", "words"),
    [
        ({"purpose": "recover"}, {}, "is not the run of a backup"),
        ({}, {"days": -1}, "negative"),
        ({}, {"max_age_s": -1}, "negative"),
    ],
)
def test_what_cannot_be_is_refused(shelf: Shelf, run: JSON, call: JSON, words: str) -> None:
    with pytest.raises(RequorumError, match=words):
        keep(shelf.run(OWN, **run), **call)


# The age


def test_the_age_is_judged_only_when_a_limit_is_set(shelf: Shelf) -> None:
    old = NOW + 30 * 3600
    folder = shelf.run(OWN)
    assert "failed" not in keep(folder, now=old)
    assert "failed" not in keep(folder, 31 * 3600, now=old)
    result = keep(folder, 26 * 3600, now=old)
    assert result["failed"]
    assert result["msg"] == f"{result['line']}." and result["line"].endswith("too old, limit 1 d 2 h")
    assert keep(folder, 26 * 3600, now=old, dry=True)["failed"]


def test_without_any_proved_backup_the_line_says_so(shelf: Shelf) -> None:
    line = keep(shelf.run(OWN, proved=False))["line"]
    assert line == "no proved backup off the node (1 unproved; no limit)"
    assert _retention.monitor([], NOW, 0) == (False, "no proved backup off the node (0 unproved; no limit)")


def test_the_report_tells_the_newest_of_any_run_and_what_was_seen_in_s3(shelf: Shelf) -> None:
    recovery = shelf.run("20261124T020000Z", purpose="recover")
    shelf.run("20261125T010000Z", proved=False)
    assert ActionModule._newest(f"{recovery}/") == {
        "name": str(recovery / "backup" / "r1" / "snapshot.db"), "time": 1795485600, "revision": 2484,
    }  # fmt: skip
    seen = {"name": "s3://backups/x", "time": 1, "revision": None}
    own = shelf.run(OWN, proved=False, files={"keep.json": {"newest": seen}})
    assert ActionModule._newest(str(own)) == seen
    assert ActionModule._newest(str(shelf.path.parent / "none" / OWN)) is None


# S3


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    client = boto("s3", server.get_host_and_port()[1])
    yield client
    server.stop()


@pytest.fixture
def connect(client: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], _s3.Store]:
    """A new bucket."""
    loader = botocore.loaders.create_loader()
    monkeypatch.setattr(botocore.session, "create_loader", lambda _: loader)
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    s3_backends.reset()
    client.create_bucket(Bucket="backups")
    return lambda: bucket(client.meta.endpoint_url)


def keys(client: Any) -> list[str]:
    return [item["Key"] for item in client.list_objects_v2(Bucket="backups").get("Contents", ())]


def test_the_proved_snapshot_goes_to_s3_as_the_table_of_snapshots_reads_it(
    shelf: Shelf, client: Any, connect: Callable[[], _s3.Store]
) -> None:
    result = keep(shelf.run(OWN), connect=connect)
    assert "failed" not in result and result["changed"]
    assert result["stored"] == f"s3://backups/prod/{OWN}-r1.db"
    assert result["newest"]["name"] == result["stored"]
    assert keys(client) == [f"rke2/prod/{OWN}-r1.db"]
    there = connect().entries()[0]
    assert (there.maker, there.cluster, there.node, there.token_hash) == ("requorum", UID, "node-1", TOKEN)
    row = _catalog.table([_catalog.from_s3("backups", there)], tokens={TOKEN}, version="v1.34.3+rke2r1", now=int(NOW))
    assert (row[0].verdict, row[0].stored.name, row[0].stored.revision) == ("usable", result["stored"], 2484)


def test_the_policy_holds_in_s3_for_what_requorum_has_put_there_for_this_cluster(
    shelf: Shelf, client: Any, connect: Callable[[], _s3.Store]
) -> None:
    for stamp in ("20261123T020000Z", "20261124T020000Z"):
        keep(shelf.run(stamp), connect=connect)
    ours = {"requorum-node-name": "r1", "sha256": "ab"}
    others = {
        "prod/20261001T020000Z-r2.db": {"rke2-node-name": "r2", "sha256": "ab"},
        "prod/20261001T020000Z-r3.db": {"sha256": "ab"},
        "prod/20261001T020000Z-r4.db": {**ours, "requorum-cluster-id": "another"},
        "prod/eu/20261001T020000Z-r1.db": ours,
        "other/20261001T020000Z-r1.db": ours,
        "prod/etcd-snapshot-r1-1795485600": ours,
    }
    for name, metadata in others.items():
        client.put_object(Bucket="backups", Key=f"rke2/{name}", Body=b"x", Metadata=metadata)
    own = shelf.run(OWN)
    would = keep(own, connect=connect, last=2, dry=True)
    assert would["stored"] and f"rke2/prod/{OWN}-r1.db" not in keys(client)
    result = keep(own, connect=connect, last=2)
    oldest = "20261123T020000Z"
    assert result["removed"] == [str(shelf.path / oldest), f"s3://backups/prod/{oldest}-r1.db"] == would["removed"]
    assert keys(client) == sorted(
        f"rke2/{name}" for name in (*others, "prod/20261124T020000Z-r1.db", f"prod/{OWN}-r1.db")
    )


def test_nothing_unproved_goes_to_s3_and_what_is_there_still_counts(
    shelf: Shelf, client: Any, connect: Callable[[], _s3.Store]
) -> None:
    keep(shelf.run("20261124T020000Z"), connect=connect)
    _backups.remove(str(shelf.path / "20261124T020000Z"))
    result = keep(shelf.run(OWN, proved=False), connect=connect, last=1)
    assert keys(client) == ["rke2/prod/20261124T020000Z-r1.db"]
    assert result["newest"]["name"] == "s3://backups/prod/20261124T020000Z-r1.db"
    assert result["failed"] and result["stored"] == ""


def test_when_s3_fails_nothing_is_removed_and_the_line_still_comes(
    shelf: Shelf, client: Any, connect: Callable[[], _s3.Store]
) -> None:
    client.delete_bucket(Bucket="backups")
    shelf.run("20261124T020000Z")
    result = keep(shelf.run(OWN), connect=connect, last=1)
    assert result["failed"] and "Make the bucket" in result["msg"]
    assert result["removed"] == [] and len(shelf.names()) == 2
    assert result["line"].startswith("newest proved backup off the node: 10 s old")
