# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Where an upgrade of Harvester is, what it waits for and since when, out of its objects.

Nothing is remembered: whoever looks for the first time sees the same as who has watched from the beginning. Source:
facts/harvester.md 1.1 to 1.3.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from . import _jmes, _stale, _timeline
from ._found import JSON
from ._orphans import condition, labels, meta, name_of, notes, spec, status
from ._stale import DRAINING, LATEST, OF_UPGRADE, PAUSED, PENDING

Seen = t.Mapping[str, t.Sequence[JSON]]
KINDS = ("upgrades", "nodes", "jobs", "preparing", "plans", "secrets", "capi", "provisioning", "config", "images")
"""What is read of the API to know it, by names of `_harvester_checks.KINDS`."""
OF_NODE = ("harvesterhci.io/node", "upgrade.cattle.io/node")


class Phase(t.NamedTuple):
    """A phase of an upgrade, as Harvester's console counts them."""

    number: int
    name: str
    condition: str
    """True when it is done."""
    what: str


PHASES = (
    Phase(0, "log", "LogReady", "the log of the upgrade to be set up"),
    Phase(1, "image", "ImageReady", "the ISO to be downloaded and proved"),
    Phase(1, "repository", "RepoReady", "the repository in the ISO to be served"),
    Phase(2, "prepare", "NodesPrepared", "the images of the new version to be loaded on each node"),
    Phase(3, "services", "SystemServicesUpgraded", "Rancher, Harvester and Longhorn to be upgraded"),
    Phase(4, "nodes", "NodesUpgraded", "RKE2 and the OS of each node to be upgraded"),
    Phase(5, "cleanup", "Completed", "what is no longer needed to be removed"),
)
BETWEEN = ("Waiting Reboot", "Post-draining", "Pre-drained", "Pre-draining", "Images preloading")
"""States of a node that something is done to; the one that is farthest is told."""


@dataclass(frozen=True)
class Progress:
    """One look."""

    upgrade: str
    version: str
    phase: Phase
    states: t.Mapping[str, str]
    """Node -> its state, in Harvester's words."""
    node: str = ""
    """The one that something is done to."""
    job: str = ""
    """The job that works, as namespace/name."""
    waits: str = ""
    """What it waits for."""
    line: str = ""
    """The last line of that job's log."""
    since: float | None = None
    """Unix time since when nothing has changed in its objects."""
    ended: str = ""
    """succeeded, failed, or empty."""
    why: str = ""
    """Of one that has failed."""
    left_s: float | None = None
    """Seconds that the nodes that are left will take, by those that are done; None before the first one is."""
    mark: str = ""
    """Changes whenever something has moved on."""

    @property
    def done(self) -> list[str]:
        return sorted(node for node, state in self.states.items() if state == "Succeeded")

    @property
    def waits_for_a_person(self) -> bool:
        """Nodes are paused, and nothing is done to another one."""
        return PAUSED in self.states.values() and not self.node

    @property
    def document(self) -> JSON:
        found = asdict(self) | {"phase": self.phase.number, "name": self.phase.name, "done": self.done}
        found.pop("mark")
        return found


def latest(seen: Seen) -> JSON | None:
    """The Upgrade that Harvester's controller looks at, or will, since it is so new that it has no conditions."""
    found = [item for item in seen.get("upgrades", ()) if labels(item).get(LATEST) == "true"]
    new = [item for item in seen.get("upgrades", ()) if not status(item).get("conditions")]
    return next(iter(new + found), None)


def going(item: JSON | None) -> bool:
    """Whether it was begun and has not ended."""
    return item is not None and condition(item, "Completed") not in ("True", "False")


def phase_of(item: JSON) -> Phase:
    """The first that is not done; a failed node makes the fourth one false already while images are loaded."""
    for phase in PHASES:
        held = condition(item, phase.condition)
        if held != "True" and (phase.condition, held) != ("LogReady", "False"):  # without a log it goes on
            return phase
    return PHASES[-1]


def look(seen: Seen, name: str, *, line: str = "", now: float) -> Progress | None:
    """The Upgrade of this name; None where there is none. line: the end of the log of its job, see `busy`."""
    item = next((each for each in seen.get("upgrades", ()) if name_of(each) == name), None)
    if item is None:
        return None
    states = _stale.states(item)
    completed, phase = condition(item, "Completed"), phase_of(item)
    job = busy(seen, name)
    node = of_node(job) if job else next((n for word in BETWEEN for n, s in sorted(states.items()) if s == word), "")
    ended = {"True": "succeeded", "False": "failed"}.get(completed or "", "")
    return Progress(
        upgrade=name,
        version=str(spec(item).get("version") or "the release of an ISO that was uploaded"),
        phase=phase,
        states=states,
        node=node,
        job=f"{meta(job).get('namespace')}/{name_of(job)}" if job else "",
        waits="" if ended else _waits(item, phase, states, node, seen),
        line=line,
        since=_since(item, seen, name),
        ended=ended,
        why=_timeline.mask("; ".join(_why(item, states))) if ended == "failed" else "",
        left_s=_left(seen, name, states, now) if phase.number == 4 else None,
        mark=_mark(item, seen, name),
    )


def busy(seen: Seen, name: str) -> JSON | None:
    """The job of it that works now; of several the youngest."""
    mine = [job for job in _jobs(seen, name) if not _stale.ended(job)]
    return max(mine, key=lambda job: str(status(job).get("startTime") or ""), default=None)


def _jobs(seen: Seen, name: str) -> list[JSON]:
    """Those of Harvester by label; those of its plans by name."""
    ours = [job for job in seen.get("jobs", ()) if labels(job).get(OF_UPGRADE) == name]
    return ours + [job for job in seen.get("preparing", ()) if name_of(job).startswith(f"apply-{name}-")]


def of_node(job: JSON) -> str:
    """The node that a job works on; empty for one of the whole cluster."""
    return next((labels(job)[key] for key in OF_NODE if labels(job).get(key)), "")


def _waits(item: JSON, phase: Phase, states: t.Mapping[str, str], node: str, seen: Seen) -> str:
    state = states.get(node, "")
    if phase.name == "image":
        image = next((i for i in seen.get("images", ()) if name_of(i) == name_of(item)), None)
        part = status(image or {}).get("progress")
        return phase.what + (f" ({part} %)" if part is not None else "")
    if phase.number != 4:
        return phase.what
    words = {
        "Pre-draining": f"{node} to be made ready for its drain: volumes to be healthy, machines to move",
        "Pre-drained": f"Rancher to drain {node}",
        "Post-draining": f"{node} to get its new RKE2 and OS",
        "Waiting Reboot": f"{node} to come up with its new OS",
    }
    paused = sorted(n for n, s in states.items() if s == PAUSED)
    if paused and state not in words:
        return f"a person to let {' or '.join(paused)} go on (harvesterhci.io/node-upgrade-pause-map)"
    left = sorted(n for n, s in states.items() if s not in ("Succeeded", *words))
    return words.get(state) or (f"Rancher to ask for the drain of {' or '.join(left)}" if left else phase.what)


def _why(item: JSON, states: t.Mapping[str, str]) -> t.Iterator[str]:
    entries = status(item).get("nodeStatuses") or {}
    for each in status(item).get("conditions") or ():
        if each.get("status") == "False" and each.get("type") != "LogReady":
            said = ": ".join(filter(None, (each.get("reason"), each.get("message"))))
            yield f"{each['type']} is False" + (f" ({said})" if said else "")
    for node in (n for n, state in states.items() if state == "Failed"):
        said = ": ".join(filter(None, ((entries[node] or {}).get(key) for key in ("reason", "message"))))
        yield f"{node} is Failed" + (f" ({said})" if said else "")


def _since(item: JSON, seen: Seen, name: str) -> float | None:
    words = [meta(item).get("creationTimestamp")]
    for each in (item, *_jobs(seen, name)):
        for row in status(each).get("conditions") or ():
            words += [row.get("lastUpdateTime"), row.get("lastTransitionTime")]
    for job in _jobs(seen, name):
        words += [status(job).get("startTime"), status(job).get("completionTime")]
    return max(filter(None, map(_jmes.seconds, words)), default=None)


def _left(seen: Seen, name: str, states: t.Mapping[str, str], now: float) -> float | None:
    """By the nodes that are done: each took until the next one was begun, one after another."""
    begun: dict[str, float] = {}
    for job in _jobs({**seen, "preparing": ()}, name):
        at, node = _jmes.seconds(status(job).get("startTime")), of_node(job)
        if at is not None and node:
            begun[node] = min(at, begun.get(node, at))
    order = sorted(begun, key=lambda node: begun[node])
    spent = {n: begun.get(after, now) - begun[n] for n, after in zip(order, [*order, ""][1:], strict=True)}
    done = [seconds for node, seconds in spent.items() if states.get(node) == "Succeeded"]
    if not done:
        return None
    mean = sum(done) / len(done)
    return sum(max(mean - spent.get(node, 0), 0) for node, state in states.items() if state != "Succeeded")


def _mark(item: JSON, seen: Seen, name: str) -> str:
    """What is compared with the look before."""
    conditions, jobs = status(item).get("conditions") or (), _jobs(seen, name)
    return repr([
        sorted(str((c.get("type"), c.get("status"), c.get("reason"))) for c in conditions),
        sorted(_stale.states(item).items()),
        sorted(str((name_of(j), status(j).get("active"), status(j).get("succeeded"))) for j in jobs),
        sorted(str((name_of(s), [notes(s).get(key) for key in DRAINING])) for s in seen.get("secrets", ())),
        sorted(map(_node_mark, seen.get("nodes", ()))),
        sorted(str(status(i).get("progress")) for i in seen.get("images", ()) if name_of(i) == name),
        sorted(str((name_of(p), status(p).get("applying"))) for p in seen.get("plans", ())),
    ])  # fmt: skip


def _node_mark(node: JSON) -> str:
    info = status(node).get("nodeInfo") or {}
    runs = (info.get("osImage"), info.get("kubeletVersion"))  # and not Ready, which may flap
    return str((name_of(node), *runs, spec(node).get("unschedulable"), notes(node).get(PENDING)))
