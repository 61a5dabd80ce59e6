# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/recovery_lock.py for the documentation."""

from __future__ import annotations

import os
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from ansible.errors import AnsibleError

from ansible_collections.requorum.cluster.plugins.module_utils import _classify, _lock, _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _beside, _holder, _inspected
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction, now
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import load, write

SIDE_BY_SIDE = 20


@dataclass(frozen=True)
class Answer:
    """What came of the lock on one node."""

    node: str
    state: str
    """taken, freed or other; empty where it could not be done, and nobody knows."""
    other: _lock.Held | None
    """Of another run, as it was found."""
    why: str = ""


class ActionModule(NodeAction):
    """Hold the lock of the cluster on every node that is reached, or let it go."""

    VALID = ("run_dir", "state", "hosts")

    def act(self) -> JSON:
        if self._task.check_mode:
            return {"changed": False}
        self.run_dir = str(self._task.args["run_dir"])
        if (self._task.args.get("state") or "held") == "free":
            return self._free(load(self.run_dir, _lock.FILE, {}))
        return self._hold()

    def _hold(self) -> JSON:
        entries = _inspected.entries(self.vars["hostvars"], self._task.args["hosts"])
        names = [entry["name"] for entry in entries if entry["reachable"]]
        plan = load(self.run_dir, "plan.json", {})
        me = {**_holder.me(), "run": plan["command"], "started": now()}
        limit = int(self.timeout("lock", _lock.SILENT_S))
        dead = _lock.judge(entries, lambda one: _holder.ended(vars(one)), limit).dead
        given = {"ID": me["id"], "STAMP": str(plan["stamp"]), "LIMIT": str(limit), "DEAD": " ".join(dead)}
        text = "".join(f"{key}={value}\n" for key, value in me.items())
        self._keep(me["id"], [], names)
        answers: list[Answer] = []
        # One node decides between two runs that begin at the same instant: the first on which a lock can be kept.
        while names and not any(answer.state for answer in answers):
            answers += self._on(names[:1], "take", given, text)
            names = names[1:]
        if not any(answer.state == "other" for answer in answers):
            answers += self._on(names, "take", given, text)
        taken = [answer.node for answer in answers if answer.state == "taken"]
        others = [answer.other for answer in answers if answer.state == "other" and answer.other]
        if others or not taken:
            self._on([answer.node for answer in answers if answer.state != "other"], "back", given)
            self._keep(me["id"], [], [])
            why = "; ".join(f"{answer.node}: {answer.why}" for answer in answers if answer.why)
            nobody = _classify.Refusal(
                f"The lock of the cluster could not be kept on any node: {why}.",
                _lock.PATH,
                "Put that right on one node.",
            )
            refusals = [_lock.refusal(one, limit) for one in _lock.latest(others)] or [nobody]
            plan["refusals"] = [asdict(refusal) for refusal in refusals]
            write(os.path.join(self.run_dir, "plan.json"), plan)  # for the report
            raise RequorumError(" ".join(map(str, refusals)), "Nothing was changed.")
        self._keep(me["id"], taken, [answer.node for answer in answers])
        over = _lock.latest(answer.other for answer in answers if answer.other)
        for one in over:
            told = _lock.taken_over(one, dead=one.id in dead)
            (self.say if one.id in dead else self.warn)(told)
        for answer in answers:
            if answer.why:
                self.warn(f"{answer.node}: the lock of the cluster is not kept there: {answer.why}")
        return {
            "changed": False,
            "nodes": taken,
            "left_out": {answer.node: answer.why for answer in answers if answer.why},
            "taken_over": [{**vars(one), "dead": one.id in dead} for one in over],
            "requorum_message": "; ".join(_lock.taken_over(one, dead=one.id in dead) for one in over),
        }

    def _free(self, kept: JSON) -> JSON:
        names = list(kept.get("tried", ()))
        answers = self._on(names, "free", {"ID": kept["id"], "STAMP": "", "LIMIT": "0", "DEAD": ""}) if names else []
        for answer in answers:
            if answer.why and answer.node in kept["nodes"]:
                self.warn(f"{answer.node}: the lock of the cluster stays there until it expires: {answer.why}")
        if names:
            self._keep(kept["id"], [], [])
        return {"changed": False, "nodes": [answer.node for answer in answers if answer.state == "freed"]}

    def _keep(self, ident: str, nodes: list[str], tried: list[str]) -> None:
        write(os.path.join(self.run_dir, _lock.FILE), {"id": ident, "nodes": nodes, "tried": tried})

    def _on(self, names: t.Sequence[str], do: str, given: t.Mapping[str, str], text: str = "") -> list[Answer]:
        """The same on nodes side by side."""
        nodes = [(name, _beside.beside(self, name)) for name in names]

        def work(node: tuple[str, NodeAction | None]) -> Answer:
            name, action = node
            if action is None:
                return Answer(name, "", None, "it is not in the inventory")
            try:
                done = action.script("lock", stdin=text.encode(), timeout=30, DO=do, **given)
            except (AnsibleError, RequorumError) as error:
                done = _node.Done(1, "", " ".join(str(error).split())[-200:])
            told = _node.pairs(done.out)
            state = told.get("lock", "") if done.rc == 0 else ""
            other = _lock.held(name, told) if "age" in told and done.rc == 0 else None
            return Answer(name, state, other, "" if state else done.why)

        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            return list(pool.map(work, nodes))
