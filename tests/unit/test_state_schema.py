# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents that are made, and those that rules are tested with, are those of docs/state.schema.json."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _diagnose, _rules, _scan, _seen, _state
from tests.unit import runs

JSON = dict[str, Any]
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "state.schema.json").read_text())
NOW = "2026-11-24T20:15:00Z"
RULES = _rules.load()
LINE = b'{"ts":"2026-11-24T20:14:00.000000Z","msg":"raft.node: 91 lost leader 82 at term 3"}\n'
LOGS: tuple[_seen.Log, ...] = (("r1", "etcd", "etcd.log", [LINE]), (None, "rancher", "rancher.log", [b"nothing\n"]))
ANSWER = "@@ about 0\n hostname=r9\n uid=0\n@@ program 1\n neither rke2 nor k3s is installed here\n@@ done 0\n"


def problems(document: JSON) -> list[str]:
    checker = jsonschema.Draft202012Validator(SCHEMA)
    return [f"{error.json_path}: {error.message[:200]}" for error in checker.iter_errors(document)]


def seen(*entries: JSON) -> JSON:
    """As inspect.yml has it, with logs."""
    servers = [entry["name"] for entry in entries if not entry["name"].startswith("a")]
    objects: dict[str, Any] = {
        "nodes": [{"metadata": {"name": "r1"}}],
        "volumes": None,
        "pods": "no API server answers",
    }
    state = _seen.live("prod", copy.deepcopy(entries), servers, objects, NOW)
    return _seen.with_logs(state, LOGS, _scan.patterns(RULES))


@pytest.mark.parametrize(
    "entries",
    [
        runs.HEALTHY["nodes"],
        runs.DRILL["nodes"],
        [runs.entry("rebooted"), runs.dead("r2"), runs.entry("healthy", "r3") | {"name": "a1"}],
        [_state.node("r9", "10.0.0.9", ANSWER, received=0.0)],
        [],
    ],
    ids=["healthy", "drill", "rebooted", "bare", "nobody"],
)
def test_documents(entries: list[JSON]) -> None:
    state = seen(*entries)
    assert problems(state) == []
    viewed, _case = _diagnose.viewed(state)
    assert problems(viewed) == []
    assert problems(json.loads(json.dumps(_state.cluster("prod", entries)))) == []


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"colour": 1}, "$"),
        ({"distro": "talos"}, "$.distro"),
        ({"time": 5}, "$.time"),
        ({"nodes": [{"name": "r1", "reachable": True, "unread": {}, "colour": 1}]}, "$.nodes[0]"),
        ({"nodes": [{"name": "r1", "reachable": True, "unread": {}, "disk": {"used": 5}}]}, "$.nodes[0].disk"),
        ({"hits": [{}]}, "$.hits[0]"),
    ],
)
def test_what_is_no_state(change: JSON, where: str) -> None:
    assert any(problem.startswith(f"{where}: ") for problem in problems({**seen(), **change}))


def strange(value: Any, schema: JSON, path: str = "") -> Iterator[str]:
    """Paths that the schema does not know."""
    schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    schema = next((each for each in schema.get("oneOf", ()) if "$ref" in each), schema)
    schema = SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if isinstance(value, list):
        for each in value:
            yield from strange(each, schema.get("items", {}), f"{path}[]")
    if isinstance(value, dict) and ("properties" in schema or isinstance(schema.get("additionalProperties"), dict)):
        for key, each in value.items():
            if key in schema.get("properties", {}):
                yield from strange(each, schema["properties"][key], f"{path}.{key}")
            elif isinstance(schema.get("additionalProperties"), dict):
                yield from strange(each, schema["additionalProperties"], f"{path}.{key}")
            else:
                yield f"{path}.{key}"


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_a_rule_is_tested_with_what_is_read(rule: _rules.Rule) -> None:
    for given in (rule.test["fires"], rule.test["misses"]):
        assert list(strange({key: value for key, value in given.items() if key != "logs"}, SCHEMA)) == []


def test_what_a_rule_made_up_is_found() -> None:
    made_up = {"nodes": [{"name": "r1", "colour": 1, "disk": {"used": 1}, "files": {"/x": {"size": 1}}}], "moon": {}}
    assert sorted(strange(made_up, SCHEMA)) == [
        ".moon",
        ".nodes[].colour",
        ".nodes[].disk.used",
        ".nodes[].files./x.size",
    ]
