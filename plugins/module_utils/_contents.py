# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What Kubernetes and the distribution keep in a datastore, gathered while its structure is checked.

Few values are kept: bootstrap data, namespaces, nodes, Rancher's tokens and the newest revisions. The rest is only
counted.
"""

from __future__ import annotations

import collections
import functools

from . import _keys, _objects, _secret, _versions
from ._live import TOMBSTONE

REGISTRY, BOOTSTRAP = b"/registry/", b"/bootstrap/"
NAMESPACES, NODES = b"/registry/namespaces/", b"/registry/minions/"
RECENT = 2000
"""Newest revisions that are looked at for times: leases are renewed every 10 s, so theirs are among them."""
STATE = _secret.STATE.encode()
_KEPT = (BOOTSTRAP, NAMESPACES, NODES, STATE)
_ENCRYPTED = b"k8s:enc:"


class Contents:
    """Give `visit` to `_structure.check`; the properties hold afterwards."""

    def __init__(self) -> None:
        self.kept: dict[bytes, bytes] = {}
        self.revisions = 0
        """Of objects below /registry/, deletions included."""
        self.encrypted: collections.Counter[str] = collections.Counter()
        """Revisions that are encrypted at rest, by provider."""
        self._recent: collections.deque[bytes] = collections.deque(maxlen=RECENT)

    def visit(self, bucket: bytes, items: list[tuple[bytes, bytes]]) -> None:
        """One leaf of a bucket; only `key` matters here."""
        if bucket != b"key":
            return
        for revision, raw in items:
            key = _keys.key_of(raw)
            if key.startswith(REGISTRY):
                self.revisions += 1
            if key.startswith(_KEPT):
                if len(revision) == TOMBSTONE:
                    self.kept.pop(key, None)
                else:
                    self.kept[key] = raw
            # Only the fields of a revision stand before its value.
            if (at := raw.find(_ENCRYPTED, 0, len(key) + 64)) >= 0:
                self.encrypted[raw[at + 8 : at + 40].split(b":")[0].decode("ascii", "replace")] += 1
        self._recent.extend(raw for _revision, raw in items)

    def _values(self, prefix: bytes) -> dict[str, bytes]:
        return {
            key[len(prefix) :].decode("utf-8", "replace"): _keys.keyvalue(raw).value
            for key, raw in self.kept.items()
            if key.startswith(prefix)
        }

    @property
    def bootstrap(self) -> dict[str, bytes]:
        """Bootstrap data by the name of its key; more than one name: a token rotation that did not end."""
        return self._values(BOOTSTRAP)

    @property
    def state(self) -> bytes:
        """The Secret in which Rancher and Harvester keep the tokens, as it lies there; empty where there is none."""
        return self._values(STATE).get("", b"")

    @property
    def namespaces(self) -> list[str]:
        """Names of the namespaces."""
        return sorted(self._values(NAMESPACES))

    @functools.cached_property
    def nodes(self) -> dict[str, str]:
        """Names of the Nodes with the versions of their kubelets."""
        return {name: _objects.kubelet_version(value) for name, value in sorted(self._values(NODES).items())}

    @property
    def version(self) -> str:
        """The newest of these versions; empty when there is none, as with kubelets that were built without one."""
        known = [version for version in self.nodes.values() if any(_versions.numbers(version))]
        return max(known, key=_versions.numbers, default="")

    @property
    def has_system(self) -> bool:
        """Every cluster that ever worked has the namespace kube-system."""
        return NAMESPACES + b"kube-system" in self.kept

    @property
    def system_uid(self) -> str:
        """UID of kube-system, which is as old as the cluster; empty when it is encrypted or absent."""
        value = self._values(NAMESPACES).get("kube-system")
        return _objects.decode(value).uid if value else ""

    def newest(self) -> tuple[int | None, int | None]:
        """(creation of the newest object, renewal of the newest lease), Unix seconds: how old the data really are."""
        values = [_keys.keyvalue(raw).value for raw in self._recent]
        created = [moment for value in values if (moment := _objects.decode(value).created) is not None]
        renewed = [moment for value in values if (moment := _objects.renewed(value)) is not None]
        return max(created, default=None), max(renewed, default=None)
