# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Harvester in memory, for the tables of its played controllers."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import joining, kinds, machines, objects, oem, planner, promote
from lab.harvester.play import Part
from tests.unit.fake_api import FakeApi

JSON = dict[str, Any]
ADDRESSES = {"n1": "10.0.0.1", "n2": "10.0.0.2", "n3": "10.0.0.3"}


def node(name: str, **more: Any) -> JSON:
    """A Node; roles: `server` or `agent`; also ready, labels, notes, since."""
    roles = dict.fromkeys(promote.ROLES, "true") if more.get("role") == "server" else {}
    labels = {f"node-role.kubernetes.io/{role}": on for role, on in roles.items()}
    ready = "True" if more.get("ready", True) else "Unknown"
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {**labels, **more.get("labels", {"harvesterhci.io/managed": "true"})},
                     "annotations": {machines.OF_NODE: objects.machine(name), **more.get("notes", {})},
                     "creationTimestamp": more.get("since", "2026-01-01T00:00:00Z")},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": ready}],
                   "addresses": [{"type": "InternalIP", "address": ADDRESSES.get(name, "10.0.0.9")}]},
    }  # fmt: skip


class Harvester:
    """n1 is a server with its Machine; everything else is added."""

    def __init__(self, *names: str) -> None:
        self.fake = FakeApi()
        self.api = _api.Api(self.fake, where="lab")
        names = names or ("n1",)
        objects.write(self.api, objects.cluster({name: ADDRESSES[name] for name in names}, living=names))
        for name in names:
            self.appears(node(name, role="server"))
        self.carried: list[JSON] = []

    def appears(self, item: JSON, *, lives: bool = True) -> None:
        """A Node with its Lease."""
        objects.write(self.api, [item])
        stamp = datetime.now(UTC).isoformat() if lives else "2026-01-01T00:00:00.000000Z"
        name = item["metadata"]["name"]
        self.api.create(kinds.LEASES, {"metadata": {"name": name, "namespace": "kube-node-lease"},
                                       "spec": {"renewTime": stamp}})  # fmt: skip

    def asks(self, name: str, role: str = "default") -> str:
        """A host asks to join; name of its Machine."""
        of = oem.Identity(name, objects.RELEASES["v1.3.2"], "10.0.0.100", "token", role=role)
        made = joining.request(f"id of {name}", of, ADDRESSES.get(name, "10.0.0.9"))
        self.api.create(kinds.SECRETS, made)
        return str(made["metadata"]["name"])

    def pause(self, on: bool = True) -> None:
        self.patch(kinds.CLUSTERS, "local", {"spec": {"paused": on}})

    def patch(self, kind: _api.Kind, name: str, change: JSON, namespace: str = objects.FLEET) -> None:
        self.api.patch(kind, name, change, namespace)

    def get(self, kind: _api.Kind, name: str, namespace: str = objects.FLEET) -> JSON:
        found = self.api.get(kind, name, namespace)
        assert found, (kind.name, name)
        return found

    def there(self, kind: _api.Kind, name: str, namespace: str = objects.FLEET) -> bool:
        return self.api.get(kind, name, namespace) is not None

    def plan(self, machine: str) -> JSON:
        secret = self.api.get(kinds.SECRETS, f"{machine}-machine-plan", objects.FLEET) or {}
        text = (secret.get("data") or {}).get("plan", "")
        return dict(json.loads(base64.b64decode(text))) if text else {}

    def notes(self, node: str) -> JSON:
        """Annotations on the plan secret of a node that was there from the start."""
        item = self.get(kinds.SECRETS, f"{objects.machine(node)}-machine-plan")
        return dict(item["metadata"].get("annotations") or {})

    def _agents(self, api: _api.Api) -> None:
        def carry_out(plan: JSON) -> bool:
            self.carried.append(plan)
            return True

        planner.agents(api, carry_out)

    @property
    def joins(self) -> tuple[Part, ...]:
        """What answers a host that asks."""
        steps = (machines.requests, machines.plans, planner.planner, self._agents, machines.phases)
        return (*steps, promote.promote)

    def run(self, parts: Sequence[Part], rounds: int = 6) -> None:
        for _round in range(rounds):
            for part in parts:
                part(self.api)
