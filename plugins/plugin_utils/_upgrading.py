# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""An upgrade of Harvester, watched to its end, or until it stands still. Only reads; whoever begins it again sees on.

Servers reboot in its course, and the one that answers changes: each look goes to the one that answered last, else to
the next one.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import signal
import time
import typing as t

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _diagnose,
    _events,
    _jmes,
    _progress,
    _rules,
    _scan,
    _seen,
    _stall,
    _timeline,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _beside, _survey
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import append

PACE, SAY_EVERY = 10.0, 60.0
"""Seconds between looks, of ten requests each in one round trip; and between lines while nothing changes."""
CLEAN_S = 3600.0
"""Of the clean-up behind an upgrade."""
ALL_S = 21600.0
"""Without any change of its objects, whatever its log says."""
LOOK_S = 120
"""Deadline of one question to one host."""
POD_NAME = 58
_NUMBERED = re.compile(r"\[[^\]]*\d\d:\d\d:\d\d[^\]]*\]|\S*\d\d:\d\d:\d\d\S*|\(\d+( retries)?\)")
SILENT_S = 1800.0
"""So long no API may answer: a server that has no other one beside it boots twice in its upgrade."""


class Stalled(RequorumError):
    """It stands still, or has failed."""

    def __init__(self, stall: _stall.Stall) -> None:
        said = [f"Evidence: {line}" for line in stall.evidence]
        again = f"Where it is only slow, raise requorum_timeouts.{stall.patience} and watch on."
        hint = " ".join(filter(None, (stall.next, stall.patience and again)))
        super().__init__(" ".join(filter(None, (stall.what, stall.cause, *said))), hint)
        self.stall = stall


class Watch:
    """What was seen of one upgrade, and since when."""

    def __init__(
        self,
        action: NodeAction,
        name: str,
        timeline: str,
        servers: t.Sequence[str],
        *,
        beat: t.Callable[[NodeAction], None] = lambda _action: None,
        clock: t.Callable[[], float] = time.time,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        """timeline: a file of JSON lines, which is written on. beat: is called behind each look, with whoever
        reached the API, for a lock.
        """
        self._action, self._name, self._timeline, self._beat = action, name, timeline, beat
        self._clock, self._sleep, self._rules = clock, sleep, _stall.asked(_rules.load())
        self._patterns = _scan.patterns(self._rules)
        others = [host for host in servers if host != action.host] if action.host != "localhost" else []
        self._hosts: list[str] = [action.host, *others]
        self._made: dict[str, NodeAction | None] = {action.host: action}
        self._lines: dict[str, set[str]] = {}
        self._mark, self._changed, self._moved, self._told, self._told_at = "", 0.0, 0.0, "", 0.0
        self._warned = ""
        self._names = {known: host for host in self._known() for known in self._called(host)}
        self.looks = 0
        self.last: _progress.Progress | None = None

    def to_the_end(self) -> _progress.Progress:
        """The look at which it has succeeded; Stalled, or RequorumError where nothing can be seen any more."""
        silent = self._clock()
        limit = self._action.timeout("upgrade_silent", SILENT_S)
        while True:
            if self._action.orphaned:
                raise RequorumError("ansible-playbook has ended.", "The same command watches on.")
            if _events.stopping():
                what = f"{_events.STOPPED} while it was watched. It goes on."
                raise RequorumError(what, "The same command watches on.")
            seen, why = self._read()
            if not why:
                silent = self._clock()
                if self._step(seen):
                    assert self.last is not None
                    return self.last
            elif self._clock() - silent > limit:
                raise RequorumError(
                    f"No API server has answered for {limit / 60:.0f} minutes: {why}. {self._seen_last()}",
                    "Nothing was changed by the watching. Bring an API back (requorum inspect -i INV says how), then "
                    "run the same command again: it finds the upgrade and goes on.",
                )
            else:
                self._say(f"no API answers ({why}); {self._seen_last()}")
            self._sleep(float(self._action._task.args.get("pace") or PACE))

    def until_clean(self) -> None:
        """Behind Completed Harvester deletes old images and its repository, and Longhorn rebuilds what a reboot took.

        What is left of it at the deadline is told, and judged by whoever verifies.
        """
        limit = self._action.timeout("upgrade_cleanup", CLEAN_S)
        until = self._clock() + limit
        while left := self._left():
            if self._clock() > until:
                self._action.say(f"still there after {limit / 60:.0f} minutes: {left}")
                return
            self._say(f"{self._name} has succeeded; waits for its clean-up: {left}")
            self._sleep(3 * float(self._action._task.args.get("pace") or PACE))

    def _left(self) -> str:
        """What is not done yet; also when that cannot be seen."""
        kinds, why = self._read(("plans", "images", "vms", "volumes"))
        if why:
            return f"no API answers ({why})"
        mine = [f"{name} {each['metadata']['name']}" for name in ("plans", "images", "vms")
                for each in kinds.get(name, ()) if self._name in each["metadata"]["name"]]  # fmt: skip
        bad = [v for v in kinds.get("volumes", ()) if (v.get("status") or {}).get("robustness") == "degraded"]
        return ", ".join([*mine, *([f"{len(bad)} volumes that are rebuilt"] if bad else [])])

    def _seen_last(self) -> str:
        return f"seen last: {words(self.last)}" if self.last else "nothing was seen yet"

    def _step(self, seen: dict[str, list[JSON]]) -> bool:
        """One look; whether it has succeeded."""
        before, moment = self.last, self._clock()
        file, lines = self._log(seen)
        at = _progress.look(seen, self._name, line=_text(lines[-1]) if lines else "", now=moment)
        if at is None:
            raise RequorumError(
                f"The Upgrade {self._name} is gone: somebody has deleted it. {self._seen_last()}",
                "requorum inspect -i INV; it says what it has left and what may be done.",
            )
        fresh = {_same(line) for line in lines} - self._lines.setdefault(at.job, set())
        self._lines[at.job] |= fresh
        if not before:  # it stood still before anybody watched
            self._moved = min(at.since or moment, moment)
            self._changed = min(max(self._moved, _newest(lines)), moment)
        elif at.mark != self._mark:
            self._moved = self._changed = moment
        elif fresh:
            self._changed = moment
        self._mark, self.last = at.mark, at
        if before is None or _about(at) != _about(before):
            append(self._timeline, {"time": self._iso(), **at.document})
        quiet = moment - self._changed
        if moment - self._moved >= ALL_S:  # a log that always has something new to say hides nothing for ever
            quiet = moment - self._moved
        self._say(words(at), quiet)
        if at.ended == "succeeded":
            return True
        limits = {key: self._action.timeout(f"upgrade_{key}", at_) for key, at_ in
                  (("stall", _stall.STALL_S), ("unknown", _stall.UNKNOWN_S))}  # fmt: skip
        findings = self._findings(seen, at, file, lines)
        stall = _stall.judge(at, findings, quiet, stall_s=limits["stall"], unknown_s=limits["unknown"])
        if stall and stall.ends:
            raise Stalled(stall)
        if stall and stall.what != self._warned:
            self._action.say(f"slow, and watched on: {Stalled(stall)}")
        self._warned = stall.what if stall else ""
        return False

    def _read(self, names: t.Sequence[str] = _progress.KINDS) -> tuple[dict[str, list[JSON]], str]:
        """Objects by kind, or why none came, of the first host that gives those of the first kind."""
        why = ""
        for host in list(self._hosts):
            try:
                action = self._on(host)
                if action is None:
                    continue
                with _within(LOOK_S):
                    read = _survey.Reader(action, "inspect", api=True).of(names)
            except (RequorumError, AnsibleConnectionFailure) as error:
                why = " ".join(str(error).split())[-300:]
                continue
            finally:
                self.looks += 1
            found = {name: items for name, items in read.items() if isinstance(items, list)}
            if names[0] in found:
                self._hosts.sort(key=lambda each: each != host)
                self._beat(action)
                return found, ""
            why = str(read[names[0]] or f"this cluster has no {names[0]} of Harvester, so it is none")
        return {}, why or "no server is known"

    def _log(self, seen: dict[str, list[JSON]]) -> tuple[str, list[str]]:
        """(file, its last lines) of the job that works, from the node on which it is; nothing where that is silent."""
        job = _progress.busy(seen, self._name)
        if job is None or self._action.host == "localhost":
            return "", []
        node = _progress.of_node(job)
        for host in [self._names.get(node, node)] if node else dict.fromkeys((*self._hosts, *self._known())):
            try:
                action = self._on(host)
                with _within(LOOK_S):
                    done = action.script("upgrade_log", timeout=15, JOB=_pods(job)) if action else None
            except AnsibleConnectionFailure:  # it reboots
                continue
            if done and done.rc == 0 and done.out:
                file, *lines = _timeline.mask(done.out).splitlines()
                return file, [line for line in lines if line.strip()]
        return "", []

    def _on(self, host: str) -> NodeAction | None:
        if host not in self._made:
            self._made[host] = _beside.beside(self._action, host)
        return self._made[host]

    def _known(self) -> list[str]:
        groups = self._action.vars.get("groups") or {}
        return [*(groups.get("servers") or ()), *(groups.get("agents") or ())]

    def _called(self, host: str) -> set[str]:
        """Names by which the cluster may know a host of the inventory."""
        read = (self._action.vars["hostvars"][host].get("requorum_read") or {}).get("requorum_node") or {}
        told = {str(read.get("hostname") or ""), str((read.get("program") or {}).get("node_name") or "")}
        return (told | {host}) - {""}

    def _findings(
        self, seen: dict[str, list[JSON]], at: _progress.Progress, file: str, lines: t.Sequence[str]
    ) -> list[JSON]:
        state = _seen.live(str(self._action._task.args["cluster"]), [], (), seen, self._iso())
        logs = [(at.node or None, "upgrade-job", file, ["\n".join(lines).encode()])] if lines else []
        state = _seen.with_logs(state, logs, self._patterns)
        found: list[JSON] = self._action.typed(_diagnose.diagnose(state, self._rules)["findings"])
        return found

    def _iso(self) -> str:
        moment = datetime.datetime.fromtimestamp(self._clock(), datetime.UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _say(self, text: str, quiet: float = 0) -> None:
        """When something else is seen, else once a minute."""
        moment = self._clock()
        if text != self._told or moment - self._told_at >= SAY_EVERY:
            self._action.say(text + (f"; unchanged for {quiet / 60:.0f} min" if quiet >= 60 else ""))
            self._told, self._told_at = text, moment


def _about(at: _progress.Progress) -> tuple[t.Any, ...]:
    """What makes a new line of the timeline."""
    return at.states, at.phase, at.job, at.line, at.ended


def words(at: _progress.Progress) -> str:
    """One look in a line."""
    states = ", ".join(f"{node} {state}" for node, state in sorted(at.states.items()))
    left = f"; about {at.left_s / 60:.0f} min for the nodes that are left" if at.left_s is not None else ""
    head = f"{at.upgrade} to {at.version}: phase {at.phase.number} ({at.phase.name})"
    if at.ended:
        return f"{head}: {at.ended}" + (f"; {at.why}" if at.why else "")
    job = f" [{at.job}: {at.line}]" if at.line else f" [{at.job}]" if at.job else ""
    return f"{head}; waits for {at.waits}{job}" + (f"; {states}" if states else "") + left


@contextlib.contextmanager
def _within(seconds: int) -> t.Iterator[None]:
    """A server that loses its power keeps a connection without keepalive for hours: nobody waits for that here."""

    def late(_number: int, _frame: t.Any) -> t.NoReturn:
        raise AnsibleConnectionFailure(f"no answer within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _pods(job: JSON) -> str:
    """How the name of the folder of its pods' logs begins; Kubernetes cuts the name of a pod before its random end."""
    meta = job["metadata"]
    return f"{meta.get('namespace')}_{(meta['name'] + '-')[:POD_NAME]}"


def _text(line: str) -> str:
    """A line of a container's log without its time and stream."""
    parts = line.split(" ", 3)
    return parts[3] if len(parts) == 4 and parts[1] in ("stdout", "stderr") else line


def _same(line: str) -> str:
    """What it says, without times and without the number of a try: those are new in each line."""
    return _NUMBERED.sub("", _text(line))


def _newest(lines: t.Sequence[str]) -> float:
    """When the log last said something new, by the times of its lines; what its first quarter says may be older."""
    first: dict[str, int] = {}
    for number, line in enumerate(lines):
        first.setdefault(_same(line), number)
    new = [lines[number].split(" ", 1)[0] for number in first.values() if number >= len(lines) / 4]
    return max(filter(None, map(_jmes.seconds, new)), default=0.0)


def entries(timeline: str) -> list[JSON]:
    """What a timeline holds; a line that was torn is left out."""
    found = list[JSON]()
    with contextlib.suppress(OSError), open(timeline, encoding="utf-8", errors="replace") as file:
        for line in file:
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
    return found


def folder_of(shelf: str, name: str) -> str:
    """Of one upgrade, on the shelf of its cluster: a later run writes on in it."""
    folder = os.path.join(shelf, "upgrades", name)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    return folder
