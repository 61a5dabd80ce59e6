# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of a lab: made, furnished, started, removed."""

from __future__ import annotations

import io
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

from lab.podman import execute, init_command, podman, remove, unified_cgroups
from lab.progress import LabError, run, wait_for
from lab.spec import Host, Spec
from lab.supervisor.install import HostFile, host_files

_BIN, _STANDIN, _IMAGES = "/opt/lab/bin", "/opt/lab/standin", "/srv/images"
# What a real program needs beyond the stand-in: with systemd's cgroups neither its containerd nor its kubelet starts in
# a container, and a node becomes Ready when there is any network configuration.
_REAL = {
    "{config}.d/10-real.yaml": 'kubelet-arg+: ["cgroup-driver=cgroupfs", "cgroups-per-qos=false", '
                               '"enforce-node-allocatable="]\n',
    "/etc/systemd/system/{unit}.service.d/real.conf": "[Service]\nUnsetEnvironment=INVOCATION_ID\n",
    "/etc/cni/net.d/10-lab.conflist": '{"cniVersion": "1.0.0", "name": "lab", "plugins": [{"type": "loopback"}]}\n',
}


_SSH = """\
set -e
umask 077
cat > /home/rancher/.ssh/authorized_keys
chown rancher: /home/rancher/.ssh/authorized_keys
key=/etc/ssh/ssh_host_ed25519_key
[ -e $key ] || ssh-keygen -q -t ed25519 -N '' -C "$(hostname)" -f $key
systemctl daemon-reload
systemctl reset-failed ssh
systemctl restart ssh
cut -d' ' -f1,2 $key.pub"""


@dataclass(frozen=True)
class Parts:
    """What hosts are made from."""

    image: str
    binaries: str
    standin: str
    """Empty with a real program."""


def create(spec: Spec, host: Host, parts: Parts, folder: Path) -> None:
    """Make the host's volumes and container, and boot it."""
    for volume, where in spec.volumes(host.name).items():
        options = _own_disk(spec, host, folder) if spec.disk_mb and where == "/var/lib/rancher" else []
        podman("volume", "create", "--label", spec.label, *options, volume, timeout=60).ok(f"volume {volume}")
    mounts = [f"{volume}:{where}" for volume, where in spec.volumes(host.name).items()]
    mounts.append(f"{parts.binaries}:{_BIN}:ro")
    if parts.standin:
        mounts.append(f"{parts.standin}:{_STANDIN}:ro")
    if spec.binary:
        mounts.append(f"{spec.binary}:{spec.supervisor.binary}:ro")
    if spec.images:
        mounts.append(f"{spec.images}:{_IMAGES}:ro")
    podman("run", "-d", "--name", spec.container(host.name), "--hostname", host.name, "--label", spec.label,
           "--systemd=always", "--privileged", "--cgroupns=private", "--pids-limit=-1", "--stop-signal=SIGRTMIN+3",
           "--network", f"{spec.network}:ip={host.ip},mac={host.mac}", "--network-alias", host.name,
           *(part for mount in mounts for part in ("-v", mount)), parts.image,
           *init_command(unified_cgroups()), timeout=120).ok(f"podman run {spec.container(host.name)}")


def _own_disk(spec: Spec, host: Host, folder: Path) -> list[str]:
    disk = folder / "disks" / f"{host.name}.img"
    disk.parent.mkdir(exist_ok=True)
    disk.unlink(missing_ok=True)
    with disk.open("wb") as file:
        file.truncate(spec.disk_mb << 20)
    run(["mkfs.ext4", "-q", "-F", "-m", "0", str(disk)], timeout=60).ok("mkfs.ext4")
    return ["--opt", "type=ext4", "--opt", f"device={disk}", "--opt", "o=loop"]


def discard(spec: Spec, host: Host) -> None:
    """Remove the host's container and its volumes; absent is fine."""
    remove("container", spec.container(host.name))
    for volume in spec.volumes(host.name):
        remove("volume", volume)


def running(spec: Spec, host: str) -> bool:
    """Whether the host is switched on."""
    done = podman("inspect", "--format", "{{.State.Running}}", spec.container(host), timeout=30)
    return done.out.strip() == "true"


def wait_booted(spec: Spec, host: str, *, ssh: bool = True) -> None:
    """Wait for systemd; with `ssh` until one can log in, else (no host key yet) until everything is started."""
    # A cluster unit of Type=notify may start for ever, and systemd then never says `running`.
    command = "systemctl is-active ssh" if ssh else "systemctl is-system-running"

    def probe() -> tuple[bool, str]:
        seen = execute(spec.container(host), command, timeout=10)
        state = seen.out.strip() or seen.err.strip()
        if not running(spec, host):
            raise LabError(f"{host} does not stay on: {podman('logs', spec.container(host), timeout=30).err[-300:]}")
        return state in ("active", "running", "degraded"), state

    wait_for(f"{host} to boot", probe, 60, poll=0.3)


def files(spec: Spec, host: Host) -> dict[str, HostFile]:
    """Every file that makes the host a server or an agent of the cluster."""
    first = spec.hosts[0]
    server = "" if host == first else spec.url(first.name)
    content = host_files(spec.supervisor, host.role, token=spec.token, server=server, node_ip=host.ip, pace=spec.pace)
    if spec.binary:
        del content[spec.supervisor.binary]
        names = {"unit": spec.unit(host.name), "config": spec.supervisor.config}
        content |= {path.format(**names): HostFile(0o644, text) for path, text in _REAL.items()}
    return content


def archive(content: dict[str, HostFile]) -> bytes:
    """The files as a tar archive, all owned by root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, file in sorted(content.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.mode, entry.mtime = file.mode, int(time.time())
            if file.link:
                entry.type, entry.linkname = tarfile.SYMTYPE, file.content
                tar.addfile(entry)
            else:
                data = file.content.encode()
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def furnish(spec: Spec, host: Host, folder: Path) -> str:
    """Install the program and the ssh keys; return the host's public ssh key."""
    box = spec.container(host.name)
    execute(box, "umask 022; exec tar -x -f - -C / --no-overwrite-dir --no-same-owner -p", timeout=60,
            stdin=archive(files(spec, host))).ok(f"installing files on {host.name}")
    if spec.images:
        images = f"{spec.supervisor.data_dir}/agent/images"
        execute(box, f"mkdir -p {images} && ln -sf {_IMAGES}/* {images}/").ok(f"images on {host.name}")
    key = (folder / "id_ed25519.pub").read_text()
    public = execute(box, _SSH, stdin=key).ok(f"ssh on {host.name}").out.strip()
    if not public.startswith("ssh-ed25519 "):
        raise LabError(f"{host.name}: no ssh host key: {public!r}")
    return public
