# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The diagnosis: all rules asked of one state, causes before consequences, and what may be done now.

The case, and what is refused, are those of `_classify.classify`, by which recover.yml decides too.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import asdict, replace
from fnmatch import fnmatch

from . import _classify, _evaluate, _harvester, _inventory, _jmes, _picture, _rules, _scan, _seen, _server, _timeline
from ._classify import Case
from ._evaluate import Outcome
from ._rules import OPERATIONS, SEVERITIES, Rule

JSON = dict[str, t.Any]
SCHEMA = 1
COMMANDS = {
    "collect": "requorum inspect -i INV --bundle-out FILE.zip",
    "backup": "ansible-playbook playbooks/backup.yml -i INV",
    "start": "ansible-playbook recover.yml -i INV --check",
    "rejoin": "ansible-playbook playbooks/rejoin.yml -i INV --check",
    "reset": "ansible-playbook recover.yml -i INV --check",
    "restore": "ansible-playbook recover.yml -i INV -e requorum_method=restore -e requorum_snapshot=newest --check",
    "rotate": "ansible-playbook playbooks/rotate_certs.yml -i INV --check",
    "purge": "ansible-playbook playbooks/purge_orphans.yml -i INV --check",
    "upgrade": "requorum precheck -i INV",
}
ALLOWED: dict[str, tuple[str, ...]] = {
    "healthy": ("backup", "rejoin", "rotate", "purge", "upgrade"),
    "member_lost": ("backup", "start", "rejoin", "rotate", "purge"),
    "quorum_recoverable": ("backup", "start"),
    "quorum_lost": ("backup", "reset", "restore"),
    "datastore_lost": ("restore",),
    "api_down": ("backup", "rotate"),
    "split_brain": (),
    "unknown": (),
}
"""What a case allows; nothing but collecting where it is not known."""
STANDS, BLIND = "It is not asked for: {reason}", "Nothing but collecting, while so little is known: {reason}"


def viewed(state: JSON, *, survivor: str = "", powered_off: t.Collection[str] = ()) -> tuple[JSON, Case]:
    """The state with each server as the decisions see it (`nodes[].server`), and the case.

    A node is a server where the inventory (`role`), or the label of its Node, says so. `unknown` becomes null there.
    """
    state = {**state, "harvester": _harvester.known(state)}
    entries = [{**entry, "server": None} for entry in state["nodes"]]
    mine = [entry for entry in entries if is_server(entry, state)]
    servers = [_server.view(entry, powered_off) for entry in mine]
    case = _classify.classify(servers, survivor=survivor)
    listed = {role: [entry for entry in entries if entry.get("role") == role] for role in ("server", "agent")}
    case = replace(case, refusals=(*_inventory.faults(listed["server"], listed["agent"]), *case.refusals))
    needs = dict(case.needs)
    for entry, server in zip(mine, case.servers or servers, strict=True):
        entry["server"] = _plain({**asdict(server), "need": needs.get(server.name)})
    about = {
        "kind": case.kind,
        "reason": case.reason,
        "survivor": case.survivor.name if case.survivor else None,
        "cluster_id": case.survivor.cluster_id if case.survivor else None,
        "members": [member.id for member in case.members],
    }
    return {**state, "nodes": entries, "case": about}, case


def is_server(entry: JSON, state: JSON) -> bool:
    """By its role, else by the label of its Node; a node of which neither is known may be one."""
    nodes = (state.get("kubernetes") or {}).get("nodes") or ()
    listed = next((node for node in nodes if node["name"] == entry["name"]), None)
    return bool(entry["role"] == "server" if entry.get("role") else listed is None or listed["control_plane"])


def _plain(view: JSON) -> JSON:
    found = {key: sorted(value) if isinstance(value, frozenset) else value for key, value in view.items()}
    found["members"] = list(found["members"])  # JMESPath knows no tuples
    return found | {key: None for key in ("etcd", "store") if found[key] == "unknown"}


def diagnose(state: JSON, rules: t.Sequence[Rule], *, survivor: str = "", powered_off: t.Collection[str] = ()) -> JSON:
    """The document of docs/diagnosis.schema.json."""
    seen, case = viewed(state, survivor=survivor, powered_off=powered_off)
    asked, outcomes, findings = _asked(seen, rules)
    worst = next((s for s in SEVERITIES if any(f["severity"] == s for f in findings)), "ok")
    unknown = list(_unknown(asked, outcomes))
    refused = {each["operation"]: each for each in _refused(case, findings, asked)}
    document = {
        "schema": SCHEMA,
        **{key: seen.get(key) for key in ("cluster", "source", "time", "distro")},
        "version": (seen.get("harvester") or {}).get("version") or _version(seen),
        "verdict": {
            "case": case.kind,
            "severity": worst,
            "sentence": _sentence(case, findings, unknown),
            "next": _next(case, findings),
        },
        "allowed": [{"operation": o, "command": COMMANDS[o]} for o in OPERATIONS if o not in refused],
        "refused": list(refused.values()),
        "findings": findings,
        "contradictions": list(_contradictions(asked, findings)),
        "not_checked": unknown,
        "checked": len(asked),
        "passed": [ident for ident, outcome in outcomes.items() if not outcome.found and not outcome.unknown],
        "nodes": _picture.nodes(seen),
    }
    return t.cast(JSON, _timeline.mask_all(document))


def of_run(plan: JSON, before: JSON) -> list[JSON]:
    """What a run's report says was wrong: of plan.json and the state before, as far as the hosts themselves tell it."""
    entries = [{**e, "role": "agent" if e["name"] in plan["agents"] else "server"} for e in before["nodes"]]
    about = {"source": {"kind": "live"}, "time": plan["started"], "distro": plan["distro"],
             "certificates": plan.get("certificates")}  # fmt: skip
    rules = [rule for rule in _rules.load() if rule.severity != "info"]
    state = {**before, **about, "nodes": entries, "objects": {}, "unread": {}, "logs": [], "hits": []}
    state = _seen.with_logs(state, _ends(entries), _scan.patterns(rules))
    seen, _case = viewed(state, survivor=plan["survivor"] or "", powered_off=plan["powered_off"])
    _rules_asked, _outcomes, findings = _asked(seen, rules)
    told = ("id", "severity", "node", "summary", "evidence", "cause")
    named = inventory(plan["command"])
    return [
        {
            **{key: found[key] for key in told},
            "action": (found["action"] or "").replace("-i INV", named) or None,
            "reference": next(iter(found["references"]), None),
        }
        for found in findings
    ]


def inventory(command: str) -> str:
    """The -i of a command that was typed."""
    return " ".join(re.findall(r"-i (?:'[^']*'|\S+)", command)) or "-i INV"


def _ends(entries: t.Iterable[JSON]) -> t.Iterator[_seen.Log]:
    """The last lines of the units that INSPECT has read: why they do not start."""
    for entry in entries:
        if entry.get("logs"):
            unit = {"rke2": "rke2-server", "k3s": "k3s"}.get(entry["distro"] or "", "other")
            source = unit if entry["role"] == "server" else f"{entry['distro']}-agent"
            yield entry["name"], source, "journal", ["\n".join(entry["logs"]).encode()]


def _asked(seen: JSON, rules: t.Sequence[Rule]) -> tuple[dict[str, Rule], dict[str, Outcome], list[JSON]]:
    """The rules that suit the cluster, what each says, and the findings in their order."""
    asked = {rule.id: rule for rule in rules if rule.suits(seen)}
    outcomes = {ident: _evaluate.ask(rule, seen) for ident, rule in asked.items()}
    findings = ordered(asked, [item for rule in asked.values() for item in _findings(rule, outcomes[rule.id], seen)])
    return asked, outcomes, findings


def _version(state: JSON) -> str | None:
    return next((entry["version"] for entry in state["nodes"] if entry.get("version")), None)


def _findings(rule: Rule, outcome: Outcome, state: JSON) -> t.Iterator[JSON]:
    for found in outcome.found:
        yield {
            "id": rule.id,
            "severity": rule.severity,
            "node": found.node,
            "summary": _jmes.filled(rule.title, found.item, state),
            "evidence": [line for line in found.evidence if line],
            "cause": _jmes.filled(rule.cause, found.item, state) or None,
            "action": _jmes.filled(rule.action, found.item, state) or None,
            "references": list(rule.references),
            "not": dict(rule.not_),
            "explained_by": None,
        }


def ordered(rules: t.Mapping[str, Rule], findings: t.Sequence[JSON]) -> list[JSON]:
    """Worst causes first, each with its consequences behind it; a circle of causes explains nothing."""
    for finding in findings:
        causes = [c for c in findings if c is not finding and _explains(rules[c["id"]], c, finding)]
        causes = [c for c in causes if not _explains(rules[finding["id"]], finding, c)]
        worst = min(causes, key=lambda c: SEVERITIES.index(c["severity"]), default=None)
        finding["explained_by"] = worst["id"] if worst else None
    found, left = list[JSON](), sorted(findings, key=lambda f: (SEVERITIES.index(f["severity"]), f["node"] or ""))

    def put(finding: JSON) -> None:
        if finding in left:
            left.remove(finding)
            found.append(finding)
            for other in [f for f in left if f["explained_by"] == finding["id"] and _near(finding, f)]:
                put(other)

    for finding in [f for f in left if not f["explained_by"]]:
        put(finding)
    return found + left


def _explains(rule: Rule, cause: JSON, finding: JSON) -> bool:
    named = any(fnmatch(finding["id"], pattern) for pattern in rule.explains)
    return named and cause["id"] != finding["id"] and _near(cause, finding)


def _near(cause: JSON, finding: JSON) -> bool:
    return cause["node"] in (finding["node"], None) or finding["node"] is None


def _contradictions(rules: t.Mapping[str, Rule], findings: t.Sequence[JSON]) -> t.Iterator[JSON]:
    for one in findings:
        for other in findings:
            if other["id"] in rules[one["id"]].contradicts and _near(one, other):
                text = f"{one['summary']} But: {other['summary']} Both cannot be true at one time: look again."
                yield {"ids": [one["id"], other["id"]], "node": one["node"], "text": text}


def _unknown(rules: t.Mapping[str, Rule], outcomes: t.Mapping[str, Outcome]) -> t.Iterator[JSON]:
    for ident, outcome in outcomes.items():
        for each in dict.fromkeys(outcome.unknown):
            yield {"rule": ident, "severity": rules[ident].severity, "node": each.node, "why": each.why}


def _roots(findings: t.Sequence[JSON]) -> list[JSON]:
    return [finding for finding in findings if not finding["explained_by"]]


def _sentence(case: Case, findings: t.Sequence[JSON], unknown: t.Sequence[JSON]) -> str:
    bad = [finding for finding in _roots(findings) if finding["severity"] in ("blocker", "error")]
    if bad:
        first = bad[0]["summary"]
        return first if case.kind == "healthy" else f"{first} {case.reason}"
    skipped = len({each["rule"] for each in unknown})
    return case.reason + (f" {skipped} rules could not be checked." if skipped else "")


def _next(case: Case, findings: t.Sequence[JSON]) -> JSON | None:
    """What the worst cause asks for; else what the case does."""
    for finding in _roots(findings):
        if finding["action"] and finding["severity"] != "info":
            return {"command": finding["action"], "why": finding["summary"]}
    if case.kind == "healthy":
        return None
    wanted = next((o for o in ("start", "rejoin", "reset", "restore") if o in ALLOWED[case.kind]), "collect")
    return {"command": COMMANDS[wanted], "why": case.reason}


def _refused(case: Case, findings: t.Sequence[JSON], rules: t.Mapping[str, Rule]) -> t.Iterator[JSON]:
    """Each operation that must not be done now: the finding that forbids it, the case's refusal, or the case itself."""
    for operation in OPERATIONS[1:]:
        by = next((f for f in findings if operation in rules[f["id"]].forbids), None)
        hinders = operation in ("start", "rejoin", "reset", "restore") and next(iter(case.refusals), None)
        if by:
            yield _refusal(operation, by["summary"], by["node"] or "cluster", by["action"] or "")
        elif hinders:
            yield _refusal(operation, hinders.what, hinders.where, hinders.next)
        elif operation not in ALLOWED[case.kind]:
            why = BLIND if case.kind == "unknown" else STANDS
            yield _refusal(operation, why.format(reason=case.reason), "cluster", "")


def _refusal(operation: str, what: str, where: str, more: str) -> JSON:
    return {"operation": operation, "what": what, "where": where, "next": more}
