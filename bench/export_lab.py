# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the same export out of a lab of one server, through SSH and by kubeconfig: python -m bench.export_lab."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _export
from bench import export
from bench.figures import timed
from lab.harvester import crds, many, play
from lab.labs import Lab

SPACE = _api.Kind("", "v1", "namespaces", namespaced=False)
TYPES = {"persistentvolumeclaims": "PersistentVolumeClaim", "secrets": "Secret"} | {d.name: d.kind for d in crds.KINDS}


def objects() -> Iterator[many.Named]:
    """Those of `bench.export`, as they can be created; an API server adds its own managed fields."""
    for name, (times, make) in export.KINDS.items():
        kind = _export.NAMED[name].kinds[0]
        for number in range(export.MACHINES * times):
            body = make(number, kind.plural)
            drop = ("uid", "resourceVersion", "managedFields")
            meta = {key: value for key, value in body["metadata"].items() if key not in drop}
            if name == "persistentvolumeclaims":
                body["spec"]["accessModes"] = ["ReadWriteMany"]
            head = {"apiVersion": f"{kind.group}/{kind.version}".lstrip("/"), "kind": TYPES[name]}
            yield kind, {**head, **body, "metadata": meta}


def main() -> None:
    lab = Lab(f"bench-export-{os.getpid()}", "rke2", 1, 0)
    try:
        lab.up()
        crds.define(lab)
        api = play.client(lab)
        for name in ("vms", "longhorn-system"):
            if api.get(SPACE, name) is None:
                api.create(SPACE, {"metadata": {"name": name}})
        print(f"{many.create(lab, objects())} objects written", flush=True)
        (Path(lab.folder) / "passphrase").write_text("bench\n")
        for way, kubeconfig in (("SSH", ""), ("kubeconfig", str(Path(lab.folder) / "admin.kubeconfig"))):
            given = {"requorum_kubeconfig": kubeconfig,
                     "requorum_export_passphrase_file": str(Path(lab.folder) / "passphrase")}  # fmt: skip
            for _turn in range(3):
                seconds, peak, run = timed(lab, "playbooks/export.yml", "-e", json.dumps(given))
                said = next((line.strip() for line in run.out.splitlines() if " objects of " in line), run.out[-500:])
                print(f"{way}: {seconds:.1f} s, {peak:.0f} MiB, load {os.getloadavg()[0]:.0f}: {said}", flush=True)
    finally:
        lab.down()


if __name__ == "__main__":
    main()
