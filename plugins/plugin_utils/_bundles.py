# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Bundles of Fleet through the API: found, looked at, brought on until they are synced."""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _fleet, _harvester, _stuck, _wait
from ansible_collections.requorum.cluster.plugins.module_utils._api import JSON
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._changes import Changes

NAMED = "Name bundles by requorum_bundles, as [NAMESPACE/]NAME; without it Harvester's are meant."


@dataclass
class Bundle:
    """One bundle, as it was found and as it has become."""

    seen: _fleet.Seen
    steps: tuple[_fleet.Step, ...]
    tries: int = 0
    """How often it was forced again."""

    @property
    def document(self) -> JSON:
        judgement = _fleet.judge(self.seen)
        why = _stuck.cause(self.seen, judgement)
        return {
            "bundle": self.seen.name,
            "state": judgement.state,
            "synced": judgement.synced,
            "checks": [check._asdict() for check in judgement.checks],
            "cause": why.name if why else None,
            "why": why.why if why else None,
            "repair": why.repair if why else None,
            "force_sync_generation": judgement.next - 1,
            "tries": self.tries,
        }

    def stuck(self, since: str) -> RequorumError:
        """Why it is not synced, and the repair."""
        why = _stuck.cause(self.seen, _fleet.judge(self.seen)) or _stuck.WORKING
        return RequorumError(f"The bundle {self.seen.name} {since}: {why.why}", why.repair)


class Bundles:
    """Those of one cluster."""

    def __init__(
        self,
        api: _api.Api,
        *,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        self.api, self.clock, self.sleep = api, clock, sleep
        self._clusters: dict[str, list[JSON]] = {}

    def find(self, given: t.Sequence[str], *, always: bool = False) -> list[Bundle] | None:
        """What was named, else Harvester's; None where the cluster has no Fleet."""
        found: dict[str, Bundle] = {}
        for word in given or _fleet.HARVESTER:
            namespace, names = _fleet.names(word)
            bundle = next(filter(None, (self.api.get(_fleet.BUNDLES, name, namespace) for name in names)), None)
            if bundle is None:
                if (there := self.api.items(_fleet.BUNDLES)) is None:
                    return None
                listed = ", ".join(f"{b['metadata']['namespace']}/{b['metadata']['name']}" for b in there[:10])
                raise RequorumError(f"There is no bundle {word}. Bundles here: {listed or 'none'}.", NAMED)
            seen = self._around(bundle)
            steps = _fleet.steps(seen, _fleet.judge(seen), always=always)
            found.setdefault(seen.name, Bundle(seen, steps))
        return list(found.values())

    def bring_on(self, bundle: Bundle, changes: Changes, *, seconds: float, say: t.Callable[[str], None]) -> None:
        """Take the steps and wait until it is really synced; RequorumError with cause and repair where it is not."""
        bundle.seen = self._look(bundle.seen)
        for step in bundle.steps:
            changes.save(step.kind, (bundle.seen.chart if step.kind is _fleet.CHARTS else None) or bundle.seen.bundle)
            self._take(step)
            changes.record(step.document)
        forced, stale = self.clock(), _stuck.refusal(bundle.seen)

        def probe() -> tuple[bool, str]:
            nonlocal forced, stale
            deployments = self._deployments(bundle.seen.bundle)
            at_work = {_fleet.state(deployment) for deployment in deployments} - {"Ready", "ErrApplied"}
            if at_work:  # nothing else can be said before the agents are done, so nothing else is read
                return False, ", ".join(sorted(at_work))
            bundle.seen = self._look(bundle.seen)
            judgement = _fleet.judge(bundle.seen)
            why, said = _stuck.cause(bundle.seen, judgement), _stuck.refusal(bundle.seen)
            since = self.clock() - forced
            verdict = _stuck.verdict(judgement, why, since=since, stale=stale == said, tries=bundle.tries)
            if why and verdict == "stuck":
                raise bundle.stuck("is not synced")
            if why and verdict == "again":
                say(f"{bundle.seen.name}: {why.why} It is forced once more.")
                self._take(_fleet.forced(bundle.seen, judgement.next, why.why))
                forced, stale = self.clock(), said
                bundle.tries += 1
            return verdict == "done", judgement.seen

        try:
            _wait.wait(bundle.seen.name, probe, seconds=seconds, say=say, clock=self.clock, sleep=self.sleep)
        except _wait.Expired as expired:
            bundle.seen = self._look(bundle.seen)
            raise bundle.stuck(f"is not synced within {seconds:.0f} s") from expired

    def _take(self, step: _fleet.Step) -> None:
        self.api.patch(step.kind, step.name, step.body, step.namespace)

    def _look(self, before: _fleet.Seen) -> _fleet.Seen:
        """Everything again."""
        namespace, name = before.name.split("/")
        bundle = self.api.get(_fleet.BUNDLES, name, namespace)
        if bundle is None:
            raise RequorumError(f"The bundle {before.name} is gone.", "Look who deleted it, then run it again.")
        return self._around(bundle)

    def _around(self, bundle: JSON) -> _fleet.Seen:
        """Everything that belongs to a bundle."""
        namespace, name = bundle["metadata"]["namespace"], bundle["metadata"]["name"]
        chart = _fleet.chart_of(bundle)
        deployments = self._deployments(bundle)
        if namespace not in self._clusters:
            self._clusters[namespace] = self.api.items(_fleet.CLUSTERS, namespace) or []
        return _fleet.Seen(
            bundle=bundle,
            deployments=deployments,
            chart=self.api.get(_fleet.CHARTS, chart, namespace) if chart else None,
            clusters=self._clusters[namespace],
            releases=self._releases(deployments),
            version=self._server_version() if f"{namespace}/{name}" == _fleet.HARVESTER[-1] else "",
        )

    def _deployments(self, bundle: JSON) -> list[JSON]:
        """Of all clusters, in whichever namespace."""
        namespace, name = bundle["metadata"]["namespace"], bundle["metadata"]["name"]
        named = f"fleet.cattle.io/bundle-name={name},fleet.cattle.io/bundle-namespace={namespace}"
        return self.api.items(_fleet.DEPLOYMENTS, selector=named) or []

    def _releases(self, deployments: t.Sequence[JSON]) -> list[JSON] | None:
        release = _fleet.release_of(deployments)
        if release is None:
            return None
        return self.api.items(_fleet.SECRETS, release[0], selector=f"owner=helm,name={release[1]},status!=superseded")

    def _server_version(self) -> str:
        """Not remembered: it changes while an upgrade goes on."""
        return _harvester.version(self.api.get(_fleet.SETTINGS, "server-version"))
