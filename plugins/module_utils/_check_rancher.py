# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What keeps a Harvester together: Fleet's bundles, CAPI, settings, upgrades and what they leave."""

from __future__ import annotations

import typing as t

from . import _fleet, _harvester, _stale, _stuck
from ._check import JSON, Fault, Seen, Verdict
from ._harvester import BRAKED
from ._orphans import HELD, PAUSED, labels, meta, name_of, notes, spec, status

GOING = '{"spec":{"paused":false}}'
REPOSITORY = f"upgrade-repo-{_stale.PREFIX}"


def charts(seen: Seen) -> Verdict:
    paused = [name_of(chart) for chart in seen["charts"] if spec(chart).get("paused")]
    more = "requorum force-sync -i INV --check; it unpauses, then syncs."
    return Verdict("none is", [Fault(f"{name} is paused", more) for name in paused])


def bundles(seen: Seen) -> Verdict:
    """All that Rancher's own Fleet deploys here, by the same conditions as `force-sync`."""
    faults, version = [], server_version(seen)
    for bundle in seen["bundles"]:
        look = around(seen, bundle, version)
        judgement = _fleet.judge(look)
        why = _stuck.cause(look, judgement)
        if not judgement.synced:
            said = f"{look.name} is {judgement.state}: {why.why}" if why else f"{look.name} is {judgement.state}"
            faults.append(Fault(said.rstrip("."), f"requorum force-sync -i INV {look.name} --check"))
    return Verdict(f"{len(seen['bundles'])} are", faults)


def around(seen: Seen, bundle: JSON, version: str) -> _fleet.Seen:
    namespace, name = meta(bundle)["namespace"], name_of(bundle)
    of = {"fleet.cattle.io/bundle-name": name, "fleet.cattle.io/bundle-namespace": namespace}
    deployments = [d for d in seen["deployed"] if of.items() <= labels(d).items()]
    release, chart = _fleet.release_of(deployments), _fleet.chart_of(bundle)
    known = release is not None and release[0] == "harvester-system"  # of that namespace helm's Secrets were read
    return _fleet.Seen(
        bundle,
        deployments,
        next((item for item in seen["charts"] if name_of(item) == chart), None),
        seen["fleets"],
        [s for s in seen["releases"] if release and labels(s).get("name") == release[1]] if known else None,
        version if f"{namespace}/{name}" == _fleet.HARVESTER[-1] else "",
    )


def cluster(seen: Seen) -> Verdict:
    """Rancher's planner works only for a cluster that nobody has paused."""
    local = next((c for c in seen["clusters"] if name_of(c) == "local"), None)
    if local is None:
        return Verdict("", [Fault("fleet-local/local is missing", "See the pods of Rancher in cattle-system.")])
    faults, phase = [], status(local).get("phase")
    if spec(local).get("paused"):
        more = f"kubectl -n fleet-local patch clusters.cluster.x-k8s.io local --type merge -p '{GOING}'"
        if BRAKED in notes(local):
            more = f"playbooks/repair.yml --tags leftovers: run {notes(local)[BRAKED]} of Requorum has paused it."
        faults.append(Fault("it is paused", more))
    for plane in seen["planes"]:
        if name_of(plane) == "local" and PAUSED in notes(plane):
            more = f"kubectl -n fleet-local annotate rkecontrolplanes.rke.cattle.io local {PAUSED}-"
            if HELD in notes(plane):
                more = "The same requorum purge-orphans command again: it was cut off."
            faults.append(Fault("its RKEControlPlane is paused", more))
    if phase != "Provisioned":
        more = "kubectl -n fleet-local describe rkecontrolplanes.rke.cattle.io local"
        faults.append(Fault(f"its phase is {phase}", more))
    return Verdict("Provisioned", faults)


def machines(seen: Seen) -> Verdict:
    """One Machine for each Node, and the other way round: an orphan stops the planner."""
    nodes, faults = {name_of(node) for node in seen["nodes"]}, []
    mine: dict[str, list[str]] = {}
    for machine in seen["capi"]:
        node, phase = (status(machine).get("nodeRef") or {}).get("name"), status(machine).get("phase")
        mine.setdefault(str(node), []).append(name_of(machine))
        if node not in nodes:
            more = (
                f"requorum purge-orphans -i INV --dead {node or name_of(machine)} --check, where it is gone for good."
            )
            faults.append(Fault(f"{name_of(machine)} is of {node or 'no Node'}, which is not there", more))
        elif phase != "Running":
            more = f"kubectl -n fleet-local describe machines.cluster.x-k8s.io {name_of(machine)}"
            faults.append(Fault(f"{name_of(machine)} of {node} is {phase}", more))
    for node in sorted(nodes - set(mine)):
        faults.append(Fault(f"{node} has no Machine", f"journalctl -u rancherd -u rancher-system-agent, on {node}"))
    for node, names in mine.items():
        if len(names) > 1 and node in nodes:
            more = f"requorum purge-orphans -i INV --dead MACHINE --check, for the one that is not of {node}."
            faults.append(Fault(f"{node} has {len(names)} Machines: {', '.join(names)}", more))
    return Verdict(f"{len(seen['capi'])} Running", faults)


def kubeconfig(seen: Seen) -> Verdict:
    """Without its label CAPI does not see the Nodes any more (issues 6041, 6203 of Harvester)."""
    secret = next((s for s in seen["secrets"] if name_of(s) == "local-kubeconfig"), None)
    mark = "cluster.x-k8s.io/cluster-name=local"
    if secret is None:
        return Verdict("", [Fault("it is missing", "See the pods of Rancher in cattle-system.")])
    if labels(secret).get("cluster.x-k8s.io/cluster-name") == "local":
        return Verdict("it is")
    more = f"kubectl -n fleet-local label secret local-kubeconfig {mark}, then restart capi-controller-manager."
    return Verdict("", [Fault(f"it has not the label {mark}", more)])


def server_version(seen: Seen) -> str:
    return _harvester.version(next((s for s in seen["config"] if name_of(s) == "server-version"), None))


def versions(seen: Seen) -> Verdict:
    """What calls itself the version of Harvester says the same everywhere."""
    mine = server_version(seen)
    told = {f"the OS of {node}": release.get("harvester", "") for node, release in seen.releases.items()}
    for item in seen["deployments"]:
        if (meta(item)["namespace"], name_of(item)) == ("harvester-system", "harvester"):
            image = str(spec(item)["template"]["spec"]["containers"][0]["image"])
            told["the image of harvester"] = image.rpartition(":")[2]
    for chart in seen["charts"]:
        if name_of(chart) == "harvester":
            told["the ManagedChart"] = str(spec(chart).get("version"))
    more = "An upgrade has stopped half way, or a node is of another release: docs/harvester.md, 7 and 8."
    faults = [
        Fault(f"{who} says {v}", more) for who, v in told.items() if v.removeprefix("v") != mine.removeprefix("v")
    ]
    return Verdict(mine or "none", faults if mine else [Fault("the setting is empty", more)])


def vip(seen: Seen) -> Verdict:
    """Of the chart's values, and of the Service that kube-vip announces."""
    data = next((c.get("data") or {} for c in seen["vips"] if name_of(c) == "vip"), {})
    if str(data.get("enabled")).lower() == "false":
        return Verdict("it is off")
    service: JSON = next((s for s in seen["services"] if name_of(s) == "ingress-expose"), {})
    told = {notes(service).get(f"kube-vip.io/{key}") for key in ("loadbalancerIPs", "requestedIP")}
    told |= {spec(service).get("loadBalancerIP")}
    told |= {point.get("ip") for point in (status(service).get("loadBalancer") or {}).get("ingress") or ()}
    words = {str(word) for word in told if word} - {"0.0.0.0"}  # that is where DHCP gives it
    if data.get("ip") and words == {data["ip"]}:
        return Verdict(str(data["ip"]))
    said = f"the configmap says {data.get('ip') or 'nothing'}, the Service {', '.join(sorted(words)) or 'nothing'}"
    more = (
        "kubectl -n harvester-system get configmap vip -o yaml; kubectl -n kube-system describe service ingress-expose"
    )
    return Verdict("", [Fault(said, more)])


def upgrades(seen: Seen) -> Verdict:
    """One that works is left alone, but then the cluster is not at rest."""
    latest = _stale.upgrade(seen.objects)
    found = next((item for item in seen["upgrades"] if name_of(item) == latest.name), {})
    nodes = {n: str((e or {}).get("state")) for n, e in (status(found).get("nodeStatuses") or {}).items()}
    state = labels(found).get("harvesterhci.io/upgradeState", "")
    where = ", ".join(f"{node}: {word}" for node, word in nodes.items() if word != "Succeeded")
    if not latest.going:
        return Verdict(f"the last one, {latest.name}: {state or 'ended'}" if latest.name else "there was none")
    said = f"{latest.name} is {state or 'under way'}" + (f" ({where})" if where else "")
    more = "Let it go on, and verify again when it has ended."
    if "Node-upgrade paused" in nodes.values():
        more = (
            f"kubectl -n harvester-system edit upgrade {latest.name}: harvesterhci.io/node-upgrade-pause-map lets go."
        )
    elif not latest.works:
        said += ", and cannot go on by itself"
        more = "requorum purge-orphans -i INV --leftovers --check. Never start another upgrade before."
    return Verdict("", [Fault(said, more)])


def leftovers(seen: Seen) -> Verdict:
    """Of upgrades that have ended, or never will."""
    more = "requorum purge-orphans -i INV --leftovers --check"
    steps, said = _stale.leftovers(seen.objects)
    faults = [Fault(f"{step.kind.plural} {step.name}: {step.what}", more) for step in steps]
    latest = _stale.upgrade(seen.objects)
    faults += _repositories(seen) if not latest.works else ()
    return Verdict(" ".join(said) if latest.works else "none", faults)


def _repositories(seen: Seen) -> t.Iterator[Fault]:
    """Virtual machine and image from which an upgrade was installed: 9 GB that nobody needs any more."""
    for which, kind, prefix in (("vms", "vm", REPOSITORY), ("images", "virtualmachineimage", _stale.PREFIX)):
        for item in seen[which]:
            if meta(item)["namespace"] == "harvester-system" and name_of(item).startswith(prefix):
                more = f"kubectl -n harvester-system delete {kind} {name_of(item)}"
                yield Fault(f"{kind} {name_of(item)} of an upgrade that has ended", more)
