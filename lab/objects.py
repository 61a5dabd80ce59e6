# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects written into a lab's cluster, to be found again after a recovery."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from lab.labs import Lab
from lab.progress import say, wait_for


def write_objects(lab: Lab, n: int = 40) -> dict[str, str]:
    """Write config maps drill-1..n in one go; return name -> value."""
    values = {f"drill-{i}": hashlib.sha256(f"{lab.name}/{i}".encode()).hexdigest() for i in range(1, n + 1)}
    _apply(lab, [{"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": value},
                  "metadata": {"name": name, "namespace": "default", "labels": {"requorum": "drill"}}}
                 for name, value in values.items()])
    say(f"wrote {n} objects")
    return values


def objects(lab: Lab) -> dict[str, str]:
    """Read back what `write_objects` wrote."""
    done = lab.kubectl(lab.answering(), "-n", "default", "get", "configmaps", "-l", "requorum=drill", "-o", "json")
    return {item["metadata"]["name"]: item["data"]["value"] for item in json.loads(done.ok("kubectl get").out)["items"]}


def write_workloads(lab: Lab) -> None:
    """Run one ordinary Pod on every host and wait until all are Running."""
    _apply(lab, [{
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"workload-{host.name}", "namespace": "default"},
        "spec": {"nodeName": host.name, "hostNetwork": True, "automountServiceAccountToken": False,
                 "terminationGracePeriodSeconds": 1, "tolerations": [{"operator": "Exists"}],
                 "containers": [{"name": "workload", "image": "docker.io/library/busybox:1.37",
                                 "imagePullPolicy": "IfNotPresent", "command": ["sleep", "infinity"]}]},
    } for host in lab.spec.hosts])
    host = lab.answering()

    def probe() -> tuple[bool, str]:
        done = lab.kubectl(host, "-n", "default", "get", "pods", "-o", "json")
        pods = json.loads(done.out)["items"] if done.rc == 0 else []
        seen = {pod["metadata"]["name"]: pod["status"].get("phase", "?") for pod in pods}
        return (all(seen.get(f"workload-{h.name}") == "Running" for h in lab.spec.hosts),
                " ".join(f"{name}={phase}" for name, phase in seen.items()) or done.err.strip()[:100])

    wait_for(f"{len(lab.spec.hosts)} workload pods", probe, 90)


def workload_process(lab: Lab, host: str) -> str:
    """`<pid> <start time in ticks>` of the host's workload, empty without one: equal means the very same process."""
    script = "for pid in $(pgrep -x sleep); do [ \"$(tr '\\0' ' ' </proc/$pid/cmdline)\" = 'sleep infinity ' ] && " \
             "echo $pid $(cut -d' ' -f22 /proc/$pid/stat); done"
    return lab.sh(host, script).out.strip()


def _apply(lab: Lab, documents: list[dict[str, Any]]) -> None:
    text = "\n---\n".join(json.dumps(document) for document in documents)
    lab.kubectl(lab.answering(), "apply", "--validate=false", "-f", "-", stdin=text, timeout=60).ok("kubectl apply")
