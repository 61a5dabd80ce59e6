# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule by the test that it carries, and what a rule may not be."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _evaluate, _jmes, _rule_tests, _rules
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

RULES = _rules.load()
GOOD: dict[str, Any] = {
    "id": "a_rule",
    "title": "{name} is wrong.",
    "severity": "error",
    "cause": "",
    "action": "",
    "over": "nodes",
    "needs": ["etcd.status"],
    "when": "etcd.status.term > `1`",
    "test": {"fires": {"nodes": [{"name": "r1", "etcd": {"status": {"term": 2}}}]},
             "misses": {"nodes": [{"name": "r1", "etcd": {"status": {"term": 1}}}]}},
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_it_fires_where_it_should_and_not_at_a_near_miss(rule: _rules.Rule) -> None:
    assert _rule_tests.faults(rule) == []


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_what_it_names_is_there(rule: _rules.Rule) -> None:
    known = {each.id for each in RULES}
    assert {name for name in (*rule.explains, *rule.contradicts) if "*" not in name} <= known
    assert rule.title.endswith(".") and "\n" not in rule.title


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"when": "etcd..x"}, "etcd..x"),
        ({"needs": []}, "needs"),
        ({"severity": "bad"}, "severity"),
        ({"colour": "red"}, "colour"),
        ({"test": {"fires": {}}}, "near miss"),
        ({"when": "", "logs": {"source": "moon", "pattern": "x"}}, "moon"),
        ({"when": "", "logs": {"source": "etcd", "pattern": "("}}, "unterminated"),
        ({"when": "", "predicate": "nobody"}, "nobody"),
        ({"forbids": ["everything"]}, "everything"),
        ({"applies": {"harvester": "1.3"}}, "1.3"),
        ({"title": "{a..b}"}, "a..b"),
        ({"id": "No-Leader"}, "no_leader"),
    ],
)
def test_a_rule_that_is_none(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(yaml.safe_dump([GOOD | change]))
    with pytest.raises(RequorumError) as error:
        _rules.load(tmp_path)
    assert said in str(error.value) and str(tmp_path) in str(error.value)


def test_rules_of_a_site_stand_beside_ours(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(yaml.safe_dump([GOOD]))
    assert {rule.id for rule in _rules.load(tmp_path)} - {rule.id for rule in RULES} == {"a_rule"}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump([GOOD]))
    with pytest.raises(RequorumError, match="a rule of this id"):
        _rules.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"when": "`false`"}, "does not fire"),
        ({"when": "`true`"}, "fires over `misses`"),
        ({"needs": ["etcd.status.nothing"]}, "does not fire"),
        ({"needs": ["etcd.status"], "when": "!etcd || etcd.status.term == `2`"}, ""),
    ],
)
def test_a_test_that_fails_is_found(change: dict[str, Any], said: str) -> None:
    faults = _rule_tests.faults(_rules.made(GOOD | change))
    assert said in "; ".join(faults) if said else not faults


DOCS = Path(__file__).resolve().parents[2] / "docs" / "rules.md"


def test_every_field_source_and_function_is_documented() -> None:
    text = DOCS.read_text()
    fields = {each.name.rstrip("_") for each in dataclasses.fields(_rules.Rule)} - {"file"}
    keys = {each.name for each in dataclasses.fields(_rules.Logs)}
    functions = {name.removeprefix("_func_") for name in vars(_jmes._Functions) if name.startswith("_func_")}
    words = {*fields, *keys, *_rules.SOURCES, *_rules.SEVERITIES}
    assert {word for word in words if f"`{word}`" not in text} == set()
    assert {name for name in functions if f"`{name}(" not in text} == set()
    assert {word for word in _rules.OPERATIONS[1:] if word not in text} == set()


def test_the_rules_in_the_docs_are_rules() -> None:
    for block in DOCS.read_text().split("```yaml\n")[1:]:
        for entry in yaml.safe_load(block.partition("```")[0]):
            assert _rule_tests.faults(_rules.made(entry)) == []


@pytest.mark.parametrize("rule", RULES, ids=[rule.id for rule in RULES])
def test_its_texts_hold_no_object(rule: _rules.Rule) -> None:
    """As when an item has a key `state`, which an expression takes for the whole document."""
    state = _rule_tests.filled(rule, rule.test["fires"])
    for found in _evaluate.ask(rule, state).found:
        texts = [_jmes.filled(each, found.item, state) for each in (rule.title, rule.cause, rule.action)]
        assert not [text for text in (*texts, *found.evidence) if "{'" in text]
