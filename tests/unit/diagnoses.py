# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Diagnoses of a cluster that is well, of one without quorum, and of a Harvester that is stuck in its upgrade."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _diagnose, _rules, _seen
from tests.unit import runs

JSON = dict[str, Any]
FOLDER = Path(__file__).parent / "data" / "rules"
THREE = tuple(_rules.read(FOLDER / "three.yaml"))
NOW = "2026-11-24T20:15:00Z"
TEST = {"fires": {"nodes": []}, "misses": {"nodes": []}}


def _rule(ident: str, **more: Any) -> _rules.Rule:
    about = {"title": f"{ident} is so.", "severity": "error", "cause": "", "action": "", "test": TEST}
    return _rules.made({"id": ident, **about, **more})


RULES = (
    _rule("upgrade_restarted", severity="blocker", title="The upgrade was restarted while n2 was Pre-draining.",
          over="nodes[?name == 'r2']", node="`null`", needs=["hostname"], when="`true`", forbids=["upgrade", "reset"],
          explains=["kubelet_behind", "chart_*"], action="requorum force-sync -i INV --check",
          cause="Somebody pressed Upgrade twice.", evidence=["kubelet {version}"], references=["harvester#7392"]),
    _rule("kubelet_behind", severity="warning", title="The kubelet of {name} is older than its OS.", over="nodes",
          needs=["version"], when="version(version) > `0`", evidence=["kubelet {version}"],
          contradicts=["chart_failed"]),
    _rule("chart_failed", title="mcc-harvester says ErrApplied.", over="nodes[?name == 'r1']", node="`null`",
          needs=["hostname"], when="`true`", evidence=[f"line {number}" for number in range(9)]),
    _rule("endpoint_silent", title="An endpoint does not answer.", severity="info", needs=["time"], when="`true`",
          cause="Packets are lost.", not_={"tls_expired": "An expired certificate is answered by an alert."}),
    _rule("volumes_faulted", needs=["state.objects.volumes"], when="`true`"),
    _rule("disk_full", over="nodes", needs=["disk.free"], when="disk.free < `1`"),
)  # fmt: skip


def state(*entries: JSON) -> JSON:
    """As cluster_diagnose has it; nothing of an API was read."""
    return _seen.live("prod", copy.deepcopy(entries), [entry["name"] for entry in entries], {}, NOW)


def healthy() -> JSON:
    return _diagnose.diagnose(state(*runs.HEALTHY["nodes"]), THREE)


def lost() -> JSON:
    return _diagnose.diagnose(state(*runs.DRILL["nodes"]), THREE)


def stuck() -> JSON:
    """A bundle in which the part of r3 is missing, of a host that Rancher manages."""
    entries = copy.deepcopy([*runs.HEALTHY["nodes"][:2], runs.dead("r3")])
    for entry in entries[:2]:
        entry["harvester"] = {"harvester": "v1.3.2", "system_agent": "active"}
    entries[1]["certificates"][0]["ends"] = 1.0
    missing = "nodes/r3.zip is not in the bundle: the collector did not reach it"
    entries[2].update(error=missing, unread={"*": missing})
    seen = state(*entries) | {"harvester": {"version": "v1.3.2", "releases": {}, "capi": None}}
    seen["unread"] = {"objects.volumes": "yamls/volumes.yaml is cut off"}
    seen["source"] = {"kind": "support_bundle", "name": "bundle.zip", "created": NOW,
                      "unread": [{"what": "nodes/r3.zip", "why": "it is not in the bundle"}]}  # fmt: skip
    return _diagnose.diagnose(seen, RULES)


MADE = {"healthy": healthy(), "lost": lost(), "stuck": stuck()}
