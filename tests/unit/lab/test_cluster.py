# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab's cluster is asked, without a lab."""

from __future__ import annotations

import json

import pytest

from lab.cluster import Cluster
from lab.progress import Done

STATUS = {"header": {"cluster_id": 8, "member_id": 9}, "leader": 9, "raftTerm": 2}


class Asked(Cluster):
    """Answers what a test says."""

    def __init__(self, answer: Done) -> None:
        self.answer, self.calls = answer, list[tuple[str, ...]]()

    def etcdctl(self, host: str, *args: str, timeout: float = 10) -> Done:
        self.calls.append((host, *args))
        return self.answer


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (Done(0, json.dumps([{"Endpoint": "https://127.0.0.1:2379", "Status": STATUS}]), ""), STATUS),
        (Done(1, "[]", "context deadline exceeded"), {}),
        (Done(124, "", ""), {}),
    ],
    ids=["it answers", "no answer", "no time left"],
)
def test_an_etcd_tells_its_own_status(answer: Done, status: dict[str, object]) -> None:
    cluster = Asked(answer)
    assert cluster.endpoint("r1") == status
    assert cluster.calls == [("r1", "endpoint", "status", "-w", "json")]
