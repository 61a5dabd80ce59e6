# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The overview of a fleet: what a row says of a diagnosis, what is unknown, the order, the faces, the exit code."""

from __future__ import annotations

import copy
import datetime
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _overview,
    _overview_html,
    _overview_text,
    _prometheus,
)
from tests.unit.diagnoses import MADE
from tests.unit.test_prometheus import read as samples

JSON = dict[str, Any]
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "overview.schema.json").read_text())
NOW, LATER = "2026-11-24T20:20:00Z", "2026-11-26T20:20:00Z"
HOUR = 3600
BEFORE = datetime.datetime.fromisoformat(NOW).timestamp() - 6 * HOUR
"""Unix seconds."""
NONE: JSON = {"complete": True, "kept": []}


def kept(time: float, **more: Any) -> JSON:
    return {"name": f"/b/{time:.0f}", "time": time, "proved": True, "off_node": True, **more}


def row(name: str = "healthy", cluster: str = "prod", backups: JSON = NONE, **verdict: Any) -> JSON:
    made = copy.deepcopy(MADE[name])
    made["cluster"] = cluster
    made["verdict"].update(verdict)
    if "severity" in verdict:
        made["findings"] = [{**MADE["lost"]["findings"][0], "severity": verdict["severity"], "summary": "It is so."}]
    return _overview.row(made, backups, f"/out/{cluster}/20261124T201500Z")


def overview(*rows: JSON, now: str = NOW, max_age: float = 86400, refused: Any = (), more: Any = ()) -> JSON:
    names = [each["cluster"] for each in rows]
    document = _overview.overview(rows, [*names, *more], refused, now, max_age)
    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(document)) == []
    return document


@pytest.mark.parametrize(
    ("made", "state"),
    [
        (row(), "healthy"),
        (row("lost"), "blocker"),
        (row("stuck"), "blocker"),
        (row(severity="info"), "healthy"),
        (row(severity="warning"), "warning"),
        (row(severity="error"), "error"),
        (row(severity="error", case="unknown"), "unknown"),
        (row(severity="warning", case="unknown"), "unknown"),
        (row(severity="blocker", case="unknown"), "blocker"),
        (row(case="member_lost"), "unknown"),  # a case that is not healthy, and no rule that says why
        (row(case="unknown"), "unknown"),
        (_overview.unread("prod", None, "It was never read."), "unknown"),
    ],
)
def test_state(made: JSON, state: str) -> None:
    assert made["state"] == state


def test_nothing_is_healthy_that_no_rule_could_be_asked_of() -> None:
    made = copy.deepcopy(MADE["healthy"]) | {"passed": []}
    assert _overview.row(made, NONE, "/r")["state"] == "unknown"


@pytest.mark.parametrize(
    ("backups", "known", "time"),
    [
        (NONE, True, None),
        ({"complete": True, "kept": [kept(BEFORE), kept(BEFORE - 5)]}, True, BEFORE),
        ({"complete": True, "kept": [kept(BEFORE), kept(BEFORE + 5, proved=False)]}, True, BEFORE),
        ({"complete": True, "kept": [kept(BEFORE, off_node=False)]}, True, None),
        ({"complete": False, "kept": [kept(BEFORE)]}, False, None),  # what was not read may hold a newer one
    ],
)
def test_backup(backups: JSON, known: bool, time: float | None) -> None:
    made = row(backups=backups)
    assert (made["backup"]["known"], made["backup"]["time"]) == (known, time)


@pytest.mark.parametrize(
    ("now", "max_age", "state"),
    [(NOW, 86400, "healthy"), (LATER, 86400, "unknown"), (LATER, 0, "healthy"), (LATER, 3 * 86400, "healthy")],
)
def test_an_old_look_says_nothing_about_now(now: str, max_age: float, state: str) -> None:
    [found] = overview(row(), now=now, max_age=max_age)["clusters"]
    assert found["state"] == state and found["age_s"] == (300 if now == NOW else 300 + 2 * 86400)
    assert ("so nobody knows how it is now" in found["sentence"]) == (state == "unknown")


def test_the_worst_first_and_none_is_left_out() -> None:
    rows = [row(cluster="well"), row("lost", "lost"), row(cluster="due", severity="warning"),
            row(cluster="bad", severity="error")]  # fmt: skip
    gone = row(cluster="gone")
    names = [*(each["cluster"] for each in rows), "new"]
    document = _overview.overview([*rows, gone], names, [{"name": "twice", "why": "2 clusters are called so."}], NOW, 0)
    assert [each["cluster"] for each in document["clusters"]] == ["lost", "new", "twice", "bad", "due", "well"]
    assert document["others"] == ["gone"] and document["totals"]["clusters"] == 6
    found = {each["cluster"]: each for each in document["clusters"]}
    assert found["new"]["sentence"] == "It was never read." and found["twice"]["report"] is None


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([row()], 0),
        ([row(), row(cluster="b", severity="warning")], 0),
        ([row(), row(cluster="b", case="unknown")], 1),
        ([row(cluster="b", case="unknown"), row(cluster="c", severity="error")], 4),
        ([row("lost")], 4),
        ([], 1),
    ],
)
def test_code(rows: list[JSON], code: int) -> None:
    assert _overview.code(overview(*rows)) == code


def test_text_has_what_needs_somebody_in_80_columns() -> None:
    rows = [
        row("lost", "lost", {"complete": True, "kept": [kept(BEFORE)]}),
        *(row(cluster=f"w{n}") for n in range(200)),
    ]
    text = _overview_text.text(overview(*rows))
    assert text.startswith("FLEET: 201 clusters: 1 blocker, 200 healthy;")
    assert "200 healthy, the oldest of these looks 5 min ago." in text and " w7 " not in text
    assert " w7 " in _overview_text.text(overview(*rows), everything=True)
    line = next(line for line in text.splitlines() if line.startswith("  lost"))
    assert line.split()[1:6] == ["blocker", "5", "min", "6", "h"]
    assert max(len(line) for line in text.splitlines() if "/" not in line) <= 80


def test_text_of_many_that_need_somebody() -> None:
    text = _overview_text.text(overview(*(row("lost", f"c{n:03}") for n in range(60))))
    assert "c049" in text and "c050" not in text and "10 more need somebody." in text


def test_the_page_is_escaped_and_masked() -> None:
    made = row("lost", "prod")
    made["sentence"] = "<script>alert(1)</script> token=K10abcdef0123456789::server:secretsecret"
    page = _overview_html.render(overview(made), "/out/_fleet")
    assert "<script>" not in page and "secretsecret" not in page
    assert 'href="../prod/20261124T201500Z/diagnosis.html"' in page
    assert 'href="' not in _overview_html.render(overview(made), "/elsewhere/_fleet")


def test_metrics_of_what_nobody_knows() -> None:
    document = overview(row(), row(cluster="blind", backups={"complete": False, "kept": []}), more=["new"],
                        refused=[{"name": "odd", "why": "It has no servers."}])  # fmt: skip
    found = samples(_prometheus.fleet(document))

    def of(name: str) -> set[str]:
        return {dict(labels)["cluster"] for labels in found[name]}

    assert of("requorum_up") == {"prod", "blind", "new", "odd"}
    assert of("requorum_findings") == of("requorum_collect_timestamp_seconds") == {"prod", "blind"}
    what = {(dict(labels)["cluster"], dict(labels)["what"]) for labels in found["requorum_unread"]}
    assert what == {("new", "cluster"), ("odd", "cluster"), ("blind", "backups")}
    assert "requorum_backup_timestamp_seconds" not in found
    cases = {dict(labels)["cluster"]: dict(labels)["case"] for labels in found["requorum_case"]}
    assert cases == {"prod": "healthy", "blind": "healthy", "new": "unknown", "odd": "unknown"}
