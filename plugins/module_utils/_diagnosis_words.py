# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Words and groups that all faces of a diagnosis share: the text, the page, JUnit, and what has changed."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ._report_words import DISTROS, Outcome

JSON = t.Mapping[str, t.Any]
OUTCOMES = {
    "ok": Outcome("good", "✓", "Nothing is wrong"),
    "info": Outcome("good", "✓", "Nothing is wrong"),
    "warning": Outcome("warn", "!", "Warning"),
    "error": Outcome("bad", "✕", "Error"),
    "blocker": Outcome("bad", "✕", "Blocker"),
}
NOT_KNOWN = Outcome("warn", "?", "Not known")
PRECHECK = {
    "ready": Outcome("good", "✓", "Ready to upgrade"),
    "failed": Outcome("bad", "✕", "Not ready to upgrade"),
    "unknown": Outcome("warn", "?", "Not known to be ready"),
}
TONES = {"blocker": "bad", "error": "bad", "warning": "warn", "info": "plan"}
SOURCES = {
    "live": "the cluster itself",
    "support_bundle": "a support bundle of Harvester",
    "collector": "an archive of rancher2_logs_collector",
    "requorum": "a bundle of Requorum",
}
COMPONENTS = {
    "host": "Host",
    "clock": "Clock",
    "unit": "Service",
    "system_agent": "Rancher's agent",
    "etcd": "etcd",
    "datastore": "Datastore",
    "api": "API server",
    "kubelet": "Kubelet",
    "upgrade": "Upgrade",
    "longhorn": "Longhorn",
    "certificates": "Certificates",
    "snapshots": "Snapshots",
    "disk": "Disk",
    "memory": "Memory",
}
_PROGRAM = re.compile(
    r"(?:ansible-playbook|requorum|kubectl|virtctl|crictl|etcdctl|helm|systemctl|journalctl|timedatectl|chronyc|sysctl"
    r"|smartctl|ss|ps|du|df|ls|ip|ping|curl|/\S+) "
)
_END = re.compile(
    r"[,;:] (?=[A-Za-z])|\. (?=[A-Z])|\.$| (?=\()"
    r"| (?=(?:and|as|brings|does|for|in|judges|names|of|on|says|shows|takes|tells|then|uncordons|where|which)\b)"
)
"""Where people are spoken to again, and no longer the shell."""
NAMES = 8
"""So many nodes are named in one line."""


@dataclass(frozen=True)
class Group:
    """A cause, the same on other nodes, and the findings that follow from any of them."""

    cause: JSON
    also: tuple[JSON, ...]
    follow: tuple[JSON, ...]

    @property
    def elsewhere(self) -> str:
        """Where else it is the same: `the same on r2, r3`."""
        names = list(dict.fromkeys(each["node"] for each in self.also if each["node"]))
        if len(names) < len(self.also):
            return f"{len(self.also)} more of the same"
        more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
        return f"the same on {', '.join(names[:NAMES])}{more}"

    @property
    def folded(self) -> list[tuple[JSON, str]]:
        """What follows, one for each rule, with the nodes on which it does."""
        by_rule: dict[str, list[JSON]] = {}
        for finding in self.follow:
            by_rule.setdefault(finding["id"], []).append(finding)
        return [(found[0], ", ".join(dict.fromkeys(map(where, found)))) for found in by_rule.values()]


def groups(findings: t.Iterable[JSON]) -> list[Group]:
    """Findings as a diagnosis orders them: a consequence stands behind its cause, or behind what follows from it."""
    roots: dict[str, list[JSON]] = {}
    follow: dict[str, list[JSON]] = {}
    last = ""
    for finding in findings:
        behind = [*roots.get(last, ()), *follow.get(last, ())]
        if finding["explained_by"] and any(each["id"] == finding["explained_by"] for each in behind):
            follow[last].append(finding)
        else:
            last = finding["id"]
            roots.setdefault(last, []).append(finding)
            follow.setdefault(last, [])
    return [Group(cause, tuple(also), tuple(follow[cause["id"]])) for cause, *also in roots.values()]


def outcome(document: JSON) -> Outcome:
    """No good news where the case is not known, or where nothing could be checked."""
    verdict = document["verdict"]
    if document.get("precheck"):
        return PRECHECK[document["precheck"]["verdict"]]
    if verdict["severity"] in ("ok", "info") and (verdict["case"] != "healthy" or not document["passed"]):
        return NOT_KNOWN
    return OUTCOMES[verdict["severity"]]


def read(document: JSON) -> bool:
    """Whether any rule has an answer at all."""
    return bool(document["passed"] or document["findings"])


def system(document: JSON) -> str:
    """`Harvester v1.3.2`, `RKE2 v1.34.3+rke2r1`."""
    version = document["version"] or ""
    name = DISTROS.get(document["distro"] or "", "")
    return " ".join(filter(None, (name if "+" in version or not version else "Harvester", version)))


def where(finding: JSON) -> str:
    """Its node."""
    return finding["node"] or "cluster"


def typed(text: str) -> tuple[str, str]:
    """The command that an action begins with, ready to be pasted, and what is said of it; no command in a sentence."""
    if not _PROGRAM.match(text):
        return "", text
    found = _END.search(text)
    return (text[: found.start()], text[found.end() :]) if found else (text, "")


def refusals(document: JSON) -> list[tuple[str, JSON]]:
    """Operations with the reason that they share."""
    found: dict[tuple[str, str, str], list[JSON]] = {}
    for each in document["refused"]:
        found.setdefault((each["what"], each["where"], each["next"]), []).append(each)
    return [(", ".join(each["operation"] for each in same), same[0]) for same in found.values()]


def items(document: JSON) -> dict[str, list[JSON]]:
    """Topic -> items of a pre-check, in their order."""
    found: dict[str, list[JSON]] = {}
    for item in (document.get("precheck") or {}).get("items", ()):
        found.setdefault(item["topic"], []).append(item)
    return found


def unchecked(document: JSON) -> list[tuple[str, list[str]]]:
    """Reasons why rules could not be asked, the commonest first, each with its rules as `rule (nodes)`."""
    found: dict[str, dict[str, list[str]]] = {}
    for each in document["not_checked"]:
        nodes = found.setdefault(each["why"], {}).setdefault(each["rule"], [])
        nodes += [each["node"]] if each["node"] else []
    listed = {
        why: [rule + (f" ({', '.join(nodes)})" if nodes else "") for rule, nodes in rules.items()]
        for why, rules in found.items()
    }
    return sorted(listed.items(), key=lambda item: -len(item[1]))


def missed(document: JSON) -> str:
    """How much could not be checked; empty where all could."""
    rules = {each["rule"]: each["severity"] for each in document["not_checked"]}
    heavy = sum(severity == "blocker" for severity in rules.values())
    if not rules:
        return ""
    said = f"{len(rules)} of {document['checked']} rules could not be checked everywhere"
    return said + (f"; {count(heavy, 'of these looks', 'of these look')} for blockers." if heavy else ".")


def count(number: int, one: str, more: str = "") -> str:
    """1 -> `1 other`, 2 -> `2 others`."""
    return f"{number} {one if number == 1 else more or one + 's'}"
