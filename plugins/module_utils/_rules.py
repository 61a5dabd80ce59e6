# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Rules of the diagnosis: what rules/*.yaml hold, read and checked.

A rule says what to look at (`over`), what must be known of it (`needs`) and what is wrong (`when`, `logs`,
`predicate`); the rest are words, and docs/rules.md explains them. Every rule carries a state in which it fires and a
near miss.
"""

from __future__ import annotations

import functools
import re
import typing as t
from dataclasses import dataclass, field, fields
from pathlib import Path

from . import _jmes, _predicates, _yaml
from ._errors import RequorumError

JSON = dict[str, t.Any]
OURS = Path(__file__).parents[2] / "rules"
SEVERITIES = ("blocker", "error", "warning", "info")
OPERATIONS = ("collect", "backup", "start", "rejoin", "reset", "restore", "rotate", "purge", "upgrade")
SOURCES = (
    *("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "rke2-server", "rke2-agent", "k3s"),
    *("k3s-agent", "kubelet", "containerd", "rancherd", "rancher-system-agent", "kernel", "network", "iscsid"),
    *("console", "capi", "rancher", "fleet-agent", "fleet-controller", "harvester", "harvester-webhook"),
    *("longhorn-manager", "upgrade-job", "suc", "virt", "other"),
)
"""Words for the programs whose logs are read."""
OF_SERVERS = frozenset(SOURCES[: SOURCES.index("rke2-server") + 1]) | {"k3s"}
"""Each server has one of the last two; of a server of RKE2 each one."""
OF_HOSTS = OF_SERVERS | {"rke2-agent", "k3s-agent", "kubelet", "containerd", "kernel"}
"""Logs that each host of a kind has."""
OF_RANCHER = frozenset({
    *("rancher", "capi", "fleet-agent", "fleet-controller", "harvester", "harvester-webhook", "suc", "upgrade-job"),
    *("longhorn-manager", "virt", "rancherd", "rancher-system-agent"),
})  # fmt: skip
"""Programs of Rancher and Harvester; elsewhere nobody misses their logs."""


@dataclass(frozen=True)
class Logs:
    """Lines that a rule looks for."""

    source: tuple[str, ...]
    pattern: str
    """Regular expression within one line."""
    within: float | None = None
    """Minutes before the end of what was read; None: at any time."""
    count: int = 1
    """So many lines on one node, at least."""
    cleared_by: str = ""
    """A line that says that it is over."""


@dataclass(frozen=True)
class Rule:
    """One rule; texts may hold {expressions} over the item."""

    id: str
    title: str
    severity: str
    cause: str
    action: str
    test: JSON
    over: str = ""
    node: str = ""
    needs: tuple[str, ...] = ()
    when: str = ""
    logs: Logs | None = None
    predicate: str = ""
    applies: t.Mapping[str, t.Any] = field(default_factory=dict)
    evidence: tuple[str, ...] = ()
    forbids: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    contradicts: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    not_: t.Mapping[str, str] = field(default_factory=dict)
    """Look-alikes, and how they are told apart."""
    file: str = ""

    def suits(self, state: JSON) -> bool:
        """Whether it is about such a cluster; what is not known of one is no reason to leave a rule out.

        What nobody has wished for (`wish`) is not asked.
        """
        if self.applies.get("wish") and not _jmes.search(self.applies["wish"], state, state):
            return False
        release = (state.get("harvester") or {}).get("version")
        names = {state.get("distro")} | ({"harvester"} if state.get("harvester") else set())
        wanted = self.applies.get("distro")
        if wanted and names != {None} and not names & set(wanted):
            return False
        version = next((entry["version"] for entry in state["nodes"] if entry.get("version")), None)
        return _within(self.applies.get("harvester"), release) and _within(self.applies.get("kubernetes"), version)


_TUPLES = {"needs", "evidence", "forbids", "explains", "contradicts", "references"}
_LIMIT = re.compile(r"(>=|<=|>|<|==)v?(\S+)$")


def _within(limits: str | None, version: str | None) -> bool:
    at = _jmes.number(version)
    if at is None:
        return True
    for word in (limits or "").split():
        sign, bound = _limit(word)
        if not {">=": at >= bound, "<=": at <= bound, ">": at > bound, "<": at < bound, "==": at == bound}[sign]:
            return False
    return True


def _limit(word: str) -> tuple[str, float]:
    found = _LIMIT.match(word)
    bound = _jmes.number(found[2]) if found else None
    if found is None or bound is None:
        raise ValueError(f"{word} is no limit such as >=1.3.1")
    return found[1], bound


def load(*folders: Path) -> tuple[Rule, ...]:
    """Ours, then those of other folders; RequorumError names file, rule and fault."""
    rules = dict(_shipped(OURS))
    for folder in folders:
        _add(rules, folder)
    return tuple(rules.values())


@functools.cache  # a run never changes them, and reading them takes a third of a second
def _shipped(folder: Path) -> dict[str, Rule]:
    return _add({}, folder)


def _add(rules: dict[str, Rule], folder: Path) -> dict[str, Rule]:
    if not folder.is_dir():
        raise RequorumError(f"{folder} is no folder.", "Name one that holds rules as *.yaml (docs/rules.md).")
    for path in sorted(folder.glob("*.yaml")):
        for rule in read(path):
            if rule.id in rules:
                raise _bad(path, rule.id, f"{rules[rule.id].file} has a rule of this id")
            rules[rule.id] = rule
    return rules


def read(path: Path) -> list[Rule]:
    """The rules of one file."""
    try:
        found = _yaml.load(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _bad(path, "-", str(error)) from error
    if not isinstance(found, list):
        raise _bad(path, "-", "it holds no list of rules")
    return [_rule(path, entry) for entry in found]


def _rule(path: Path, entry: t.Any) -> Rule:
    ident = str(entry.get("id")) if isinstance(entry, dict) else str(entry)
    try:
        rule = made(entry, str(path))
        faults = list(_faults(rule))
    except (TypeError, ValueError, KeyError, AttributeError, re.error) as error:
        faults = [str(error)]
    if faults:
        raise _bad(path, ident, "; ".join(faults))
    return rule


def made(entry: JSON, file: str = "") -> Rule:
    """A rule out of its YAML; TypeError or ValueError for what is no rule."""
    given = {("not_" if key == "not" else key): value for key, value in entry.items()}
    known = {each.name for each in fields(Rule)} - {"file"}
    if strange := set(given) - known:
        raise ValueError(f"it has no field {', '.join(sorted(strange))}")
    for name in _TUPLES & set(given):
        given[name] = _words(given[name])
    if "logs" in given:
        logs = dict(given["logs"])
        given["logs"] = Logs(**{**logs, "source": _words(logs["source"])})
    return Rule(**given, file=file)


def _words(value: t.Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(map(str, value))


def _faults(rule: Rule) -> t.Iterator[str]:
    """What is wrong with a rule, as far as it can be said without a cluster."""
    if not re.fullmatch(r"[a-z][a-z0-9_]+", rule.id):
        yield "an id is of the form no_leader"
    if rule.severity not in SEVERITIES:
        yield f"severity is one of {', '.join(SEVERITIES)}"
    if (rule.predicate and rule.when) or not (rule.predicate or rule.when or rule.logs):
        yield "it needs `when`, `logs` or `predicate`"
    if rule.predicate and rule.predicate not in _predicates.NAMED:
        yield f"there is no predicate {rule.predicate}"
    if rule.when and not rule.needs:
        yield "`needs` says what must be known before `when` is asked"
    if strange := set(rule.forbids) - set(OPERATIONS):
        yield f"`forbids` names {', '.join(strange)}, and there are {', '.join(OPERATIONS)}"
    if rule.logs:
        if strange := set(rule.logs.source) - set(SOURCES):
            yield f"there is no log source {', '.join(strange)}"
        for pattern in filter(None, (rule.logs.pattern, rule.logs.cleared_by)):
            re.compile(pattern.encode())
    if strange := set(rule.applies) - {"distro", "harvester", "kubernetes", "wish"}:
        yield f"`applies` has no {', '.join(sorted(strange))}"
    for limits in (rule.applies.get("harvester"), rule.applies.get("kubernetes")):
        for word in (limits or "").split():
            _limit(word)
    for expression in filter(None, (rule.over, rule.node, rule.when, rule.applies.get("wish"), *rule.needs)):
        _jmes.compiled(expression)
    for template in (rule.title, rule.cause, rule.action, *rule.evidence):
        for expression in _jmes.expressions(template):
            _jmes.compiled(expression)
    if not {"fires", "misses"} <= set(rule.test):
        yield "`test` needs a state in which it fires, and a near miss"


def _bad(path: Path, ident: str, what: str) -> RequorumError:
    return RequorumError(f"{path}: rule {ident}: {what}.", "docs/rules.md says how a rule is written.")
