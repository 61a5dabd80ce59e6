# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Upgrades of Harvester as action plugins read, begin and stop them; the one place that creates or deletes an Upgrade.

Nothing here deletes or changes one in phase 4, and nothing sets skipWebhook (facts/harvester.md 1.4).
"""

from __future__ import annotations

import contextlib
import secrets
import time
import typing as t

from ansible.errors import AnsibleConnectionFailure

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _api,
    _jmes,
    _lock,
    _progress,
    _stale,
    _timeline,
    _upgrade_plan,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._orphans import meta, name_of, spec
from ansible_collections.requorum.cluster.plugins.plugin_utils import _holder, _node_api, _survey
from ansible_collections.requorum.cluster.plugins.plugin_utils._changes import Changes
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction, now

WHERE = "harvester-system"
UPGRADES = _stale.KINDS["upgrades"][0]
VERSIONS = _api.Kind("harvesterhci.io", "v1beta1", "versions")
CONFIGMAPS = _api.Kind("", "v1", "configmaps")
NODES = _api.Kind("", "v1", "nodes", namespaced=False)
LOCK, HELD_S, BEAT_S = "requorum-upgrade", 120.0, 30.0
"""Name of the lock; seconds without a heartbeat after which it is taken over; and between heartbeats."""
LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""Of names that Kubernetes makes."""


def read(action: NodeAction) -> dict[str, list[JSON]]:
    """Objects of an upgrade; RequorumError where one that decides cannot be read, or there is no Harvester."""
    found = _survey.Reader(action, "inspect", api=True).of(_progress.KINDS)
    for name in ("upgrades", "config", "nodes", "secrets", "capi"):
        if found[name] is None:
            raise RequorumError(
                f"{action.host}: this cluster is no Harvester: it has no {name} of one.",
                "Clusters of RKE2 and K3s are upgraded by their own means.",
            )
        if isinstance(found[name], str):
            hint = "Nothing was changed. requorum inspect -i INV says more."
            raise RequorumError(str(found[name]), hint)
    return {name: items for name, items in found.items() if isinstance(items, list)}


def begin(api: _api.Api, plan: JSON, wish: JSON, changes: Changes) -> str:
    """Create the Version, where it is missing, and the Upgrade of the first hop; its name.

    wish: iso_url, iso_checksum, whether they were named by a person, log; a Version that is there has its own. The
    cluster is read once more, so that nothing is begun beside one that somebody has begun since the plan was made.
    """
    version = plan["hops"][0]["version"]
    items = {"upgrades": api.items(UPGRADES, WHERE) or [], "nodes": api.items(NODES) or []}
    for item in items["upgrades"]:
        if _progress.going(item):
            raise RequorumError(
                f"The upgrade {name_of(item)} to {_upgrade_plan.version_of(item)} goes on, begun "
                f"{meta(item).get('creationTimestamp')}: a second one would break both.",
                "Run the same command again: it watches the latest one.",
            )
    if refusal := _upgrade_plan.in_the_way(items):
        raise RequorumError(refusal.what, refusal.next)
    _version(api, version, wish, changes)
    name = _stale.PREFIX + "".join(secrets.choice(LETTERS) for _ in range(5))
    body = {
        "apiVersion": "harvesterhci.io/v1beta1", "kind": "Upgrade",
        "metadata": {"name": name, "namespace": WHERE},
        "spec": {"version": version, "logEnabled": bool(wish["log"])},
    }  # fmt: skip
    api.create(UPGRADES, body)
    changes.record(change("create", UPGRADES, name, f"to {version}"))
    return name


def _version(api: _api.Api, version: str, wish: JSON, changes: Changes) -> None:
    wanted = {"isoURL": wish["iso_url"], "isoChecksum": wish["iso_checksum"]}
    found = api.get(VERSIONS, version, WHERE)
    if found is not None:
        for key, value in wanted.items():
            if wish["named"] and value and spec(found).get(key) != value:
                has = _timeline.mask(str(spec(found).get(key) or "empty"))
                raise RequorumError(
                    f"Version {version} is there with {key} {has}, and {_timeline.mask(value)} is wished.",
                    f"Say which is right; then kubectl -n {WHERE} edit versions.harvesterhci.io {version}",
                )
        return
    for key, value in wanted.items():
        if not value:
            raise RequorumError(
                f"The ISO of {version} has no {key}, so Harvester could not fetch and prove it.",
                "Mirror version.yaml beside it, or name both: -e requorum_iso_url=URL -e requorum_iso_checksum=SHA512",
            )
    api.create(VERSIONS, {
        "apiVersion": "harvesterhci.io/v1beta1", "kind": "Version",
        "metadata": {"name": version, "namespace": WHERE}, "spec": wanted,
    })  # fmt: skip
    changes.record(change("create", VERSIONS, version, _timeline.mask(wanted["isoURL"])))


def may_stop(seen: _progress.Seen) -> JSON:
    """The Upgrade that goes on, where it may be deleted; RequorumError otherwise.

    When any Upgrade goes, Harvester takes the hooks of the drain back, whosever they are: so another one in phase 4
    forbids it too.
    """
    item = _progress.latest(seen)
    if item is None or not _progress.going(item):
        hint = "requorum purge-orphans -i INV --leftovers clears what one has left."
        raise RequorumError("No upgrade goes on.", hint)
    if _progress.phase_of(item).number >= 4 or _upgrade_plan.late(item):
        raise RequorumError(
            f"The upgrade {name_of(item)} is in phase 4: its nodes are between two versions, and stopping it now is "
            "what breaks clusters.",
            "requorum upgrade -i INV --to VERSION watches it, and names what it waits for.",
        )
    if refusal := _upgrade_plan.in_the_way({**seen, "upgrades": [o for o in seen["upgrades"] if _progress.going(o)]}):
        raise RequorumError(refusal.what, refusal.next)
    return item


def stop(api: _api.Api, seen: _progress.Seen, changes: Changes) -> str:
    """Delete the upgrade that goes on, only before phase 4, and only as it was seen; its name."""
    item = may_stop(seen)
    changes.save(UPGRADES, item)
    api.delete(UPGRADES, name_of(item), WHERE, uid=meta(item)["uid"], version=meta(item)["resourceVersion"])
    changes.record(change("delete", UPGRADES, name_of(item), "before phase 4"))
    return name_of(item)


def change(verb: str, kind: _api.Kind, name: str, what: str) -> JSON:
    """For the list of what a run has done, or would do."""
    return {"verb": verb, "kind": kind.name, "namespace": WHERE, "name": name, "what": what}


class Lock:
    """One run at a time, by a ConfigMap that names who holds it; as a context."""

    def __init__(self, api: _api.Api, clock: t.Callable[[], float] = time.time) -> None:
        self._api, self._clock, self._beaten = api, clock, 0.0
        self._mine = {**_holder.me(), "started": now()}

    def __enter__(self) -> Lock:
        found = self._api.get(CONFIGMAPS, LOCK, WHERE)
        body: JSON = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": LOCK, "namespace": WHERE}}
        if found is not None:
            held = found.get("data") or {}
            age = self._clock() - (_jmes.seconds(held.get("heartbeat")) or 0)
            if age < HELD_S and not _holder.ended(held):
                raise RequorumError(
                    f"Another run works on an upgrade of this cluster: {held.get('owner')} on {held.get('host')} since "
                    f"{held.get('started')}, heard {age:.0f} s ago {_lock.MARK}.",
                    f"Wait for it, or end it; {HELD_S:.0f} s after its last sign it is taken over.",
                )
            body = {"metadata": {"resourceVersion": meta(found)["resourceVersion"]}, "data": self._data()}
            self._api.patch(CONFIGMAPS, LOCK, body, WHERE)
        else:
            self._api.create(CONFIGMAPS, {**body, "data": self._data()})
        self._beaten = self._clock()
        return self

    def _data(self) -> JSON:
        """As a ConfigMap holds it."""
        return {**self._mine, "heartbeat": now()}

    def beat(self, action: NodeAction) -> None:
        """A sign of life, now and then, through whoever reaches the API; one that is away hinders nobody."""
        if self._clock() - self._beaten < BEAT_S:
            return
        self._beaten, self._api = self._clock(), _node_api.of(action, proved=False)
        with contextlib.suppress(RequorumError, AnsibleConnectionFailure):
            self._api.patch(CONFIGMAPS, LOCK, {"data": {"heartbeat": now()}}, WHERE)

    def __exit__(self, *_error: object) -> None:
        with contextlib.suppress(RequorumError, AnsibleConnectionFailure):
            found = self._api.get(CONFIGMAPS, LOCK, WHERE)
            if found and (found.get("data") or {}).get("id") == self._mine["id"]:
                self._api.delete(CONFIGMAPS, LOCK, WHERE, uid=meta(found)["uid"])
