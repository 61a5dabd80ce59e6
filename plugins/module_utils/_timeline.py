# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of a run: what may be written of a task's result, and the phases and bars that a report draws from them.

PRIVATE to the collection. It can have breaking changes at any time.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

Event = dict[str, Any]

PHASES = ("INSPECT", "PLAN", "BACKUP", "FENCE", "RESET", "START", "REJOIN", "RESYNC", "VERIFY")
TURNS = ("ROTATE", "REPAIR")
"""Phases in which hosts take turns, besides REJOIN: the fourth of five."""
FILE_NAME = "timeline.jsonl"
MESSAGE_LIMIT = 1000
SHORTEST_BAR = 1.0
"""Seconds below which a task that ended well is no bar of its own."""

_PLAY = re.compile(r"^\((\d)/\d\) ([A-Z]+)\b")
HIDDEN = "<hidden>"
_VALUE = r"""(?:\\"(?:(?!\\").)*(?:\\")?|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|[|>][+-]?[ \t]*(?:\n[ \t]+[^\n]*)+|[^\s'"]+)"""
"""As JSON, as JSON within JSON, in YAML (a block among it), in a shell."""
_NAMES = (
    r"(?:token|passw(?:or)?d|passphrase|credentials?|secret|secret[_-]?(?:access[_-]?)?key|access[_-]?key(?:[_-]?id)?"
    r"|api[_-]?key|(?:user|vendor|network)[_-]?data(?:base64)?|(?:key|certificate|authority)-data)"
)
_WORDS = "token pass credential secret access api data"
_MASKS = (
    (
        "-----begin",
        re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S),
        HIDDEN,
    ),
    # "token <secret>" alone, without K10 and without a colon, cannot be told from prose: nothing may print it.
    ("k10", re.compile(r"K10[0-9a-fA-F]{16,}(?:::\S+)?"), HIDDEN),
    ("bearer basic", re.compile(r"(?i)(\bbearer\s+|\bauthorization\W{1,6}basic\s+)[\w.~+/=-]+"), rf"\1{HIDDEN}"),
    ("--", re.compile(r"(?i)(--[\w-]{0,40}(?:token|password|secret-key|access-key)[ =])" + _VALUE), rf"\1{HIDDEN}"),
    # What cloud-init is given, up to the end of its text, of its block or of its lines.
    ("#cloud-config", re.compile(r"(#cloud-config\b)\\n(?:[^\"\\]|\\.)*"), rf"\1 {HIDDEN}"),
    (
        "#cloud-config",
        re.compile(
            r"(?m)^([ \t]*)#cloud-config\b.*(?:\n(?!\d{4}-|[A-Z][a-z]{2} +\d|[IWEF]\d{4} |\{)(?:\1.*|[ \t]*$))+"
        ),
        rf"\1#cloud-config {HIDDEN}",
    ),
    (
        "chpasswd",
        re.compile(r"(?i)(\bchpasswd\\?[\"']?\s*:)(?:[ \t]*\{[^}\n]*\}?|[ \t]*(?:\n[ \t]+.*)+)"),
        rf"\1 {HIDDEN}",
    ),
    (_WORDS, re.compile(r"(?i)(" + _NAMES + r"\\?[\"']?\s*(?::=|[:=])\s*)" + _VALUE), rf"\1{HIDDEN}"),
    # Environment of a container: the name stands beside the value.
    (
        _WORDS,
        re.compile(
            r"(?i)(\bname\\?\"?\s*[:=]\s*\\?[\"']?[\w.-]{0,60}" + _NAMES + r"[\w.-]{0,60}\\?[\"']?"
            r"[\s,]+(?:\\?\")?value\\?\"?\s*[:=]\s*)" + _VALUE
        ),
        rf"\1{HIDDEN}",
    ),
    ("eyj", re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), HIDDEN),
    # In base64: PEM, apiVersion: (a kubeconfig), #cloud-config.
    (
        "ls0tls yxbpvmvyc2lvbjog i2nsb3vklwnvbmzpz",
        re.compile(r"\b(?:LS0tLS|YXBpVmVyc2lvbjog|I2Nsb3VkLWNvbmZpZ)[A-Za-z0-9+/]{16,}={0,2}"),
        HIDDEN,
    ),
    ("token- kubeconfig-", re.compile(r"\b((?:token|kubeconfig)-[\w-]{1,80}:)[A-Za-z0-9]{30,}"), rf"\1{HIDDEN}"),
    (
        "akia $1$ $2a$ $2b$ $2y$ $5$ $6$ $y$",
        re.compile(r"\bAKIA[0-9A-Z]{16}\b|\$(?:1|2[aby]|5|6|y)\$[\w./$=,-]{8,}"),
        HIDDEN,
    ),
    ("://", re.compile(r"(\b\w{1,20}://)[^\s/@:]+:[^\s/@]+@"), rf"\1{HIDDEN}@"),
)


_NEEDLES = frozenset(needle for needles, _pattern, _replacement in _MASKS for needle in needles.split())
_NAMED = re.compile(r"(?i)[\w.-]{0,60}" + _NAMES + r"|(?:[\w.-]{0,60}[_.-]|ssh)?pass")


@functools.lru_cache(4096)
def is_secret(name: str) -> bool:
    """Whether what has such a name is one: a key of an object, a variable of a container."""
    return bool(_NAMED.fullmatch(name))


def mask(text: str) -> str:
    """Return the text without tokens, passwords, kubeconfig data and private keys."""
    small = text.lower()
    if not any(needle in small for needle in _NEEDLES):  # as most texts, and this is much faster
        return text
    for needles, pattern, replacement in _MASKS:
        if any(needle in small for needle in needles.split()):
            text = pattern.sub(replacement, text)
    return text


def mask_all(value: Any) -> Any:
    """Return plain JSON data with every text masked, for documents that leave the controller."""
    if isinstance(value, Mapping):
        return {str(key): mask_all(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [mask_all(entry) for entry in value]
    return mask(str(value)) if isinstance(value, str) else value


def phase_of(play: str) -> tuple[int | None, str | None]:
    """Read number and name of the phase from a play's name such as `(3/9) BACKUP | Save and prove`.

    Other plays are no phase of a plan: `(4/4) KEEP`.
    """
    found = _PLAY.match(play)
    return (int(found[1]), found[2]) if found and found[2] in (*PHASES, *TURNS) else (None, None)


def stamp(moment: datetime) -> str:
    """Write a moment as UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make(event: str, t: str, phase: int | None = None, **fields: Any) -> Event:
    """Build one event: always the same keys, texts masked and cut."""
    made: Event = {
        "t": t,
        "event": event,
        "phase": phase,
        "phase_name": None,
        "node": None,
        "task": None,
        "status": None,
        "seconds": None,
        "message": None,
    }
    made.update(fields)
    if made["phase_name"] is None and phase is not None and 1 <= phase <= len(PHASES):
        made["phase_name"] = PHASES[phase - 1]
    for key in ("task", "message"):
        if made[key] is not None:
            made[key] = mask(str(made[key]))[:MESSAGE_LIMIT]
    return made


def line(event: Mapping[str, Any]) -> str:
    """One line of `timeline.jsonl`."""
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"


def read(text: str) -> list[Event]:
    """Read `timeline.jsonl`; a line torn by a killed controller is left out."""
    events = []
    for row in text.splitlines():
        try:
            event = json.loads(row)
        except ValueError:
            continue
        if isinstance(event, dict) and "t" in event and "event" in event:
            events.append(event)
    return events


def run_dir(result: Mapping[str, Any]) -> str | None:
    """The run's folder, where a task's result or the facts it sets name it."""
    facts = result.get("ansible_facts")
    for source in (result, facts if isinstance(facts, Mapping) else {}):
        found = source.get("requorum_run_dir")
        if isinstance(found, str) and found:
            return found
    return None


def message_of(result: Mapping[str, Any], status: str) -> str | None:
    """The one text of a result that may be written: what a failure says, or what a task says on purpose."""
    key = "msg" if status in ("failed", "unreachable") else "requorum_message"
    found = result.get(key)
    return found if isinstance(found, str) and found else None


def trips(result: Mapping[str, Any]) -> int:
    """Calls to nodes that a task, or the items of its loop, reports in its result."""
    items = result.get("results")
    parts = [part for part in (result, *(items if isinstance(items, list) else ())) if isinstance(part, Mapping)]
    return sum(number for part in parts if isinstance(number := part.get("requorum_trips"), int))


def reported(result: Mapping[str, Any], t: str, phase: int | None, node: str, task: str) -> Iterator[Event]:
    """Events for the actions and waits that a task, or an item of its loop, reports in its result."""
    items = result.get("results")
    for part in (result, *(items if isinstance(items, list) else ())):
        if not isinstance(part, Mapping):
            continue
        for kind, key in (("action", "requorum_actions"), ("wait", "requorum_waits")):
            for entry in part.get(key) or ():
                if not isinstance(entry, Mapping):
                    continue
                number = entry.get("phase") if isinstance(entry.get("phase"), int) else phase
                outcome = mask(str(entry.get("result") or "done"))[:MESSAGE_LIMIT]
                what = entry.get("what") or entry.get("id") or task
                last = entry.get("last")
                yield make(
                    kind,
                    t,
                    number,
                    node=str(entry.get("node") or node),
                    task=task,
                    status=_status(outcome),
                    seconds=_seconds(entry),
                    message=f"{what}: {last}" if last else what,
                    id=entry.get("id"),
                    started=_when(entry, "started"),
                    ended=_when(entry, "ended"),
                    result=outcome,
                )


def phases(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The report's `phases`: a phase lasts from its play's start to the next play, in all plays of that number."""
    found: dict[int, dict[str, Any]] = {}
    listed = list(events)
    marks = [event for event in listed if event["event"] in ("play", "stats")]
    for mark, after in zip(marks, [*marks[1:], listed[-1] if listed else None], strict=False):
        number = mark["phase"]
        if mark["event"] != "play" or number is None or after is None:
            continue
        entry = found.setdefault(
            number,
            {
                "number": number,
                "name": mark["phase_name"],
                "started": mark["t"],
                "ended": None,
                "seconds": 0.0,
                "trips": sum(event.get("trips") or 0 for event in listed if event["phase"] == number),
                "waited": _waited(event for event in listed if event["phase"] == number),
            },
        )
        entry["ended"] = after["t"]
        entry["seconds"] = round(entry["seconds"] + max(0.0, _between(mark["t"], after["t"])), 1)
    return [found[number] for number in sorted(found)]


def _waited(events: Iterable[Mapping[str, Any]]) -> float:
    """Seconds in which something was waited for; hosts that wait side by side count once."""
    waits = [event for event in events if event["event"] == "wait" and event.get("started") and event.get("ended")]
    total, reached = 0.0, None
    for event in sorted(waits, key=lambda event: _moment(event["started"])):
        begun, ended = _moment(event["started"]), _moment(event["ended"])
        if reached is None or ended > reached:
            total += (ended - max(begun, reached or begun)).total_seconds()
            reached = ended
    return round(total, 1)


def spans(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The report's `timeline`: reported actions and waits, long or failed tasks, in order of their start."""
    listed = list(events)
    told = {event["task"] for event in listed if event["event"] == "action"}
    made = []
    for event in listed:
        status, what = event["status"], event["message"]
        if event["event"] == "result":
            long = status in ("ok", "changed") and (event["seconds"] or 0.0) >= SHORTEST_BAR
            if status not in ("failed", "unreachable") and (not long or event["task"] in told):
                continue
            what = event["task"]
        elif event["event"] == "wait":
            status = "waited" if status != "failed" else status
        elif event["event"] != "action" or status == "skipped":
            continue
        started, ended = event.get("started"), event.get("ended") or event["t"]
        if started is None:
            started = stamp(_moment(ended) - timedelta(seconds=event["seconds"] or 0.0))
        made.append(
            {
                "phase": event["phase"],
                "node": event["node"],
                "started": started,
                "ended": ended,
                "what": what,
                "status": status,
            }
        )
    return sorted(made, key=lambda span: (_moment(span["started"]), span["node"] or ""))


def _status(outcome: str) -> str:
    word = outcome.lower()
    if word.startswith("fail"):
        return "failed"
    if word.startswith(("skip", "would")):
        return "skipped"
    return "ok" if word in ("ok", "unchanged") else "changed"


def _seconds(entry: Mapping[str, Any]) -> float | None:
    given = entry.get("seconds")
    if isinstance(given, (int, float)):
        return round(float(given), 3)
    started, ended = _when(entry, "started"), _when(entry, "ended")
    return round(_between(started, ended), 3) if started and ended else None


def _when(entry: Mapping[str, Any], key: str) -> str | None:
    """A reported moment as UTC; what is no moment must not cost the report."""
    try:
        moment = _moment(str(entry[key]))
    except (KeyError, ValueError):
        return None
    return stamp(moment) if moment.tzinfo else None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _between(first: str, last: str) -> float:
    return (_moment(last) - _moment(first)).total_seconds()
