# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum status` and `requorum report`: what the runs on this controller have left in their folders.

A run that was killed has no last report. Whether one goes on is known of those that `requorum` has started on this
machine (command.json). The timeline of others tells when they were last heard, and whether Ansible came to its end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _report_text, _timeline

from . import command
from .inputs import Usage
from .output import Result, Table, wrapped

JSON = Mapping[str, Any]
FAILED, FOUND = 1, 4
RECENT = 60
"""Seconds after which a run that writes nothing is not taken for one that may still go on; every wait speaks sooner."""
OPEN = ("failed", "unfinished", "running", "perhaps running")
"""Outcomes of which something is left to do."""
CODES = {"failed": 1, "refused": 3}


@dataclass(frozen=True)
class Run:
    """What a folder tells of its run."""

    folder: str
    cluster: str
    started: str
    purpose: str
    outcome: str
    """Of the report; without a last one `unfinished`, `running`, or `perhaps running` where it was just heard."""
    phase: str
    """The last one that it came to."""
    done: int
    planned: int
    last: str
    next: str | None


def add(commands: Any) -> None:
    """Put both commands into the parser."""
    text = "list the runs on this controller: what, when, how they ended, and the command that goes on"
    made: argparse.ArgumentParser = commands.add_parser("status", help=text, description=text, allow_abbrev=False)
    made.add_argument("--output", metavar="DIR", default="recoveries", help="requorum_output of the runs; recoveries")
    made.add_argument("--cluster", metavar="NAME", help="only those of this cluster")
    made.add_argument("--all", action="store_true", help="also dry runs, and where nothing was to be done")
    made.add_argument("--json", action="store_true", help="the list as JSON")
    made.set_defaults(run=status)
    text = "show the report of a run again"
    again: argparse.ArgumentParser = commands.add_parser("report", help=text, description=text, allow_abbrev=False)
    again.add_argument("folder", metavar="DIR", type=Path, help="folder of the run: recoveries/CLUSTER/TIME")
    kind = again.add_mutually_exclusive_group()
    kind.add_argument("--json", action="store_true", help="report.json, or what the folder has in its place")
    kind.add_argument("--html", action="store_true", help="only the path of the page for a browser")
    again.set_defaults(run=report)


def status(arguments: argparse.Namespace) -> Result:
    """4 when the last run of a cluster is not finished."""
    root = Path(arguments.output)
    if not root.is_dir():
        raise Usage(f"--output {root}: no such folder. It is requorum_output of the runs, and recoveries/ by default.")
    now = datetime.now(UTC)
    found = [run for run in _all(root, now) if arguments.cluster in (None, run.cluster)]
    newest = _newest(found)
    shown = [run for run in found if arguments.all or _acted(run)][::-1]
    document = {"schema": 1, "runs": [asdict(run) for run in shown]}
    code = FOUND if any(run.outcome in OPEN for run in newest.values()) else 0
    if not shown:
        more = "" if arguments.all else "; --all shows dry runs"
        return Result([f"No run in {root} has changed anything{more}."], document)
    rows = [(run.outcome, run.started[:16].replace("T", " "), run.purpose, _words(run)) for run in shown]
    table = Table(("OUTCOME", "STARTED (UTC)", "WHAT", ""), rows)
    going = [run for run in newest.values() if run.next and run.outcome not in ("recovered", "done", "healthy")]
    blocks: list[str | Table] = [table, *(_going(run) for run in going)]
    return Result(blocks, document, [], code)


def unfinished(root: Path, now: datetime) -> list[Run]:
    """The last run of each cluster, where it did not come to its end."""
    return [run for run in _newest(_all(root, now)).values() if run.outcome in OPEN]


def _all(root: Path, now: datetime) -> list[Run]:
    return [run for folder in sorted(root.glob("*/*T*Z")) if (run := read(folder, now))]


def _newest(found: list[Run]) -> dict[str, Run]:
    return {run.cluster: run for run in found if _acted(run)}


def _acted(run: Run) -> bool:
    return run.done > 0 or run.outcome in OPEN


def _words(run: Run) -> str:
    said = f"{run.folder}: {run.done} of {run.planned} actions."
    if run.outcome in OPEN:
        said += f" It came to {run.phase or 'no phase'}. {run.last}."
    return said


def _going(run: Run) -> str:
    if run.outcome == "running":
        return f"{run.cluster}: it goes on. Ctrl-C where it runs ends it after its current action."
    maybe = "look first whether it still goes on (ps), then " if run.outcome == "perhaps running" else ""
    how = f"requorum resume {run.cluster}, or " if command.load(run.folder) else ""
    lines = wrapped(f"{run.cluster}: {maybe}{how}the same command goes on from what it finds:")
    return "\n".join([*lines, "", *_report_text.pasted(str(run.next))]) + "\n"


def read(folder: Path, now: datetime) -> Run | None:
    """A run with a plan; None for folders of another kind."""
    plan = _load(folder / "plan.json")
    if not plan.get("stamp"):
        return None
    made = _load(folder / "report.json")
    actions = [row for row in _lines(folder / "actions.jsonl") if row.get("verb")]
    events = _timeline.read(_text(folder / "timeline.jsonl"))
    outcome = str((made.get("verdict") or {}).get("outcome") or "unfinished")
    if outcome == "planned" and (made.get("run") or {}).get("mode") != "check":  # the last report is not written yet
        ended = any(event["event"] == "stats" for event in events)
        record = command.load(folder)
        confirmed = not ended and record is not None and "--confirm" in record["argv"]  # it was killed before the first
        begun = "unfinished" if actions or confirmed else "not confirmed"
        lives = command.running(record) if record and not ended else None
        maybe = "perhaps running" if lives is None and not ended and _recent(events, now) else begun
        outcome = "running" if lives else maybe
    last = actions[-1] if actions else None
    number = int(last["phase"]) if last else max((int(event["phase"] or 0) for event in events), default=0)
    phases = plan.get("phases") or ()
    ended_as = "" if last is None else "failed" if str(last["result"]).startswith("failed") else "done"
    verdict = (made.get("verdict") or {}).get("next")
    again = f"{plan['command']} -e requorum_confirm={plan['cluster']}" if outcome != "not confirmed" else None
    return Run(
        str(folder), str(plan["cluster"]), str(plan["started"]), str(plan.get("purpose") or "recover"), outcome,
        str(phases[number - 1]) if 0 < number <= len(phases) else "",
        sum(not str(row["result"]).startswith("failed") for row in actions), len(plan.get("actions") or ()),
        f"Last: {last['id']} {last['node']} {last['what']} ({ended_as})" if last else "No action was begun",
        again if outcome in OPEN[1:] else verdict,
    )  # fmt: skip


def _recent(events: list[dict[str, Any]], now: datetime) -> bool:
    if not events:
        return False
    return abs((now - datetime.fromisoformat(str(events[-1]["t"]))).total_seconds()) < RECENT


def report(arguments: argparse.Namespace) -> Result:
    """As the run has shown it; its exit code says how the run ended."""
    folder: Path = arguments.folder
    if not folder.is_dir():
        raise Usage(f"{folder} is no folder. `requorum status` lists those of the runs.")
    pages = sorted(folder.glob("*.html"))
    if arguments.html:
        if not pages:
            raise Usage(f"{folder} has no page for a browser.")
        return Result([f"{pages[0].resolve()}\n"])
    document = _load(folder / "report.json")
    if document:
        run = read(folder, datetime.now(UTC))
        unfinished = run is not None and run.outcome in OPEN[1:]
        notes = [_unfinished(run)] if run and unfinished else []
        code = FAILED if unfinished else CODES.get(document["verdict"]["outcome"], 0)
        return Result([_report_text.summary(document, str(folder))], document, notes, code)
    if diagnosis := _load(folder / "diagnosis.json"):
        from ansible_collections.requorum.cluster.plugins.module_utils import _diagnosis_text

        from .diagnose import code as code_of

        blocks = [b if isinstance(b, str) else Table(*b) for b in _diagnosis_text.blocks(diagnosis, everything=False)]
        return Result(blocks, diagnosis, [], code_of(diagnosis))
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        raise Usage(f"{folder} is empty.")
    what = f"{folder} has no report of its own. It holds:"
    return Result([what, "".join(f"  {folder / name}\n" for name in names)], {"schema": 1, "files": names})


def _unfinished(run: Run) -> str:
    return (f"This is the report before anything was done. The run has not written a last one: {run.done} of "
            f"{run.planned} actions were done. {run.last}.")  # fmt: skip


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def _load(path: Path) -> dict[str, Any]:
    """A file of a run; nothing where it is missing or was torn by a kill."""
    try:
        found = json.loads(_text(path) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _lines(path: Path) -> list[dict[str, Any]]:
    found = []
    for line in _text(path).splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            found.append(row)
    return found
