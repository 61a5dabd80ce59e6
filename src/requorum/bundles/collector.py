# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of the log collector for RKE2 and K3s (rancherlabs/support-tools, rancher2_logs_collector.sh), one a node.

Several archives make one cluster. Every file is what a command has printed; what cannot be understood of it is unread.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _seen, _state, _timeline

from .. import archive

JSON = dict[str, Any]
LARGEST = 16 << 20
NOT_HELD = "an archive of the log collector does not hold it"
_TOPS = "systeminfo|networking|systemlogs|journald|etcd|rke2|k3s"
_PLACE = re.compile(rf"^(.*?)(?:^|(?<=/))((?:{_TOPS})/.*)$")
_SMALL = re.compile(
    r"systeminfo/(?:hostname|date|freem|dfh|dfi|osrelease|ps|systemd-units)$|networking/ss(?:tunlp[46]|anp)$|rke2/version$"
    r"|(?:rke2|k3s)/(?:kubectl/(?:nodes|nodes\.json|version)|certs/(?:agent|server)/[^/]+)$"
    r"|etcd/(?:endpointstatus|endpointhealth|alarmlist|findserverdbetcd)$"
)
_UNITS = ("rke2-server", "rke2-agent", "k3s", "k3s-agent", "rancher-system-agent", "containerd", "kubelet")
_PODS = (
    ("kube-system[-_]etcd-", "etcd"),
    ("kube-system[-_](kube-(?:apiserver|controller-manager|scheduler))-", r"\1"),
    ("cattle-system[-_]rancher-[0-9a-f]", "rancher"),
    ("cattle-system[-_]system-upgrade-controller", "suc"),
    ("cattle-fleet(?:-local)?-system[-_]fleet-agent", "fleet-agent"),
    ("cattle-fleet-system[-_]fleet-controller", "fleet-controller"),
    ("longhorn-system[-_]longhorn-manager", "longhorn-manager"),
)
_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}


def suits(names: Sequence[str]) -> bool:
    """Whether these are files of such archives."""
    found = {_part(name)[1] for name in names}
    return "systeminfo/hostname" in found and any(name.startswith(("rke2/", "k3s/", "journald/")) for name in found)


def _part(path: str) -> tuple[str, str]:
    """The archive, or the folder in it, and the path from the collector's own folders on."""
    found = _PLACE.match(path)
    return (found[1], found[2]) if found else ("", path)


def read(
    members: Callable[[], Iterator[archive.Member]], _names: Sequence[str], cluster: str, _notes: archive.Notes
) -> tuple[JSON, Callable[[], Iterable[_seen.Log]]]:
    """State and logs of all nodes."""
    files: dict[str, dict[str, str]] = {}
    for member in members():
        top, path = _part(member.path)
        mine = files.setdefault(top, {})
        if _SMALL.fullmatch(path):
            mine[path] = (member.bytes(LARGEST) or b"").decode("utf-8", "replace")
    hosts = {top: mine for top, mine in files.items() if "systeminfo/hostname" in mine}
    nodes = next(filter(None, map(_nodes, hosts.values())), None)
    entries = {top: _entry(mine) for top, mine in hosts.items()}
    missing = [_away(node) for node in nodes or () if node["name"] not in {e["name"] for e in entries.values()}]
    times = [time for time in map(_time, hosts.values()) if time]
    state: JSON = {
        "schema": _state.SCHEMA,
        "cluster": cluster,
        "time": max(times, default=None),
        "source": {"kind": "collector", "name": cluster, "created": max(times, default=None), "unread": []},
        "distro": next((entry["distro"] for entry in entries.values()), None),
        "nodes": [*entries.values(), *missing],
        "kubernetes": {"ready": None, "nodes": nodes, "endpoints": None, "system_uid": None} if nodes else None,
        "harvester": None,
        "objects": {},
        "unread": {} if nodes else {"kubernetes": "no kubectl of the collector has got an answer"},
        "logs": [],
        "hits": [],
    }
    return state, lambda: _logs(members(), {top: entry["name"] for top, entry in entries.items()})


def _entry(files: dict[str, str]) -> JSON:
    """One node, by its own archive."""
    name = files["systeminfo/hostname"].strip()
    distro = "k3s" if any(path.startswith("k3s/") for path in files) else "rke2"
    server = any(path.startswith(f"{distro}/certs/server/") for path in files) or "etcd/findserverdbetcd" in files
    system = re.search(r'(?m)^PRETTY_NAME="?([^"\n]*)', files.get("systeminfo/osrelease", ""))
    unit = distro if distro == "k3s" else "rke2-server"
    return {
        "name": name,
        "host": name,
        "role": "server" if server else "agent",
        "reachable": True,
        "error": None,
        "hostname": name,
        "distro": distro,
        "program": None,
        "version": _state.version(files.get("rke2/version", "")) or _of_table(name, files),
        "os_image": system[1] if system else None,
        "harvester": None,
        "unit": _unit(files, unit if server else f"{unit.partition('-')[0]}-agent"),
        "processes": _processes(files.get("systeminfo/ps")),
        "listeners": _listeners(files),
        "disk": _disk(files.get("systeminfo/dfh", ""), f"/var/lib/rancher/{distro}"),
        "memory": _memory(files.get("systeminfo/freem", "")),
        "datastore": _datastore(files.get("etcd/findserverdbetcd")),
        "etcd": _etcd(files),
        "certificates": list(_certificates(files)) or None,
        "unread": {"*": NOT_HELD},
    }


def _away(node: JSON) -> JSON:
    """A Node of which no archive is at hand."""
    address = next(iter(node["addresses"]), node["name"])
    missing = "no archive of it is at hand"
    return _state.unreachable(node["name"], address, missing) | {"role": "server" if node["control_plane"] else "agent"}


def _of_table(name: str, files: dict[str, str]) -> str | None:
    return next((node["kubelet_version"] for node in _nodes(files) or () if node["name"] == name), None)


def _nodes(files: dict[str, str]) -> list[JSON] | None:
    """Nodes as kubectl has listed them: as JSON in newer versions, else as a table."""
    for distro in ("rke2", "k3s"):
        document = _state.loads(files.get(f"{distro}/kubectl/nodes.json"))
        if document:
            return [_state.kubernetes_node(item) for item in document.get("items") or ()]
        rows = [line.split() for line in files.get(f"{distro}/kubectl/nodes", "").splitlines()]
        if rows and rows[0][:3] == ["NAME", "STATUS", "ROLES"]:
            return [_node(row) for row in rows[1:] if len(row) >= 6]
    return None


def _node(row: Sequence[str]) -> JSON:
    """NAME STATUS ROLES AGE VERSION INTERNAL-IP ..."""
    return {
        "name": row[0],
        "ready": row[1].split(",")[0] == "Ready",
        "voter": None,
        "control_plane": "control-plane" in row[2] or "etcd" in row[2],
        "addresses": [row[5]],
        "kubelet_version": row[4],
    }


def _unit(files: dict[str, str], unit: str) -> JSON | None:
    """What `systemctl list-units` has said of it."""
    listed = files.get("systeminfo/systemd-units", "")
    found = re.search(rf"(?m)^\W*{re.escape(unit)}\.service +(\S+) +(\S+) +(\S+)", listed)
    return {"LoadState": found[1], "ActiveState": found[2], "SubState": found[3]} if found else None


def _processes(text: str | None) -> list[JSON] | None:
    """Of `ps auxfww`: USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND."""
    if text is None:
        return None
    rows = [line.split(None, 10) for line in text.splitlines()[1:]]
    return [
        {"pid": int(row[1]), "parent": None, "state": row[7][:1], "start": None, "name": _name(row[10]),
         "args": _timeline.mask(row[10].strip(" \\_|"))[:300]}
        for row in rows
        if len(row) == 11 and row[1].isdigit()
    ]  # fmt: skip


def _name(command: str) -> str:
    return command.strip(" \\_|").split(" ")[0].strip("[]").rpartition("/")[2]


def _listeners(files: dict[str, str]) -> list[int] | None:
    """TCP ports of `ss -tunlp4` and `-tunlp6`, or of `ss -anp`."""
    texts = [text for path, text in files.items() if path.startswith("networking/ss")]
    if not texts:
        return None
    ports = re.findall(r"(?m)^tcp +LISTEN +\d+ +\d+ +\S*:(\d+) ", "\n".join(texts))
    return sorted({int(port) for port in ports} & _state.PORTS)


def _disk(text: str, place: str) -> JSON | None:
    """`df -h`: size and free space of the file system that holds the data directory."""
    rows = [row for line in text.splitlines()[1:] if len(row := line.split()) == 6 and row[5].startswith("/")]
    mine = [row for row in rows if row[5] == "/" or place.startswith(f"{row[5]}/") or place == row[5]]
    best = max(mine, key=lambda row: len(row[5]), default=None)
    sizes = [re.fullmatch(r"([\d.]+)([KMGTP]?)", word) for word in (best[1], best[3])] if best else []
    found = [int(float(size[1]) * _SIZES[size[2]]) for size in sizes if size]
    return {"bytes": found[0], "free": found[1]} if len(found) == 2 else None


def _memory(text: str) -> JSON | None:
    """`free -m`: Mem: total used free shared buff/cache available."""
    found = re.search(r"(?m)^Mem: +(\d+) .* (\d+)$", text)
    return {"bytes": int(found[1]) << 20, "available": int(found[2]) << 20} if found else None


def _datastore(listing: str | None) -> JSON | None:
    """Whether files of a datastore lie there; no more is known of them."""
    if listing is None:
        return None
    db = re.search(r"(?m)^\S+ +\d+ +\S+ +\S+ +(\d+) .* (\S+/member/snap/db)$", listing)
    empty = dict.fromkeys(("name", "member_id", "cluster_id", "summary", "wal", "fault"))
    return {"present": bool(db), "path": db[2] if db else None, "bytes": int(db[1]) if db else None, **empty}


def _etcd(files: dict[str, str]) -> JSON | None:
    """Health and alarms as etcdctl has told them; it answers only where etcd runs in a container."""
    if not any(path.startswith("etcd/") for path in files):
        return None
    health = re.findall(r"(?m)^(\S+) is (healthy|unhealthy)", files.get("etcd/endpointhealth", ""))
    alarms = files.get("etcd/alarmlist")
    heard = alarms is not None and not re.search(r"(?i)error|deadline|refused", alarms)
    named = re.findall(r"alarm:(\w+)", alarms or "")
    good = [word == "healthy" for _endpoint, word in health]
    return {
        "health": {"ok": all(good), "reason": None} if good else None,
        "port": None,
        "status": None,
        "members": None,
        "alarms": list(dict.fromkeys(named)) if heard or named else None,
        "alarmed": {},
    }


def _certificates(files: dict[str, str]) -> Iterator[JSON]:
    """`openssl x509 -text` of each leaf."""
    for path, text in files.items():
        place = re.search(r"/certs/(agent|server)/([^/]+)$", path)
        if not place:
            continue
        ends = re.search(r"Not After *: *(\w{3}) +(\d+) ([\d:]+) (\d{4}) GMT", text)
        subject = re.search(r"Subject: *(.*)", text)
        at = datetime.strptime(" ".join(ends.groups()), "%b %d %H:%M:%S %Y").replace(tzinfo=UTC) if ends else None
        yield {
            "path": f"{place[1]}/{'tls/' if place[1] == 'server' else ''}{place[2]}",
            "subject": subject[1].replace(" = ", "=") if subject else None,
            "ends": int(at.timestamp()) if at else None,
            "sha256": None,
        }


def _time(files: dict[str, str]) -> str | None:
    """`date` in UTC; one of another zone is not understood."""
    found = re.search(r"(\w{3}) +(\d+) ([\d:]{8}) (?:UTC|GMT) (\d{4})", files.get("systeminfo/date", ""))
    if not found:
        return None
    at = datetime.strptime(" ".join(found.groups()), "%b %d %H:%M:%S %Y")
    return at.isoformat() + "Z"


def _logs(members: Iterator[archive.Member], names: dict[str, str]) -> Iterator[_seen.Log]:
    for member in members:
        top, path = _part(member.path)
        source = _program(path)
        if source and top in names:
            yield names[top], source, member.path, member.chunks()


def _program(path: str) -> str:
    """Whose log this is; empty where it is none."""
    head, _slash, rest = path.partition("/")
    if head == "journald":
        return rest if rest in _UNITS else "other"
    if path == "systeminfo/dmesg" or re.match(r"systemlogs/(?:kern|messages|syslog)", path):
        return "kernel"
    if head in ("rke2", "k3s") and re.match(r"agent-logs/.*kubelet", rest):
        return "kubelet"
    if path == "rke2/containerd.log":
        return "containerd"
    if rest.startswith("podlogs/"):
        pod = rest.removeprefix("podlogs/")
        return next((m.expand(source) for pattern, source in _PODS if (m := re.match(pattern, pod))), "other")
    return ""

