# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are too small, read-only, or mounted where the datastore must be moved aside."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _places
from ansible_collections.requorum.cluster.plugins.module_utils._catalog import Row, Stored
from ansible_collections.requorum.cluster.plugins.module_utils._classify import classify
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from ansible_collections.requorum.cluster.plugins.module_utils._plan import backup_plan, make_plan
from ansible_collections.requorum.cluster.plugins.module_utils._restore import with_snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._server import Server
from tests.unit.cases import damaged, leaderless, stopped, voting, wiped

JSON = dict[str, Any]
MB = 10**6
DB, HOME, CONFIG = "/var/lib/rancher/rke2/server/db", "/var/lib/rancher/requorum", "/etc/rancher/rke2/config.yaml.d"
SIZE = 100 * MB
LOST = (leaderless("r1", store_bytes=SIZE), wiped("r2"), damaged("r3", store_bytes=SIZE))


def entry(name: str, *, free: int = 10_000 * MB, apart: int | None = None, ro: str = "", mounted: str = "") -> JSON:
    """apart: free bytes where our own folder is, when that is another file system. ro, mounted: a path."""
    mounts = {f"{DB}/etcd": "/", DB: "/", HOME: "/" if apart is None else "/var/lib/rancher/requorum", CONFIG: "/"}
    places = {
        path: {
            "free": apart if apart is not None and path == HOME else free,
            "mount": path if path == mounted else mount,
            "mounted": path == mounted,
            "read_only": path == ro,
        }
        for path, mount in mounts.items()
    }
    return {"name": name, "places": places}


def said(
    *entries: JSON,
    servers: tuple[Server, ...] = LOST,
    method: str = "auto",
    chosen: Row | None = None,
    free: int = 10_000 * MB,
    purpose: str = "recover",
) -> list[str]:
    case = classify(servers)
    case = with_snapshot(case, chosen) if chosen else case
    rke2 = DISTROS["rke2"]
    plan = (
        backup_plan(case, rke2, cluster="prod")
        if purpose == "backup"
        else make_plan(case, rke2, cluster="prod", agents=[], method=method, chosen=chosen)
    )
    assert plan.actions and not plan.refusals
    found = _places.refusals(plan, case, entries, folder="/out/prod/1", free=free)
    return [refusal.what for refusal in found]


R1, R2, R3 = entry("r1"), entry("r2"), entry("r3")
SMALL = "r1: / has {} free, and {} are needed there, for {}."
ROW = Row(Stored("controller", "", "/kept.db", 200 * MB, 1_764_000_000, 90), "usable", "the token opens it")
ZIP = Row(Stored("controller", "", "/kept.zip", 20 * MB, 1_764_000_000, 90), "usable", "the token opens it")
ON_R1 = Row(Stored("node", "r1", "/kept.db", 200 * MB, 1_764_000_000, 90), "usable", "the token opens it")
VOTING = tuple(voting(name, store_bytes=SIZE) for name in ("r1", "r2", "r3"))
NONE = (wiped("r1"), wiped("r2"), wiped("r3"))


@pytest.mark.parametrize(
    ("entries", "given", "words"),
    [
        ([R1, R2, R3], {}, []),
        ([{"name": "r1", "places": None}, R2, R3], {}, []),
        # 100 for the backup, 300 and the log (134) for what is restored
        ([entry("r1", free=535 * MB), R2, R3], {}, []),
        ([entry("r1", free=534 * MB), R2, R3], {},
         [SMALL.format("534.0 MB", "534.2 MB", "the backup, three times the datastore and its log")]),
        ([entry("r1", free=435 * MB, apart=101 * MB), R2, R3], {}, []),
        ([entry("r1", free=435 * MB, apart=99 * MB), R2, R3], {},
         ["r1: /var/lib/rancher/requorum has 99.0 MB free, and 100.0 MB are needed there, for the backup."]),
        ([R1, entry("r2", free=300 * MB), R3], {},
         ["r2: / has 300.0 MB free, and 334.2 MB are needed there, for twice the datastore and its log."]),
        # the snapshot that is chosen counts, not what lay there
        ([entry("r1", free=900 * MB), R2, R3], {"servers": NONE, "chosen": ROW},
         [SMALL.format("900.0 MB", "934.2 MB", "the snapshot, three times the datastore and its log")]),
        ([entry("r1", free=900 * MB), R2, R3], {"servers": NONE, "chosen": ON_R1}, []),
        ([entry("r1", free=450 * MB), R2, R3], {"servers": (wiped("r1"), wiped("r2"), LOST[2]), "chosen": ZIP},
         [SMALL.format("450.0 MB", "454.2 MB", "the snapshot, three times the datastore and its log")]),
        ([R1, R2, R3], {"free": 123 * MB}, ["/out/prod/1 has 123.0 MB free, and the backup takes 125.2 MB."]),
        ([R1, R2, R3], {"free": 200 * MB, "servers": NONE, "chosen": ON_R1},
         ["/out/prod/1 has 200.0 MB free, and the backup takes 225.2 MB."]),
        ([R1, R2, R3], {"free": 50 * MB, "servers": NONE, "chosen": ROW}, []),
        # read-only, each file system once; an agent must not hold a recovery up
        ([R1, R2, R3, entry("a1", ro=DB)], {}, []),
        ([R1, R2, entry("r3", ro=CONFIG)], {}, [f"r3: {CONFIG} lies on /, which is mounted read-only."]),
        ([entry("r1", ro=HOME, mounted=HOME), R2, R3], {},
         [f"r1: {HOME} lies on {HOME}, which is mounted read-only."]),
        # what is a mount of its own cannot be renamed; a mount above it may be
        ([entry("r1", mounted=f"{DB}/etcd"), R2, R3], {},
         [f"r1: {DB}/etcd is a mount of its own, and cannot be moved aside."]),
        ([entry("r1", mounted=f"{DB}/etcd"), R2, R3], {"method": "plain"}, []),
        ([R1, entry("r2", mounted=f"{DB}/etcd"), R3], {"method": "plain"},
         [f"r2: {DB}/etcd is a mount of its own, and cannot be moved aside."]),
        ([entry("r1", mounted=DB), entry("r2", mounted=DB), entry("r3", mounted=DB)], {}, []),
        # where nothing is reset
        ([entry("r1", free=99 * MB), R2, R3], {"servers": VOTING, "purpose": "backup"},
         [SMALL.format("99.0 MB", "100.0 MB", "the backup")]),
        ([R1, R2, entry("r3", mounted=f"{DB}/etcd")],
         {"servers": (stopped("r1"), stopped("r2"), stopped("r3"))}, []),
    ],
)  # fmt: skip
def test_what_a_plan_asks_of_disks(entries: list[JSON], given: JSON, words: list[str]) -> None:
    assert said(*entries, **given) == words
