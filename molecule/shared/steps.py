# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the scenarios do to a lab, and what they expect of it: python -m steps STEP LAB [ARGUMENT...]."""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path
from typing import Any

from lab import fingerprint, objects
from lab.drill import ROOT, lose_quorum
from lab.labs import Lab
from lab.progress import LabError, say

OBJECTS = 40


def create(name: str, distro: str, inventory: str) -> None:
    """Make a lab with objects and workloads in it, and link its inventory."""
    lab = Lab(name, distro)
    lab.down()  # what a killed run may have left
    lab.up()
    objects.write_objects(lab, OBJECTS)
    objects.write_workloads(lab)
    Path(inventory).unlink(missing_ok=True)
    Path(inventory).symlink_to(lab.inventory)


def destroy(name: str) -> None:
    """Remove a lab; absent is fine."""
    Lab(name).down()


def lose(name: str) -> None:
    """Lose the quorum as the drill does, and remember what must be there afterwards."""
    lab = Lab.load(name)
    lab.wait_ready()
    _save(lab, "before", {"objects": objects.objects(lab), "workloads": _workloads(lab)})
    lose_quorum(lab)


def still(name: str) -> None:
    """Stop the server that crashes again and again on its destroyed datastore: its pids would change by themselves."""
    lab = Lab.load(name)
    host = lab.servers[-1]
    lab.sh(host, f"systemctl stop {lab.spec.unit(host)} && {lab.spec.distro}-killall.sh", 120).ok(f"stop {host}")
    say(f"{host}: stopped")


def look(name: str) -> None:
    """Remember every file, process, unit and listener."""
    lab = Lab.load(name)
    _save(lab, "marks", fingerprint.read(lab))
    _save(lab, "runs", _runs(lab))


def unchanged(name: str) -> None:
    """Every file, process, unit and listener is as it was remembered."""
    lab = Lab.load(name)
    before = _saved(lab, "marks")
    changed = fingerprint.difference(before, fingerprint.read(lab))
    _expect(not changed, f"{len(changed)} of {len(before)} marks differ:\n" + "\n".join(changed[:40]))
    say(f"{len(before)} marks on {len(lab.spec.hosts)} hosts are the same")


def same_actions(name: str) -> None:
    """The run after the one with --check planned the same, and did just that."""
    lab = Lab.load(name)
    known = _saved(lab, "runs")
    dry, wet, *_ = [Path(folder) for folder in _runs(lab) if folder not in known]
    _expect(not (dry / "actions.jsonl").exists(), f"{dry}: --check has done something")
    planned = [json.loads((folder / "plan.json").read_text())["actions"] for folder in (dry, wet)]
    _expect(planned[0] == planned[1], f"the plans of {dry} and {wet} differ")
    done = [json.loads(line) for line in (wet / "actions.jsonl").read_text().splitlines()]
    order = [action["id"] for action in planned[0]]
    # Hosts act side by side, so what was done stands in the order in which it ended.
    done.sort(key=lambda action: order.index(action["id"]))
    _expect(
        [{key: action[key] for key in planned[0][0]} for action in done] == planned[0],
        f"{wet}: what was done is not what {dry} had planned",
    )
    say(f"{len(done)} actions: {' '.join(order)}")


def recovered(name: str) -> None:
    """Every server is a voter, every node Ready, every object there, and living hosts kept their workloads."""
    lab, (first, *_) = Lab.load(name), Lab.load(name).servers
    before = _saved(lab, "before")
    for host in lab.servers:
        _expect(lab.members(host) == dict.fromkeys(lab.servers, "voter"), f"members on {host}: {lab.members(host)}")
    nodes = {host.name: True for host in lab.spec.hosts}
    _expect(lab.nodes(first) == nodes, f"nodes: {lab.nodes(first)}")
    _expect(len(before["objects"]) == OBJECTS and objects.objects(lab) == before["objects"], "objects are not the same")
    _expect(_workloads(lab) == before["workloads"], f"workloads: {before['workloads']} -> {_workloads(lab)}")
    say(f"{len(lab.servers)} voters, {len(nodes)} nodes Ready, {OBJECTS} objects, workloads never stopped")


def _workloads(lab: Lab) -> dict[str, str]:
    """The workload processes on the hosts whose power was never cut."""
    return {host: objects.workload_process(lab, host) for host in (lab.servers[0], *lab.agents)}


def _runs(lab: Lab) -> list[str]:
    return sorted(str(folder) for folder in (ROOT / "recoveries" / lab.name).glob("*"))


def _save(lab: Lab, name: str, value: Any) -> None:
    (lab.folder / f"{name}.json").write_text(json.dumps(value))


def _saved(lab: Lab, name: str) -> Any:
    return json.loads((lab.folder / f"{name}.json").read_text())


def _expect(true: bool, otherwise: str) -> None:
    if not true:
        raise LabError(otherwise)


STEPS = {step.__name__: step for step in (create, destroy, lose, still, look, unchanged, same_actions, recovered)}


def main() -> int:
    """Exit codes: 0 done, 1 not as expected, 2 usage."""
    step, *arguments = sys.argv[1:] or [""]
    if step not in STEPS:
        print(f"{__doc__}\n" + "\n".join(f"  {name}{inspect.signature(s)}: {s.__doc__}" for name, s in STEPS.items()))
        return 2
    try:
        STEPS[step](*arguments)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
