# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a test does with a Harvester whose upgrades are played: make it, begin an upgrade, let it stall and go on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import fleet, objects, parts, play, story
from lab.harvester.upgrade import films, webhook
from lab.harvester.upgrade.live import CONFIGMAPS, FAULTS, SPOOL, read
from lab.harvester.upgrade.seen import kind_of
from lab.harvester.upgrade.stalls import STALLS
from lab.labs import Lab
from lab.progress import LabError

JSON = dict[str, Any]
SCRIPTS = ("do_upgrade_node.sh", "upgrade_manifests.sh")
# What upstream's image has by these names: here it says what the lab has written for its job, and ends as it is told.
# As upstream's loops it says again and again what it waits for.
_SCRIPT = f"""\
#!/bin/sh
f={SPOOL}/$HARVESTER_UPGRADE_NAME-$(basename "$0")-$1
n=0
while :; do
    [ ! -e "$f.end" ] || end=$(cat "$f.end")
    [ ! -e "$f" ] || {{ tail -n +$((n + 1)) "$f"; tail -n 1 "$f" | grep '^Waiting'; n=$(wc -l <"$f"); }}
    [ -z "${{end:-}}" ] || exit "$end"
    sleep 1
done
"""


@contextlib.contextmanager
def playing(lab: Lab) -> Iterator[list[webhook.Asked]]:
    """Everything that a Harvester has, its webhook too, while the body runs; yields the record of writes.

    Without the webhook Upgrades can neither be made nor deleted, as upstream.
    """
    api = play.client(lab, seconds=60)
    with webhook.serving(lab, api, lambda: read(play.client(lab), {})) as record, (
            play.playing(lab, parts.everything(lab))):  # fmt: skip
        yield record


def become_ready(lab: Lab, release: str = "v1.3.2", *, more: Sequence[str] = (), pace: float = 1) -> _api.Api:
    """Make a lab a Harvester whose upgrades are played; its hosts play the RKE2 of that release.

    more: names of Nodes that are objects only. They live while `playing` runs.
    """
    api = story.become(lab, lab.servers, release=release)
    for host in lab.servers:
        story.play_version(lab, host, objects.RELEASES[release].kubernetes)
        for name in SCRIPTS:
            path = f"/usr/local/bin/{name}"
            lab.sh(host, f"cat >{path}; chmod 755 {path}", stdin=_SCRIPT).ok(path)
    api = play.client(lab, seconds=60)
    addresses = {name: f"192.0.2.{number}" for number, name in enumerate(more, 1)}
    known = {name: lab.spec.host(name).ip for name in lab.servers}
    names = {objects.machine(name) for name in more}
    every = objects.cluster(known | addresses, release=release, living=[*known, *more])
    objects.write(api, [item for item in every if any(name in item["metadata"]["name"] for name in (*names, *more))])
    for name, address in addresses.items():
        objects.write(api, [films.node(name, address, release), _lease(name)])
    interval = {"metadata": {"name": "replica-replenishment-wait-interval", "namespace": objects.LONGHORN}}
    objects.write(api, [{"apiVersion": "longhorn.io/v1beta2", "kind": "Setting", **interval, "value": "600"}])
    meta = {"namespace": FAULTS[0], "name": FAULTS[1]}
    objects.write(api, [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"pace": str(pace)}}])
    return api


def _lease(node: str) -> JSON:
    meta = {"name": node, "namespace": "kube-node-lease"}
    spec = {"holderIdentity": node, "leaseDurationSeconds": 40,
            "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}  # fmt: skip
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}


def stall(api: _api.Api, name: str, about: str = "") -> None:
    """From now on the upgrade stalls so, for a node or for the first that gets there; see `STALLS`."""
    if name not in STALLS:
        raise LabError(f"the lab knows no stall {name}: {', '.join(STALLS)}")
    _fault(api, name, about)


def heal(api: _api.Api, name: str) -> None:
    """It goes on."""
    _fault(api, name, None)


def _fault(api: _api.Api, name: str, value: str | None) -> None:
    api.patch(CONFIGMAPS, FAULTS[1], {"data": {name: value}}, FAULTS[0])
    if name == "apply-bundle":  # Fleet's own fault
        words = None if value is None else "timed out waiting for the condition"
        space, of = fleet.FAULTS
        objects.write(api, [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": space, "name": of}}])
        api.patch(CONFIGMAPS, of, {"data": {f"error.{value or 'mcc-harvester'}": words}}, space)


def begin(api: _api.Api, to: str, *, name: str = films.NAME, checksum: str = "", log: bool = True) -> JSON:
    """Write Version and Upgrade, as an administrator does."""
    objects.write(api, [films.version(to, checksum=checksum)])
    return api.create(kind_of("upgrades"), films.upgrade(to, name=name, log=log))
