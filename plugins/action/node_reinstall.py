# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_reinstall.py for the documentation."""

from __future__ import annotations

import os
import time
import typing as t
from dataclasses import asdict, replace

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display

from ansible_collections.requorum.cluster.plugins.action import node_retire, orphan_purge
from ansible_collections.requorum.cluster.plugins.module_utils import (
    _api,
    _look,
    _margin,
    _orphans,
    _reinstall,
    _server,
    _wait,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._orphans import Dead, meta, name_of, notes, spec, status
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import shelf, write

JSON = dict[str, t.Any]
AGAIN_S = 5
"""Seconds between two tries to evict a pod, as kubectl drain has it."""
NODES, STORAGE = _reinstall.KINDS["nodes"][0], _reinstall.KINDS["storage"][0]
MACHINES, INSTANCES = _reinstall.KINDS["machines"][0], _reinstall.KINDS["machines_running"][0]


class ActionModule(node_retire.ActionModule, orphan_purge.ActionModule):
    """Judge whether a living server may leave to be reinstalled; with a plan, do what it has for this host."""

    VALID = ("name", "cluster", "output", "servers", "looks", "anyway", "accept_stop", "accept_loss", "undo",
             "plan", "phase", "run_dir")  # fmt: skip
    VERBS = ("cordon", "close", "halt", "drain", "move", "open", "unpin", "remove", "retire", "purge")

    def act(self) -> JSON:
        if not self._task.args.get("plan"):
            self.api = _node_api.of(self)
            return self._planned()
        plan: JSON = self._task.args["plan"]
        phase, run_dir = int(self._task.args["phase"]), str(self._task.args["run_dir"])
        if not self._task.check_mode and [action for action in plan["actions"] if action["phase"] == phase]:
            os.makedirs(os.path.join(run_dir, "objects"), mode=0o700, exist_ok=True)
            os.chmod(run_dir, 0o700)
        if self.host != plan["host"]:  # what leaves is asked nothing more
            self.api = _node_api.of(self)
        result = PlanAction.act(self)
        failed = [entry["result"] for entry in result["requorum_actions"] if entry["result"].startswith("failed")]
        back = " To take it back: the same with requorum_reinstall_undo: true." if phase == 1 else ""
        told = {"requorum_planned": plan["actions"], "notes": plan["notes"], "requorum_run_dir": run_dir}
        return result | told | ({"failed": True, "msg": f"{self.host}: {failed[0]}{back}"} if failed else {})

    def _planned(self) -> JSON:
        args = self._task.args
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.shelf = os.path.abspath(shelf(args["output"], args["cluster"]))
        entries = {name: self._entry(name) for name in args["servers"]}
        if boolean(args.get("undo", False)):
            made = self._undone(_reinstall.resolve(entries, args["name"]))
        else:
            wish = _reinstall.Wish(
                str(args["name"]),
                boolean(args.get("anyway", False)),
                args.get("accept_stop"),
                orphan_purge._names(args, "accept_loss"),
            )
            made = self._judged(wish, entries, self._before(), args["looks"])
        actions = self._numbered(made)
        result: JSON = {
            "changed": False,
            "requorum_actions": actions,
            "notes": list(made.notes),
            "refusals": [str(refusal) for refusal in made.refusals],
            "moves": list(made.moves),
            "stops": list(made.stops),
            "requorum_run_dir": os.path.join(self.shelf, stamp),
            "plan": {
                "stamp": stamp,
                "phases": list(_reinstall.PHASES),
                "actions": actions,
                "notes": list(made.notes),
                "host": made.host,
                "node": made.node,
                "dead": asdict(made.dead),
                "addresses": list(made.addresses),
                "anyway": boolean(args.get("anyway", False)),
                "accept_stop": list(made.stops),  # those that were shown, whatever else was accepted
                "accept_loss": args.get("accept_loss") or [],
            },
        }
        for line in (*(f"{a['id']} {_orphans.line(a)}" for a in actions), *result["notes"]):
            Display().display(f"  {line}")
        if made.refusals:
            return result | {"failed": True, "msg": " ".join(result["refusals"])}
        return result

    def _numbered(self, made: _reinstall.Reinstall) -> list[JSON]:
        """As a plan has its actions."""
        done: list[JSON] = []
        for action in made.actions:
            number = 1 + sum(1 for other in done if other["phase"] == action.phase)
            told = {name: value for name, value in asdict(action).items() if name != "on"}
            where = made.host if action.on == "host" else self.host
            done.append({"id": f"{action.phase}.{number}", "node": where, "turn": "", **told})
        return done

    def _undone(self, server: tuple[str, str]) -> _reinstall.Reinstall:
        host, node = server
        seen = self._seen({name: _reinstall.KINDS[name] for name in ("nodes", "machines")})
        made = _reinstall.undo(seen, node)
        refused = (made,) if isinstance(made, _orphans.Refusal) else ()
        actions = () if isinstance(made, _orphans.Refusal) else made
        said = () if actions or refused else (f"Nothing of {node} was closed by a run of ours.",)
        return _reinstall.Reinstall(host, node, Dead(node, node), "whole", (), actions, refused, said)

    def _judged(
        self,
        wish: _reinstall.Wish,
        entries: t.Mapping[str, JSON],
        before: t.Sequence[Dead],
        looks: t.Iterable[JSON],
    ) -> _reinstall.Reinstall:
        """What the API and all servers say at this moment."""
        seen = self._seen(_reinstall.KINDS)
        self._fill(seen, [_reinstall.resolve(entries, wish.name)[1]])
        answers = [(look.get("requorum_look") or {}).get("out") for look in looks]
        margin = _margin.margin([_look.parse(out) for out in answers if out])
        made = _reinstall.reinstall(seen, wish, margin, entries=entries, before=before)
        foreign = _orphans.foreign(_node_api.system_uid(self.api), _node_api.told_by(self))
        refusals = [foreign, _itself(made, self.host, self.api.where)]
        more = tuple(refusal for refusal in refusals if refusal)
        return replace(made, actions=(), refusals=(*more, *made.refusals)) if more else made

    # what is done; each looks first, so that it can be done again

    def do_cordon(self) -> str:
        item, storage = self._must(NODES), self.api.get(STORAGE, self._it, _orphans.LONGHORN)
        free = (("node", not spec(item).get("unschedulable")), ("storage", spec(storage or {}).get("allowScheduling")))
        mark = notes(item).get(_reinstall.MARK, " ".join(name for name, is_free in free if is_free))
        change = {"metadata": {"annotations": {_reinstall.MARK: mark}}, "spec": {"unschedulable": True}}
        self._change(NODES, item, change)
        return "cordoned"

    def do_close(self) -> str:
        item = self._must(STORAGE, _orphans.LONGHORN)
        evict = "evictionRequested" in self.action["what"]
        wanted = {"allowScheduling": False} | ({"evictionRequested": True} if evict else {})
        self._change(STORAGE, item, {"spec": wanted})
        return "closed, and its replicas are asked to leave" if evict else "closed"

    def do_open(self) -> str:
        if self.action["kind"] == STORAGE.name:
            item = self.api.get(STORAGE, self._it, _orphans.LONGHORN)
            if item is None:
                return "Longhorn has no such node"
            self._change(STORAGE, item, {"spec": {"allowScheduling": True, "evictionRequested": False}})
            return "open"
        item = self._must(NODES)
        was_open = "node" in notes(item).get(_reinstall.MARK, "").split()
        change: JSON = {"metadata": {"annotations": {_reinstall.MARK: None}}}
        self._change(NODES, item, change | ({"spec": {"unschedulable": None}} if was_open else {}))
        return "uncordoned" if was_open else "it was cordoned before, and stays so"

    def do_halt(self) -> str:
        name, namespace = self.action["name"], self.action["namespace"]
        item = self.api.get(INSTANCES, name, namespace)
        if item is None or status(item).get("nodeName") != self._it:
            return "it does not run there any more"
        self._save_item(INSTANCES, item)
        self.api.delete(INSTANCES, name, namespace, uid=meta(item)["uid"])

        def probe() -> tuple[bool, str]:
            now = self.api.get(INSTANCES, name, namespace)
            left = now is not None and meta(now).get("uid") == meta(item)["uid"]
            return not left, f"phase {status(now or {}).get('phase')}"

        self._until(f"{namespace}/{name} to shut down", probe, "halt", 600, "Look at the guest: it has to shut down.")
        return "it has shut down; its definition stays"

    def do_drain(self) -> str:
        first = {meta(pod)["uid"] for pod in self._pods()}
        asked: dict[str, float] = {}

        def probe() -> tuple[bool, str]:
            left = [pod for pod in self._pods() if meta(pod)["uid"] in first]
            said = {}
            for pod in left:
                uid = meta(pod)["uid"]
                if not meta(pod).get("deletionTimestamp") and time.monotonic() - asked.get(uid, -AGAIN_S) >= AGAIN_S:
                    asked[uid] = time.monotonic()
                    said[name_of(pod)] = self.api.evict(name_of(pod), meta(pod)["namespace"], uid=uid)
            busy = [f"pod {name_of(pod)} {said.get(name_of(pod), '')[:80]}".rstrip() for pod in left]
            busy += [f"virtual machine {name_of(vmi)}" for vmi in self._on("machines_running", "nodeName", status)]
            busy += [f"attachment {name_of(item)}" for item in self._on("attachments", "nodeName", spec)]
            busy += [f"engine {name_of(item)}" for item in self._on("engines", "nodeID", spec)]
            return not busy, f"{len(busy)} left: {_reinstall.listed(busy)}"

        hint = "Look why they stay: a disruption budget, or a machine that finds no other host. Then run it again."
        self._until(f"{self._it} to be drained", probe, "drain", 1800, hint)
        return f"{len(first)} pods have left it; nothing is attached to it"

    def do_move(self) -> str:
        def probe() -> tuple[bool, str]:
            left = _reinstall.movable(self._seen({n: _reinstall.KINDS[n] for n in ("storage", "replicas")}), self._it)
            return not left, f"still there: {_reinstall.listed(left)}"

        hint = "Look at Longhorn: disks that are full, or a rebuild that does not go on. Then run it again."
        self._until("Longhorn to move its replicas", probe, "move", 3600, hint)
        return "every replica that another node takes has moved"

    def do_unpin(self) -> str:
        kind, where = _orphans.KINDS["planes"]
        plane = self.api.get(kind, self.action["name"], where)
        if plane is not None:
            self._change(kind, plane, {"metadata": {"labels": {_orphans.PINNED: None}}})
        return "Rancher chooses the init node by itself"

    def do_remove(self) -> str:
        """All gates once more: the drain may have taken hours."""
        self.shelf = os.path.dirname(self.run_dir)
        plan = self.plan
        entries = {n: {**self._entry(n), "processes": None} for n in self._task.args["servers"]}  # of before the drain
        wish = _reinstall.Wish(plan["node"], plan["anyway"], plan["accept_stop"], plan["accept_loss"])
        made = self._judged(wish, entries, self._before(), self._task.args["looks"])
        if made.refusals:
            raise RequorumError(" ".join(map(str, made.refusals)), "This run has removed nothing; run it again then.")
        if new := [action.what for action in made.actions if action.phase == 1 and action.verb != "drain"]:
            raise RequorumError(f"{self._it} has changed meanwhile: {'; '.join(new)}.", "Run the same command again.")
        machine = self.api.get(MACHINES, self.action["name"], _orphans.FLEET)
        if machine is not None:
            self._save_item(MACHINES, machine)
            self._remember(self.run_dir, [_dead(plan)])  # from here on every run goes on with it
            self.api.delete(MACHINES, name_of(machine), _orphans.FLEET, uid=meta(machine)["uid"])
        hint = "Look at Rancher: it takes the member out of etcd. What is done is done: run the same command again."
        self._until(f"Machine {self.action['name']} to go", self._machine_gone, "remove", 1800, hint)
        left = ", ".join(member.name or member.id for member in self._members() or ())
        return "the Machine is gone" + (f"; etcd still lists {left}, which goes when it is stopped" if left else "")

    def _machine_gone(self) -> tuple[bool, str]:
        """Rancher restarts the others meanwhile, one after another, where they had joined by it: they may be silent."""
        try:
            item = self.api.get(MACHINES, self.action["name"], _orphans.FLEET)
            secrets = self.api.items(*_orphans.KINDS["secrets"]) or [] if item else []
        except RequorumError as error:
            return False, str(error)
        if item is None:
            return True, "it is gone"
        joined = _reinstall.joined(secrets, name_of(item))
        waits = f"; still joined to it: {_reinstall.listed(joined)}" if joined else ""
        return False, orphan_purge._held(item) + waits

    def do_purge(self) -> str:
        self.shelf = os.path.dirname(self.run_dir)
        seen = self._seen(_orphans.KINDS)
        self._fill(seen, [self._it])
        made = _orphans.purge(seen, [self._it], before=self._before(), accept=self.plan["accept_loss"], stopped=True)
        if made.refusals:
            raise RequorumError(" ".join(map(str, made.refusals)), "It is stopped, and its disks are untouched.")
        done = self._carry_out(made.steps, self.run_dir, "purged.jsonl")
        if done.get("failed"):
            raise RequorumError(done["msg"], "Run the same command again.")
        return f"{len(done['actions'])} objects were let go; {self._only_others()}"

    def _only_others(self) -> str:
        """One that came back, because its server had started again before it was stopped, is removed."""

        def probe() -> tuple[bool, str]:
            left = self._members()
            names = ", ".join(member.name or member.id for member in left or ())
            return left == [], f"listed: {names}" if left else "the member list cannot be read"

        try:
            _wait.wait("etcd to let its member go", probe, seconds=self.timeout("leave", 60), say=self.say)
        except _wait.Expired as expired:
            for member in self._members() or ():
                self.script("member", timeout=20, CALL="remove", ID=str(int(member.id, 16)))
            if self._members() != []:
                raise RequorumError(str(expired), "Look at etcd's log; run the same command again.") from None
        return "the others are the only members of etcd"

    def _members(self) -> list[_server.Member] | None:
        """Those that are its; None while nobody can say."""
        look = _look.parse(self.script("look", timeout=20).out)
        if look.members is None:
            return None
        return _reinstall.theirs(map(_server.member, look.members), self._it, self.plan["addresses"])

    @property
    def _it(self) -> str:
        return str(self.plan["node"])

    def _pods(self) -> list[JSON]:
        pods = self.api.items(_reinstall.KINDS["pods"][0], fields=f"spec.nodeName={self._it}") or []
        return _reinstall.evictable(pods, self._it)

    def _on(self, which: str, field: str, part: t.Callable[[JSON], JSON]) -> list[JSON]:
        kind, where = _reinstall.KINDS[which]
        found = [item for item in self.api.items(kind, where) or () if part(item).get(field) == self._it]
        return [item for item in found if status(item).get("phase") not in ("Succeeded", "Failed")]

    def _must(self, kind: _api.Kind, namespace: str = "") -> JSON:
        item = self.api.get(kind, self._it, namespace)
        if item is None:
            raise RequorumError(f"{kind.name} {self._it} is gone.", "Run the same command again.")
        return item

    def _change(self, kind: _api.Kind, item: JSON, change: JSON) -> None:
        self._save_item(kind, item)
        self.api.patch(kind, name_of(item), change, meta(item).get("namespace", ""))

    def _save_item(self, kind: _api.Kind, item: JSON) -> None:
        """As it was before this run touched it."""
        path = os.path.join(self.run_dir, "objects", f"{self.action['id']}-{kind.name}-{name_of(item)}.json")
        write(path, item)

    def _until(self, what: str, probe: t.Callable[[], tuple[bool, str]], name: str, seconds: float, hint: str) -> None:
        try:
            _wait.wait(what, probe, seconds=self.timeout(name, seconds), say=self.say)
        except _wait.Expired as expired:
            raise RequorumError(str(expired), hint) from expired


def _dead(plan: JSON) -> Dead:
    it = plan["dead"]
    return Dead(it["name"], it["node"], tuple(it["machines"]), tuple(it["ids"]))


def _itself(made: _reinstall.Reinstall, host: str, where: str) -> _orphans.Refusal | None:
    """One that leaves must not be the one that is asked."""
    if host != made.host and not set(made.addresses) & {where, where.rpartition("//")[2].rpartition(":")[0]}:
        return None
    return _orphans.Refusal(
        f"{made.node} itself would be asked, and it leaves.", made.node, "Let another server speak for the cluster."
    )
