# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot that the user names and that cannot be restored: refused in PLAN, and where only BACKUP sees it, there."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action import snapshot_deliver, snapshot_fetch
from ansible_collections.requorum.cluster.plugins.module_utils import _catalog, _snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._errors import Refusal, RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from tests.unit.datastores import database, leaf, snapshot, unpacked
from tests.unit.test_bbolt import etcd
from tests.unit.test_snapshot import with_trailer

JSON = dict[str, Any]
KEY, UID, OTHER = "e2e269d4f6ec", "ac37934f-15bf-4bd6-9a13-6f84aafbfafd", "00000000-0000-0000-0000-000000000000"
VERSION = "v1.34.3+rke2r1"


def flipped(path: Path) -> None:
    data = bytearray(snapshot())
    data[3_000_000] ^= 1
    path.write_bytes(data)


def zipped(path: Path, *contents: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"snapshot-{number}", content)


def chosen(
    word: str, shelf: Path, *, key: str = KEY, version: str = VERSION, settings: JSON | None = None
) -> _catalog.Row | Refusal:
    """What PLAN makes of requorum_snapshot while no API answers."""
    entry = {"name": "r1", "host": "r1", "reachable": True, "token": {"in-force": key}, "version": version}
    rows = _shelf.rows(settings or {}, {"r1": {}}, [entry], shelf=str(shelf), named=word)
    return _catalog.choose(rows, word)


def refused(word: str, shelf: Path, **given: Any) -> Refusal:
    found = chosen(word, shelf, **given)
    assert isinstance(found, Refusal), found
    return found


BAD: list[tuple[str, Callable[[Path], object], str, str]] = [
    ("missing", lambda path: None, "No such file", "Look at that path"),
    ("folder", lambda path: path.mkdir(), "it is damaged, cut or no snapshot (", "Look at that path"),
    ("empty", lambda path: path.touch(), "this file has 0 bytes", "fetch it again"),
    ("truncated", lambda path: path.write_bytes(snapshot()[:3_000_000]), "the file has 3000000 bytes", "fetch it"),
    ("flipped", flipped, "its sha256 is wrong", "Fetch it again"),
    (
        "inside",
        lambda path: path.write_bytes(snapshot()[: 4096 * 603] + bytes(4096) + snapshot()[4096 * 604 :]),
        "its sha256 is wrong",
        "Fetch it again",
    ),
    ("text", lambda path: path.write_text("x" * 9000), "meta page", "fetch it again"),
    ("bare", lambda path: path.write_bytes(snapshot()[:-32]), "it has no sha256", "copy of member/snap/db"),
    ("copy.db.part", lambda path: path.write_bytes(snapshot()), "did not end", "without .part"),
    ("two.zip", lambda path: zipped(path, snapshot(), b"x"), "one snapshot and nothing else", "Look at"),
    ("bare.zip", lambda path: zipped(path, snapshot()[:-32]), "it has no sha256", "copy of member/snap/db"),
    ("cut.zip", lambda path: path.write_bytes(b"PK\x03\x04" + bytes(9000)), "damaged or encrypted zip", "Look at"),
]


@pytest.mark.parametrize(("name", "make", "what", "next_"), BAD, ids=[name for name, *_rest in BAD])
def test_a_bad_file_says_what_is_wrong_where_and_what_to_do(
    tmp_path: Path, name: str, make: Callable[[Path], object], what: str, next_: str
) -> None:
    path = tmp_path / name
    make(path)
    refusal = refused(str(path), tmp_path / "shelf")
    assert refusal.what.startswith(f"{path} cannot be used: ") and what in refusal.what
    assert refusal.where == str(path) and next_ in refusal.next


def test_a_zip_of_one_is_taken(tmp_path: Path) -> None:
    zipped(tmp_path / "one.zip", snapshot())
    row = chosen(str(tmp_path / "one.zip"), tmp_path / "shelf")
    assert isinstance(row, _catalog.Row) and (row.verdict, row.stored.system_uid) == ("usable", UID)


@pytest.mark.parametrize(
    ("given", "what", "next_"),
    [
        ({"key": "aaaaaaaaaaaa"}, f"no token at hand opens it (its key is {KEY})", "requorum_token_file"),
        ({"version": "v1.33.10+rke2r1"}, "it was written by etcd 3.6, and v1.33.10+rke2r1 has 3.5", "Install"),
    ],
)
def test_token_and_release_that_do_not_fit(tmp_path: Path, given: JSON, what: str, next_: str) -> None:
    refusal = refused(str(unpacked() / "snapshot.db"), tmp_path, **given)
    assert what in refusal.what and next_ in refusal.next


def backup(shelf: Path, stamp: str, uid: str) -> None:
    """A proved backup of an earlier run."""
    folder = shelf / stamp / "backup/r1"
    folder.mkdir(parents=True)
    (folder / "snapshot.db").write_bytes(snapshot())
    size = (folder / "snapshot.db").stat().st_size
    stored = _catalog.Stored("controller", "", "", size, 1, 2, ("a1",), (KEY,), "3.6", "right", system_uid=uid)
    (folder / "snapshot.db.json").write_text(json.dumps(asdict(stored)))


def test_of_another_cluster_as_earlier_backups_tell(tmp_path: Path) -> None:
    path = str(unpacked() / "snapshot.db")
    assert isinstance(chosen(path, tmp_path), _catalog.Row)
    backup(tmp_path, "20261101T000000Z", UID)
    assert isinstance(chosen(path, tmp_path), _catalog.Row)
    backup(tmp_path, "20261102T000000Z", OTHER)
    assert isinstance(chosen(path, tmp_path), _catalog.Row), "they do not agree, so nothing is known"
    other = tmp_path / "other"
    backup(other, "20261102T000000Z", OTHER)
    refusal = refused(path, other)
    assert "it is of another cluster" in refusal.what and UID in refusal.what and OTHER in refusal.what


GOOD = _catalog.Stored("node", "r1", "/s", 12320, 1_764_000_000, 2484, ("a1",), (KEY,), "3.6", "right", "", UID)


@pytest.mark.parametrize(
    ("kubernetes", "verdict", "words"),
    [
        ("v1.34.1+rke2r1", "usable", "the token opens it"),
        ("v1.33.4+rke2r1", "usable", "it is of v1.33.4+rke2r1: v1.34.3+rke2r1 has lost APIs"),
        ("v1.35.0+rke2r1", "unusable", "its Nodes ran v1.35.0+rke2r1, which is newer than v1.34.3+rke2r1"),
        ("", "usable", "the token opens it"),
    ],
)
def test_another_minor_release_of_kubernetes(kubernetes: str, verdict: str, words: str) -> None:
    stored = replace(GOOD, kubernetes=kubernetes)
    (row,) = _catalog.table([stored], tokens={KEY}, version=VERSION, now=1_764_000_100)
    assert row.verdict == verdict and row.why.startswith(words)
    assert isinstance(_catalog.choose([row], "r1:/s"), Refusal) == (verdict == "unusable")


class Deliver(snapshot_deliver.ActionModule):
    """BACKUP on r1, whose own datastore was saved before; nothing may reach a node."""

    def __init__(self, folder: Path, path: Path, *, key: str = KEY, uid: str = "", version: str = VERSION) -> None:
        self.host, self.run_dir = "r1", str(folder / "run")
        Path(self.run_dir).mkdir()
        Path(self.run_dir, "backup.json").write_text(json.dumps({"system_uid": uid}))
        stored = {**asdict(_catalog.Stored("controller", "", str(path), 1, 1)), "name": str(path)}
        servers = [{"name": "r1", "tokens": [key]}]
        self.plan = {"snapshot": stored, "servers": servers, "survivor": "r1", "tokens": {}, "system_uid": None}
        self.plan["version"] = version

    @property
    def settings(self) -> JSON:
        return {}

    def spare(self, snapshot: str, name: str) -> None:
        raise AssertionError("it was proved")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"uid": OTHER}, f"of another cluster (its kube-system has the UID {UID}"),
        ({"key": "aaaaaaaaaaaa"}, "no token at hand opens it"),
        ({"version": "v1.33.10+rke2r1"}, "it was written by etcd 3.6"),
    ],
)
def test_the_proof_in_backup_says_the_same(tmp_path: Path, given: JSON, words: str) -> None:
    with pytest.raises(RequorumError, match="cannot be used") as raised:
        Deliver(tmp_path, unpacked() / "snapshot.db", **given).do_deliver()
    assert words in str(raised.value) and "Nothing was reset." in str(raised.value)


class Fetch(snapshot_fetch.ActionModule):
    """The first action of BACKUP: a snapshot on r2 comes to the controller; no script may run on a node."""

    def __init__(self, folder: Path, content: bytes, *, key: str = KEY) -> None:
        self.host, self.run_dir, self.content = "r2", str(folder / "run"), content
        Path(self.run_dir).mkdir()
        stored = {**asdict(_catalog.Stored("node", "r2", "/srv/s.db", len(content), 1)), "name": "r2:/srv/s.db"}
        servers = [{"name": "r1", "tokens": [key]}, {"name": "r2", "tokens": []}]
        self.plan = {"snapshot": stored, "servers": servers, "survivor": "r1", "tokens": {}, "system_uid": None}
        self.plan["version"] = VERSION

    @property
    def settings(self) -> JSON:
        return {}

    def pull(self, path: str, size: int, target: str) -> str:
        assert (path, size) == ("/srv/s.db", len(self.content))
        Path(target).write_bytes(self.content)
        return ""


def test_one_of_a_server_is_proved_before_any_node_is_touched(tmp_path: Path) -> None:
    assert Fetch(tmp_path, snapshot()).do_fetch() == f"{len(snapshot())} bytes, revision 2484, proved"
    (copy,) = (tmp_path / "run/backup/restore").iterdir()
    assert copy.read_bytes() == snapshot()


@pytest.mark.parametrize(
    ("content", "key", "words"),
    [
        (snapshot()[:-32], KEY, "it has no sha256"),
        (b"x" * 9000, KEY, "r2:/srv/s.db"),
        (snapshot(), "aaaaaaaaaaaa", "no token at hand opens it"),
    ],
)
def test_one_of_a_server_that_cannot_be_restored_touches_nothing(
    tmp_path: Path, content: bytes, key: str, words: str
) -> None:
    with pytest.raises(RequorumError) as raised:
        Fetch(tmp_path, content, key=key).do_fetch()
    assert words in str(raised.value) and "Nothing was touched." in str(raised.value)


def test_a_cluster_that_never_worked(tmp_path: Path) -> None:
    (tmp_path / "new.db").write_bytes(with_trailer(database(leaf(2, etcd()))))
    with pytest.raises(RequorumError, match=r"new\.db cannot be used: no cluster worked with it \(0 revisions"):
        Deliver(tmp_path, tmp_path / "new.db").do_deliver()


def test_what_the_table_has_no_word_for_is_said_by_its_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    proof = _snapshot.prove(str(unpacked() / "snapshot.db"), _snapshot.Wanted())
    hidden = _snapshot.Check("kube-system", UID, "no UID could be read", False)
    monkeypatch.setattr(_snapshot, "prove", lambda *_given: replace(proof, checks=(*proof.checks, hidden)))
    with pytest.raises(RequorumError, match=r"is not proved \(kube-system: no UID could be read\)\. Nothing was reset"):
        Deliver(tmp_path, unpacked() / "snapshot.db").do_deliver()
