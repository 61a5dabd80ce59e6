# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/recovery_plan.py for the documentation."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
import typing as t
from dataclasses import asdict, replace

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _agents,
    _cas,
    _catalog,
    _classify,
    _cleanup,
    _deliver,
    _distro,
    _events,
    _harvester,
    _inventory,
    _lock,
    _machines,
    _messages,
    _places,
    _plan,
    _plan_document,
    _rejoin,
    _repair,
    _restore,
    _rollback,
    _rotate,
    _rotate_ca,
    _server,
    _state,
    _tls,
    _tls_words,
    _token_need,
    _token_plan,
    _transfer,
    _turns,
)
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _earlier_runs, _holder, _inspected, _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction, display, now
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import new_folder, shelf, write

PLAYBOOKS = {
    "recover": "recover.yml",
    "backup": "playbooks/backup.yml",
    "agents": "playbooks/agents.yml",
    "rotate": "playbooks/rotate_certs.yml",
    "rotate_ca": "playbooks/rotate_ca.yml",
    "tls_remove": "playbooks/tls_remove.yml",
    "rejoin": "playbooks/rejoin.yml",
    "repair": "playbooks/repair.yml",
    "rollback": "playbooks/rollback.yml",
    "cleanup": "playbooks/cleanup.yml",
    "tokens": "playbooks/tokens.yml",
}


def _backup(case: _classify.Case, distro: _distro.Distro, ask: _turns.Ask) -> _plan.Plan:
    return _plan.backup_plan(case, distro, cluster=ask.cluster, rancher=_harvester.rancher(ask.entries))


PLANS: dict[str, t.Callable[[_classify.Case, _distro.Distro, _turns.Ask], _plan.Plan]] = {
    "backup": _backup,
    "rotate": _rotate.plan,
    "rotate_ca": _rotate_ca.plan,
    "tls_remove": _rotate.plan_remove,
    "rejoin": _rejoin.plan,
    "agents": _agents.plan,
    "repair": _repair.plan,
    "rollback": _rollback.plan,
    "cleanup": _cleanup.plan,
    "tokens": _token_plan.plan,
}
"""Purpose -> its plan, but for `recover`."""

TYPED = ("token_file", "export_passphrase_file", "accept_vm_stop")
"""Variables that are no options of this module and are typed again in the next command."""


class ActionModule(NodeAction):
    """Judge the cluster, make the plan, keep both in the folder of this run."""

    VALID = (
        *("cluster", "servers", "agents", "survivor", "method", "snapshot", "powered_off", "output", "purpose"),
        *("only", "options", "plan_id"),
    )

    def act(self) -> JSON:
        args = self._task.args
        purpose = str(args.get("purpose") or "recover")
        entries = _inspected.entries(self.vars["hostvars"], [*args["servers"], *args["agents"]])
        state = _state.cluster(args["cluster"], entries)
        distro = self._only_distro(entries)
        case, chosen = self._judged(entries)
        ask = self._asked(purpose, state, entries)
        machines = _machines.running(entries, self.settings.get(_machines.OPTION))
        known = distro or _distro.DISTROS["rke2"]  # nothing is planned while no server answers
        if purpose == "recover":
            case, plan = self._recovery(case, known, ask, chosen, machines)
        else:
            plan = PLANS[purpose](case, known, ask)
            self._show(plan, ask)
        plan, transfer = _transfer.expected(plan, entries)
        wrong = () if purpose == "backup" else self._wrong(entries)  # it changes nothing, whoever the hosts are
        plan = replace(plan, refusals=(*self._locks(entries), *wrong, *plan.refusals))
        run_dir = new_folder(args["output"], args["cluster"])
        plan = replace(plan, refusals=(*plan.refusals, *self._room(plan, case, entries, run_dir)))
        document = {
            **plan.document(),
            "purpose": purpose,
            "stamp": os.path.basename(run_dir),
            "started": now(),
            "distro": distro.name if distro else None,
            "system_uid": (state["kubernetes"] or {}).get("system_uid"),
            "powered_off": list(args.get("powered_off") or ()),
            "agents": list(args["agents"]),
            "machines": machines,
            "transfer": transfer,
            "command": self._command(),
            **_plan_document.of_nodes(case, plan, ask, purpose),
            "repairs": [asdict(item) for item in _repair.due(case, entries, free_mb=self._free_mb)],
            **_plan_document.of_earlier(case, plan, ask, purpose),
        }
        for name, content in (("plan.json", document), ("state-before.json", state)):
            write(os.path.join(run_dir, name), content)
        return {
            "changed": False,
            "plan": document,
            "requorum_run_dir": run_dir,
            "passing": self._passing(plan, run_dir),
            "since": _earlier_runs.since(self._runs, str(args.get("plan_id") or ""), document),
        }

    @staticmethod
    def _only_distro(entries: t.Sequence[JSON]) -> _distro.Distro | None:
        """None while nobody answers."""
        distro = _server.distro_of(entries)
        if distro is None and any(entry["reachable"] for entry in entries):
            raise RequorumError(
                "No single distribution was found on the servers that answer.",
                "Set requorum_distro to rke2, k3s or harvester and look at inspect.yml.",
            )
        return distro

    def _judged(self, entries: list[JSON]) -> tuple[_classify.Case, _catalog.Row | None]:
        """The case, and the snapshot that is to be restored, if any."""
        args = self._task.args
        word, survivor = str(args.get("snapshot") or ""), str(args.get("survivor") or "")
        off = args.get("powered_off") or ()
        servers = [_server.view(entry, off) for entry in entries if entry["name"] in args["servers"]]
        case = _classify.classify(servers, survivor=survivor)
        if not word:
            return case, None
        if case.kind not in _classify.RESETS and any(map(_turns.unfinished, entries)):
            self.warn("requorum_snapshot is left alone: an earlier run has reset the cluster already, and is finished.")
            return case, None
        choice = self._choose(word, entries)
        chosen = None if isinstance(choice, _classify.Refusal) else choice
        return _restore.with_snapshot(case, choice, survivor=survivor), chosen

    def _asked(self, purpose: str, state: JSON, entries: list[JSON]) -> _turns.Ask:
        """What a plan in which hosts take turns is asked for."""
        args = self._task.args
        living = [entry["name"] for entry in entries if entry["name"] in args["agents"] and entry["reachable"]]
        options = {**(args.get("options") or {}), "record": None, "proof": None}
        if purpose == "rollback":
            options["record"] = _earlier_runs.record(self._runs, str(options.get("run") or ""))
        if purpose == "cleanup":
            connect = self.bucket if self.settings.get("requorum_s3_bucket") else None
            options["proof"] = _earlier_runs.proof(self._runs, state, connect)
        what = (args["cluster"], entries, living, args.get("only") or (), options)
        return _turns.Ask(*what, time.time(), self._tls(entries), self._tokens(entries))

    @staticmethod
    def _room(
        plan: _plan.Plan, case: _classify.Case, entries: list[JSON], run_dir: str
    ) -> t.Iterator[_classify.Refusal]:
        """Where there is none for what the plan writes, on nodes and here."""
        disk = shutil.disk_usage(run_dir)
        free = disk.free if disk.total else sys.maxsize  # some file systems of a network do not tell
        return _places.refusals(plan, case, entries, folder=run_dir, free=free)

    def _wrong(self, entries: list[JSON]) -> tuple[_classify.Refusal, ...]:
        """What is wrong with the inventory, as far as its hosts tell it."""
        args, read = self._task.args, {entry["name"]: entry for entry in entries}
        servers, agents = ([read[name] for name in args[group]] for group in ("servers", "agents"))
        return _inventory.faults(servers, agents, doors=_inspected.doors(self.vars["hostvars"], read))

    def _locks(self, entries: list[JSON]) -> tuple[_classify.Refusal, ...]:
        """Of other runs that work on this cluster; what would be taken over is told."""
        limit = self.timeout("lock", _lock.SILENT_S)
        locks = _lock.judge(entries, lambda one: _holder.ended(vars(one)), limit)
        for note in locks.notes if self._task.check_mode else ():  # a run tells it when it does so
            self.warn(note)
        return locks.refusals

    def _passing(self, plan: _plan.Plan, run_dir: str) -> bool:
        """Whether a backup would go with the container of this job, as AWX makes one for each."""
        backs_up = any(action.phase == 3 and action.verb != "clean" for action in plan.actions)
        if not backs_up or "awx_job_id" not in self.vars or self.settings.get("requorum_s3_bucket"):
            return False
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            return not _deliver.lasts(os.path.realpath(run_dir), file.read())

    def _recovery(
        self,
        case: _classify.Case,
        distro: _distro.Distro,
        ask: _turns.Ask,
        chosen: _catalog.Row | None,
        machines: list[JSON],
    ) -> tuple[_classify.Case, _plan.Plan]:
        """The plan of recover.yml, with the case as certificates and tokens explain it."""
        hindering = _rotate.hindering(ask)
        needs = _rotate.needed(hindering)
        case = _rotate.explained(case, needs)
        version = next((entry["version"] for entry in ask.entries if entry.get("version")), "")
        tokens = _token_need.need(case, ask.tokens, chosen=chosen, version=version)
        ends = self._ends(chosen, machines) if case.kind in _classify.RESETS else ()
        case = replace(case, refusals=(*case.refusals, *tokens.refusals, *ends))
        plan = _plan.make_plan(
            case,
            distro,
            cluster=ask.cluster,
            agents=ask.agents,
            method=self._task.args.get("method") or "auto",
            chosen=chosen,
            bare=self._bare(chosen, ask.entries),
            renew=[name for name, need in needs.items() if need.files],
            restore=[name for name, need in needs.items() if need.restore],
            tokens=tokens,
            refused=ask.tokens["refused"],
            rancher=_harvester.rancher(ask.entries),
            machines=list(_machines.by_node(machines)),
            # A lock that nobody holds any more is all that a run has left which was killed at its very end.
            unfinished=_harvester.braked(ask.entries)
            or any(_turns.unfinished(entry) or entry.get("lock") for entry in ask.entries),
        )
        return case, _rotate.worded(plan, needs, hindering)

    @staticmethod
    def _ends(chosen: _catalog.Row | None, machines: list[JSON]) -> tuple[_classify.Refusal, ...]:
        """Whether a snapshot that is at hand would end virtual machines; any other one is asked when it was proved."""
        if not machines or chosen is None or chosen.stored.place != "controller":
            return ()
        try:
            refusal = _machines.refusal(machines, _machines.known(chosen.stored.path), chosen.stored.name)
        except BadFile:  # its proof in BACKUP tells it
            return ()
        return (refusal,) if refusal else ()

    @staticmethod
    def _show(plan: _plan.Plan, ask: _turns.Ask) -> None:
        """What the plan follows from, as far as it is not the state of the servers."""
        if plan.certificates:
            display.display(_tls_words.table((_tls.Judgement(**j) for j in plan.certificates), list(ask.tls)))
        for line in (*(_cas.Successor(**one).words for one in plan.successors), *plan.tokens.get("table", ())):
            display.display(line)

    def _command(self) -> str:
        """What was typed, as far as it decides what is done: for the lines that say what to type next."""
        options = dict(self._task.args.get("options") or {})
        playbook = PLAYBOOKS[self._task.args.get("purpose") or "recover"]
        words = [f"ansible-playbook {playbook}", *(f"-i {shlex.quote(source)}" for source in self.sources)]
        if repairs := options.pop("repairs", ()):
            words.append(f"--tags {','.join(repairs)}")
        typed = {name: self.settings.get(f"requorum_{name}") for name in TYPED}
        given = {**self._task.args, **typed, **options}
        for name in ("survivor", "method", "snapshot", *TYPED, "powered_off", "only", *options):
            value = given.get(name)
            if value and value != "auto":
                words.append(f"-e {shlex.quote(json.dumps({f'requorum_{name}': _events.typed(value)}))}")
        return " ".join(words)

    @property
    def _runs(self) -> str:
        """The folder of the cluster's runs."""
        return shelf(self._task.args["output"], self._task.args["cluster"])

    @property
    def _free_mb(self) -> int:
        return int(self.settings.get("requorum_defragment_mb") or _repair.FREE_MB)

    def _choose(self, word: str, entries: list[JSON]) -> _catalog.Row | _classify.Refusal:
        """The row of the table of snapshots that the user means."""
        args = self._task.args
        if args.get("method") == "plain":
            return _messages.refusal("snapshot-and-plain")
        bucket = self.bucket() if self.settings.get("requorum_s3_bucket") else None
        rows = _shelf.rows(self.settings, self.vars["hostvars"], entries, shelf=self._runs, bucket=bucket, named=word)
        return _catalog.choose(rows, word)

    def _tls(self, entries: list[JSON]) -> dict[str, JSON]:
        """What INSPECT registered of certificates, where the playbook asked for them."""
        read = {e["name"]: _inspected.part(self.vars["hostvars"][e["name"]], "tls") for e in entries}
        return {
            name: json.loads(json.dumps(answer["requorum_tls"]))
            for name, answer in read.items()
            if answer.get("requorum_tls")
        }

    def _tokens(self, entries: list[JSON]) -> JSON:
        """What INSPECT registered of tokens and node passwords, where the playbook asked for them."""
        read = {entry["name"]: self.vars["hostvars"][entry["name"]] for entry in entries}
        found = {name: _inspected.part(known, "tokens").get("requorum_tokens") for name, known in read.items()}
        said = {name: (known.get("requorum_password_read") or {}).get("accepted") for name, known in read.items()}
        return {
            "hosts": {name: json.loads(json.dumps(host)) for name, host in found.items() if host},
            "kept": _shelf.token_places(self.settings, self._runs, str(self._task.args.get("snapshot") or ""))
            if any(found.values())
            else [],
            "refused": [name for name, accepted in said.items() if accepted is False],
        }

    @staticmethod
    def _bare(chosen: _catalog.Row | None, entries: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
        """Servers without configuration whose files were kept in the run that made the snapshot."""
        if chosen is None or chosen.stored.place != "controller":
            return []
        return [
            entry["name"]
            for entry in entries
            if entry.get("config") == {} and os.path.isfile(_shelf.kept_files(chosen.stored.path, entry["name"]))
        ]
