# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to break a lab; every function takes the lab and a host, and says what it did."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path

from lab import faketime, hosts
from lab.labs import Lab
from lab.podman import mounted, podman
from lab.progress import LabError, say

_FILL = "/var/lib/rancher/.lab-fill"
FILL = (
    f"fallocate -l $(df --output=avail -B1 /var/lib/rancher | tail -n 1) {_FILL}; "
    f"dd if=/dev/zero of={_FILL} bs=4k oflag=append conv=notrunc"
)
"""A script that takes every block of that disk, at once; only for a lab made with --disk."""
_PAGE = 4096
_FAKETIME, _PRELOAD = "/usr/local/lib/libfaketime.so.1", "/etc/ld.so.preload"


def power_off(lab: Lab, host: str) -> None:
    """Cut the power: no process gets the chance to end well."""
    if lab.running(host):
        podman("kill", "--signal", "KILL", lab.spec.container(host), timeout=60).ok(f"power off {host}")
        podman("wait", "--condition", "stopped", "--condition", "exited", lab.spec.container(host), timeout=60)
    say(f"{host}: power is off")


def power_on(lab: Lab, host: str) -> None:
    """Switch on; enabled units start by themselves."""
    podman("start", lab.spec.container(host), timeout=60).ok(f"power on {host}")
    hosts.wait_booted(lab.spec, host)
    say(f"{host}: power is on")


def replace_disk(lab: Lab, host: str) -> None:
    """Put an empty host with the same name and address there; its unit is installed, not enabled, not started."""
    lab.renew(host)
    say(f"{host}: replaced by an empty host")


@contextmanager
def data(lab: Lab, host: str) -> Iterator[Path]:
    """The host's /var/lib/rancher as the controller sees it, also while the host is off."""
    with mounted(f"{lab.spec.container(host)}-data") as own:
        yield own


@contextmanager
def _datastore(lab: Lab, host: str) -> Iterator[Path]:
    """Folder server/db/etcd of a host whose etcd does not run."""
    if lab.running(host) and lab.sh(host, "pgrep -x 'etcd|k3s-server|k3s'").out.strip():
        raise LabError(f"{host}: etcd runs; switch the host off or stop it first")
    with data(lab, host) as own:
        yield own / lab.spec.distro / "server" / "db" / "etcd"


def destroy_datastore(lab: Lab, host: str, how: str = "zeroed") -> None:
    """Leave what a power loss leaves: `zeroed` pages (default), the file `truncated` to nothing, or `removed`.

    The host must be off, or its etcd stopped.
    """
    with _datastore(lab, host) as etcd:
        database = etcd / "member" / "snap" / "db"
        if not database.is_file():
            raise LabError(f"{host}: there is no datastore at {database}")
        if how == "removed":
            shutil.rmtree(etcd / "member")
        elif how == "truncated":
            database.write_bytes(b"")
        elif how == "zeroed":
            pages = database.stat().st_size // _PAGE
            # Both meta pages, so that no etcd opens it, and a third of the rest; always the same ones.
            lost = {0, 1, *random.Random(host).sample(range(pages), pages // 3)}
            with database.open("r+b") as file:
                for page in sorted(lost):
                    file.seek(page * _PAGE)
                    file.write(bytes(_PAGE))
        else:
            raise LabError(f"destroy_datastore: {how!r} is none of zeroed, truncated, removed")
    say(f"{host}: datastore {how}")


def save_datastore(lab: Lab, host: str) -> None:
    """Keep a copy of the datastore for put_datastore (host off or etcd stopped)."""
    target = lab.folder / "saved" / host
    with _datastore(lab, host) as etcd:
        if not etcd.is_dir():
            raise LabError(f"{host}: there is no datastore at {etcd}")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(etcd, target)
    say(f"{host}: datastore saved")


def put_datastore(lab: Lab, host: str) -> None:
    """Put the saved, by now stale datastore back in the place of the present one (host off or etcd stopped)."""
    saved = lab.folder / "saved" / host
    if not saved.is_dir():
        raise LabError(f"{host}: nothing saved; save_datastore first")
    with _datastore(lab, host) as etcd:
        shutil.rmtree(etcd, ignore_errors=True)
        shutil.copytree(saved, etcd)
    say(f"{host}: stale datastore put back")


def partition(lab: Lab, host: str, *peers: str) -> None:
    """Cut the network to the named hosts; without names to everything, the controller included."""
    targets = [f"{{}} {lab.spec.host(peer).ip}" for peer in peers] or ["{dev} eth0"]
    rules = [f"iptables -w -A LAB-{chain} {target.format(flag, dev=dev)} -j DROP"
             for chain, flag, dev in (("IN", "-s", "-i"), ("OUT", "-d", "-o")) for target in targets]
    lab.sh(host, "\n".join([
        "set -e", _UNDO_PARTITION, "iptables -w -N LAB-IN; iptables -w -N LAB-OUT", *rules,
        "iptables -w -I INPUT -j LAB-IN; iptables -w -I OUTPUT -j LAB-OUT"])).ok(f"partition {host}")
    say(f"{host}: cut off from {' '.join(peers) or 'everything'}")


_UNDO_PARTITION = """\
for pair in INPUT:LAB-IN OUTPUT:LAB-OUT; do
    chain=${pair#*:}
    iptables -w -D "${pair%:*}" -j "$chain" 2>/dev/null || :
    iptables -w -F "$chain" 2>/dev/null || :
    iptables -w -X "$chain" 2>/dev/null || :
done"""


def slow_line(lab: Lab, host: str, mbit: str | float = 5, loss: str | float = 2) -> None:
    """Give the line to the controller so many Mbit/s, and lose so many percent of its packets, both ways."""
    there = str(IPv4Network(lab.spec.subnet)[1])
    lost = f"-m statistic --mode random --probability {float(loss) / 100}"
    lab.sh(host, "\n".join([
        "set -e", _UNDO_PARTITION, _UNDO_SLOW, "iptables -w -N LAB-IN; iptables -w -N LAB-OUT",
        f"iptables -w -A LAB-IN -s {there} {lost} -j DROP; iptables -w -A LAB-OUT -d {there} {lost} -j DROP",
        "iptables -w -I INPUT -j LAB-IN; iptables -w -I OUTPUT -j LAB-OUT",
        "tc qdisc add dev eth0 root handle 1: htb default 1",
        "tc class add dev eth0 parent 1: classid 1:1 htb rate 10gbit quantum 60000",
        f"tc class add dev eth0 parent 1: classid 1:2 htb rate {mbit}mbit",
        f"tc filter add dev eth0 parent 1: protocol ip u32 match ip dst {there} flowid 1:2"])).ok(f"slow line {host}")
    say(f"{host}: {mbit} Mbit/s and {loss} % loss to the controller")


_UNDO_SLOW = "tc qdisc del dev eth0 root 2>/dev/null || :"


def kill(lab: Lab, host: str, process: str) -> None:
    """Send SIGKILL to every process of that name (etcd, kube-apiserver, kubelet, rke2, ...)."""
    lab.sh(host, f"pkill -KILL -x {process}").ok(f"no process {process} on {host}: kill")
    say(f"{host}: killed {process}")


def fill_disk(lab: Lab, host: str) -> None:
    """Fill the disk of /var/lib/rancher to the last block; needs a lab made with --disk."""
    if not lab.spec.disk_mb:
        raise LabError("fill_disk would fill this machine's own disk; make the lab with --disk 2048 (MB for each host)")
    lab.sh(host, f"{FILL}; sync", timeout=300)
    say(f"{host}: " + lab.sh(host, "df --output=avail,pcent /var/lib/rancher | tail -1").out.strip() + " left")


def corrupt_snapshot(lab: Lab, host: str, name: str = "") -> None:
    """Flip one byte in the middle of a snapshot on the host (default: the newest)."""
    with data(lab, host) as own:
        folder = own / lab.spec.distro / "server" / "db" / "snapshots"
        found = [folder / name] if name else sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime) \
            if folder.is_dir() else []
        if not found or not found[-1].is_file():
            raise LabError(f"{host}: no snapshot {name or ''} in {folder}".replace("  ", " "))
        with found[-1].open("r+b") as file:
            file.seek(found[-1].stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 0xFF]))
    say(f"{host}: flipped a byte in snapshot {found[-1].name}")


def wrong_token(lab: Lab, host: str) -> None:
    """Write another token into config.yaml; counts from the unit's next start."""
    _set_token(lab, host, "wrong" + lab.spec.token[5:])
    say(f"{host}: config.yaml has a wrong token")


def _set_token(lab: Lab, host: str, token: str) -> None:
    # The new line comes through stdin: no argument list shows a token.
    config = lab.spec.supervisor.config
    script = (f"set -e; umask 077; new=$(mktemp); cat > $new; grep -v '^token:' {config} >> $new; "
              f"cat $new > {config}; rm $new")
    lab.sh(host, script, stdin=f"token: {token}\n").ok(f"token of {host}")


def skew_clock(lab: Lab, host: str, seconds: str | float = 7200) -> None:
    """Shift the clock for all that starts from now on and uses libc; Go programs and what runs already do not see it.

    Do not restart the unit or the host meanwhile: no real clock is right for one half of a program.
    """
    shift = f"{float(seconds):+.0f}"
    # sshd begins anew with the library: a child that is the first to load it clears up at its end, which its sandbox
    # answers with SIGSYS.
    script = (f"set -e; umask 022; cat > {_FAKETIME}.new; mv {_FAKETIME}.new {_FAKETIME}; "
              f"echo {shift} > /etc/faketimerc; echo {_FAKETIME} > {_PRELOAD}; systemctl restart ssh")
    lab.sh(host, script, stdin=faketime.library().read_bytes()).ok(f"skew the clock of {host}")
    say(f"{host}: its clock is {shift} s off")


def harvester_stuck_upgrade(lab: Lab, host: str) -> None:
    """Make the lab a Harvester whose upgrade is stuck; HOST runs a machine, and is the only server left."""
    from lab.harvester import story  # it needs the collection, as nothing else of the lab does

    story.harvester_stuck_upgrade(lab, host)


def heal(lab: Lab, host: str) -> None:
    """Undo partition, slow_line, fill_disk, wrong_token and skew_clock."""
    undo = f"if [ -e {_PRELOAD} ]; then rm -f {_PRELOAD} /etc/faketimerc; systemctl restart ssh; fi"
    lab.sh(host, f"{_UNDO_PARTITION}; {_UNDO_SLOW}; rm -f {_FILL}; {undo}").ok(f"heal {host}")
    config = lab.sh(host, f"cat {lab.spec.supervisor.config}").out
    if f"token: wrong{lab.spec.token[5:]}" in config.splitlines():
        _set_token(lab, host, lab.spec.token)
    say(f"{host}: network, disk, token and clock are in order")


FAULTS: dict[str, Callable[..., None]] = {function.__name__: function for function in (
    power_off, power_on, replace_disk, destroy_datastore, save_datastore, put_datastore, partition, slow_line, kill,
    fill_disk, corrupt_snapshot, wrong_token, skew_clock, harvester_stuck_upgrade)}
"""By name, for the command line."""
