# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VERIFY waits a little for an API server that writes itself in again, and judges what it saw last."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action.cluster_verify import ActionModule
from ansible_collections.requorum.cluster.plugins.module_utils import _node


class Verify(ActionModule):
    """On r1, whose API tells these endpoints one after another."""

    def __init__(self, *seen: list[str]) -> None:
        self.host, self.seen, self.asked = "r1", list(seen), 0
        servers = [{"address": f"10.0.0.{n}", "need": "nothing"} for n in (1, 2)]
        self.plan = {"servers": [*servers, {"address": "10.0.0.3", "need": "stays_off"}]}

    def script(self, name: str, *, stdin: bytes | None = None, timeout: int = 60, **given: str) -> _node.Done:
        self.asked += 1
        found = self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]
        slices = {"endpoints": [{"addresses": found}]}
        return _node.Done(0, "\n".join(["5", '{"items": []}', json.dumps(slices), '{"items": []}']), "")

    def timeout(self, name: str, default: float) -> float:
        return 0.6

    def say(self, text: str) -> None:
        pass


BOTH, ONE = ["10.0.0.1", "10.0.0.2"], ["10.0.0.1"]


@pytest.mark.parametrize(
    ("read", "later", "asked", "judged"),
    [(BOTH, [ONE], 0, BOTH), (ONE, [ONE, BOTH], 2, BOTH), (ONE, [ONE], 3, ONE)],
    ids=["all there", "one comes back", "one stays away"],
)
def test_endpoints(read: list[str], later: list[list[str]], asked: int, judged: list[str]) -> None:
    entry: dict[str, Any] = {"reachable": True, "api": {"endpoints": read}}
    action = Verify(*later)
    action._endpoints(entry)
    assert entry["api"]["endpoints"] == judged
    assert action.asked == asked
