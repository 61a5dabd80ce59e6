# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What an export holds of a cluster: which kinds, what is taken off an object, where it lies, what is a secret.

The kinds are those of facts/harvester.md 8. A kind that the cluster does not serve is left out, and said.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing as t
from dataclasses import dataclass
from urllib.parse import quote

from . import _api, _objects

JSON = dict[str, t.Any]
CLUSTER = "_cluster"
"""The folder of what has no namespace; no namespace is called so."""


@dataclass(frozen=True)
class Wanted:
    """One kind, in the versions in which clusters serve it, the one to ask for first."""

    kinds: tuple[_api.Kind, ...]

    @property
    def name(self) -> str:
        return self.kinds[0].name

    @property
    def resource(self) -> str:
        """As the keys of etcd have it: custom resources below their group, built-in ones without."""
        kind = self.kinds[0]
        return f"{kind.group}/{kind.plural}" if "." in kind.group and kind.group != "storage.k8s.io" else kind.plural


# Group, versions, plurals; a plural with ! has no namespace.
_TABLE = (
    ("", "v1", "namespaces! secrets configmaps persistentvolumeclaims persistentvolumes!"),
    ("storage.k8s.io", "v1", "storageclasses! volumeattachments!"),
    ("snapshot.storage.k8s.io", "v1 v1beta1", "volumesnapshots volumesnapshotcontents! volumesnapshotclasses!"),
    (
        "kubevirt.io",
        "v1 v1alpha3",
        "virtualmachines virtualmachineinstances virtualmachineinstancemigrations kubevirts",
    ),
    (
        "harvesterhci.io",
        "v1beta1",
        "settings! addons keypairs preferences virtualmachineimages virtualmachinetemplates"
        " virtualmachinetemplateversions virtualmachinebackups virtualmachinerestores versions upgrades upgradelogs"
        " supportbundles schedulevmbackups resourcequotas blockdevices",
    ),
    (
        "longhorn.io",
        "v1beta2 v1beta1",
        "volumes engines replicas nodes settings backingimages backingimagedatasources backuptargets backupvolumes"
        " backups snapshots recurringjobs instancemanagers",
    ),
    ("k8s.cni.cncf.io", "v1", "network-attachment-definitions"),
    ("network.harvesterhci.io", "v1beta1", "clusternetworks! vlanconfigs! vlanstatuses! linkmonitors!"),
    ("loadbalancer.harvesterhci.io", "v1beta1", "ippools! loadbalancers"),
    ("whereabouts.cni.cncf.io", "v1alpha1", "ippools"),
    ("node.harvesterhci.io", "v1beta1", "nodeconfigs cloudinits!"),
    (
        "devices.harvesterhci.io",
        "v1beta1",
        "pcidevices! pcideviceclaims! usbdevices! usbdeviceclaims! sriovnetworkdevices! vgpudevices!",
    ),
    ("management.cattle.io", "v3", "managedcharts settings! users! clusterroletemplatebindings tokens!"),
    ("fleet.cattle.io", "v1alpha1", "bundles bundledeployments clusters"),
    ("provisioning.cattle.io", "v1", "clusters"),
    ("rke.cattle.io", "v1", "rkebootstraps custommachines rkecontrolplanes rkeclusters"),
    ("cluster.x-k8s.io", "v1beta2 v1beta1", "clusters machines"),
)
WANTED = tuple(
    Wanted(
        tuple(_api.Kind(group, version, word.rstrip("!"), not word.endswith("!")) for version in versions.split()),
    )
    for group, versions, words in _TABLE
    for word in words.split()
)
NAMED = {wanted.name: wanted for wanted in WANTED}
RESOURCES = {wanted.resource: wanted for wanted in WANTED}

HELM = "helm.sh/release.v1"
FIELDS = {NAMED["secrets"].kinds[0]: f"type!={HELM}"}
"""What is not even read from an API: releases of Helm take up to a megabyte each."""
_MADE_ANEW = {
    HELM: "releases of Helm are large, and made anew by it",
    "kubernetes.io/service-account-token": "tokens of service accounts are of this cluster only",
    "bootstrap.kubernetes.io/token": "tokens for joining are of this cluster only",
}
_BINDING = ("pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller")
"""Annotations of a claim; with them one whose volume is gone is Lost for ever."""
_SECRET_KINDS = frozenset(
    (
        "secrets",
        "tokens.management.cattle.io",
        "users.management.cattle.io",
        "cloudinits.node.harvesterhci.io",  # files of hosts, passwords among them
        "bundles.fleet.cattle.io",  # whole charts, compressed
    )
)
_SECRET_SETTINGS = frozenset(("backup-target", "cluster-registration-url", "containerd-registry", "ssl-certificates"))
_INLINE = re.compile(r'"(user|network)Data(Base64)?": "[^"]')
"""Cloud-init in the virtual machine itself; who has a password in it often has it in words of his own."""
_WORDS = re.compile(
    r"""(?<![\w-])(pass(word|wd|phrase)?|bootstrap_?password|secret_?access_?key|secret_?key|private_?key|client-key-data|client_?secret
    |(api|access|auth|bearer)?_?token)\b\\*["']?\s*[:=]\s*\\*["']?[^\s"'\\{}\[\],]|-----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY""",
    re.IGNORECASE | re.VERBOSE,
)
_LONGEST = 200
"""Of a file's name: file systems allow 255 bytes."""


def left_out(kind: str, document: JSON) -> str:
    """Why an object is no part of an export; empty when it is."""
    metadata = document["metadata"]
    if metadata.get("deletionTimestamp"):
        return "it is being deleted"
    if kind == "secrets":
        return _MADE_ANEW.get(str(document.get("type")), "")
    if kind == "configmaps" and metadata.get("name") == "kube-root-ca.crt":
        return "every namespace gets it from its cluster"
    return ""


def strip(kind: str, document: JSON) -> JSON:
    """The object as another cluster takes it: without status, and without what a server sets."""
    kept = _objects.cleaned(document)
    if kind == "persistentvolumes" and isinstance(claim := (kept.get("spec") or {}).get("claimRef"), dict):
        bare = {name: value for name, value in claim.items() if name not in ("uid", "resourceVersion")}
        kept["spec"] = {**kept["spec"], "claimRef": bare}
    if kind == "persistentvolumeclaims" and isinstance(notes := kept["metadata"].get("annotations"), dict):
        notes = {name: text for name, text in notes.items() if name not in _BINDING}
        rest = {name: value for name, value in kept["metadata"].items() if name != "annotations"}
        kept["metadata"] = {**rest, **({"annotations": notes} if notes else {})}
    return kept


def secret(kind: str, document: JSON) -> bool:
    """Whether a stripped object holds what nobody may read: by its kind, or by what stands in it."""
    if kind in _SECRET_KINDS or (kind == "settings.harvesterhci.io" and _name(document) in _SECRET_SETTINGS):
        return True
    text = json.dumps(document)
    return _INLINE.search(text) is not None or _WORDS.search(text) is not None


def path(kind: str, document: JSON) -> str:
    """`namespace/kind/name.yaml`; a name never leads out of the folder, whatever a damaged datastore says."""
    namespace = str(document["metadata"].get("namespace") or "")
    return "/".join((_safe(namespace) if namespace else CLUSTER, kind, _safe(_name(document)) + ".yaml"))


def _safe(name: str) -> str:
    text = quote(name, safe="")
    text = text if text.strip(".") else text.replace(".", "%2E")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def _name(document: JSON) -> str:
    return str(document["metadata"].get("name") or "")


def summary(manifest: JSON) -> list[str]:
    """What a person is told of an export."""
    hidden = sum(manifest["encrypted"].values())
    lines = [
        f"{manifest['objects']} objects of {len(manifest['counts'])} kinds, {manifest['machines']} virtual machines,"
        f" {hidden} objects encrypted: {manifest['folder']}, from {manifest['source']}",
    ]
    lines += [f"left out: {entry['count']} {entry['kind']}: {entry['why']}" for entry in manifest["left_out"]]
    if manifest["not_installed"]:
        lines.append(f"{len(manifest['not_installed'])} kinds are not installed; export.json names them")
    return [*lines, *manifest["warnings"]]
