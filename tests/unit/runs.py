# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of ClusterState and plan documents of whole runs, put together as the playbook does it."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _classify,
    _distro,
    _plan,
    _plan_document,
    _server,
    _state,
)

JSON = dict[str, Any]
DATA = Path(__file__).parent / "data"
IDS = {"r1": "234c43afee9063f9", "r2": "ffbbfb231af65097", "r3": "77c97c7d5f0ed9c"}
HOSTS = {name: f"10.89.0.2{name[1]}" for name in (*IDS, "r4")}


def entry(kind: str, name: str = "r1") -> JSON:
    """What `info-rke2-KIND.txt` says, as if `name` had said it."""
    text = (DATA / f"info-rke2-{kind}.txt").read_text().replace("hostname=r1", f"hostname={name}")
    text = text.replace("node_ip=10.89.0.21", f"node_ip={HOSTS[name]}")
    found = _state.node(name, HOSTS[name], text, received=1795511600.0)
    if found["etcd"]["status"]:
        found["etcd"]["status"]["member_id"] = IDS[name]
    for row in found["certificates"]:
        row["names"] = [HOSTS[name] if word == HOSTS["r1"] else word for word in row["names"] or ()]
    return dict(json.loads(json.dumps(found)))


def dead(name: str) -> JSON:
    return _state.unreachable(name, HOSTS[name], "Connection timed out")


def state(*entries: JSON) -> JSON:
    return _state.cluster("prod", copy.deepcopy(entries))


HEALTHY = state(entry("healthy"), entry("healthy", "r2"), entry("healthy", "r3"))
DRILL = state(entry("quorum-lost"), entry("wiped", "r2"), dead("r3"))


def plan(before: JSON, *, powered_off: tuple[str, ...] = (), survivor: str = "", agents: tuple[str, ...] = ()) -> JSON:
    """plan.json, as the action plugin recovery_plan writes it."""
    entries = [e for e in before["nodes"] if e["name"] not in agents]
    servers = [_server.view(e, powered_off) for e in entries]
    case = _classify.classify(servers, survivor=survivor)
    made = _plan.make_plan(case, _distro.DISTROS["rke2"], cluster="prod", agents=agents)
    needs = dict(case.needs)
    return {
        **json.loads(json.dumps(made.document())),
        "stamp": "20261124T201500Z",
        "started": "2026-11-24T20:15:00.000Z",
        "distro": "rke2",
        "version": "v1.34.3+rke2r1",
        "powered_off": list(powered_off),
        "servers": [
            _plan_document.of_server(s, needs.get(s.name, "unknown"), e) for s, e in zip(servers, entries, strict=True)
        ],
        "members": [asdict(member) for member in case.members],
        "ranking": [s.name for s in case.base],
        "agents": list(agents),
        "command": "ansible-playbook recover.yml -i inventory",
        "agent_nodes": [],
    }


def done(made: JSON, *, until: str = "verify", fails: bool = False) -> list[JSON]:
    """actions.jsonl of a run that took the actions up to this verb; the last one may have failed."""
    taken: list[JSON] = []
    for number, action in enumerate(made["actions"]):
        times = {
            "started": f"2026-11-24T20:15:{number:02d}.000Z",
            "ended": f"2026-11-24T20:15:{number:02d}.900Z",
            "seconds": 0.9,
        }
        taken.append({**action, **times, "result": "ok"})
        if action["verb"] == until:
            break
    if fails:
        taken[-1]["result"] = "failed: r1: it did not work. Look at its log."
    return taken
