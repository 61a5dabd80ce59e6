# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the log collector for RKE2 and K3s makes of one server, which sees no leader or all is well.

Paths are those of rancherlabs/support-tools, rancher2_logs_collector.sh, and which of them there are: without an answer
of the API server no kubectl, and logs of pods as they lie on the host; K3s without its port 2379 no `etcd` at all.
What programs say is as in the recordings of RKE2 and K3s v1.34.3; what etcdctl says of its own error was not seen.
The same node makes the same bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from string import Template

from tests.bundles import collector_said as said
from tests.bundles.collector_said import NOW, VIP, Server

_NOT_FOUND = "Error from server (BadRequest): previous terminated"


def write(server: Server, path: Path, *, without: Collection[str] = ()) -> Path:
    """Write the tar.gz; its path. without: patterns of paths below the top folder, `etcd/*`."""
    found = {name: text for name, text in files(server).items() if not any(fnmatchcase(name, p) for p in without)}
    buffer, folders = io.BytesIO(), {"."}
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as made:
        made.addfile(_entry("./", None))  # it is `tar -C … .`, so each name begins with a dot
        for name, text in sorted(found.items()):
            place = PurePosixPath(server.top, name)
            for folder in [str(above) for above in reversed(place.parents) if str(above) not in folders]:
                folders.add(folder)
                made.addfile(_entry(f"./{folder}/", None))
            data = text.encode()
            made.addfile(_entry(f"./{place}", data), io.BytesIO(data))
    path.write_bytes(gzip.compress(buffer.getvalue(), mtime=0))
    return path


def _entry(name: str, data: bytes | None) -> tarfile.TarInfo:
    """A file, or a folder without data."""
    made = tarfile.TarInfo(name)
    made.type, made.mode = (tarfile.REGTYPE, 0o644) if data is not None else (tarfile.DIRTYPE, 0o755)
    made.size, made.mtime, made.uname, made.gname = len(data or b""), int(NOW.timestamp()), "root", "root"
    return made


def files(server: Server) -> dict[str, str]:
    """Paths below the top folder, and what stands there."""
    found = dict(_written(server)) | dict(said.certificates(server))
    distro = server.distro
    if distro == "rke2":
        found["rke2/agent-logs/kubelet.log"] = said.text(said.kubelet(server))
    found["journald/rke2-server" if distro == "rke2" else "journald/k3s"] = said.text(
        said.journal(server, said.service(server))
    )
    if server.quorum:
        found |= {f"{distro}/kubectl/{name}": text for name, text in said.kubectl(server).items()}
        found |= {f"etcd/{name}": text for name, text in said.members(server).items()}
    for pod, container, lines in said.pods(server):
        place = f"{distro}/podlogs/kube-system"
        if server.quorum:
            found[f"{place}-{pod}"] = said.text(line.split(" ", 3)[3] for line in lines)  # as `kubectl logs` gives it
            found[f"{place}-{pod}-previous"] = f'{_NOT_FOUND} container "{container}" in pod "{pod}" not found\n'
        else:
            found[f"{place}_{pod}_{_uid(pod)}/{container}/0.log"] = said.text(lines)
    found["versions"] = found["systeminfo/date"] + found["systeminfo/uname"] + found[f"{distro}/version"]
    found["summary.txt"] = f"Rancher 2.x Logs Collector Summary\n{'=' * 34}\n\nHostname:  {server.name}\n"
    found["collector-output.log"] = said.text(_said(server))
    return found


def _uid(pod: str) -> str:
    """Of a static pod: a hash."""
    return hashlib.sha256(pod.encode()).hexdigest()[:32]


def _written(server: Server) -> Iterator[tuple[str, str]]:
    """Of collector.txt, what there is of such a server."""
    case = {server.distro, "whole" if server.quorum else "lost"}
    words = {"name": server.name, "address": server.address, "version": server.version, "vip": VIP}
    _about, *parts = (Path(__file__).parent / "collector.txt").read_text().split("=== ")
    for head, _line, text in (part.partition("\n") for part in parts):
        path, *wanted = head.split()
        if case >= set(wanted):
            yield path, Template(text).substitute(words)


def _said(server: Server) -> Iterator[str]:
    """What the collector itself prints."""
    offline = [] if server.quorum else ["[!] Kube-apiserver is offline, collecting local pod logs only"]
    for word in ("Collecting system info", "Collecting network info", f"Collecting {server.distro} info", *offline):
        yield f"{NOW:%Y-%m-%d %H:%M:%S}: {word}"
