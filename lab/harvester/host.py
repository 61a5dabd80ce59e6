# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Harvester host has besides RKE2: its release file, Rancher's agent, virtual machines."""

from __future__ import annotations

from lab.labs import Lab

RELEASE = {
    "harvester": "v1.3.1",
    "harvesterChart": "1.3.1",
    "os": "Harvester v1.3.1",
    "kubernetes": "v1.27.13+rke2r1",
    "rancher": "v2.8.3",
    "monitoringChart": "103.0.3+up45.31.1",
    "minUpgradableVersion": "v1.2.2",
}
_AGENT = "/etc/systemd/system/rancher-system-agent.service"
_QEMU = "/run/lab-machines/qemu-kvm"


def furnish(lab: Lab) -> None:
    """Make the hosts of a lab those of a Harvester; `strip` takes it back."""
    text = "".join(f"{key}: {value}\n" for key, value in RELEASE.items())
    unit = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    for host in [*lab.servers, *lab.agents]:
        lab.sh(host, f"cat >/etc/harvester-release.yaml; printf '%s' '{unit}' >{_AGENT}", stdin=text).ok("release")
        lab.sh(host, "systemctl daemon-reload; systemctl enable --quiet --now rancher-system-agent").ok("agent")


def strip(lab: Lab) -> None:
    """Take everything of a Harvester from the hosts that run."""
    for host in [*lab.servers, *lab.agents]:
        if lab.running(host):
            lab.sh(host, f"systemctl disable -q --now rancher-system-agent; pkill -f {_QEMU}; "
                         f"rm -rf /etc/harvester-release.yaml {_AGENT} {_QEMU}; systemctl daemon-reload")  # fmt: skip


def run_machine(lab: Lab, host: str, name: str) -> str:
    """Start a virtual machine `namespace/name` on a host: a process that is called as its qemu is; its pid."""
    guest = name.replace("/", "_")
    loop = "#!/bin/sh\nwhile :; do sleep 60; done\n"
    lab.sh(host, f"mkdir -p {_QEMU.rpartition('/')[0]}; cat >{_QEMU}; chmod 755 {_QEMU}", stdin=loop).ok("qemu")
    unit = f"lab-machine-{guest.replace('_', '-')}"
    run = f"systemd-run -q --unit={unit} --slice=machine.slice {_QEMU} -name guest={guest},debug-threads=on -S"
    lab.sh(host, run).ok(name)
    return lab.sh(host, f"systemctl show {unit} -p MainPID --value").ok("pid").out.strip()


def machines(lab: Lab, host: str) -> list[str]:
    """Pids of the machines that run on a host."""
    return lab.sh(host, f"pgrep -f '^/bin/sh {_QEMU}'; true").out.split()
