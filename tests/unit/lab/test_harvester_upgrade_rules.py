# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules know the stalls that the lab plays, and are quiet while an upgrade goes on."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _evaluate, _harvester_checks, _rules, _seen
from lab.harvester import objects, upgrade

JSON = dict[str, Any]
NODES = ("n1", "n2", "n3")
RULES = [rule for rule in _rules.load() if rule.id.startswith(("upgrade_", "rke2_of_other_os"))]
LATER = "2026-01-01T03:00:00Z"
"""Films begin at midnight, and a stall is one after hours."""
KNOWN = {
    "log-not-ready": "upgrade_log_images",
    "image-stuck": "upgrade_image_waits",
    "repo-not-ready": "upgrade_repo_waits",
    "suc-applying": "upgrade_plan_applying",
    "prepare-slow": "upgrade_prepare_waits",
    "prepare-deadline": "upgrade_prepare_deadline",
    "capi-provisioning": "upgrade_services_wait",
    "apply-bundle": "upgrade_services_wait",
    "planner-silent": "upgrade_stuck_maybe_restarted",
    "restarted": "upgrade_restarted",
    "predrain-volume": "upgrade_node_predraining",
    "predrain-vms": "upgrade_node_predraining",
    "predrain-pdb": "upgrade_node_predraining",
    "node-failed": "upgrade_failed_late",
    "postdrain-rke2": "upgrade_node_postdraining",
    "postdrain-elemental": "upgrade_node_postdraining",
    "reboot-old-image": "upgrade_waiting_reboot",
    "reboot-silent": "upgrade_waiting_reboot",
    "node-removed": "upgrade_waits_for_gone",
}
QUIET = {"upgrade_under_way", "upgrade_stuck_maybe_restarted", "upgrade_waiting_reboot", "upgrade_unended"}
"""Between two nodes nothing works, a node that shall boot is still up, and one that was just made is not the latest
yet, for a moment: a rule sees only that."""


def fired(shown: dict[str, list[JSON]], now: str) -> set[str]:
    """Ids of the rules that find something."""
    read: JSON = {}
    for name, asked in _harvester_checks.KINDS.items():
        items = shown.get(name)
        read[name] = items and [asked.keep(item) if asked.keep else item for item in items]
    release = objects.RELEASES["v1.3.2"].file
    host = {"reachable": True, "unread": {}, "role": "server", "harvester": {"system_agent": "active", **release}}
    more = {"version": "v1.3.2", "releases": dict.fromkeys(NODES, release), "capi": None}
    nodes = [{"name": name, "hostname": name, **host} for name in NODES]
    state = _seen.live("c", [], set(), read, now) | {"distro": "harvester", "nodes": nodes, "harvester": more}
    return {rule.id for rule in RULES if _evaluate.ask(rule, state).found}


@pytest.mark.parametrize(("stall", "rule"), KNOWN.items())
def test_a_rule_for_a_stall(stall: str, rule: str) -> None:
    (*_, last) = upgrade.film("v1.3.2", "v1.4.0", NODES, stalls={stall: ""})
    assert rule in fired(last, LATER)


def test_no_rule_for_a_hop_that_goes_on() -> None:
    for shown in upgrade.film("v1.3.2", "v1.4.0", NODES):
        assert fired(shown, "2026-01-01T00:10:00Z") <= QUIET, upgrade.phase(shown)
