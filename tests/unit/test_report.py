# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report: its schema, the HTML page, the same page in a browser, and the terminal's summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ansible_collections.requorum.cluster.plugins.module_utils._report_chart import chart
from ansible_collections.requorum.cluster.plugins.module_utils._report_html import render
from ansible_collections.requorum.cluster.plugins.module_utils._report_text import summary
from ansible_collections.requorum.cluster.plugins.module_utils._report_words import duration, size, steps
from tests.unit import pages

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {path.stem.removeprefix("report-"): path for path in (Path(__file__).parent / "data").glob("report-*.json")}
SCHEMA = json.loads((ROOT / "docs" / "report.schema.json").read_text())
TOKEN = "K10" + "0123456789abcdef" * 4 + "::server:sekret123"


def load(name: str) -> dict[str, Any]:
    return dict(json.loads(EXAMPLES[name].read_text()))


def problems(report: dict[str, Any]) -> list[str]:
    validator = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(report)]


# --- schema ---

def test_schema_is_a_schema_and_describes_every_top_field() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [name for name, entry in SCHEMA["properties"].items() if "description" not in entry] == []
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"])


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_are_valid(name: str) -> None:
    assert problems(load(name)) == []


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(report: dict[str, Any]) -> None:
        place: Any = report
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = to
    return change


@pytest.mark.parametrize(("change", "where"), [
    (_set("schema", to=2), "$.schema"),
    (_set("token", to=TOKEN), "$"),
    (_set("run", "mode", to="dry"), "$.run.mode"),
    (_set("run", "started", to="yesterday"), "$.run.started"),
    (_set("run", "plan_id", to="3F9AC0D81B27"), "$.run.plan_id"),
    (_set("verdict", "case", to="quorum_maybe"), "$.verdict.case"),
    (_set("verdict", "sentence", to=""), "$.verdict.sentence"),
    (_set("findings", 0, "severity", to="bad"), "$.findings[0].severity"),
    (_set("loss", "revisions", to=-1), "$.loss.revisions"),
    (_set("plan", 0, "started", to=None), "$.plan[0]"),
    (_set("actions", 0, "result", to=""), "$.actions[0].result"),
    (_set("actions", 0, "stdout", to="x"), "$.actions[0]"),
    (_set("actions", 0, "phase", to=10), "$.actions[0].phase"),
    (_set("members", "before", 0, "role", to="follower"), "$.members.before[0].role"),
    (_set("members", "before", 0, "id", to=12201987836031469614), "$.members.before[0].id"),
    (_set("backup", "sha256", to="abc"), "$.backup.sha256"),
    (_set("timeline", 0, "node", to=""), "$.timeline[0].node"),
    (_set("checks", 0, "ok", to="yes"), "$.checks[0].ok"),
    (lambda report: report.pop("refusals"), "$"),
    (lambda report: report["actions"][0].pop("seconds"), "$.actions[0]"),
])
def test_schema_refuses(change: Callable[[dict[str, Any]], None], where: str) -> None:
    report = load("recovered")
    change(report)
    assert [problem for problem in problems(report) if problem.startswith(f"{where}:")]


# --- page ---

@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_page_says_everything_and_fetches_nothing(name: str) -> None:
    report = load(name)
    page = pages.Page(render(report))
    for text in (report["verdict"]["sentence"], report["verdict"]["next"], report["cluster"],
                 *(finding["summary"] for finding in report["findings"]), *(entry["path"] for entry in report["kept"]),
                 *(action["undo"] for action in report["plan"]), *(check["name"] for check in report["checks"]),
                 *(refusal["what"] for refusal in report["refusals"])):
        assert text is None or text in page.text
    assert page.requests() == []
    assert not {"script", "iframe", "object", "embed", "link", "img", "base", "form"} & set(page.tags)


def test_verdict_comes_first_and_identifiers_last() -> None:
    html = render(load("refused"))
    places = [html.index(text) for text in ("<h1>", 'class="command"', 'id="refused"', 'id="wrong"', 'id="cost"',
                                            'id="timeline"', 'id="members"', 'id="actions"', 'id="kept"',
                                            'id="identifiers"')]
    assert places == sorted(places)


@pytest.mark.parametrize("poison", ["<script>alert(1)</script>", '"><img src=http://x.invalid onerror=alert(1)>',
                                    "'><svg onload=alert(1)>", "{{ 7 * 7 }}", "</style><b>", "</title><b>"])
@pytest.mark.parametrize("name", ["recovered", "failed", "refused"])
def test_page_escapes_every_text(name: str, poison: str) -> None:
    clean, page = pages.Page(render(load(name))), pages.Page(render(pages.poisoned(load(name), poison)))
    assert set(page.tags) <= set(clean.tags) | {"title"}
    assert not [name for _tag, name, _value in page.attributes if name.startswith("on")]
    assert page.requests() == []
    assert poison in page.text or " ".join(poison.split()) in page.text


def test_page_and_summary_never_show_a_token() -> None:
    report = load("failed")
    report["findings"][0]["evidence"] += [TOKEN, "token: sekret123", "client-key-data: LS0tLS1CRUdJTiBFQyBQUklWQVRF"]
    report["run"]["command"] = "ansible-playbook recover.yml -e token=sekret123"
    for text in (render(report), summary(report)):
        assert "sekret123" not in text
        assert "0123456789abcdef" not in text
        assert "LS0tLS1" not in text


@pytest.mark.parametrize("missing", sorted(set(SCHEMA["properties"]) - {"verdict", "cluster"}))
def test_page_is_written_whatever_is_missing(missing: str) -> None:
    report = load("recovered")
    del report[missing]
    assert report["verdict"]["sentence"] in render(report)


def test_page_of_a_run_that_read_nothing() -> None:
    report = load("refused")
    report.update(distro=None, version=None, survivor=None, plan=[], phases=[], timeline=[], findings=[],
                  members={"before": [], "after": []})
    report["verdict"].update(case="unknown", next=None)
    assert problems(report) == []
    page = pages.Page(render(report))
    assert "svg" not in page.tags
    assert "nothing that you have to do" not in page.text
    assert summary(report).startswith("=" * 80 + "\nREFUSED: prod\n")


def test_failed_action_and_those_not_reached_are_told_apart() -> None:
    report = load("failed")
    assert [step["state"] for step in steps(report)][-3:] == ["failed", "not_done", "not_done"]
    report["actions"][0]["result"] = "revision 81734, 4106 pages"
    text = pages.Page(render(report)).text
    assert "Outcome: revision 81734, 4106 pages" in text
    assert "✕ failed" in text and "40118 entries behind after 180 s" in text and "not done" in text


# --- chart ---

def test_chart_has_a_row_per_node_in_the_order_of_the_members() -> None:
    drawn = chart(load("recovered"))
    assert drawn is not None
    assert [row["label"] for row in drawn["rows"]] == ["r1", "r2", "r3", "a1", "controller"]
    assert [band["number"] for band in drawn["bands"]] == list(range(1, 10))
    assert drawn["point"] == {"x": pytest.approx(52.3 / 112.6 * 100, abs=0.01), "label": "0:52"}
    for row in drawn["rows"]:
        for bar in row["bars"]:
            assert 0 <= bar["x"] <= 100 and bar["width"] >= 0.5
            assert row["y"] < bar["y"] < drawn["bottom"]


def test_chart_stacks_what_overlaps_and_lays_waits_into_their_bar() -> None:
    report = load("recovered")
    report["timeline"] = [
        {"phase": 7, "node": "r2", "started": f"2026-11-24T02:14:{a:02}Z", "ended": f"2026-11-24T02:14:{b:02}Z",
         "what": what, "status": status}
        for a, b, what, status in ((10, 30, "a", "ok"), (20, 40, "b", "ok"), (31, 50, "c", "ok"),
                                   (21, 39, "w", "waited"))]
    drawn = chart(report)
    assert drawn is not None
    bars = {bar["what"]: bar for bar in drawn["rows"][0]["bars"]}
    assert (bars["a"]["lane"], bars["b"]["lane"], bars["c"]["lane"], bars["w"]["lane"]) == (0, 1, 0, 1)


@pytest.mark.parametrize(("seconds", "text"), [(None, "not known"), (0, "0 s"), (4.25, "4.2 s"), (9.99, "10 s"),
                                               (42.4, "42 s"), (60, "1 min"), (112.6, "1 min 53 s"),
                                               (3720, "1 h 2 min")])
def test_duration(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(None, "not known"), (312, "312 bytes"), (16818208, "16.8 MB"),
                                             (2_000_000_000_000, "2.0 TB")])
def test_size(count: int | None, text: str) -> None:
    assert size(count) == text


# --- terminal ---

@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_summary_fits_80_columns_without_colour(name: str) -> None:
    text = summary(load(name), "recoveries/prod/20261124T021407Z/")
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text
    assert text.endswith("\n  recoveries/prod/20261124T021407Z/timeline.jsonl\n")


def test_summary_of_a_plan_tells_why_cost_undo_and_the_command() -> None:
    text = summary(load("planned"))
    for part in ("PLAN ONLY, NOTHING WAS CHANGED: prod (RKE2 v1.34.3+rke2r1)", "Why: A member that joins must start",
                 "WHAT WOULD BE LOST", "Nothing is deleted", "  undo fence-r2: systemctl enable --now rke2-server"):
        assert part in text
    command = text.partition("NEXT\n")[2].replace("\\\n", "").split()
    assert " ".join(command) == load("planned")["verdict"]["next"]


def test_summary_lists_only_the_checks_that_did_not_pass() -> None:
    text = summary(load("failed"))
    assert "CHECKS: 1 of 4 passed" in text
    assert "- learners: wanted 0, observed 1" in text
    assert "alarms" not in text


# --- browser ---

class TestBrowser:
    """The page as a browser sees it."""

    pytestmark = pages.browser

    @pytest.mark.parametrize("name", sorted(EXAMPLES))
    def test_opens_without_errors_and_without_requests(self, name: str, tmp_path: Path) -> None:
        report = load(name)
        visit = pages.Visit(render(report), tmp_path / "visit")
        page = pages.Page(visit.dom)
        assert report["verdict"]["sentence"] in page.text
        assert "Identifiers" in page.text
        assert visit.console == []
        assert visit.asked == []
        assert visit.shot.read_bytes().startswith(b"\x89PNG")

    def test_sees_errors_and_requests_when_there_are_any(self, tmp_path: Path) -> None:
        visit = pages.Visit("<p>x</p><img src='http://requests.invalid/a.png'><script>console.error('seen')</script>",
                      tmp_path / "visit")
        assert any("seen" in line for line in visit.console)
        assert visit.asked == ["http://requests.invalid/a.png"]
