# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Harvester host has besides RKE2: release file, Rancher's agent, virtual machines; or all of it, `strict`."""

from __future__ import annotations

from typing import Any

from lab import hosts
from lab.harvester import objects, oem
from lab.labs import Lab

_AGENT = "/etc/systemd/system/rancher-system-agent.service"
_QEMU = "/run/lab-machines/qemu-kvm"
_LOOP = f"^/bin/sh {_QEMU}"  # no pattern for `pgrep -f` finds the script that it stands in
# RKE2 moves to where Harvester has it; what was enabled stays so.
_MOVE = """\
set -e
on=$(systemctl is-enabled --quiet rke2-server && echo rke2-server) || :
rm -f /usr/local/bin/rke2 /usr/local/bin/rke2-*.sh /usr/local/lib/systemd/system/rke2-*
rm -f /etc/systemd/system/multi-user.target.wants/rke2-*
systemctl daemon-reload
systemctl enable --quiet $on lab-initramfs rancher-system-agent
systemctl start lab-initramfs rancher-system-agent"""


def furnish(lab: Lab, release: str = "v1.3.1") -> None:
    """Make the hosts of a lab those of a Harvester, as far as a recovery looks; `strip` takes it back."""
    text = oem.text(objects.RELEASES[release].file)
    for host in [*lab.servers, *lab.agents]:
        lab.sh(host, f"cat >/etc/harvester-release.yaml; printf '%s' '{oem.AGENT}' >{_AGENT}", stdin=text).ok("release")
        lab.sh(host, "systemctl daemon-reload; systemctl enable --quiet --now rancher-system-agent").ok("agent")


def strip(lab: Lab) -> None:
    """Take everything that `furnish` made from the hosts that run."""
    for host in [*lab.servers, *lab.agents]:
        if lab.running(host):
            lab.sh(host, f"systemctl disable -q --now rancher-system-agent; pkill -f '{_LOOP}'; "
                         f"rm -rf /etc/harvester-release.yaml {_AGENT} {_QEMU}; systemctl daemon-reload").ok("strip")


def strict(lab: Lab, host: str, of: oem.Identity, answers: dict[str, Any], *, joins: bool = False) -> None:
    """Make a host one that Harvester's installer has made, for good: /oem, /opt/rke2, /etc rewritten, /usr read-only.

    A server keeps its configuration of RKE2, which Rancher's agent has written; a host that joins has none yet.
    """
    lab.sh(host, "umask 022; exec tar -x -f - -C / --no-overwrite-dir --no-same-owner -p",
           stdin=hosts.archive(oem.files(of, answers))).ok(f"files of {host}")  # fmt: skip
    config = lab.spec.supervisor.config
    move = f"rm -f {config}" if joins else f"! [ -e {config} ] || mv {config} {oem.RANCHER}"
    lab.sh(host, f"umask 077; mkdir -p {oem.CONFIGS}; {move}").ok(f"configuration of {host}")
    lab.sh(host, _MOVE).ok(f"{host} as a Harvester host")


def run_machine(lab: Lab, host: str, name: str) -> str:
    """Start a virtual machine `namespace/name` on a host: a process that is called as its qemu is; its pid."""
    guest = name.replace("/", "_")
    loop = "#!/bin/sh\nwhile :; do sleep 60; done\n"
    lab.sh(host, f"mkdir -p {_QEMU.rpartition('/')[0]}; cat >{_QEMU}; chmod 755 {_QEMU}", stdin=loop).ok("qemu")
    run = f"systemd-run -q --unit={_unit(name)} --slice=machine.slice {_QEMU} -name guest={guest},debug-threads=on -S"
    lab.sh(host, run).ok(name)
    return lab.sh(host, f"systemctl show {_unit(name)} -p MainPID --value").ok("pid").out.strip()


def stop_machine(lab: Lab, host: str, name: str) -> None:
    """End it; absent is fine."""
    lab.sh(host, f"systemctl stop {_unit(name)}; systemctl reset-failed {_unit(name)} 2>/dev/null; true")


def _unit(name: str) -> str:
    return f"lab-machine-{name.replace('/', '-')}"


def machines(lab: Lab, host: str) -> list[str]:
    """Pids of the machines that run on a host."""
    return lab.sh(host, f"pgrep -f '{_LOOP}'; true").out.split()
