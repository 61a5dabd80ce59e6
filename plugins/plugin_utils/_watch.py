# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Hosts that join a Harvester, watched stage by stage."""

from __future__ import annotations

import time
import typing as t
from dataclasses import replace

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.requorum.cluster.plugins.module_utils import _harvester, _joining, _look, _server, _wait
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _joiner, _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction

PAUSE, HOST_EVERY, SAY_EVERY, SURE = 2.0, 10.0, 30.0, 20.0
"""Seconds between looks at the cluster, at the host itself, between lines; and for which a cause must stand."""
AGAIN = "What is done stays done: the same command goes on with the rest."


class Watch:
    """What is seen of the hosts, and since when."""

    def __init__(
        self,
        action: NodeAction,
        names: t.Sequence[str],
        wishes: t.Mapping[str, JSON],
        *,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.action, self.wishes, self.clock, self.sleep = action, wishes, clock, sleep
        self.api = _node_api.of(action)
        self.stages: dict[str, tuple[_joining.Stage, ...]] = dict.fromkeys(names, ())
        self.seconds: dict[str, dict[str, float]] = {name: {} for name in names}
        self._looked: dict[str, float] = {}
        self._hosts: dict[str, tuple[float, _joining.Host]] = {}

    def look_at_all(self) -> None:
        """Raises RequorumError where the cluster cannot be asked, is no Harvester, or does not know a name at all."""
        look = self._cluster()
        known = {**self.wishes, **dict.fromkeys(self.action.vars.get("hostvars") or ())}
        there = {*(n["metadata"]["name"] for n in look.nodes), *map(_joining.node_of, look.machines)}
        for name in self.stages:
            if name not in known and name not in there:
                raise RequorumError(
                    f"{name} is neither in requorum_join, nor in the inventory, nor a Node of the cluster.",
                    "Name it as it was installed: its hostname.",
                )
        for name in self.stages:
            self._judge(name, look)

    def until(self, name: str, wanted: str, seconds: float, end: float) -> None:
        """Wait for one stage of a host; RequorumError with what was seen last, the cause and what to type."""
        begun, since = self.clock(), dict[str, float]()

        def probe() -> tuple[bool, str]:
            stage, unseen = self._look(name, wanted)
            if stage.cause and stage.cause.final and not unseen:
                if self.clock() - since.setdefault(stage.cause.name, self.clock()) >= SURE:
                    raise _Stuck
            else:
                since.clear()
            why = f". {stage.cause.why}" if stage.cause else ""
            return stage.passed and not unseen, f"{stage.seen}{unseen}{why}"

        left = max(min(seconds, end - begun), 0)
        what = f"{name} {_joining.WORDS[wanted]}"
        try:
            seen = _wait.wait(
                what, probe, seconds=left, say=self._seldom(), clock=self.clock, sleep=lambda _s: self.sleep(PAUSE)
            )
        except (_wait.Expired, _Stuck) as error:
            raise self._failed(name, wanted, str(error) or f"{what}: this does not come by itself.") from error
        self.seconds[name][wanted] = round(self.clock() - begun, 1)
        stage = self._of(name, wanted)
        self.action.say(f"{name} {wanted}: {stage.state} after {self.seconds[name][wanted]:.0f} s; {seen}")

    def document(self, name: str) -> JSON:
        """A host for the result."""
        stages = self.stages[name]
        entries = [{**stage.document, "seconds": self.seconds[name].get(stage.name)} for stage in stages]
        first = next((stage.name for stage in stages if not stage.passed), None)
        return {"host": name, "joined": first is None, "waits_for": first, "stages": entries}

    def _look(self, name: str, wanted: str) -> tuple[_joining.Stage, str]:
        """A stage as it is now; an API that is silent for a while leaves it as it was, and that is said."""
        unseen = ""
        try:
            if self.clock() - self._looked[name] >= PAUSE:
                self._judge(name, self._cluster())
        except RequorumError as error:
            unseen = f"; now the API cannot be asked: {error}"
        except AnsibleConnectionFailure as error:
            unseen = f"; now {self.action.host} does not answer: {' '.join(str(error).split())[-200:]}"
        return self._of(name, wanted), unseen

    def _judge(self, name: str, seen: _joining.Seen) -> None:
        stored = self.api.get(_joining.SECRET, f"{name}.node-password.rke2", "kube-system") or {}
        seen = replace(seen, password=str((stored.get("metadata") or {}).get("creationTimestamp") or ""))
        self.stages[name] = _joining.stages(name, seen, self._host(name, seen))
        self._looked[name] = self.clock()

    def _of(self, name: str, wanted: str) -> _joining.Stage:
        return next(stage for stage in self.stages[name] if stage.name == wanted)

    def _cluster(self) -> _joining.Seen:
        api, fleet = self.api, _harvester.NAMESPACE
        machines = api.items(_joining.MACHINE, fleet)
        if machines is None:
            raise RequorumError(
                f"{api.where}: this cluster has no machines.cluster.x-k8s.io, so it is no Harvester.",
                "Servers of RKE2 and K3s join by requorum rejoin, which waits for them.",
            )
        members, etcd = self._members()
        return _joining.Seen(
            nodes=api.items(_joining.NODE) or [],
            machines=machines,
            cluster=api.get(_harvester.CAPI, _harvester.CLUSTER, fleet),
            plane=api.get(_joining.PLANE, _harvester.CLUSTER, fleet),
            jobs=api.items(_joining.JOB, "harvester-system") or [],
            longhorn=api.items(_joining.LONGHORN, "longhorn-system"),
            members=members,
            etcd=etcd,
            version=_harvester.version(api.get(_joining.SETTING, "server-version")),
        )

    def _members(self) -> tuple[tuple[_server.Member, ...] | None, str]:
        """As the etcd of the server that speaks lists them; nobody is asked where only a kubeconfig is there."""
        if self.action.host == "localhost":
            return None, ""
        done = self.action.script("look", timeout=20)
        listed = _look.parse(done.out).members if done.rc == 0 else None
        return (None if listed is None else tuple(map(_server.member, listed))), self.action.host

    def _host(self, name: str, seen: _joining.Seen) -> _joining.Host:
        """Seldom, since each look is a shell call there."""
        at, host = self._hosts.get(name, (float("-inf"), _joining.Host()))
        if self.clock() - at >= HOST_EVERY:
            wish = str(self.wishes.get(name, {}).get("ip") or "")
            host = _joiner.look(self.action, name, [wish, *_joining.addresses(name, seen)])
            self._hosts[name] = self.clock(), host
        return host

    def _seldom(self) -> t.Callable[[str], None]:
        """A line when something else is seen, else every half minute."""
        last, at = "", self.clock()

        def say(text: str) -> None:
            nonlocal last, at
            seen = text.partition("; seen last: ")[2]
            if seen != last or self.clock() - at >= SAY_EVERY:
                self.action.say(text)
                last, at = seen, self.clock()

        return say

    def _failed(self, name: str, wanted: str, what: str) -> RequorumError:
        stage = self._of(name, wanted)
        if stage.cause is None:
            return RequorumError(what, f"{stage.hint} {AGAIN}")
        why = "" if stage.cause.why in what else f" {stage.cause.why}"
        return RequorumError(f"{what}{why}", f"{stage.cause.next} {AGAIN}")


class _Stuck(Exception):
    """A cause that does not pass by itself."""
