# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of all snapshots: what can be restored, which one comes first, which one a name means."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _catalog, _s3, _snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._catalog import Row, Stored, choose, parse, table
from ansible_collections.requorum.cluster.plugins.module_utils._classify import Refusal
from tests.unit.datastores import unpacked

NOW = 1_764_000_000
TOKEN = "e2e269d4f6ec"
GOOD = Stored("node", "r1", "/snapshots/a", 4096 * 3 + 32, NOW - 3600, 2484, ("a1",), (TOKEN,), "3.6", "right")


def judged(stored: Stored, version: str = "v1.34.3+rke2r1") -> Row:
    return table([stored], tokens={TOKEN}, version=version, now=NOW)[0]


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        ({}, "usable", "the token opens it"),
        ({"trailer": "wrong"}, "unusable", "sha256 is wrong"),
        ({"trailer": "absent"}, "unusable", "no sha256"),
        ({"fault": "page 7 is cut off"}, "unusable", "page 7"),
        ({"path": "/snapshots/a.part"}, "unusable", "did not end"),
        ({"revision": 0}, "unusable", "empty"),
        ({"bootstrap": ("aaaaaaaaaaaa",)}, "unusable", "no token at hand opens it (its key is aaaaaaaaaaaa)"),
        ({"bootstrap": ()}, "unusable", "its key is none"),
        ({"bootstrap": ("aaaaaaaaaaaa", TOKEN)}, "usable", "opens"),
        ({"path": "/snapshots/a.zip", "revision": None, "bootstrap": None, "trailer": "unread"}, "unread", "name it"),
        ({"place": "s3", "revision": None, "bootstrap": None, "trailer": "unread"}, "unread", "name it"),
        ({"place": "s3", "revision": None, "trailer": "unread"}, "usable", "opens"),
        ({"time": NOW + 900}, "usable", "clock"),
    ],
)
def test_verdict(change: dict[str, Any], verdict: str, words: str) -> None:
    row = judged(replace(GOOD, **change))
    assert row.verdict == verdict
    assert words in row.why


@pytest.mark.parametrize(
    ("version", "etcd", "verdict"),
    [
        ("v1.34.3+rke2r1", "3.6", "usable"),
        ("v1.33.10+rke2r1", "3.6", "unusable"),
        ("v1.33.11+rke2r1", "3.6", "usable"),
        ("v1.28.12+rke2r1", "", "usable"),
        ("v1.34.3+k3s1", "", "usable"),
        ("", "3.6", "usable"),
    ],
)
def test_an_older_etcd_does_not_open_what_a_newer_one_wrote(version: str, etcd: str, verdict: str) -> None:
    assert judged(replace(GOOD, etcd=etcd), version).verdict == verdict


ROWS = table(
    [
        replace(GOOD, path="/old", time=NOW - 9000),
        replace(GOOD, path="/newest-but-damaged", time=NOW - 10, trailer="wrong"),
        replace(GOOD, path="/new.zip", time=NOW - 20, revision=None, bootstrap=None, trailer="unread"),
        replace(GOOD, place="controller", host="", path="/kept.db", time=NOW - 4000),
        replace(GOOD, place="s3", host="bucket", path="prod/a", time=NOW - 8000),
    ],
    tokens={TOKEN},
    version="",
    now=NOW,
)


def test_the_newest_usable_one_comes_first() -> None:
    assert [row.stored.name for row in ROWS] == [
        "/kept.db", "s3://bucket/prod/a", "r1:/old", "r1:/new.zip", "r1:/newest-but-damaged",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("newest", "/kept.db"),
        ("r1:/old", "r1:/old"),
        ("r1:/new.zip", "r1:/new.zip"),
        ("s3://bucket/prod/a", "s3://bucket/prod/a"),
        ("r1:/newest-but-damaged", "cannot be used: its sha256 is wrong"),
        ("r2:/old", "There is no snapshot r2:/old"),
        ("/old", "There is no snapshot /old"),
    ],
)
def test_a_word_means_one_row_of_the_table(word: str, outcome: str) -> None:
    found = choose(ROWS, word)
    assert outcome in (str(found) if isinstance(found, Refusal) else found.stored.name)


def test_newest_of_nothing_usable_says_what_was_seen() -> None:
    found = choose(ROWS[-2:], "newest")
    assert isinstance(found, Refusal)
    assert "its sha256 is wrong" in found.what and "requorum_token_file" in found.next
    nothing = choose((), "newest")
    assert isinstance(nothing, Refusal) and "none was found" in nothing.what


def test_lines_of_a_node_are_read() -> None:
    found = parse(
        "r1",
        "file=12320 1764000000 /var/lib/rancher/rke2/server/db/snapshots/etcd snapshot r1-1\n"
        f"trailer=right\nbootstrap={TOKEN}\nbootstrap=aaaaaaaaaaaa\n"
        "file=5 1764000001 /x.zip\nfile=7 1764000002 /y\ntrailer=absent\nnoise\n",
    )
    assert [(s.path, s.bytes, s.time, s.trailer, s.bootstrap) for s in found] == [
        ("/var/lib/rancher/rke2/server/db/snapshots/etcd snapshot r1-1", 12320, 1764000000, "right",
         (TOKEN, "aaaaaaaaaaaa")),
        ("/x.zip", 5, 1764000001, "unread", None),
        ("/y", 7, 1764000002, "absent", None),
    ]  # fmt: skip


def test_a_proof_fills_the_row() -> None:
    path = str(unpacked() / "snapshot.db")
    stored = Stored("controller", "", path, 6_205_472, NOW)
    whole = _catalog.proved(stored, _snapshot.prove(path, _snapshot.Wanted()))
    assert (whole.revision, whole.bootstrap, whole.trailer, whole.etcd) == (2484, (TOKEN,), "right", "3.6")
    assert judged(whole).verdict == "usable"
    raw = str(unpacked() / "r1/etcd/member/snap/db")
    plain = _catalog.proved(replace(stored, path=raw, bytes=4096), _snapshot.prove(raw, _snapshot.Wanted()))
    assert judged(plain).why.startswith("it has no sha256")
    gone = _catalog.proved(stored, _snapshot.prove("/does/not/exist", _snapshot.Wanted()))
    assert "/does/not/exist" in judged(gone).why


@pytest.mark.parametrize(
    ("metadata", "verdict"),
    [
        ({"rke2-token-hash": TOKEN}, "usable"),
        ({"rke2-token-hash": "aaaaaaaaaaaa"}, "unusable"),
        ({"requorum-token-hash": TOKEN, "requorum-revision": "2484", "requorum-etcd": "3.6"}, "usable"),
        ({}, "unread"),
    ],
)
def test_objects_in_s3_are_judged_by_their_metadata(metadata: dict[str, str], verdict: str) -> None:
    there = _s3.Stored("prod/snapshot.db", 100, NOW - 60, "etag", metadata=metadata)
    row = judged(_catalog.from_s3("bucket", there))
    assert row.verdict == verdict
    assert row.stored.name == "s3://bucket/prod/snapshot.db"


def test_the_table_is_readable_text() -> None:
    text = _catalog.text(ROWS, NOW)
    assert text.startswith("/kept.db\n    usable: the token opens it; revision 2484, 66 min old, 12320 bytes")
    assert "No snapshot was found" in _catalog.text((), NOW)
