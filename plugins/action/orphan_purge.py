# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/orphan_purge.py for the documentation."""

from __future__ import annotations

import functools
import glob
import itertools
import os
import time
import typing as t
from dataclasses import asdict

from ansible.utils.display import Display

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _orphans, _stale, _wait
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._orphans import Dead, Step, meta, name_of, spec, status
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction, now
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import append, load, shelf, write

JSON = dict[str, t.Any]
REPLICAS = _orphans.KINDS["replicas"][0]
RENEWS_S = 11
"""A kubelet renews its Lease every 10 s."""


class ActionModule(NodeAction):
    """Let go what the API still holds of dead servers, and what an aborted upgrade has left."""

    VALID: t.ClassVar[tuple[str, ...]] = (
        *("cluster", "dead", "powered_off", "servers"),
        *("output", "leftovers", "accept_loss"),
    )

    def act(self) -> JSON:
        args = self._task.args
        self.api = _node_api.of(self, proved=False)
        self.shelf = os.path.abspath(shelf(args["output"], args["cluster"]))
        made, leftovers = self._plan()
        steps = (*made.steps, *leftovers[0])
        result: JSON = {
            "changed": bool(steps),
            "actions": [step.document for step in steps],
            "notes": [*made.notes, *leftovers[1]],
            "refusals": [str(refusal) for refusal in made.refusals],
        }
        shown = [*map(_orphans.line, result["actions"]), *result["notes"]]
        for line in shown if self._task.check_mode else ():
            Display().display(f"  {line}")
        if made.refusals:
            return result | {"failed": True, "changed": False, "actions": [], "msg": " ".join(result["refusals"])}
        if self._task.check_mode or not steps:
            return result
        return result | self._let_go(steps, made.dead)

    def _plan(self) -> tuple[_orphans.Purge, tuple[tuple[Step, ...], tuple[str, ...]]]:
        args = self._task.args
        off, named, accept = (_names(args, option) for option in ("powered_off", "dead", "accept_loss"))
        names = [*named, *off]
        more = bool(args.get("leftovers"))
        if not names and not more:
            raise RequorumError("No server is named.", "Name the dead ones: requorum_dead=[...].")
        seen, before = self._seen({**_orphans.KINDS, **(_stale.KINDS if more else {})}), self._before()
        entries = {name: self._entry(name) for name in (*(args.get("servers") or ()), *names)}
        addresses = {name: str(entry.get("host") or "") for name, entry in entries.items()}
        purge = functools.partial(_orphans.purge, seen, names, addresses=addresses, before=before, accept=accept)
        nodes = [dead.node for dead in purge().dead if dead.node]
        later = self._details(seen, nodes)
        made = purge(later=later, clock=time.time())
        theirs = {name: entry for name, entry in entries.items() if name in names or entry.get("hostname") in nodes}
        refusals = [*_orphans.answering(theirs, off), *made.refusals]
        told = _node_api.told_by(self, but=names)
        if refusal := _orphans.foreign(_node_api.system_uid(self.api), told):
            refusals.insert(0, refusal)
        made = _orphans.Purge(made.dead, () if refusals else made.steps, tuple(refusals), made.notes)
        return made, _stale.leftovers(seen, nodes) if more and not refusals else ((), ())

    def _seen(self, kinds: t.Mapping[str, tuple[_api.Kind, str]]) -> dict[str, list[JSON]]:
        """Pods and node passwords are asked for by name later: there may be many of other hosts."""
        found = {n: self.api.items(kind, where) for n, (kind, where) in kinds.items() if n not in ("pods", "passwords")}
        return {"pods": [], "passwords": [], **{name: items for name, items in found.items() if items is not None}}

    def _fill(self, seen: dict[str, list[JSON]], nodes: t.Sequence[str]) -> None:
        """What belongs to these Nodes."""
        for node in nodes:
            seen["pods"] += self.api.items(_orphans.KINDS["pods"][0], fields=f"spec.nodeName={node}") or []
            kind, where = _orphans.KINDS["passwords"]
            found = [self.api.get(kind, f"{node}.{suffix}", where) for suffix in _orphans.PASSWORDS]
            seen["passwords"] += [secret for secret in found if secret]

    def _details(self, seen: dict[str, list[JSON]], nodes: t.Sequence[str]) -> list[JSON]:
        """Fill them in; the Leases as they are after a living kubelet has renewed its own."""
        self._fill(seen, nodes)
        if not set(nodes) & {name_of(lease) for lease in seen.get("leases", ())}:
            return []
        self.say(f"waiting {RENEWS_S} s: a kubelet that lives would renew its Lease")
        time.sleep(RENEWS_S)
        return self.api.items(*_orphans.KINDS["leases"]) or []

    def _entry(self, name: str) -> JSON:
        """What INSPECT has read of a host, as far as it has."""
        known: t.Mapping[str, t.Any] = self.vars["hostvars"]
        given = known[name] if name in known else {}  # noqa: SIM401 - it has no usual get
        read: JSON = (given.get("requorum_read") or {}).get("requorum_node") or {}
        return {"host": str(given.get("ansible_host") or ""), **read}

    def _before(self) -> list[Dead]:
        """What earlier runs have begun, the newest last."""
        found = sorted(glob.glob(os.path.join(glob.escape(self.shelf), "*", "purge.json")))
        entries = [entry for path in found for entry in load(os.path.dirname(path), "purge.json", {})["dead"]]
        return [Dead(e["name"], e["node"], tuple(e["machines"]), tuple(e["ids"])) for e in entries]

    @staticmethod
    def _remember(run_dir: str, dead: t.Sequence[Dead]) -> None:
        """Make the folder of a run, with what a later run must know of it."""
        os.makedirs(os.path.join(run_dir, "objects"), mode=0o700, exist_ok=True)
        os.chmod(run_dir, 0o700)
        record = os.path.join(run_dir, "purge.json")
        write(f"{record}.part", {"dead": [asdict(each) for each in dead]})
        os.replace(f"{record}.part", record)

    def _let_go(self, steps: t.Sequence[Step], dead: t.Sequence[Dead]) -> JSON:
        run_dir = os.path.join(self.shelf, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
        self._remember(run_dir, dead)
        return self._carry_out(steps, run_dir, "actions.jsonl")

    def _carry_out(self, steps: t.Sequence[Step], run_dir: str, record: str) -> JSON:
        """Save all of them, then do one step after the other; record: a file of the run's folder."""
        for number, step in enumerate({step.uid: step for step in steps}.values()):
            self._save(step, os.path.join(run_dir, "objects", f"{number:03d}-{step.kind.name}-{step.name}.json"))
        replicas = [step for step in steps if (step.verb, step.kind) == ("delete", REPLICAS)]
        done: list[JSON] = []
        result = {"actions": done, "requorum_run_dir": run_dir, "saved": os.path.join(run_dir, "objects")}
        for number, step in enumerate(steps, 1):
            started, clock = now(), time.monotonic()
            try:
                self.begin(step.document, f"({number}/{len(steps)}) {_orphans.line(step.document)}")
                if step in replicas[:1]:
                    self._ask(replicas)
                said = self._patch(step) if step.verb == "patch" else self._delete(step)
            except RequorumError as error:
                said = f"failed: {error}"
            times = {"started": started, "ended": now(), "seconds": (seconds := round(time.monotonic() - clock, 2))}
            self.end(step.document, said, seconds)
            entry = {"id": f"0.{number}", "phase": 0, "node": self.host, "turn": "", **step.document, **times}
            append(os.path.join(run_dir, record), {**entry, "result": said})
            if said.startswith("failed"):
                return {**result, "failed": True, "msg": f"{_orphans.line(step.document)} {said}"}
            done.append(step.document)
        return result

    def _save(self, step: Step, path: str) -> None:
        """Whole, but for the plans: what a plan secret holds are tokens, and nobody ever puts it back."""
        item = self._there(step)
        if item is not None and step.kind.name == "secrets" and step.namespace == _orphans.FLEET:
            item = {**item, "data": dict.fromkeys(item.get("data") or {}, "not saved")}
        if item is not None:
            write(path, item)

    def _there(self, step: Step) -> JSON | None:
        """The very object that was planned; None when it is gone, whoever bears its name now."""
        item = self.api.get(step.kind, step.name, step.namespace)
        return item if item and meta(item).get("uid") == step.uid else None

    def _patch(self, step: Step) -> str:
        """Once more where the object went, or another field of it was changed, between reading and patching it."""
        for attempt in itertools.count():
            item = self._there(step)
            if item is None:
                return "it is gone already"
            change: JSON = {**(step.change or {})}
            if step.basis is not None:
                if {key: spec(item).get(key) for key in step.basis} != step.basis:
                    raise RequorumError("It has changed since it was read.", "Run the same command again.")
                change["metadata"] = {**change["metadata"], "resourceVersion": meta(item)["resourceVersion"]}
            try:
                self.api.patch(step.kind, step.name, change, step.namespace)
                return "done"
            except RequorumError:
                if attempt == 2 or (step.basis is None and self._there(step)):
                    raise
        raise AssertionError

    def _ask(self, steps: t.Iterable[Step]) -> None:
        """Longhorn takes seconds for each replica: all are asked to go before the first one is waited for."""
        for step in steps:
            if self._there(step):
                self.api.delete(step.kind, step.name, step.namespace, uid=step.uid)

    def _delete(self, step: Step) -> str:
        """Asked for once; a Longhorn node again and again, since Longhorn refuses while it still counts on it."""
        storage = step.kind == _orphans.KINDS["storage"][0]
        asked = False

        def probe() -> tuple[bool, str]:
            nonlocal asked
            item = self._there(step)
            if item is None:
                return True, "it is gone"
            if meta(item).get("deletionTimestamp") and not step.now:
                return False, _held(item)
            if storage and (users := self._users(step.name)):
                return False, f"still on it: {', '.join(users)}"
            if asked and not storage:
                return False, _held(item)
            try:
                self.api.delete(step.kind, step.name, step.namespace, uid=step.uid, now=step.now)
                asked = True
            except RequorumError as error:
                if not storage:
                    raise
                return False, str(error)
            return self._there(step) is None, _held(item)

        seconds = float((self.settings.get("requorum_timeouts") or {}).get("purge", 300))
        try:
            return _wait.wait(f"{step.name} to go", probe, seconds=seconds, say=self.say)
        except _wait.Expired as expired:
            hint = "Look at the controller that has to let it go. What is done is done: run the same command again."
            raise RequorumError(str(expired), hint) from expired

    def _users(self, node: str) -> list[str]:
        """Engines and replicas on a node of Longhorn."""
        kinds = [_orphans.KINDS[which] for which in ("engines", "replicas")]
        return [
            name_of(i)
            for kind, where in kinds
            for i in self.api.items(kind, where) or ()
            if spec(i).get("nodeID") == node
        ]


def _names(args: t.Mapping[str, t.Any], option: str) -> list[str]:
    found = args.get(option) or []
    if isinstance(found, str):
        raise RequorumError(
            f"{option} is {found!r}, and no list.", f'Give it as JSON: {{"requorum_{option}": ["{found}"]}}.'
        )
    return [str(name) for name in found]


def _held(item: JSON) -> str:
    """Why an object that was deleted is still there."""
    unmet = [c for c in status(item).get("conditions") or () if c.get("status") != "True" and c.get("message")]
    said = [f"finalizers {', '.join(meta(item).get('finalizers') or ()) or 'none'}"]
    said += [f"{c.get('type')}: {str(c['message'])[:100]}" for c in unmet[:2]]
    return "; ".join(said)
