# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Nodes report now."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _kubernetes

NOW = 1795511600


def node(name: str, ready: str = "True") -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {}}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def lease(name: str, age: float) -> dict[str, Any]:
    moment = datetime.datetime.fromtimestamp(NOW - age, datetime.UTC)
    return {
        "metadata": {"name": name},
        "spec": {"renewTime": moment.isoformat(timespec="microseconds").replace("+00:00", "Z")},
    }


def out(nodes: list[dict[str, Any]], leases: list[dict[str, Any]]) -> str:
    points = {"endpoints": [{"addresses": ["10.89.0.22"]}, {"addresses": ["10.89.0.21"]}]}
    return "\n".join([str(NOW), json.dumps({"items": nodes}), json.dumps(points), json.dumps({"items": leases})]) + "\n"


def test_ready_needs_a_fresh_lease() -> None:
    """After a recovery the API shows Nodes as they were last seen: Ready alone says nothing."""
    found = _kubernetes.parse(
        out(
            [node("r1"), node("r2"), node("r3"), node("a1", "Unknown"), node("a2")],
            [lease("r1", 3), lease("r2", 400), lease("a1", 2), lease("a2", 39.9)],
        )
    )
    assert found is not None
    assert found.ready == {"r1", "a2"}
    assert found.silent == {"r2": "its kubelet reported 400 s ago", "r3": "its kubelet has no Lease", "a1": "not Ready"}
    assert found.endpoints == ("10.89.0.21", "10.89.0.22")


def test_lease_from_a_clock_that_is_ahead_is_fresh() -> None:
    found = _kubernetes.parse(out([node("r1")], [lease("r1", -20)]))
    assert found is not None and found.ready == {"r1"}


WHOLE = out([node("r1")], [lease("r1", 1)])


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{NOW}\n",
        "\n".join(WHOLE.split("\n")[:3]),
        WHOLE.replace(str(NOW), "today"),
        WHOLE[:-9],
        f"{NOW}\nx\ny\nz\n",
    ],
)
def test_half_an_answer_is_none(text: str) -> None:
    assert _kubernetes.parse(text) is None


def test_cluster_without_leases_and_endpoints() -> None:
    found = _kubernetes.parse(f'{NOW}\n{json.dumps({"items": [node("r1")]})}\n{{"endpoints":null}}\n{{"items":[]}}\n')
    assert found is not None and (found.ready, found.endpoints) == (frozenset(), ())


@pytest.mark.parametrize(
    ("renewed", "age"), [(None, None), ("", None), ("soon", None), ("2026-11-24T09:13:10.000000Z", 10.0)]
)
def test_lease_age(renewed: str | None, age: float | None) -> None:
    assert _kubernetes.lease_age(renewed, NOW) == age
