# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a Harvester host: what its installer leaves in /oem, and what is made of that at each boot. Pure.

`facts/harvester.md` 3.1 and 4. Networks of pods and services stay those of the lab: a cluster cannot change them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import yaml

from lab.harvester.objects import Release
from lab.supervisor.distro import RKE2, VERSION_FILE
from lab.supervisor.install import STANDIN, HostFile, host_files

JSON = dict[str, Any]
RANCHERD = "/etc/rancher/rancherd/config.yaml"
CONFIGS = "/etc/rancher/rke2/config.yaml.d"
RANCHER, VIP = f"{CONFIGS}/50-rancher.yaml", f"{CONFIGS}/90-harvester-vip.yaml"
"""Written by Rancher's agent; by agents before each start, from `serverurl`."""
INSTALLED = replace(RKE2, binary="/opt/rke2/bin/rke2", unit_dir="/etc/systemd/system")
PERSISTENT = ("systemd", "rancher", "ssh", "iscsi", "cni", "pki")
"""Folders of /etc that are binds of the persistent partition."""
_NOT_OURS = ("hostname", "hosts", "resolv.conf", "mtab", "machine-id", "requorum-lab-version", "requorum-lab-pace")
_ETC, _STAGE = "/usr/share/lab-etc.tar", "/usr/sbin/lab-initramfs"


@dataclass(frozen=True)
class Identity:
    """What the installer was told."""

    name: str
    release: Release
    vip: str
    token: str
    """Of rancherd; that of RKE2 is another one."""
    joins: bool = True
    role: str = "default"


def custom(of: Identity) -> JSON:
    """/oem/90_custom.yaml."""
    rancherd = {
        **({"server": f"https://{of.vip}:443", "role": "agent"} if of.joins else {"role": "cluster-init"}),
        "token": of.token,
        "kubernetesVersion": of.release.kubernetes,
        "rancherVersion": of.release.rancher,
        "rancherInstallerImage": f"rancher/system-agent-installer-rancher:{of.release.rancher}",
        "labels": [f"{key}={value}" for key, value in labels(of.role).items()],
        "extraConfig": {"disable": ["rke2-snapshot-controller", "rke2-snapshot-controller-crd"]},
    }
    server = {"cni": ["multus", "canal"], "tls-san": [of.vip]}
    return {
        "name": "Harvester Configuration",
        "stages": {
            "initramfs": [
                {
                    "hostname": of.name,
                    "files": [
                        _file(RANCHERD, rancherd),
                        _file(f"{CONFIGS}/90-harvester-server.yaml", server),
                        _file(f"{CONFIGS}/90-harvester-agent.yaml", {"kubelet-arg+": ["max-pods=200"]}),
                    ],
                }
            ]
        },
    }


def labels(role: str) -> dict[str, str]:
    """Of a Node, as rancherd asks for them."""
    return {"harvesterhci.io/managed": "true"} | (
        {f"node-role.harvesterhci.io/{role}": "true"} if role != "default" else {}
    )


def _file(path: str, content: JSON) -> JSON:
    return {"path": path, "permissions": 0o600, "owner": 0, "group": 0, "content": text(content)}


def text(content: Any) -> str:
    """As YAML."""
    return str(yaml.safe_dump(content, sort_keys=False))


def files(of: Identity, answers: JSON) -> dict[str, HostFile]:
    """Everything that the ISO brings and the installer writes; answers: its configuration."""
    more = {"serverurl": f"https://{of.vip}:443"} if of.joins else {}
    system = {"NAME": "SLE Micro", "ID": "sle-micro", "PRETTY_NAME": of.release.os, "VARIANT": "Harvester"}
    made = {
        "/oem/90_custom.yaml": HostFile(0o600, text(custom(of))),
        "/oem/harvester.config": HostFile(0o600, text({**answers, **more, "token": of.token})),
        "/etc/harvester-release.yaml": HostFile(0o644, text(of.release.file)),
        "/etc/os-release": HostFile(0o644, "".join(f'{key}="{value}"\n' for key, value in system.items())),
        str(VERSION_FILE): HostFile(0o644, f"{of.release.kubernetes}\n"),
        "/usr/bin/yip": HostFile(0o777, STANDIN, link=True),
        _STAGE: HostFile(0o755, _STAGE_SH),
        "/etc/systemd/system/lab-initramfs.service": HostFile(0o644, _UNIT),
        "/etc/systemd/system/rancher-system-agent.service": HostFile(0o644, AGENT),
    }
    for role in ("server", "agent"):
        for path, file in host_files(INSTALLED, role, token="", server="", node_ip="").items():
            if path != str(INSTALLED.config):
                content = file.content.replace("/usr/local/bin/rke2", INSTALLED.binary)
                made[path] = replace(file, content=content.replace(RKE2.unit_dir, INSTALLED.unit_dir))
    return made


_SKIP = " ".join(f"--exclude=./{name}" for name in (*PERSISTENT, *_NOT_OURS))
_PRUNE = " -o ".join(f"-path /etc/{name}" for name in (*PERSISTENT, *_NOT_OURS))
# A container keeps what a live system forgets: so what is only in /etc goes, and what was changed there is put back.
_STAGE_SH = f"""\
#!/bin/sh
if [ -e {_ETC} ]; then
    find /etc -xdev \\( {_PRUNE} \\) -prune -o -type f -cnewer {_ETC} -exec rm -f {{}} +
    tar -x -p -f {_ETC} -C /etc
else
    tar -c -f {_ETC} {_SKIP} -C /etc .
fi
/usr/bin/yip -s initramfs /oem
mount --rbind /usr /usr
mount --bind /usr/local /usr/local
mount -o remount,ro,bind /usr
"""
_UNIT = f"""\
[Unit]
Description=Elemental's initramfs stage: /etc from the image and /oem, /usr read-only
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={_STAGE}
[Install]
WantedBy=sysinit.target
"""
AGENT = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
