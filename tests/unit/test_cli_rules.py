# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum rules`: list, show and test, ours and those of a site."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _rules
from requorum import cli
from tests.unit.diagnoses import FOLDER

JSON = dict[str, Any]
SITE: JSON = {
    "id": "site_rule",
    "title": "{name} has no rack.",
    "severity": "warning",
    "cause": "",
    "action": "kubectl label node {name} rack=1",
    "over": "nodes",
    "needs": ["labels"],
    "when": "labels.rack == null",
    "not": {"no_zone": "A zone is no rack."},
    "test": {"fires": {"nodes": [{"name": "r1", "labels": {}}]},
             "misses": {"nodes": [{"name": "r1", "labels": {"rack": "1"}}]}},
}  # fmt: skip


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other rules in place of ours."""
    monkeypatch.setattr(_rules, "OURS", FOLDER)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "site.yaml").write_text(yaml.safe_dump([SITE]))
    return tmp_path


def change(site: Path, **more: Any) -> None:
    (site / "site.yaml").write_text(yaml.safe_dump([SITE | more]))


def test_list(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "list", "--rules", str(site)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "warning   site_rule" in "\n".join(lines) and "{name} has no rack." in "\n".join(lines)
    assert lines[-1].startswith(f"{len(_rules.load()) + 1} rules: ")


def test_list_as_json_is_how_rules_are_written(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "list", "--rules", str(site), "--json"]) == 0
    listed = {rule["id"]: rule for rule in json.loads(capsys.readouterr().out)["rules"]}
    shown = listed["site_rule"]
    assert {key: shown[key] for key in SITE} == SITE
    assert shown["file"] == f"{site}/site.yaml" and {rule.id for rule in _rules.load()} < set(listed)


@pytest.mark.usefixtures("three")
def test_show(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "show", "site_rule", "--rules", str(site)]) == 0
    out = capsys.readouterr().out
    for words in ("labels.rack == null", "not no_zone  A zone is no rack.", "kubectl label node {name}", str(site)):
        assert words in out, words
    assert cli.main(["rules", "show", "etcd_lost_leader"]) == 0
    assert "cleared by  elected leader" in capsys.readouterr().out


@pytest.mark.usefixtures("three")
def test_show_one_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "show", "lost_leader"]) == 2
    assert "There is etcd_lost_leader" in capsys.readouterr().err
    assert cli.main(["rules", "show", "zzz"]) == 2
    assert "rules list" in capsys.readouterr().err


def test_ours_pass_their_tests(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rules", "test"]) == 0
    assert capsys.readouterr().out.endswith("0 of them fail.\n")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"when": "`true`"}, "fires over `misses`"),
        ({"when": "labels.rack == 'x'"}, "does not fire"),
        ({"explains": ["no_such_rule"]}, "there is no such rule"),
    ],
)
def test_one_that_fails(more: JSON, said: str, site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(site, **more)
    assert cli.main(["rules", "test", "--rules", str(site)]) == 4
    assert "site_rule" in (out := capsys.readouterr().out) and said in " ".join(out.split())
    assert cli.main(["rules", "test", "--rules", str(site), "--json"]) == 4
    faults = {rule["id"]: rule["faults"] for rule in json.loads(capsys.readouterr().out)["rules"]}
    assert said in faults.pop("site_rule")[0] and not any(faults.values())


@pytest.mark.parametrize("verb", [["list"], ["show", "site_rule"], ["test"]])
def test_one_that_cannot_be_read(verb: list[str], site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(site, severity="bad")
    assert cli.main(["rules", *verb, "--rules", str(site)]) == 1
    assert f"{site}/site.yaml: rule site_rule: severity is one of" in capsys.readouterr().err
    assert cli.main(["rules", *verb, "--rules", f"{site}/nowhere"]) == 1
