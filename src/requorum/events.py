# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens in a run, as typed values, out of the events of ansible-runner."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _events, _timeline, _wait

JSON = dict[str, Any]
OURS = "requorum.cluster."
_PLAY = re.compile(r"\((\d)/(\d)\) ([A-Z]+) \| (.*)", re.S)


@dataclass(frozen=True)
class Event:
    """Something that happened; the kinds are the classes below."""

    @property
    def document(self) -> JSON:
        """As JSON: its fields, and its kind as `event`."""
        return {"event": type(self).__name__.lower(), **asdict(self)}


@dataclass(frozen=True)
class Phase(Event):
    """A play began: `(4/9) FENCE | Take etcd and kube-apiserver away`."""

    number: int
    of: int
    name: str
    text: str


@dataclass(frozen=True)
class Task(Event):
    """A task began; it is named in the words of the playbook."""

    name: str


@dataclass(frozen=True)
class Node(Event):
    """A host answered for the first time, does not answer, or a task failed on it."""

    name: str
    state: str
    """answers, silent or failed."""
    text: str = ""


@dataclass(frozen=True)
class Finding(Event):
    """What is wrong, by a rule."""

    id: str
    severity: str
    node: str | None
    summary: str


@dataclass(frozen=True)
class Plan(Event):
    """What will be done; it has no actions where nothing is to be done or nothing is allowed."""

    plan_id: str
    cluster: str
    case: str
    survivor: str
    loss: str
    expect_s: int
    """Expected seconds of all actions."""
    refused: tuple[str, ...]
    actions: tuple[JSON, ...]
    folder: str
    """Folder of the run on the machine that runs it."""


@dataclass(frozen=True)
class Action(Event):
    """An action of the plan began or ended; in a dry run it is `planned`."""

    state: str
    """begun, done, failed or planned."""
    what: str
    verb: str
    node: str = ""
    id: str = ""
    phase: int = 0
    expect_s: float | None = None
    seconds: float | None = None
    result: str = ""


@dataclass(frozen=True)
class Wait(Event):
    """Something is waited for; told every 5 seconds."""

    node: str
    what: str
    waited: int
    seconds: int
    """Its deadline."""
    seen: str
    """What was seen last."""


@dataclass(frozen=True)
class Said(Event):
    """What a host's task says besides."""

    node: str
    text: str


class Reader:
    """Makes events of what ansible-runner reports, one after the other."""

    def __init__(self) -> None:
        self._answered = set[str]()
        self._told = set[tuple[str, str]]()
        """Actions that were told while they went on."""
        self._found = set[Finding]()

    def read(self, raw: Mapping[str, Any]) -> Iterator[Event]:
        """The events in one of the runner's."""
        data: JSON = raw.get("event_data") or {}
        kind = str(raw.get("event"))
        if kind == "verbose":
            yield from self._line(str(raw.get("stdout") or ""))
        elif kind == "playbook_on_play_start":
            if found := _PLAY.fullmatch(str(data.get("name") or data.get("play") or "")):
                yield Phase(int(found[1]), int(found[2]), found[3], found[4])
        elif kind == "playbook_on_task_start":
            yield Task(f"{data.get('play')}: {data.get('task')}")
        elif kind in ("runner_on_ok", "runner_on_failed", "runner_on_unreachable"):
            yield from self._host(kind, data)
            yield from self._result(data.get("res") or {}, action_of(data))

    def _line(self, text: str) -> Iterator[Event]:
        told = _events.read(text)
        if told is None:
            return
        fields = {name: value for name, value in told.items() if name != "event" and value is not None}
        if told["event"] == "action":
            action = _action(fields)
            self._told.add((action.node, action.what))
            yield action
        elif waiting := _wait.Waiting.of(str(fields.get("text"))):
            node = str(fields.get("node"))
            yield Wait(node, waiting.what, waiting.waited, waiting.seconds, waiting.seen)
        else:
            yield Said(str(fields.get("node")), str(fields.get("text")))

    def _host(self, kind: str, data: JSON) -> Iterator[Node]:
        host = str(data.get("host"))
        if kind == "runner_on_unreachable":
            yield Node(host, "silent", why(data))
        elif kind == "runner_on_failed" and not data.get("ignore_errors"):
            yield Node(host, "failed", why(data))
        elif host != "localhost" and host not in self._answered and action_of(data):  # others run on the controller
            self._answered.add(host)
            yield Node(host, "answers")

    def _result(self, result: JSON, action: str) -> Iterator[Event]:
        if action == "recovery_plan" and "plan" in result:
            yield _plan(result["plan"], str(result.get("requorum_run_dir") or ""))
        for finding in (result.get("diagnosis") or result).get("findings") or ():
            found = Finding(finding["id"], finding["severity"], finding.get("node"), finding["summary"])
            if found not in self._found:  # the report at the end has them again
                self._found.add(found)
                yield found
        for part in (result, *(result.get("results") or ())):
            for entry in (part.get("requorum_actions") if isinstance(part, dict) else None) or ():
                made = _action({**entry, "state": _state(str(entry.get("result") or "done"))})
                if (made.node, made.what) not in self._told:
                    yield made


def action_of(data: Mapping[str, Any]) -> str:
    """The short name of our module that a task calls; empty for others."""
    name = str(data.get("task_action") or data.get("resolved_action") or "")
    return name.removeprefix(OURS) if name.startswith(OURS) else ""


def why(data: Mapping[str, Any]) -> str:
    """Why a task failed, in one line."""
    text = str((data.get("res") or {}).get("msg") or "the task failed")
    return _timeline.mask(" ".join(text.split()).removeprefix("Task failed: "))


def _plan(plan: JSON, folder: str) -> Plan:
    refused = tuple(f"{refusal['what']} {refusal['next']}" for refusal in plan["refusals"])
    return Plan(
        *(plan["plan_id"], plan["cluster"], plan["case"], plan["survivor"] or "", plan["loss"], plan["expect_s"]),
        *(refused, tuple(plan["actions"]), folder if Path(folder).is_absolute() else ""),
    )


def _action(fields: Mapping[str, Any]) -> Action:
    given = {name: fields[name] for name in Action.__dataclass_fields__ if fields.get(name) is not None}
    return Action(**{"what": "", "verb": "", **given})


def _state(result: str) -> str:
    """Of what a task reports when it has ended."""
    return "failed" if result.startswith("failed") else "planned" if result.startswith("would") else "done"
