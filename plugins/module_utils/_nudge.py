# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""A hook of Rancher's drain that was served and never answered: whether it may be answered by hand.

Rancher goes on when the annotation of Harvester has the very text of its own (facts/harvester.md 1.3). Harvester writes
it behind the job's success, and for the second hook behind the reboot into the new OS: both are proved first.
"""

from __future__ import annotations

import typing as t

from . import _releases, _stale
from ._found import JSON
from ._going import Look, plan_secrets
from ._orphans import condition, labels, meta, name_of, notes, status

HOOKS = {"pre-drain": _stale.PRE, "post-drain": _stale.POST}
STATES = {"pre-drain": "Pre-drained", "post-drain": "Succeeded"}
"""Harvester writes the node's state first and the answer then: an answer that was lost is behind this state."""


class Nudge(t.NamedTuple):
    """What is patched, and what proves that it may be."""

    secret: str
    body: JSON
    asked: str
    """The annotation that has no answer."""
    job: JSON

    @property
    def what(self) -> str:
        return f"{next(iter(self.body['metadata']['annotations']))} becomes the text of {self.asked}"


def nudge(look: Look | None, hook: str, node: str) -> tuple[Nudge | None, str]:
    """(what to patch, why not). look: the upgrade that goes on."""
    if look is None or not look.fourth:
        return None, "no upgrade is in phase 4, so no hook waits for an answer"
    if node not in look.states:
        return None, f"{look.name} has no node {node}: {', '.join(sorted(look.states)) or 'none'}"
    if (state := look.states[node]) != STATES[hook]:
        return None, f"{node} is {state or 'without a state'}, and its answer is due when it is {STATES[hook]}"
    secrets = plan_secrets(look.seen, node)
    if len(secrets) != 1:
        return None, f"{node} has {len(secrets)} plan secrets, and Harvester wants exactly one"
    asked, answer = HOOKS[hook]
    told = notes(secrets[0])
    if not told.get(asked):
        return None, f"Rancher has not asked for it: {name_of(secrets[0])} has no {asked}"
    if told.get(asked) == told.get(answer):
        return None, f"it is answered: {asked} = {answer} in {name_of(secrets[0])}"
    marks = {_stale.OF_UPGRADE: look.name, "harvesterhci.io/upgradeJobType": hook, "harvesterhci.io/node": node}
    jobs = [job for job in look.seen.get("jobs", ()) if marks.items() <= labels(job).items()]
    job = max(jobs, key=lambda each: str(status(each).get("startTime") or ""), default=None)
    if job is None:
        return None, f"there is no {hook} job of {look.name} for {node}, so nothing proves that its work was done"
    if why := _unproved(look, job, hook, node):
        return None, why
    version = meta(secrets[0]).get("resourceVersion")
    body = {"metadata": {"resourceVersion": version, "annotations": {answer: told[asked]}}}
    return Nudge(name_of(secrets[0]), body, asked, job), ""


def _unproved(look: Look, job: JSON, hook: str, node: str) -> str:
    """Why it is not proved that the work of the hook was done; empty when it is."""
    if condition(job, "Complete") != "True":
        return f"the job {name_of(job)} has not succeeded, so its work is not done"
    if hook == "pre-drain":
        return ""
    info = next((status(n).get("nodeInfo") or {} for n in look.seen.get("nodes", ()) if name_of(n) == node), {})
    os, rke2 = look.brings
    if os and info.get("osImage") == os and _releases.same(str(info.get("kubeletVersion")), rke2):
        return ""
    runs = f"{info.get('osImage')} with {info.get('kubeletVersion')}"
    return f"{node} runs {runs}, and the upgrade brings {os or 'an OS that is not known'} with {rke2}"
