# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What rules ask of a Harvester by the judges that verify, force sync and purge have: checks, leftovers, bundles."""

from __future__ import annotations

import re
import typing as t

from . import _check, _check_rancher, _fleet, _harvester_checks, _orphans, _stale, _stuck
from ._check import Topic
from ._found import JSON, Answer, Found, Predicate, Unknown, first
from ._going import going, seen_of
from ._orphans import labels, meta, name_of, notes, spec, status
from ._timeline import mask

SHOWN = 20
"""So many faults of one topic are named."""
TOPICS = {topic.name: topic for topic in (*_harvester_checks.EVERY, *_harvester_checks.HARVESTER)}


def _topic(name: str, *, at_rest: bool = False) -> Predicate:
    """One finding for a whole topic of verify: `said`, `next`, `count`, and each fault as evidence.

    at_rest: while an upgrade works it has to be otherwise, and nothing is said.
    """
    topic: Topic = TOPICS[name]

    def answer(state: JSON) -> Answer:
        objects, unread = state.get("objects") or {}, state.get("unread") or {}
        read: dict[str, t.Any] = {n: unread.get(f"objects.{n}", objects.get(n)) for n in _harvester_checks.KINDS}
        seen = _check.Seen(seen_of(state), (state.get("harvester") or {}).get("releases") or {})
        told = _check.judged(topic, {**read, _harvester_checks.HOSTS: []}, seen)
        if at_rest and _stale.upgrade(seen.objects).works:
            return
        if told.state == "unknown":
            yield Unknown(None, told.observed)
        elif told.state == "wrong":
            faults = topic.judge(seen).faults
            evidence = first([fault.what for fault in faults], SHOWN)
            yield Found(None, {"said": told.observed, "next": told.next, "count": len(faults)}, evidence)

    return answer


def _left(*kinds: str) -> Predicate:
    """What an upgrade that has ended, or never will, has left in these kinds: `kind`, `name`, `what`, `why`."""

    def answer(state: JSON) -> Answer:
        seen = seen_of(state)
        machines = {notes(node).get(_orphans.MACHINE_OF_NODE): name_of(node) for node in seen.get("nodes", ())}
        owners = {name_of(s): machines.get(labels(s).get(_orphans.MACHINE_NAME)) for s in seen.get("secrets", ())}
        for step in _stale.leftovers(seen)[0]:
            if step.kind.plural in kinds:
                node = step.name if step.kind.plural == "nodes" and not step.kind.group else owners.get(step.name)
                item = {"kind": step.kind.plural, "name": step.name, "what": step.what, "why": step.why}
                yield Found(node, item, (f"{step.kind.plural} {step.name}: {step.why}",))

    return answer


def _bundle(*causes: str) -> Predicate:
    """Bundles that one of these causes of `_stuck` holds up: `bundle`, `stands`, `why`, `repair`."""

    def answer(state: JSON) -> Answer:
        look = going(state)
        pauses = look is not None and not look.fourth  # that is how an upgrade begins its phase 3
        for bundle, word, cause, said in _held_up(state):
            if cause.name in causes and not (cause.name == "paused" and pauses):
                item = {"bundle": bundle, "stands": word, "why": cause.why.rstrip("."), "repair": cause.repair}
                yield Found(None, item, tuple(filter(None, (f"{bundle}: {word}", said))))

    return answer


def _held_up(state: JSON) -> t.Iterator[tuple[str, str, _stuck.Cause, str]]:
    """Bundles of Rancher's own Fleet that are not synced: (name, state, why, what Fleet says)."""
    seen, objects = seen_of(state), state.get("objects") or {}
    around = _check.Seen(seen)
    version = _check_rancher.server_version(around)
    for bundle in seen.get("bundles", ()):
        if objects.get("deployed") is None:
            yield from _by_summary(bundle, seen)
            continue
        look = _check_rancher.around(around, bundle, version)
        judgement = _fleet.judge(look)
        if not judgement.synced and (why := _stuck.cause(look, judgement)):
            yield look.name, judgement.state, why, _said(_stuck.refusal(look))


def _by_summary(bundle: JSON, seen: t.Mapping[str, t.Sequence[JSON]]) -> t.Iterator[tuple[str, str, _stuck.Cause, str]]:
    """Without its BundleDeployments, which no support bundle has, it is its summary that tells."""
    name = f"{meta(bundle)['namespace']}/{name_of(bundle)}"
    chart = next((c for c in seen.get("charts", ()) if name_of(c) == _fleet.chart_of(bundle)), {})
    paused = [what for what, item in (("ManagedChart", chart), ("Bundle", bundle)) if spec(item).get("paused")]
    rows = (status(bundle).get("summary") or {}).get("nonReadyResources") or ()
    worst = min(rows, key=lambda row: _rank(row.get("bundleState")), default=None)
    if paused:
        yield name, "paused", _stuck.CAUSES["paused"].told(said=f"{paused[0]} of {name}"), ""
    if worst is not None:
        word, said = str(worst.get("bundleState") or ""), _said(str(worst.get("message") or ""))
        rows = [*(worst.get("modifiedStatus") or ()), *(worst.get("nonReadyStatus") or ())]
        where = ", ".join(f"{e.get('kind')} {e.get('namespace') or ''}/{e.get('name')}" for e in rows[:3])
        if word == "ErrApplied":
            found = next(c for c in _stuck.REFUSED if re.search(c.pattern, said, re.IGNORECASE))
            words = {"release": "it", "namespace": "NAMESPACE", "name": "RELEASE", "revisions": "not seen from here"}
            yield name, word, found.told(**words, good="REVISION", said=said.rstrip(".") or "no reason is given"), said
        elif word in _stuck.CAUSES:
            yield name, word, _stuck.CAUSES[word].told(said=where or "nothing is named"), said


def _rank(word: str | None) -> int:
    return _fleet.STATES.index(word) if word in _fleet.STATES else len(_fleet.STATES)


def _said(text: str) -> str:
    return " ".join(mask(text).split())[:300]


NAMED: dict[str, Predicate] = {
    "components": _topic("components"),
    "pods": _topic("pods"),
    "virtual_machines": _topic("virtual machines"),
    "server_version": _topic("server-version", at_rest=True),
    "vip": _topic("VIP"),
    "left_plans": _left("plans"),
    "left_hooks": _left("secrets"),
    "left_nodes": _left("nodes"),
    "left_interval": _left("settings"),
    "left_strategy": _left("clusters"),
    "left_open": _left("upgrades"),
    "bundle_helm": _bundle("helm_in_use", "helm_pending"),
    "bundle_webhook": _bundle("webhook_route", "webhook_down", "webhook_denied"),
    "bundle_crd": _bundle("crd_missing"),
    "bundle_storage_class": _bundle("storage_class"),
    "bundle_refused": _bundle("refused"),
    "bundle_paused": _bundle("paused"),
    "bundle_chart": _bundle("chart"),
    "bundle_controller": _bundle("controller", "no_cluster", "rancher"),
    "bundle_agent": _bundle("agent"),
    "bundle_modified": _bundle("modified"),
    "bundle_rollout": _bundle("rollout", "depends"),
    "bundle_not_ready": _bundle("not_ready"),
    "bundle_version": _bundle("version"),
}
