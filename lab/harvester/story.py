# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab becomes a Harvester; and then one whose upgrade can never go on, and of whose servers one is left.

`facts/harvester.md` 0 and 1.4: v1.3.1 to v1.3.2, begun anew in phase 4. RKE2 was upgraded on every server, the system
on none; charts are paused; hooks of the first try hold the survivor; the bundle fails until it is forced.
"""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from ansible_collections.requorum.cluster.plugins.module_utils._fleet import BUNDLES, CHARTS, SETTINGS
from lab import faults, spoil
from lab.harvester import capi, core, crds, drain, fleet, guests, machines, objects, oem, play
from lab.harvester import host as hosts
from lab.harvester.kinds import NODES, SECRETS
from lab.harvester.play import settle
from lab.labs import Lab
from lab.progress import LabError, say, wait_for

JSON = dict[str, Any]
BEFORE, TARGET = "v1.3.1", "v1.3.2"
GUEST = "default/vm1"
STUCK = 'cannot patch "harvester" with kind KubeVirt: timed out waiting for the condition'
_LOGS = "/var/log/pods/cattle-provisioning-capi-system_capi-controller-manager-6f87d8c7c-x2v9k_0f9b/manager"
_HANDSHAKES = (
    "http: TLS handshake error from 10.52.0.1:{port}: EOF",
    'failed to get remote client: remote cluster "fleet-local/local": net/http: TLS handshake timeout',
)


def vip(lab: Lab) -> str:
    """An address of the lab's network that no host has; whoever answers is meant by it."""
    return str(IPv4Network(lab.spec.subnet)[200])


def become(lab: Lab, names: Sequence[str], *, release: str = BEFORE) -> _api.Api:
    """Make these running servers the nodes of a Harvester: hosts as its installer makes them, and its objects."""
    crds.define(lab)
    capi.guard(lab)
    token = f"rancherd-{secrets.token_hex(12)}"
    for name in names:
        of = oem.Identity(name, objects.RELEASES[release], vip(lab), token, joins=name != names[0])
        hosts.strict(lab, name, of, {"os": {"hostname": name}, "install": {"mode": "create"}})
    api = play.client(lab)
    objects.write(api, list(core.components(release, vip(lab))))
    fleet.install(api, version=release)
    for name in ("rancher-monitoring-crd", "rancher-logging-crd"):
        api.create(CHARTS, fleet.chart(name, version="103.0.3+up45.31.1"))
    fleet.fleet(api)
    _rancher_secrets(lab, api, names[0])
    addresses = {name: lab.spec.host(name).ip for name in names}
    objects.write(api, objects.cluster(addresses, living=names, release=release))
    for name in names:
        labels, notes = oem.labels("default"), {machines.OF_NODE: objects.machine(name)}
        settle(api, NODES, _node(api, name), {"metadata": {"labels": labels, "annotations": notes}})
    return api


def _rancher_secrets(lab: Lab, api: _api.Api, first: str) -> None:
    """What Rancher keeps of the local cluster: RKE2's own token, which is not rancherd's, and a kubeconfig."""
    token = lab.sh(first, f"cat {lab.data_dir}/server/token").ok("token").out.strip()
    config = lab.sh(first, f"cat {lab.spec.supervisor.kubeconfig}").ok("kubeconfig").out
    labels = {"cluster.x-k8s.io/cluster-name": "local"}
    for name, kind, values in (
        ("local-rke-state", "rke.cattle.io/cluster-state", {"serverToken": token, "agentToken": token}),
        ("local-kubeconfig", "Opaque", {"value": config}),
    ):
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        meta = {"name": name, "namespace": objects.FLEET, "labels": labels}
        api.create(SECRETS, {"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": meta, "data": data})


def _node(api: _api.Api, name: str) -> JSON:
    found = api.get(NODES, name)
    if found is None:
        raise LabError(f"there is no Node {name}")
    return found


def harvester_stuck_upgrade(lab: Lab, host: str) -> None:
    """Make the lab a Harvester whose upgrade is stuck; HOST runs a machine, and is the only server left."""
    if lab.spec.distro != "rke2" or len(lab.servers) != 3 or lab.agents:
        raise LabError("the story has three servers of RKE2 and nothing else: python -m lab up --agents 0")
    dead = [name for name in lab.servers if name != host]
    api = become(lab, lab.servers)
    for name in lab.servers:  # Rancher has upgraded RKE2; nobody has upgraded the system
        play_version(lab, name, objects.RELEASES[TARGET].kubernetes)
    stuck(play.client(lab, host=host), host, dead)
    hosts.run_machine(lab, host, GUEST)
    objects.write(api, guests.machine(GUEST, host, lab.servers))
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    said = [_HANDSHAKES[i % 2].format(port=41000 + i) for i in range(40)]
    lines = "".join(f"{stamp}.{i:09d}Z stderr F {text}\n" for i, text in enumerate(said))
    lab.sh(host, f"mkdir -p {_LOGS}; cat >{_LOGS}/0.log", stdin=lines).ok("log of CAPI")
    for name in dead:
        faults.power_off(lab, name)
    say(f"{host}: the only server left of a Harvester whose upgrade is stuck; {GUEST} runs on it")


def play_version(lab: Lab, name: str, wanted: str) -> None:
    """Let a server be of another version of RKE2, by a restart."""
    spoil.old_version(lab, name, wanted)
    lab.sh(name, f"systemctl restart --no-block {lab.spec.unit(name)}").ok(f"restart {name}")

    def probe() -> tuple[bool, str]:
        path = "jsonpath={.status.nodeInfo.kubeletVersion}"
        # The API server of before goes on while the unit starts, and is replaced before it is active.
        unit = lab.sh(name, f"systemctl is-active {lab.spec.unit(name)}").out.strip()
        seen = lab.kubectl(name, "get", "node", name, "-o", path).out.strip()
        return (unit, seen) == ("active", wanted) and lab.members(name).get(name) == "voter", f"{unit}, {seen}"

    wait_for(f"kubelet {wanted} on {name}", probe, 120)
    wait_for("an API server to answer", lambda: _answers(lab), 60)  # the last one may just be replaced
    wait_for("the static pods to be Ready", lambda: _pods_ready(lab), 120)  # their kubelet says it a while later


def _pods_ready(lab: Lab) -> tuple[bool, str]:
    ready = '{range .items[*]}{.metadata.name}={.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    words = ("get", "pods", "-n", "kube-system", "-l", "tier=control-plane", "-o", f"jsonpath={ready}")
    said = lab.kubectl(lab.servers[0], *words).out.split()
    late = [each for each in said if not each.endswith("=True")]
    return bool(said) and not late, " ".join(late) or "no pod"


def _answers(lab: Lab) -> tuple[bool, str]:
    try:
        return True, lab.answering()
    except LabError as error:
        return False, str(error)


def stuck(api: _api.Api, survivor: str, dead: Sequence[str]) -> None:
    """The objects of the upgrade, and what its first try has left on the survivor: a hook that waits for ever."""
    states = dict.fromkeys((survivor, *dead), "Images preloaded") | {dead[0]: "Pre-draining"}
    bundle = "mcc-harvester"
    api.create(fleet.CONFIGMAPS, {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": fleet.FAULTS[0], "name": fleet.FAULTS[1]},
        "data": {f"error.{bundle}": STUCK, f"until.{bundle}": "1"}})  # fmt: skip
    for chart in api.items(CHARTS, objects.FLEET) or ():
        new = {"version": TARGET.removeprefix("v")} if chart["metadata"]["name"].startswith("harvester") else {}
        api.patch(CHARTS, chart["metadata"]["name"], {"spec": {"paused": True, **new}}, objects.FLEET)
    objects.write(api, objects.stuck_upgrade(states, previous=BEFORE, target=TARGET))
    fleet.fleet(api)
    seen = api.get(BUNDLES, bundle, objects.FLEET) or {}
    if (seen.get("status") or {}).get("display", {}).get("state") != "OutOfSync":
        raise LabError(f"{bundle} is not what the story wants: {seen.get('status')}")
    api.patch(SETTINGS, "server-version", {"value": TARGET})  # phase 3 was whole
    for group in ("provisioning.cattle.io", "rke.cattle.io"):
        plural = "clusters" if group.startswith("prov") else "rkecontrolplanes"
        kind = _api.Kind(group, "v1", plural)
        api.patch(kind, "local", {"spec": {"kubernetesVersion": objects.RELEASES[TARGET].kubernetes}}, objects.FLEET)
    marks = objects.leftovers(survivor)
    settle(api, NODES, _node(api, survivor), marks["node"])
    waits = {drain.DONE: objects.DRAIN, drain.UNCORDON: "true", drain.POST: objects.DRAIN}
    secret = f"{objects.machine(survivor)}-machine-plan"
    api.patch(SECRETS, secret, marks["secret"], objects.FLEET)
    api.patch(SECRETS, secret, {"metadata": {"annotations": waits}}, objects.FLEET)
