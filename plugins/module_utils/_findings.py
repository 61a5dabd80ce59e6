# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What is wrong, server by server, in the words of the report."""

from __future__ import annotations

import re
import typing as t

from . import _certificates

JSON = dict[str, t.Any]
SEVERITIES = ("blocker", "error", "warning", "info")


def findings(plan: JSON, state: JSON) -> list[JSON]:
    """One finding for each thing that keeps a server from being a voter, worst first."""
    entries = {entry["name"]: entry for entry in state["nodes"]}
    anchor = next((server["cluster_id"] for server in plan["servers"] if server["name"] == plan["survivor"]), None)
    members = {(anchor, member["id"]) for member in plan["members"]}
    found = [item for server in plan["servers"] for item in _server(server, entries[server["name"]], members)]
    found += [
        _finding(
            "agent_unreachable", "warning", name, f"Agent {name} does not answer.", [str(entries[name].get("error"))]
        )
        for name in plan["agents"]
        if not entries[name]["reachable"]
    ]
    found += [_finding(*item) for item in _certificates.findings(plan, state)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding["severity"]))


def _server(server: JSON, entry: JSON, members: set[tuple[str | None, str]]) -> t.Iterator[JSON]:
    name, logs = server["name"], [tidy(line) for line in entry.get("logs") or ()][-3:]
    if not server["reachable"]:
        yield _finding("server_unreachable", "error", name, f"{name} does not answer.", [str(entry.get("error"))])
        return
    if server["store"] == "absent":
        yield _finding(
            "datastore_absent", "error", name, f"{name} has no datastore.", ["server/db/etcd holds no member/snap/db"]
        )
    elif server["store"] == "damaged":
        yield _finding(
            "datastore_damaged", "error", name, f"The datastore of {name} is damaged: {server['fault']}.", logs
        )
    elif server["store"] == "unknown":
        yield _finding(
            "datastore_unknown",
            "error",
            name,
            f"The datastore of {name} could not be read.",
            [f"{k}: {v}" for k, v in entry["unread"].items()],
        )
    elif server["need"] == "rejoin" and (server["cluster_id"], server["member_id"]) not in members:
        yield _finding(
            "member_stale",
            "error",
            name,
            f"{name} holds data of another cluster ({server['cluster_id']}) or is no member any more.",
            logs,
        )
    elif server["etcd"] == "leaderless":
        yield _finding(
            "no_leader",
            "blocker",
            name,
            f"etcd on {name} runs and sees no leader.",
            [f"revision {server['revision']}", *logs],
        )
    elif server["etcd"] == "stopped" and server["need"] != "nothing":
        yield _finding("etcd_stopped", "error", name, f"etcd on {name} does not run; its datastore is intact.", logs)
    elif server["need"] == "promote":
        yield _finding("learner", "warning", name, f"{name} is a learner that is not promoted yet.", logs)
    if not (entry.get("api") or {}).get("ready"):
        yield _finding(
            "api_down",
            "error",
            name,
            f"The API server on {name} does not answer.",
            [str(entry["unread"].get("readyz", "not asked: etcd does not run"))],
        )


def tidy(line: str) -> str:
    """A log line for people: of etcd's JSON only what it says."""
    if not line.startswith("{"):
        return line
    said = {key: re.search(rf'"{key}":"([^"]*)', line) for key in ("ts", "level", "msg", "error")}
    return "etcd " + " ".join(found[1] for found in said.values() if found)


def _finding(ident: str, severity: str, node: str, summary: str, evidence: list[str]) -> JSON:
    return {
        "id": ident,
        "severity": severity,
        "node": node,
        "summary": summary,
        "evidence": [line for line in evidence if line],
        "cause": None,
        "action": None,
    }
