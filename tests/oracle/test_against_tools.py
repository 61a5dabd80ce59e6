# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our readers and the real tools say the same about datastores that real programs made."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _describe, _objects
from tests.oracle import programs
from tests.oracle.apiserver import CUSTOM, SECRETS, SETTINGS
from tests.oracle.conftest import Made
from tests.oracle.datastores import RECIPES
from tests.oracle.reading import Reading, read, summary
from tests.unit import datastores as builder

ALL = list(RECIPES)
LEASED = [name for name in ALL if name.startswith(("leases", "rke2"))]
"""`etcdutl hashkv` panics on keys with a lease."""


def revision(reading: Reading) -> int:
    """As `snapshot status` has it: of the last entry, 0 when there is none."""
    return int.from_bytes(reading.revisions[-1][0][:8], "big") if reading.revisions else 0


@pytest.mark.parametrize("name", ALL)
def test_status_of_either_etcdutl_says_what_we_read(made: Made, name: str) -> None:
    store = made(name)
    ours, old, new = read(store.path), programs.status(store.path, "3.5"), programs.status(store.path, "3.6")
    assert (revision(ours), ours.structure.bytes) == (old["revision"], old["totalSize"])
    assert (revision(ours), ours.structure.bytes) == (new["revision"], new["totalSize"])
    # up to 3.5 it counts the entries of all buckets, then live keys
    assert (ours.entries, len(ours.live)) == (old["totalKey"], new["totalKey"])
    if store.small:
        assert ours.status_hash() == old["hash"] == new["hash"]


@pytest.mark.parametrize("name", [name for name in ALL if name not in LEASED])
def test_hashkv_is_the_sum_of_what_we_read(made: Made, name: str) -> None:
    store = made(name)
    if not store.small:
        pytest.skip("too much for a sum in Python")
    theirs = programs.hashkv(store.path)
    ours = read(store.path)
    assert theirs["hashRevision"] == max(1, revision(ours))
    # -1 for never; etcdutl ends a compaction that was under way before it counts
    few = summary(store.path)
    assert max(few.compacted, few.compacting) == max(0, theirs["compactRevision"])
    assert ours.hashkv(theirs["compactRevision"]) == theirs["hash"]


@pytest.mark.parametrize("name", ALL)
def test_bbolt_finds_nothing_and_counts_the_same_pages(made: Made, name: str) -> None:
    path = made(name).path
    assert programs.bbolt_check(path) == ""
    ours, pages, stats = read(path).structure, programs.bbolt_pages(path), programs.bbolt_stats(path)
    assert {"meta": 2, "branch": ours.branch, "leaf": ours.leaf, "overflow": ours.overflow, "free": ours.free} == {
        kind: pages[kind] for kind in ("meta", "branch", "leaf", "overflow", "free")}
    assert sum(ours.keys.values()) == stats["Number of keys/value pairs"]
    assert len(ours.keys) == stats["Total number of buckets"]


@pytest.mark.parametrize("name", ["compacted-3.6", "large-3.6", "rke2-3.6"])
def test_a_free_list_on_disk_names_what_we_do_not_reach(made: Made, tmp_path: Path, name: str) -> None:
    path = made(name).path
    stored = programs.with_freelist(path, tmp_path)
    ours, pages = read(stored).structure, programs.bbolt_pages(stored)
    assert pages["freelist"] == 1 and ours.freelist >= 1
    assert (ours.branch, ours.leaf, ours.free) == (pages["branch"], pages["leaf"], pages["free"])
    assert ours.keys == read(path).structure.keys


@pytest.mark.parametrize("name", ALL)
def test_the_document_of_a_datastore_has_the_tools_figures(made: Made, name: str) -> None:
    store = made(name)
    theirs = programs.status(store.path, "3.6")
    document = _describe.describe(str(store.path))
    assert document["etcd"]["revision"] == theirs["revision"]
    assert document["etcd"]["storage_version"] == theirs["version"]
    assert document["keys"]["live"] == theirs["totalKey"]
    assert document["trailer"] == ("right" if store.data is None else "absent")


@pytest.mark.parametrize("name", [name for name in ALL if not name.startswith(("restored", "rke2"))])
def test_the_small_buckets_say_what_etcd_said(made: Made, name: str) -> None:
    store = made(name)
    ours, said, status = summary(store.path), store.facts, store.facts["status"]
    assert [(m.id, m.name, list(m.peer_urls), m.learner) for m in ours.members] == sorted(
        (f"{int(m['ID']):x}", m.get("name", ""), m["peerURLs"], m.get("isLearner", False)) for m in said["members"])
    assert (ours.auth, ours.leases) == (said["auth"], len(said["leases"]))
    assert [alarm.split() for alarm in ours.alarms] == [
        [alarm["alarm"], f"{int(alarm['memberID']):x}"] for alarm in said["alarms"]]
    if store.data is None:  # saving a snapshot writes down everything that has been applied
        assert ours.index >= int(status["raftAppliedIndex"])
        assert (ours.term, max(1, ours.revision)) == (int(status["raftTerm"]), int(status["header"]["revision"]))
        assert ours.cluster_version == f"{store.series}.0"
        assert set(ours.voters) | set(ours.learners) == {member.id for member in ours.members}
        assert set(ours.learners) == {member.id for member in ours.members if member.learner}


def test_what_an_apiserver_wrote_is_understood(made: Made) -> None:
    store = made("apiserver-3.6")
    document = _describe.describe(str(store.path))
    found = document["kubernetes"]
    assert found["system_uid"] == store.facts["system_uid"]
    assert {"default", "kube-system", "shop", "vms"} <= set(found["namespaces"])
    assert [node["name"] for node in found["nodes"]] == ["n1", "n2", "n3"]
    assert found["encrypted"] == {"aescbc": SECRETS}
    counts = {resource["name"]: resource["count"] for resource in document["resources"]}
    assert counts["kubevirt.io/virtualmachines"] == CUSTOM
    # the apiserver makes one of its own in kube-system
    assert counts["configmaps"] == SETTINGS + 1
    machines = _describe.entries(str(store.path), b"/registry/kubevirt.io/virtualmachines/", values=True)
    objects = [_objects.decode(entry.value) for entry in machines]
    assert {(item.kind, item.namespace, item.encoding) for item in objects} == {("VirtualMachine", "vms", "json")}
    assert {item.document["spec"]["note"] for item in objects if item.document} == {"größer"}


@pytest.mark.parametrize("page_size", [4096, 8192, 16384, 32768, 65536])
def test_pages_of_any_size_are_counted_as_bbolt_counts_them(tmp_path: Path, page_size: int) -> None:
    """etcd makes them as large as its machine's; here the unit tests' own builder does."""
    path = tmp_path / "db"
    entries = [(b"%017d" % number, bytes([number % 251]) * (number % 40 * 3000)) for number in range(1500)]
    builder.build(path, {b"key": entries, b"meta": [(b"a", b"b")]}, page_size)
    assert programs.bbolt_check(path) == ""
    ours, pages = read(path), programs.bbolt_pages(path)
    assert ours.structure.page_size == page_size
    assert (ours.structure.branch, ours.structure.leaf, ours.structure.overflow) == (
        pages["branch"], pages["leaf"], pages["overflow"])
    assert ours.revisions == entries
