# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades on a lab: of its hosts, and of Nodes that have no host behind them and are upgraded in no time.

It works only where there is the ConfigMap of its faults: other tests write Upgrades that nobody shall touch.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import objects, oem, play, story
from lab.harvester.kinds import LEASES
from lab.harvester.play import settle
from lab.harvester.upgrade import made
from lab.harvester.upgrade.control import step
from lab.harvester.upgrade.seen import LOG, WORDS, World, changes, kind_of, labels, name_of, notes, status
from lab.labs import Lab
from lab.progress import say

JSON = dict[str, Any]
FAULTS = (objects.SYSTEM, "requorum-lab-upgrade")
"""ConfigMap: `pace`, seconds of a step, and names of `STALLS` -> what they are about."""
CONFIGMAPS = objects.BUILT_IN["ConfigMap"]
SPOOL = "/run/lab-upgrade"
_SYSTEM = """\
sed -i 's/^PRETTY_NAME=.*/PRETTY_NAME="{os}"/' /etc/os-release; cat >/etc/harvester-release.yaml
mount -o remount,bind,rw /usr && rm -f /usr/share/lab-etc.tar && mount -o remount,bind,ro /usr
"""


def read(api: _api.Api, faults: Mapping[str, str], hosts: frozenset[str] = frozenset()) -> World:
    """Everything as it is now."""
    found = {name: api.items(kind_of(name), where) or [] for name, (_version, _kind, where) in WORDS.items()}
    for name, items in found.items():
        for item in items:
            item |= {"apiVersion": WORDS[name][0], "kind": WORDS[name][1]}
    return World(found, time.time(), faults, hosts=hosts)


def faults(api: _api.Api) -> Mapping[str, str] | None:
    """What is spoilt; None where no upgrade is to be played."""
    item = api.get(CONFIGMAPS, FAULTS[1], FAULTS[0])
    return None if item is None else item.get("data") or {}


def look(api: _api.Api, hosts: frozenset[str] = frozenset(), now: float | None = None) -> World | None:
    """One look of everybody, written back; the world behind it."""
    spoilt = faults(api)
    if spoilt is None:
        return None
    world = read(api, spoilt, hosts)
    world.now = world.now if now is None else now
    before = copy.deepcopy(world.objects)
    step(world)
    for change in changes(before, world):
        apply(api, world, change)
    return world


def apply(api: _api.Api, world: World, change: _api.Request) -> None:
    """Make one change; of a job's pod on a host its kubelet says how it is."""
    if change.verb == "create":
        body = copy.deepcopy(change.body or {})
        told = body.pop("status", None) if objects.parted(body) else None
        for owner in body["metadata"].get("ownerReferences") or ():  # it may have been made in this same look
            owner["uid"] = owner["uid"] or world.uids.get((owner["kind"], owner["name"]), "")
        world.uids[body["kind"], name_of(body)] = objects.make(api, change.kind, body)
        if told and not (body["kind"] == "Pod" and body["spec"].get("nodeName") in world.hosts):
            api.patch(change.kind, name_of(body), {"status": told}, change.namespace, subresource="status")
    elif change.verb == "delete":
        api.delete(change.kind, change.name, change.namespace, now=change.kind.plural == "pods")
    elif not (change.subresource and change.kind.plural == "pods" and _on(world, change) in world.hosts):
        api.patch(change.kind, change.name, change.body or {}, change.namespace, subresource=change.subresource)


def _on(world: World, change: _api.Request) -> str:
    pod = world.one("pods", change.name, change.namespace) or {"spec": {}}
    return str(pod["spec"].get("nodeName") or "")


def alone(api: _api.Api, world: World) -> None:
    """Kubelets of Nodes without a host: they live, and pods that are deleted end."""
    stamp = datetime.now(UTC)
    names = {name_of(each) for each in world["nodes"]} - world.hosts
    for lease in api.items(LEASES, "kube-node-lease") or ():
        renewed = str((lease.get("spec") or {}).get("renewTime") or "1970-01-01T00:00:00Z")
        if name_of(lease) in names and (stamp - datetime.fromisoformat(renewed)).total_seconds() > 5:
            settle(api, LEASES, lease, {"spec": {"renewTime": stamp.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}})
    for pod in world["pods"]:
        if pod["metadata"].get("deletionTimestamp") and pod["spec"].get("nodeName") in names:
            api.delete(kind_of("pods"), name_of(pod), pod["metadata"]["namespace"], now=True)


def carry_out(lab: Lab, wishes: Sequence[tuple[str, str, str]]) -> None:
    """Let hosts become what Rancher and elemental make of them."""
    for host, field, value in dict.fromkeys(wishes):
        if field == "kubeletVersion":
            story.play_version(lab, host, value)
        else:
            release = next(each for each in objects.RELEASES.values() if each.os == value)
            lab.sh(host, _SYSTEM.format(os=value), stdin=oem.text(release.file)).ok(f"{value} on {host}")
            say(f"{host}: {value}")


def speaker(lab: Lab) -> Callable[[World], None]:
    """Brings the lines of jobs to the hosts on which their pods run, where kubelet logs them."""
    said: dict[str, tuple[str, str]] = {}

    def speak(world: World) -> None:
        jobs = {name_of(job): job for kind in ("jobs", "preparing") for job in world[kind]}
        for pod in world["pods"]:
            host, job = pod["spec"].get("nodeName", ""), jobs.get(labels(pod).get("job-name", ""))
            if job is None or host not in world.hosts or status(pod).get("phase") in ("Succeeded", "Failed"):
                continue
            told = notes(pod).get(LOG, ""), made.ended(job)
            if said.get(name_of(pod)) == told:
                continue
            container = pod["spec"]["containers"][0]
            of = next(each["value"] for each in container["env"] if each["name"] == "HARVESTER_UPGRADE_NAME")
            file = f"{SPOOL}/{of}-{container['command'][0]}-{(container.get('args') or [''])[0]}"
            end = f"; echo {int(told[1] == 'Failed')} >{file}.end" if told[1] else ""
            text = f"{told[0]}\n" if told[0] else ""
            lab.sh(host, f"mkdir -p {SPOOL}; cat >{file}.new; mv {file}.new {file}{end}", stdin=text).ok("log of a job")
            said[name_of(pod)] = told

    return speak


def part(lab: Lab) -> play.Part:
    """The part for `play.playing`."""
    speak, done = speaker(lab), set[tuple[str, str, str]]()
    hosts = frozenset(host.name for host in lab.spec.hosts)

    def upgrade(api: _api.Api) -> None:
        if world := look(api, hosts):
            speak(world)
            alone(api, world)
            carry_out(lab, [wish for wish in world.wishes if wish not in done])
            done.update(world.wishes)  # kubelet tells of it some seconds later

    return upgrade
