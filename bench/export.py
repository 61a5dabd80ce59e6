# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure an export of 500 virtual machines, 5 000 objects with 500 secrets among them: python -m bench.export.

The answers of the API lie in files, in pages of 500 as an API server gives them. The export is a process of its own.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _export
from ansible_collections.requorum.cluster.plugins.plugin_utils import _exporter

MACHINES = 500
JSON = dict[str, Any]
LIMITS = {"seconds": 30.0, "megabytes": 200.0}


def meta(name: str, namespace: str = "vms") -> JSON:
    """With the managed fields that make a third of every object."""
    fields = {f"f:field-{number}": {".": {}, "f:value": {}, "f:name": {}} for number in range(40)}
    managed = [{"manager": "harvester", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:spec": fields}}]
    server = {"uid": f"uid-{name}", "resourceVersion": "1", "managedFields": managed}
    return {"name": name, "namespace": namespace, **server}


def machine(number: int, kind: str) -> JSON:
    name = f"vm-{number}"
    claim = {"metadata": {"name": f"{name}-disk"}, "spec": {"resources": {"requests": {"storage": "40Gi"}}}}
    devices = {"disks": [{"name": f"disk-{n}", "disk": {"bus": "virtio"}} for n in range(4)],
               "interfaces": [{"name": f"nic-{n}", "bridge": {}, "macAddress": "52:54:00:00:00:01"} for n in range(3)]}
    volumes = [{"name": "disk-0", "persistentVolumeClaim": {"claimName": f"{name}-disk"}},
               {"name": "disk-1", "cloudInitNoCloud": {"secretRef": {"name": f"{name}-init"}}}]
    spec = {"domain": {"devices": devices, "cpu": {"cores": 4}, "resources": {"limits": {"memory": "8Gi"}}},
            "networks": [{"name": f"nic-{n}", "multus": {"networkName": "vms/vlan"}} for n in range(3)],
            "volumes": volumes}
    status = {"conditions": [{"type": f"Condition-{n}", "status": "True", "message": "x" * 120} for n in range(10)]}
    annotated = meta(name) | {"annotations": {"harvesterhci.io/volumeClaimTemplates": json.dumps([claim])}}
    whole = {"runStrategy": "RerunOnFailure", "template": {"spec": spec}} if kind == "virtualmachines" else spec
    return {"metadata": annotated, "spec": whole, "status": status}


def longhorn(number: int, _kind: str) -> JSON:
    volume = f"pvc-{number % MACHINES}"
    spec = {"volumeName": volume, "nodeID": "node-1", "healthyAt": "x", "numberOfReplicas": 3, "size": str(40 << 30)}
    status = {"state": "attached", "robustness": "healthy", "conditions": [{"message": "x" * 100} for _ in range(6)]}
    return {"metadata": meta(f"{volume}-{number}", "longhorn-system"), "spec": spec, "status": status}


def claim(number: int, _kind: str) -> JSON:
    spec = {"volumeName": f"pvc-{number}", "resources": {"requests": {"storage": "40Gi"}}, "volumeMode": "Block"}
    return {"metadata": meta(f"vm-{number}-disk"), "spec": spec, "status": {"phase": "Bound"}}


def secret(number: int, _kind: str) -> JSON:
    return {"metadata": meta(f"vm-{number}-init"), "data": {"userdata": "Y2xvdWQg" * 200}, "type": "Opaque"}


KINDS: dict[str, tuple[int, Callable[[int, str], JSON]]] = {
    "virtualmachines.kubevirt.io": (1, machine),
    "virtualmachineinstances.kubevirt.io": (1, machine),
    "persistentvolumeclaims": (1, claim),
    "secrets": (1, secret),
    "volumes.longhorn.io": (1, longhorn),
    "engines.longhorn.io": (1, longhorn),
    "replicas.longhorn.io": (3, longhorn),
    "backups.longhorn.io": (1, longhorn),
}


def pages(folder: Path) -> None:
    """Every answer that the API will give."""
    for name, (times, make) in KINDS.items():
        kind = _export.NAMED[name].kinds[0]
        items = [make(number, kind.plural) for number in range(MACHINES * times)]
        version = f"{kind.group}/{kind.version}".lstrip("/")
        for page in range(times):
            more = {"continue": str(page + 1)} if page + 1 < times else {}
            part = items[page * MACHINES : (page + 1) * MACHINES]
            text = json.dumps({"apiVersion": version, "kind": "ThingList", "metadata": more, "items": part})
            (folder / f"{name}-{page}").write_text(text)


def export(folder: Path) -> None:
    """What is measured; prints the figures."""

    def answer(request: _api.Request) -> _api.Answer:
        if request.query == "limit=1":
            there = KINDS.get(request.kind.name)
            left = {"continue": "x", "remainingItemCount": MACHINES * there[0]} if there else {}
            return _api.Answer("", "", {"items": [], "metadata": left}) if there else _api.Answer("NotFound")
        page = request.url.partition("continue=")[2] or "0"
        path = folder / f"{request.kind.name}-{page}"
        return _api.parsed(path.read_text()) if path.exists() else _api.Answer("NotFound")

    begin = time.monotonic()
    api = _api.Api(answer, where="bench")
    done = _exporter.run(str(folder / "out"), cluster="bench", api=api, passphrase_file=str(folder / "passphrase"))
    figures = {"objects": done["objects"], "seconds": round(time.monotonic() - begin, 1),
               "megabytes": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6)}
    print(json.dumps(figures))


def main() -> int:
    """1 where a limit is passed."""
    if sys.argv[1:]:
        export(Path(sys.argv[1]))
        return 0
    with tempfile.TemporaryDirectory(prefix="requorum-bench-") as name:
        folder = Path(name)
        (folder / "passphrase").write_text("bench\n")
        pages(folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        done = subprocess.run([sys.executable, "-m", "bench.export", name], check=True, capture_output=True, text=True)
        figures = json.loads(done.stdout)
        print(f"{figures['objects']} objects, {size / 1e6:.0f} MB of answers: {figures['seconds']} s, "
              f"{figures['megabytes']} MB")
        return int(any(figures[name] > limit for name, limit in LIMITS.items()) or figures["objects"] != 5000)


if __name__ == "__main__":
    sys.exit(main())
