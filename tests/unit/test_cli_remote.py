# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum snapshot list|get|put|prune`: what they decide, and how they run playbooks."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action import snapshot_get, snapshot_prune, snapshot_put
from ansible_collections.requorum.cluster.plugins.module_utils import _catalog, _node, _s3, _snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _backups, _shelf
from requorum import cli, remote, snapshot_remote
from tests.unit import datastores
from tests.unit.test_s3 import client, port, raw  # noqa: F401  (fixtures)
from tests.unit.test_s3 import store as bucket
from tests.unit.test_snapshot_keep import NOW, Shelf

JSON = dict[str, Any]
TOKEN, KEY, UID = "sekret123", "e2e269d4f6ec", "ac37934f-15bf-4bd6-9a13-6f84aafbfafd"
GOOD = _catalog.Stored("node", "r1", "/snapshots/a", 12320, 1_764_000_000, 2484, ("a1",), (KEY,), "3.6", "right")
WANTED = _snapshot.Wanted(token_hashes={KEY}, version="v1.34.3+rke2r1")


@pytest.fixture(scope="module")
def db() -> Path:
    return datastores.unpacked() / "snapshot.db"


@pytest.fixture
def token(tmp_path: Path) -> Path:
    (tmp_path / "token").touch(0o600)
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return tmp_path / "token"


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """One server, which is this machine; its groups are those of a cluster."""
    text = """
all:
  vars: {requorum_cluster: prod, requorum_distro: rke2, ansible_connection: local, ansible_become: false}
  children: {servers: {hosts: {r1: {}}}, agents: {}}
"""
    (tmp_path / "hosts.yml").write_text(text)
    return tmp_path / "hosts.yml"


# Whole commands, on this machine


class Run:
    def __init__(self, capsys: pytest.CaptureFixture[str], inventory: Path, *argv: str) -> None:
        capsys.readouterr()
        output = inventory.parent / "out"
        self.code = cli.main(["snapshot", *argv, "-i", str(inventory), "-e", f"requorum_output={output}"])
        self.out, self.err = capsys.readouterr()


def test_a_copy_is_proved_and_stands_in_the_table_from_then_on(
    capsys: pytest.CaptureFixture[str], inventory: Path, db: Path, token: Path, tmp_path: Path
) -> None:
    got = Run(capsys, inventory, "get", f"r1:{db}", "--token-file", str(token))
    copy = tmp_path / "out" / "prod" / "fetched" / "r1" / f"{db.parent.name}-snapshot.db"
    assert got.code == 0, got.err
    assert got.out.startswith(f"PROVED: {copy}\n") and "ok       token" in got.out and TOKEN not in got.out
    assert copy.read_bytes() == db.read_bytes()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (copy, copy.parent)] == [0o600, 0o700]

    cut = tmp_path / "cut.db"
    cut.write_bytes(db.read_bytes()[:-1000])
    bad = Run(capsys, inventory, "get", f"r1:{cut}", "--token-file", str(token))
    assert bad.code == 1 and bad.out.startswith(f"NOT PROVED: {copy.parent}/cut.db.unproved\n")
    assert "counts nowhere" in bad.err

    listed = Run(capsys, inventory, "list", "-e", f"requorum_token_file={token}")
    assert (listed.code, listed.err) == (0, "")
    assert [line.split()[0] for line in listed.out.splitlines()] == ["VERDICT", "usable"]
    assert listed.out.endswith(f"  {copy}\n")

    without = Run(capsys, inventory, "list", "--json")
    rows = json.loads(without.out)["snapshots"]
    assert without.code == 1
    assert [(row["name"], row["verdict"]) for row in rows] == [(str(copy), "unusable")]


def test_prune_says_what_would_go_and_removes_it(capsys: pytest.CaptureFixture[str], inventory: Path) -> None:
    shelf = Shelf(inventory.parent / "out" / "prod")
    old, _new = shelf.run("20261123T020000Z"), shelf.run("20261124T020000Z")
    dry = Run(capsys, inventory, "prune", "--keep", "1", "--check")
    assert (dry.code, dry.out) == (0, f"would go  {old}\n\n1 proved backup stays.\n")
    assert old.exists()
    assert Run(capsys, inventory, "prune", "--keep", "1").out == f"removed  {old}\n\n1 proved backup stays.\n"
    assert shelf.names() == ["20261124T020000Z"]


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("put", "{db}", "r1"), 3, "is not proved (token: "),
        (("put", "/nowhere", "r1"), 2, "/nowhere is no file"),
        (("prune", "--keep", "0"), 2, "0 is no number from 1 on"),
        (("list", "-e", "bucket"), 2, "not of the form VAR=VALUE"),
        (("get", "r1", "--token-file", "/nowhere"), 2, "--token-file /nowhere"),
        (("get", "r1", "--token-file", "-"), 2, "has to be a file"),
    ],
)
def test_what_cannot_be_done_says_why(
    capsys: pytest.CaptureFixture[str], inventory: Path, db: Path, argv: tuple[str, ...], code: int, words: str
) -> None:
    run = Run(capsys, inventory, *(word.format(db=db) for word in argv))
    assert (run.code, words in run.err) == (code, True), run.err


def test_an_inventory_that_is_not_there_is_usage(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert Run(capsys, tmp_path / "none.yml", "list").code == 2


def test_a_play_that_no_host_took_part_in_is_a_server_that_is_not_there() -> None:
    result = snapshot_remote._transfer(remote.Outcome(), "snapshot_get", "r9:/path", 1)
    assert result.code == 1 and result.notes[0].startswith("There is no server r9 in the inventory")


def test_the_table_keeps_names_whole_and_gives_reasons() -> None:
    row = {"verdict": "usable", "revision": 2484, "time": 1000, "bytes": 6205472, "name": "r1:/" + "x" * 90, "why": "-"}
    bad = {**row, "verdict": "unread", "revision": None, "why": "it is judged when it was copied"}
    [table] = snapshot_remote.table([row, bad], 1000 + 26 * 3600)
    assert not isinstance(table, str)
    assert list(table.rows) == [
        ("usable", "2484", "1 d", "5.9 MiB", row["name"]),
        ("unread", "?", "1 d", "5.9 MiB", f"{row['name']} it is judged when it was copied"),
    ]
    assert snapshot_remote.table([], 0) == ["No snapshot was found on the servers, here or in S3."]


# Which one is meant


ROWS = _shelf.judged(
    [
        replace(GOOD, path="/snapshots/old", time=GOOD.time - 100),
        replace(GOOD, path="/snapshots/damaged", time=GOOD.time + 100, trailer="wrong"),
        GOOD,
    ],
    WANTED,
)


@pytest.mark.parametrize(
    ("source", "path"),
    [("r1", "/snapshots/a"), ("r1:/snapshots/old", "/snapshots/old"), ("r1:/snapshots/damaged", "/snapshots/damaged"),
     ("r1:/root/other", "/root/other")],
)  # fmt: skip
def test_a_server_alone_means_its_newest_usable_one(source: str, path: str) -> None:
    assert snapshot_get.pick(ROWS, source, "r1").path == path


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("r2", "There is no snapshot r2"),
        ("r1:relative", "There is no snapshot"),
        ("s3://backups/none", "There is no snapshot"),
        ("r1:/a.part", "did not end"),
    ],
)
def test_what_means_none_is_refused(source: str, words: str) -> None:
    with pytest.raises(RequorumError, match=words):
        snapshot_get.pick(ROWS, source, "r1")


def test_a_server_without_a_usable_one_says_what_it_has() -> None:
    with pytest.raises(RequorumError, match="/snapshots/damaged: its sha256 is wrong"):
        snapshot_get.pick([row for row in ROWS if row.verdict == "unusable"], "r1", "r1")


def test_snapshots_of_runs_do_not_overwrite_each_other() -> None:
    assert snapshot_get.local_name("/var/lib/rancher/requorum/20261125T020000Z/snapshot.db") == (
        "20261125T020000Z-snapshot.db"
    )
    assert snapshot_get.local_name("/snapshots/on-demand-r1-1795572585") == "on-demand-r1-1795572585"


def test_the_time_of_a_snapshot_outlives_its_copies(db: Path, tmp_path: Path) -> None:
    for name in ("by-file.db", "on-demand-r1-1795572585", "20261125T020000Z-r1.db", "recorded.db"):
        (tmp_path / name).write_bytes(b"x" * 32)
        os.utime(tmp_path / name, (5, 5))
    record = {**vars(GOOD), "bytes": 32, "time": 77}
    (tmp_path / "recorded.db.json").write_text(json.dumps(record))
    names = ("by-file.db", "on-demand-r1-1795572585", "20261125T020000Z-r1.db", "recorded.db")
    assert [_shelf.written(str(tmp_path / name)) for name in names] == [5, 1795572585, 1795572000, 77]


# Onto a server


class Action(snapshot_put.ActionModule):
    """Without Ansible: scripts are answered by a table, what was sent is written down."""

    def __init__(self, arrives: str = "") -> None:
        self.host, self.arrives, self.sent = "r2", arrives, list[str]()
        self._task = SimpleNamespace(check_mode=False, args={"cluster": "prod"})
        self.node = SimpleNamespace(run=self._run)

    def must(self, name: str, what: str, hint: str, **options: Any) -> dict[str, str]:
        return {"path": "/r/s t/restore.db", "sha256": self.arrives or "a" * 64, "bytes": "1"}

    def push(self, source: str, path: str) -> None:
        self.sent.append(f"push {path}")

    def say(self, text: str) -> None:
        pass

    def _run(self, script: str, **options: Any) -> _node.Done:
        self.sent.append(script)
        return _node.Done(0, "", "")


PROOF = _snapshot.Proof((_snapshot.Check("structure", "", "", True),), "a" * 64, 1, None)


def test_a_snapshot_gets_its_name_and_time_when_it_has_arrived() -> None:
    action = Action()
    result = action._onto_node("/here", 77, PROOF)
    assert action.sent == [
        "push /r/s t/restore.db",
        "touch -d @77 '/r/s t/restore.db' && ln '/r/s t/restore.db' '/r/s t/snapshot.db' && rm '/r/s t/restore.db'",
    ]
    assert result["name"] == "r2:/r/s t/snapshot.db"
    assert [check["name"] for check in result["checks"]] == ["structure", "transfer"]


def test_what_did_not_arrive_whole_is_removed() -> None:
    action = Action(arrives="b" * 64)
    with pytest.raises(RequorumError, match="not what was sent"):
        action._onto_node("/here", 77, PROOF)
    assert action.sent[-1] == "rm -f '/r/s t/restore.db'; rmdir '/r/s t'"


# S3


@pytest.fixture
def s3(raw: Any, port: int) -> _s3.Store:  # noqa: F811
    return bucket(f"127.0.0.1:{port}")


def test_what_is_put_into_s3_is_a_backup_of_its_own_time(s3: _s3.Store, db: Path) -> None:
    action, proof = Action(), _snapshot.prove(str(db), WANTED)
    wanted = _snapshot.Wanted(token_hashes={KEY}, system_uid=UID)
    put = [action._into_s3(s3, str(db), 1795572585, proof, wanted) for _ in range(2)]
    assert [result["changed"] for result in put] == [True, False]
    assert put[0]["name"] == "s3://backups/prod/20261125T020945Z-put.db"
    [row] = _shelf.judged(_shelf.in_s3(s3), WANTED)
    assert (row.verdict, row.stored.time, row.stored.revision) == ("usable", 1795572585, 2484)
    [backup] = _backups.in_s3("backups", s3.entries(), "prod")
    assert (backup.time, backup.cluster_id, backup.proved) == (1795572585, UID, True)


def test_prune_counts_each_place_by_itself_and_leaves_what_is_not_ours(
    s3: _s3.Store, tmp_path: Path, db: Path
) -> None:
    shelf = Shelf(tmp_path / "prod")
    for stamp in ("20261122T020000Z", "20261123T020000Z", "20261124T020000Z"):
        shelf.run(stamp)
    shelf.run("20261101T020000Z", purpose="recover")
    shelf.run("20261102T020000Z", system_uid="of the cluster that had this name before")
    ours = {"requorum-cluster-id": UID, "requorum-token-hash": KEY}
    for name in ("20261123T020000Z-r1.db", "20261124T020000Z-r1.db"):
        s3.put(str(db), f"prod/{name}", metadata=ours)
    s3.put(str(db), "on-demand-r1-1764028800", metadata={"rke2-cluster-id": UID})

    would = snapshot_prune.prune(str(shelf.path), "prod", 1, store=s3, now=NOW, dry=True)
    done = snapshot_prune.prune(str(shelf.path), "prod", 1, store=s3, now=NOW)
    assert would == done
    assert done["removed"] == [
        str(shelf.path / "20261123T020000Z"), str(shelf.path / "20261122T020000Z"),
        "s3://backups/prod/20261123T020000Z-r1.db",
    ]  # fmt: skip
    assert shelf.names() == ["20261101T020000Z", "20261102T020000Z", "20261124T020000Z"]
    assert {entry.name for entry in s3.entries()} == {"prod/20261124T020000Z-r1.db", "on-demand-r1-1764028800"}


def test_nothing_goes_anywhere_when_the_bucket_cannot_be_listed(raw: Any, port: int, tmp_path: Path) -> None:  # noqa: F811
    shelf = Shelf(tmp_path / "prod")
    for stamp in ("20261123T020000Z", "20261124T020000Z"):
        shelf.run(stamp)
    with pytest.raises(RequorumError):
        snapshot_prune.prune(str(shelf.path), "prod", 1, now=NOW, store=bucket(f"127.0.0.1:{port}", bucket="none"))
    assert len(shelf.names()) == 2


@pytest.mark.parametrize("given", [0, -1, "", "many", None, 1.5])
def test_less_than_one_cannot_stay(given: Any) -> None:
    with pytest.raises(RequorumError, match="from 1 on"):
        snapshot_prune.number(given)
