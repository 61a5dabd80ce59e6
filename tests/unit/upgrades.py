# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades as the lab plays them, for tests of those who watch them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _diagnose, _progress, _rules, _scan, _seen, _stall
from lab.harvester import upgrade
from lab.harvester.upgrade.films import NAME

JSON = dict[str, Any]
Shown = dict[str, list[JSON]]
RULES = _stall.asked(_rules.load())
KUBECONFIG = {"metadata": {"name": "local-kubeconfig", "labels": {"cluster.x-k8s.io/cluster-name": "local"}}}
BEGUN = "2026-01-01T00:00:00Z"
REPEATED = 20
"""So often the last line of a log stands there, 5 seconds apart."""


def film(
    before: str = "v1.3.2", to: str = "v1.4.0", nodes: Sequence[str] = ("n1", "n2", "n3"), **stalls: str
) -> list[Shown]:
    """All looks at an upgrade; of what a Harvester has beside it as much as rules want."""
    faults = {name.replace("_", "-"): about for name, about in stalls.items()}
    shown = [copy.deepcopy(each) for each in upgrade.film(before, to, nodes, stalls=faults)]
    for each in shown:
        each["secrets"].append(KUBECONFIG)
        for item in each["upgrades"]:
            item["metadata"].setdefault("creationTimestamp", BEGUN)
    return shown


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def log(shown: Shown, end: float) -> list[str]:
    """The log of the job that works, as its node has it."""
    job = _progress.busy(shown, NAME) or {"metadata": {"name": "no job works"}}
    for pod in shown["pods"]:
        said = (pod["metadata"].get("annotations") or {}).get("lab.requorum/log")
        if said and pod["metadata"]["name"].startswith(job["metadata"]["name"]):
            lines = said.split("\n")
            lines += [lines[-1]] * REPEATED
            return [f"{iso(end - 5 * (len(lines) - i))} stderr F {line}" for i, line in enumerate(lines)]
    return []


def judged(shown: Shown, quiet: float) -> _stall.Stall | None:
    """What whoever has watched says, when nothing has changed for so long."""
    at = _progress.look(shown, NAME, now=0)
    assert at and at.since
    now = at.since + quiet
    state = _seen.live("prod", [], (), {name: shown.get(name, []) for name in _progress.KINDS}, iso(now))
    lines = "\n".join(log(shown, now)).encode()
    state = _seen.with_logs(state, [(at.node or None, "upgrade-job", "0.log", [lines])], _scan.patterns(RULES))
    return _stall.judge(at, _diagnose.diagnose(state, RULES)["findings"], quiet)
