# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""How virtual machines of an export come back: what they need, in which order, and what forbids it.

Order and strategy are those of facts/harvester.md 8. Only what is missing is created; what differs is shown.
"""

from __future__ import annotations

import json
import typing as t
from dataclasses import dataclass, field

from . import _export
from ._export_index import IMAGE
from ._stale import OF_UPGRADE

JSON = dict[str, t.Any]
NAMESPACES, CLASSES, SECRETS, CONFIGS = "namespaces", "storageclasses.storage.k8s.io", "secrets", "configmaps"
NETWORKS, VLANS, ATTACHMENTS = (
    "clusternetworks.network.harvesterhci.io",
    "vlanconfigs.network.harvesterhci.io",
    "network-attachment-definitions.k8s.cni.cncf.io",
)
KEYS, IMAGES = "keypairs.harvesterhci.io", "virtualmachineimages.harvesterhci.io"
VOLUMES, CLAIMS, LONGHORN = "persistentvolumes", "persistentvolumeclaims", "volumes.longhorn.io"
TEMPLATES, VERSIONS = "virtualmachinetemplates.harvesterhci.io", "virtualmachinetemplateversions.harvesterhci.io"
MACHINES = "virtualmachines.kubevirt.io"
ORDER = (
    NAMESPACES, CLASSES, NETWORKS, VLANS, ATTACHMENTS, SECRETS, CONFIGS, KEYS, IMAGES, VOLUMES, CLAIMS, TEMPLATES,
    VERSIONS, MACHINES,
)  # fmt: skip
ALL = (ATTACHMENTS, KEYS, IMAGES, TEMPLATES, VERSIONS, MACHINES)
"""What `all` chooses; the rest comes where it is needed."""
_NETWORK = "network.harvesterhci.io/clusternetwork"
_SSH = "harvesterhci.io/sshNames"


class Ref(t.NamedTuple):
    """One object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"

    @classmethod
    def of(cls, kind: str, place: object, namespace: str = "") -> Ref:
        """`namespace/name`, or a name in the given namespace."""
        first, slash, rest = str(place).partition("/")
        return cls(kind, first, rest) if slash else cls(kind, namespace, first)


class Source(t.Protocol):
    """An export."""

    def names(self, kind: str) -> list[Ref]:
        """What it has of a kind."""

    def get(self, ref: Ref) -> JSON | str | None:
        """An object; a text where it cannot be read, and says why."""


Live = t.Callable[[Ref], JSON | None]
"""An object of the cluster."""


class _Refused(Exception):
    """Why an object cannot be created although the export has it."""


@dataclass
class Plan:
    """What is created, in its order; what is only shown; what forbids it."""

    seconds: float
    """How long an image is waited for."""
    actions: list[JSON] = field(default_factory=list)
    bodies: dict[Ref, JSON] = field(default_factory=dict, repr=False)
    differences: list[JSON] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def chosen(names: t.Sequence[str], source: Source) -> list[Ref]:
    """The machines that were named as `namespace/name`; or, by the word `all`, everything but what an upgrade owns."""
    if list(names) != ["all"]:
        return [Ref.of(MACHINES, name, "default") for name in names]
    found = [ref for kind in ALL for ref in source.names(kind)]
    return [ref for ref in found if OF_UPGRADE not in _map(source.get(ref), "metadata", "labels")]


def make(wanted: t.Sequence[Ref], source: Source, live: Live, *, seconds: float) -> Plan:
    """What brings the wanted ones back."""
    plan, seen = Plan(seconds), set[Ref]()
    # The last one first. With `all` those are the machines, so that nothing they need counts as chosen for itself.
    unseen = [(ref, "") for ref in wanted]
    while unseen:
        ref, by = unseen.pop()
        if ref not in seen:
            seen.add(ref)
            judge = _missing if (there := live(ref)) is None else _present
            unseen += [(need, str(ref)) for need in judge(plan, ref, by, there or {}, source, live)]
    plan.actions.sort(key=lambda a: (ORDER.index(a["kind"]), a["verb"] == "wait", a["namespace"], a["name"]))
    plan.differences.sort(key=lambda d: (ORDER.index(d["kind"]), d["namespace"], d["name"]))
    return plan


def _present(plan: Plan, ref: Ref, by: str, there: JSON, source: Source, _live: Live) -> t.Iterable[Ref]:
    """An object of the cluster is compared; what a machine lacks is made all the same."""
    stored = source.get(ref)
    if ref.kind == IMAGES and by and not imported(there):
        plan.actions.append(_wait(ref, plan.seconds))
    if not isinstance(stored, dict):
        if not by:
            why = stored or "it is not in the export."
            said = f"{ref} is in the cluster and is left alone, but cannot be compared: {why}"
            (plan.notes if stored else plan.refusals).append(said)
        return ()
    plan.differences += _difference(ref, stored, there)
    return needs(ref, stored, source) if ref.kind == MACHINES else ()


def _missing(plan: Plan, ref: Ref, by: str, _there: JSON, source: Source, live: Live) -> t.Iterable[Ref]:
    """An object is created if it can be."""
    stored = source.get(ref)
    forbidden = _forbidden(ref, by, stored) if isinstance(stored, dict) else _unread(ref, by, stored)
    if forbidden or not isinstance(stored, dict):
        (plan.refusals if by or ref.kind == MACHINES else plan.notes).append(forbidden)
        return ()
    try:
        body, why = _body(ref, stored, live, source)
    except _Refused as refused:
        plan.refusals.append(str(refused))
        return ()
    plan.bodies[ref] = body
    plan.actions.append(_action("create", ref, _what(ref, stored), why or (f"for {by}" if by else "")))
    plan.actions += [_wait(ref, plan.seconds)] if ref.kind == IMAGES else []
    return needs(ref, body, source)


def imported(image: JSON) -> bool:
    """Whether volumes can be made from an image."""
    return _condition(image, "Imported") == "True"


def failed(image: JSON) -> str:
    """Why an image will never be imported; empty while it may."""
    given_up = _condition(image, "RetryLimitExceeded") == "True"
    said = [str(c.get("message") or "") for c in _list(image, "status", "conditions") if c.get("type") == "Imported"]
    return ("; ".join(filter(None, said)) or "its download failed too often") if given_up else ""


def from_image(claim: JSON, image: JSON | None) -> JSON:
    """A claim with the storage class that its image has in this cluster."""
    name = _map(image, "status").get("storageClassName")
    return {**claim, "spec": {**claim["spec"], "storageClassName": name}} if name else claim


def image_of(claim: JSON) -> Ref | None:
    """The image that a claim is made from."""
    place = _map(claim, "metadata", "annotations").get(IMAGE)
    return Ref.of(IMAGES, place, str(claim["metadata"].get("namespace") or "")) if place else None


def needs(ref: Ref, body: JSON, source: Source) -> t.Iterator[Ref]:
    """What an object cannot be without, as it will be created."""
    if ref.namespace:
        yield Ref(NAMESPACES, "", ref.namespace)
    if ref.kind == MACHINES:
        yield from _of_machine(ref, body, source)
    elif ref.kind == CLAIMS:
        spec, image = _map(body, "spec"), image_of(body)
        volume, named = (str(spec.get(name) or "") for name in ("volumeName", "storageClassName"))
        storage = Ref(CLASSES, "", named)
        if volume:
            yield Ref(VOLUMES, "", volume)
            if named and source.get(storage) is not None:  # it binds to its volume without
                yield storage
        elif image:
            yield image  # which makes its storage class itself
        elif named:
            yield storage
    elif ref.kind == ATTACHMENTS:
        network = _map(body, "metadata", "labels").get(_NETWORK)
        if network and network != "mgmt":  # that one every cluster has
            yield Ref(NETWORKS, "", str(network))
    elif ref.kind == NETWORKS:
        for vlan in source.names(VLANS):
            if _map(source.get(vlan), "spec").get("clusterNetwork") == ref.name:
                yield vlan


def _of_machine(ref: Ref, body: JSON, source: Source) -> t.Iterator[Ref]:
    spec = _map(body, "spec", "template", "spec")
    for network in _list(spec, "networks"):
        if name := _map(network, "multus").get("networkName"):
            yield Ref.of(ATTACHMENTS, name, ref.namespace)
    for volume in _list(spec, "volumes"):
        claim = (
            _map(volume, "persistentVolumeClaim").get("claimName")
            or _map(volume, "ephemeral", "persistentVolumeClaim").get("claimName")
            or _map(volume, "dataVolume").get("name")
        )
        yield from _named(CLAIMS, ref, claim)
        for kind in ("cloudInitNoCloud", "cloudInitConfigDrive"):
            for part in ("secretRef", "networkDataSecretRef"):
                yield from _named(SECRETS, ref, _map(volume, kind, part).get("name"))
        yield from _named(SECRETS, ref, _map(volume, "secret").get("secretName"))
        yield from _named(SECRETS, ref, _map(volume, "sysprep", "secret").get("name"))
        yield from _named(CONFIGS, ref, _map(volume, "configMap").get("name"))
        yield from _named(CONFIGS, ref, _map(volume, "sysprep", "configMap").get("name"))
    for access in _list(spec, "accessCredentials"):
        for kind in ("sshPublicKey", "userPassword"):
            yield from _named(SECRETS, ref, _map(access, kind, "source", "secret").get("secretName"))
    try:
        keys = json.loads(_map(body, "metadata", "annotations").get(_SSH) or "[]")
    except ValueError:
        keys = []
    for key in keys if isinstance(keys, list) else ():
        pair = Ref.of(KEYS, key, ref.namespace)
        if source.get(pair) is not None:  # only Harvester's pages show them
            yield pair


def _named(kind: str, ref: Ref, name: object) -> t.Iterator[Ref]:
    if name:
        yield Ref(kind, ref.namespace, str(name))


def _who(ref: Ref, by: str) -> str:
    return f"{ref}, which {by} needs," if by else str(ref)


def _unread(ref: Ref, by: str, why: str | None) -> str:
    """An object that is in no cluster, and cannot be had from the export."""
    if why:
        return f"{_who(ref, by)} cannot be read: {why}"
    return f"{_who(ref, by)} is neither in the export nor in the cluster: make it by hand, or leave the machine out."


def _forbidden(ref: Ref, by: str, stored: JSON) -> str:
    """Why a missing object cannot be created; empty when it can."""
    if ref.kind == IMAGES and (kind := _map(stored, "spec").get("sourceType")) != "download":
        how = "make it by hand under the same name first"
        return f"{_who(ref, by)} was made by {kind}, so nothing can fetch it again: {how}."
    return ""


def _body(ref: Ref, stored: JSON, live: Live, source: Source) -> tuple[JSON, str]:
    """(what is created, what there is to say about it)."""
    if ref.kind == MACHINES:
        spec = {name: value for name, value in stored["spec"].items() if name != "running"} | {"runStrategy": "Halted"}
        return {**stored, "spec": spec}, ""
    if ref.kind != CLAIMS or not (volume := str(_map(stored, "spec").get("volumeName") or "")):
        return stored, ""
    there, kept = live(Ref(VOLUMES, "", volume)), source.get(Ref(VOLUMES, "", volume))
    if there is not None:
        if _map(there, "status").get("phase") == "Released":
            undo = """'{"spec":{"claimRef":{"uid":null,"resourceVersion":null}}}'"""
            raise _Refused(f"{ref} had the volume {volume}, which is Released: `kubectl patch pv {volume} -p {undo}`.")
        return stored, f"it takes its volume {volume} again"
    handle = _map(kept, "spec", "csi").get("volumeHandle")
    if handle and live(Ref(LONGHORN, "longhorn-system", str(handle))) is not None:
        return stored, f"it takes its Longhorn volume {handle} again"
    spec = {n: v for n, v in stored["spec"].items() if n not in ("volumeName", "dataSource", "dataSourceRef")}
    image = image_of(stored)
    made = f"a fresh copy of the image {image.namespace}/{image.name}" if image else "an empty one"
    return {**stored, "spec": spec}, f"its volume {volume} is gone: it gets {made}; its contents come from a backup"


def _what(ref: Ref, stored: JSON) -> str:
    if ref.kind != MACHINES:
        return "create it"
    spec = stored["spec"]
    was = spec.get("runStrategy") or ("Always" if spec.get("running") else "Halted")
    return f"create it halted; its run strategy was {was}"


def _wait(ref: Ref, seconds: float) -> JSON:
    return _action("wait", ref, f"wait until it is imported, {seconds:.0f} s at most", "claims are made from it")


def _action(verb: str, ref: Ref, what: str, why: str) -> JSON:
    return {"verb": verb, **ref._asdict(), "what": what, "why": why}


def _difference(ref: Ref, stored: JSON, there: JSON) -> list[JSON]:
    """At most one entry: the paths at which the cluster's object is not the exported one."""
    if ref.kind == NAMESPACES:  # their annotations are the controllers'
        return []
    paths = sorted(set(_paths(_compared(ref, stored), _compared(ref, _export.strip(ref.kind, there)), "")))
    return [{**ref._asdict(), "paths": paths}] if paths else []


def _compared(ref: Ref, document: JSON) -> JSON:
    """Without what is meant to differ."""
    skip = {MACHINES: ("running", "runStrategy"), CLAIMS: ("volumeName",), VOLUMES: ("claimRef",)}.get(ref.kind, ())
    spec = {name: value for name, value in _map(document, "spec").items() if name not in skip}
    return {**document, "spec": spec} if "spec" in document else document


def _paths(want: t.Any, have: t.Any, path: str) -> t.Iterator[str]:
    """Labels and annotations that only the cluster has are its controllers'; elsewhere both sides count."""
    if isinstance(want, dict) and isinstance(have, dict):
        extra = set() if path.startswith("metadata") else set(have) - set(want)
        for name in (*want, *sorted(extra)):
            yield from _paths(want.get(name), have.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(want, list) and isinstance(have, list) and len(want) == len(have):
        for number, (one, other) in enumerate(zip(want, have, strict=True)):
            yield from _paths(one, other, f"{path}[{number}]")
    elif want != have:
        yield path


def _condition(document: JSON, kind: str) -> str:
    return next((str(c.get("status")) for c in _list(document, "status", "conditions") if c.get("type") == kind), "")


def _map(document: t.Any, *path: str) -> JSON:
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _list(document: t.Any, *path: str) -> list[JSON]:
    found = _map(document, *path[:-1]).get(path[-1])
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
