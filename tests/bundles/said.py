# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs of the story's nodes have logged, and the files of its hosts."""

from __future__ import annotations

import re

from lab.harvester import oem
from lab.harvester.objects import RELEASES
from tests.bundles import support
from tests.unit.harvesters import NODES

DAY = "2024-09-10T"
HANDSHAKE = "net/http: TLS handshake timeout"
STUCK = 'cannot patch "harvester" with kind KubeVirt: timed out waiting for the condition'
DATA = "/var/lib/rancher/rke2/server/db/etcd"
VIP = "10.0.0.10"


def etcd(at: str, level: str, text: str, *, caller: str = "x.go:1", **more: str) -> str:
    """A line of etcd, which logs JSON; at: `08:01:00`."""
    rest = "".join(f',"{key}":"{value}"' for key, value in more.items())
    return f'{{"level":"{level}","ts":"{DAY}{at}.123456Z","caller":"{caller}","msg":"{text}"{rest}}}'


def pods(old: str, new: str) -> dict[str, str]:
    """`namespace/pod/container` -> log; old and new are the two upgrades."""
    start = [
        etcd("08:01:00", "info", "defragmenting", caller="backend/backend.go:497", path=f"{DATA}/member/snap/db"),
        etcd("08:01:01", "info", "finished defragmenting directory", caller="backend/backend.go:549"),
        etcd("08:02:00", "info", "finished scheduled compaction", caller="mvcc/kvstore_compaction.go:68"),
    ]
    lost = [
        etcd("08:10:00", "warn", "apply request took too long", took="1.2s", **{"expected-duration": "100ms"}),
        etcd("08:11:00", "info", "raft.node: 8211f1d0f64f3269 lost leader 91bc3c398fb3c146 at term 12"),
        *(etcd(f"08:{11 + n}:30", "info", f"8211f1d0f64f3269 is starting a new election at term {12 + n}")
          for n in range(9)),
    ]  # fmt: skip
    capi = [
        f'E0910 08:{n:02}:11.000001       1 controller.go:324] "Reconciler error" err="failed to create cluster '
        f'accessor: error creating client for remote cluster \\"fleet-local/local\\": {HANDSHAKE}" '
        'controller="machine" Machine="fleet-local/custom-n2"'
        for n in range(30)
    ]
    rancher = [
        f"2024/09/10 08:{n:02}:00 [INFO] [planner] rkecluster fleet-local/local: draining etcd node(s) custom-n2,"
        "custom-n3: draining node"
        for n in range(0, 30, 5)
    ]
    harvester = [
        f'time="{DAY}07:{n:02}:00Z" level=info msg="Handle upgrade harvester-system/{new}"' for n in range(0, 60, 10)
    ]
    manifests = [f"Upgrading Harvester of {new}", *["Current version: 1.3.2, Current state: ErrApplied"] * 5]
    agent = [f'time="{DAY}08:{n:02}:30Z" level=error msg="bundle mcc-harvester: {STUCK}"' for n in range(0, 30, 10)]
    suc = [
        f'time="{DAY}06:5{n}:00Z" level=info msg="applying plan {name}-prepare"' for n, name in enumerate((old, new))
    ]
    made = {
        "cattle-fleet-local-system/fleet-agent-7fd8c5b9c-9xk4m/fleet-agent": agent,
        "cattle-provisioning-capi-system/capi-controller-manager-6f87d8c7c-x2v9k/manager": capi,
        "cattle-system/rancher-7d9c5d8f6b-abcde/rancher": rancher,
        "cattle-system/system-upgrade-controller-5c8d9-q7r2t/system-upgrade-controller": suc,
        f"harvester-system/{new}-apply-manifests-8kq2w/apply": manifests,
        "harvester-system/harvester-7c5d8f9b6-h2v7n/apiserver": harvester,
        "kube-system/etcd-n1/etcd": [*start, *lost],
        "kube-system/etcd-n1/etcd.log.1": start,
        "kube-system/etcd-n2/etcd": start,
        "kube-system/kube-apiserver-n1/kube-apiserver": [
            'I0910 08:00:00.000001       1 trace.go:236] Trace[17]: "Update" (total: 812ms)'],
        "longhorn-system/longhorn-manager-n2/longhorn-manager": [],
    }  # fmt: skip
    return {name: "".join(f"{_stamp(line)} {line}\n" for line in lines) for name, lines in made.items()}


def _stamp(line: str) -> str:
    """When the container wrote it, which the collector has put before each line."""
    at = re.search(r"\d\d:\d\d:\d\d", line)
    return f"{DAY}{at[0] if at else '08:00:00'}.123456789Z"


def host(node: str) -> dict[str, str]:
    """Path below the node's folder -> text; the system of n1 alone is the new one."""
    release = RELEASES["v1.3.2" if node == "n1" else "v1.3.1"]
    of = oem.Identity(node, release, VIP, "rancherd-token-of-nobody", joins=node != "n1")
    found = {path: file.content for path, file in oem.files(of, {"os": {"hostname": node}}).items()}
    rke2 = {"server": f"https://{NODES['n1']}:9345", "token": "K10of-nobody", "node-label": ["cattle.io/os=linux"]}
    configs = {
        # What stands in files within it is masked in 99_custom.yaml alone, the name of before v1.1: this token stays.
        "oem/90_custom.yaml": support.masked(found["/oem/90_custom.yaml"]),
        "oem/harvester.config": support.masked(found["/oem/harvester.config"]),
        "etc/rancher/rancherd/config.yaml": support.masked(oem.text({"role": "agent", "token": of.token})),
        "etc/rancher/rke2/config.yaml.d/50-rancher.yaml": support.masked(oem.text(rke2)),
        "etc/harvester-release.yaml": found["/etc/harvester-release.yaml"],
        "etc/os-release": found["/etc/os-release"],
        "etc/hostname": f"{node}\n",
    }
    logs = {
        "rke2-server": f'rke2[900]: time="{DAY}08:00:00Z" level=info msg="Waiting for etcd server to become available"',
        "rancher-system-agent": f'rancher-system-agent[1]: time="{DAY}08:00:00Z" level=info msg="[K8s] updated plan"',
        "rancherd": 'rancherd[7]: level=info msg="System is already bootstrapped"',
        "wicked": "wickedd[801]: mgmt-bo: link up",
        "iscsid": "iscsid[990]: Connection1:0 is operational now",
        "kernel": "kernel: EXT4-fs (sda5): mounted filesystem with ordered data mode",
    }
    told = {f"logs/{unit}.log": f"Sep 10 08:00:00 {node} {line}\n" for unit, line in logs.items()}
    kubelet = 'I0910 08:00:00.000001    1201 kubelet.go:2461] "SyncLoop (PLEG): event for pod"\n'
    return {f"configs/{name}": text for name, text in configs.items()} | told | {
        "logs/kubelet.log": kubelet, "logs/console.log": "", "logs/rke2-agent.log": "-- No entries --\n"}  # fmt: skip
