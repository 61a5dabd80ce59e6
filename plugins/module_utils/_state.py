# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""ClusterState, schema 1: turn what sh/info.sh printed on a node into one entry of the document.

A value that could not be read is null and its reason stands in `unread`; there are no defaults that look like answers.
"""

from __future__ import annotations

import base64
import json
import re
import typing as t
from dataclasses import asdict

import yaml

from . import _answers, _aside, _bbolt, _certificates, _datastore, _harvester, _timeline, _wal
from ._blocks import Blocks, loads

JSON = dict[str, t.Any]
SCHEMA = 1
METRICS = 2381
"""Port that etcd opens when it has opened its datastore; those for members and clients are open before."""
PORTS = {2379, 2380, METRICS, 2382, 6443, 9345, 10250}


def unreachable(name: str, host: str, error: str) -> JSON:
    """Entry of a node that did not answer: everything is unread."""
    return {"name": name, "host": host, "reachable": False, "error": error, "unread": {"*": error}}


def node(name: str, host: str, out: str, *, received: float) -> JSON:
    """Entry of a node that answered. received: the controller's clock (Unix seconds) when the answer came."""
    blocks = Blocks(out)
    if "done" not in blocks.blocks:
        blocks.unread["*"] = "the answer of the node ends in the middle"
        for name_of_last in list(blocks.blocks)[-1:]:
            blocks.blocks[name_of_last] = (-1, "the answer ends here")
    about = blocks.pairs("about")
    entry: JSON = {"name": name, "host": host, "reachable": True, "error": None, "hostname": about.get("hostname")}
    entry["os_image"] = about.get("os_image", "").strip('"') or None
    entry["boot_id"] = about.get("boot_id")
    entry["root"] = about.get("uid") == "0"
    clock = about.get("clock", "")
    entry["clock_skew"] = round(float(clock) - received, 1) if clock.replace(".", "", 1).isdigit() else None
    entry["addresses"] = str(about.get("addresses") or "").split() or None
    entry["missing"] = _lines(blocks.text("tools")) if "tools" in blocks.blocks else None
    entry["harvester"] = _harvester.release(about)
    entry["lock"] = blocks.pairs("lock") if "lock" in blocks.blocks else None
    program = blocks.pairs("program")
    entry["distro"] = program.get("distro")
    entry["program"] = program or None
    entry["version"] = version(program.get("version", ""))
    if program:
        entry |= _readings(blocks)
    entry["unread"] = blocks.unread
    return entry


def version(line: str) -> str | None:
    """`rke2 version v1.34.3+rke2r1 (abc)` -> `v1.34.3+rke2r1`."""
    return next((word for word in line.split() if word.startswith("v1.")), None)


def _readings(blocks: Blocks) -> JSON:
    files = _files(blocks.text("files"))
    reset = blocks.pairs("reset") if "reset" in blocks.blocks else {}
    journal = _lines(blocks.text("journal")) if "journal" in blocks.blocks else []
    return {
        "unit": blocks.pairs("unit") or None,
        "agent": blocks.pairs("agent") or None,
        "processes": _processes(blocks.text("processes")),
        "listeners": _listeners(blocks.text("listeners")),
        "mounts": _lines(blocks.text("mounts")),
        "system_agent": blocks.pairs("system_agent") or None,
        "reset": reset["SubState"] == "running" if "SubState" in reset else None,
        "disk": _disk(blocks.text("disk")),
        "inodes": _inodes(blocks.text("inodes")),
        "places": _places(blocks.text("places")) if "places" in blocks.blocks else None,
        "memory": _memory(blocks.text("memory")),
        "clock": _clock(blocks.pairs("clock")),
        "config": _config(blocks),
        "token": blocks.pairs("tokens"),
        "files": files,
        "snapshots": _files(blocks.text("snapshots")),
        "balancers": _balancers(blocks.text("balancers")) if "balancers" in blocks.blocks else {},
        "datastore": _datastore_on_disk(blocks, files),
        "etcd": _answers.etcd(blocks),
        "api": _answers.api(blocks),
        "certificates": [
            *_certificates.dates(blocks.text("certificates") or ""),
            *(_certificates.served(blocks.text("served") or "") if "served" in blocks.blocks else ()),
        ],
        "journal": journal,
        "aside": _aside.read(blocks.text("aside") or "", journal or ()) if "aside" in blocks.blocks else [],
        "logs": None if (logs := blocks.text("logs")) is None else _lines(_timeline.mask(logs)),
    }


def _lines(text: str | None) -> list[str] | None:
    return None if text is None else [line for line in text.split("\n") if line]


def _processes(text: str | None) -> list[JSON] | None:
    if text is None:
        return None
    found = []
    for line in _lines(text) or []:
        head, _tab, args = line.partition("\t")
        words = head.split(" ", 4)
        if len(words) == 5:
            found.append(
                {
                    "pid": int(words[0]),
                    "parent": int(words[1]),
                    "state": words[2],
                    "start": int(words[3]),
                    "name": words[4],
                    "args": _timeline.mask(args.strip()),
                }
            )
    return found


def _listeners(text: str | None) -> list[int] | None:
    if text is None:
        return None
    # A host without IPv6 has no /proc/net/tcp6, about which grep complains among the answers.
    return sorted({int(port, 16) for port in re.findall(r"(?m)^[0-9A-F]+:([0-9A-F]{4})$", text)} & PORTS)


def _disk(text: str | None) -> JSON | None:
    """`df -Pk`: size and free space of the file system that holds the data directory, in bytes."""
    words = (text or "").split()
    return (
        {"bytes": int(words[1]) * 1024, "free": int(words[3]) * 1024}
        if len(words) >= 6 and words[3].isdigit()
        else None
    )


def _inodes(text: str | None) -> JSON | None:
    """`df -Pi` of the same file system; None where it counts none, as btrfs."""
    words = (text or "").split()
    counted = len(words) >= 6 and words[1].isdigit() and int(words[1])
    return {"total": int(words[1]), "free": int(words[3])} if counted else None


def _places(text: str | None) -> JSON | None:
    """Directories to which a recovery writes, with their file systems."""
    found = {}
    for line in _lines(text) or []:
        path, *words = line.split("\t")
        if len(words) == 4 and words[0].isdigit():
            free, mount, mounted, options = words
            found[path] = {
                "free": int(free) * 1024,
                "mount": mount,
                "mounted": mounted == "yes",
                "read_only": "ro" in options.split(","),
            }
    return found or None


def _memory(text: str | None) -> JSON | None:
    """/proc/meminfo, in bytes."""
    found = dict(re.findall(r"(?m)^Mem(\w+): +(\d+) kB$", text or ""))
    if not {"Total", "Available"} <= set(found):
        return None
    return {"bytes": int(found["Total"]) * 1024, "available": int(found["Available"]) * 1024}


def _clock(said: t.Mapping[str, str]) -> JSON | None:
    """Whether a time service runs, and whether it has set the clock; null where it does not tell."""
    if "NTP" not in said:
        return None
    told = said.get("NTPSynchronized")
    return {"synchronized": told == "yes" if told else None, "ntp": said["NTP"] == "yes"}


def _files(text: str | None) -> dict[str, JSON] | None:
    if text is None:
        return None
    found: dict[str, JSON] = {}
    for line in _lines(text) or []:
        head, _tab, path = line.partition("\t")
        size, mtime, kind = head.split(" ", 2)
        found[path] = {"bytes": int(size), "mtime": int(mtime), "directory": kind == "directory"}
    return found


def _balancers(text: str | None) -> dict[str, list[str]] | None:
    """Load balancer files of the program: path -> hosts that it names; one that is no JSON names none."""
    if text is None:
        return None
    pairs = (line.split(" ", 1) for line in _lines(text) or [] if " " in line)
    return {path: _hosts((loads(body) or {}).get("ServerAddresses") or ()) for path, body in pairs}


def _hosts(addresses: t.Iterable[str]) -> list[str]:
    return [str(address).rsplit(":", 1)[0].strip("[]") for address in addresses]


def _config(blocks: Blocks) -> JSON | None:
    """Configuration and command line of the unit; secrets were replaced on the node."""
    text = blocks.text("config")
    if text is None:
        return None
    try:
        settings = merged(text)
    except ValueError as error:
        blocks.unread["config"] = str(error)
        return None
    return settings | (flags((blocks.text("flags") or "").split()) if "flags" in blocks.blocks else {})


def merged(text: str) -> JSON:
    """Configuration files behind `# file PATH` lines, later ones first in precedence (facts/rke2.md 4.5).

    ValueError, which names the file, where one is not valid YAML.
    """
    found: JSON = {}
    for part in ("\n" + text).split("\n# file ")[1:]:
        path, _newline, body = part.partition("\n")
        try:
            values = yaml.safe_load(body) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not valid YAML: {str(error).splitlines()[0]}") from error
        for key, value in values.items() if isinstance(values, dict) else ():
            key = str(key)
            if key.endswith("+"):
                found[key[:-1]] = [*_list(found.get(key[:-1])), *_list(value)]
            else:
                found[key] = value
    return found


def flags(words: t.Sequence[str]) -> JSON:
    """Settings of a command line: `--name=value`, `--name value`, `--name`; a repeated one becomes a list."""
    found: JSON = {}
    for index, word in enumerate(words):
        if not word.startswith("--"):
            continue
        key, equals, value = word[2:].partition("=")
        following = words[index + 1] if index + 1 < len(words) else "-"
        given: t.Any = value if equals else True if following.startswith("-") else following
        found[key] = [*_list(found[key]), given] if key in found else given
    return found


def _list(value: t.Any) -> list[t.Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _datastore_on_disk(blocks: Blocks, files: dict[str, JSON] | None) -> JSON | None:
    """What lies in db/etcd. `summary` and `wal` are filled in later where no etcd answers."""
    if files is None:
        return None
    db = next((path for path in files if path.endswith("/db/etcd/member/snap/db")), None)
    wals = [path for path, file in files.items() if path.endswith(".wal") and file["bytes"]]
    found: JSON = {
        "present": db is not None and bool(wals),
        "path": db,
        "bytes": files[db]["bytes"] if db else None,
        "name": (blocks.text("name") or "").strip() or None if "name" in blocks.blocks else None,
        "member_id": None,
        "cluster_id": None,
        "summary": None,
        "wal": None,
        "fault": None,
    }
    if db and not wals:
        found["fault"] = "the WAL is missing"
    elif wals and not db:
        found["fault"] = "member/snap/db is missing"
    elif wals and (head := blocks.text("wal")) is not None:
        try:
            found["member_id"], found["cluster_id"] = _wal.identity(base64.b64decode(head))
        except (_bbolt.BadFile, ValueError) as error:
            found["fault"] = str(error)
    return found


def read_datastore(entry: JSON, read: _bbolt.Answers) -> None:
    """Fill `datastore.summary` and `datastore.wal` of a node by reading pages of its db and the end of its newest log.

    Three round trips. A db that is damaged is a `fault`; one that an etcd has open, and a log that does not tell how
    far it goes, are only unread.
    """
    store = entry["datastore"]
    newest = max(path for path, file in entry["files"].items() if path.endswith(".wal") and file["bytes"])
    try:
        summary, wal = _bbolt.drive(_bbolt.both(_datastore.summary(store["bytes"]), _wal.tail(newest)), read)
    except OSError as error:
        entry["unread"]["datastore"] = str(error)
        return
    if isinstance(summary, _bbolt.BadFile):
        # An etcd that answers, or that serves its metrics, has opened its db, and writes to it meanwhile.
        ports = entry["listeners"]
        if (entry["etcd"] or {}).get("health") or ports is None or METRICS in ports:
            entry["unread"]["datastore"] = f"{summary}; etcd wrote to it while it was read"
        else:
            store["fault"] = str(summary)
    else:
        store["summary"] = json.loads(json.dumps(asdict(summary)))
    if isinstance(wal, _bbolt.BadFile):
        entry["unread"]["wal"] = str(wal)
    elif isinstance(summary, _datastore.Datastore):
        facts = {name: getattr(wal, name) for name in ("term", "index", "commit", "torn")}
        store["wal"] = facts | {"newer": wal.newer(summary.index)}


def _of_node(entry: JSON, nodes: t.Mapping[str, JSON]) -> JSON:
    """What its Node tells of a host; the Node may have another name than the inventory has."""
    names = (str((entry.get("program") or {}).get("node_name")), str(entry.get("hostname")), entry["name"])
    node = next((nodes[name] for name in names if name in nodes), {})
    ready = (node.get("conditions") or {}).get("Ready")
    return {"kubelet_version": node.get("kubelet_version"), "node_ready": ready}


def cluster(name: str, entries: t.Sequence[JSON]) -> JSON:
    """The document of a whole cluster."""
    kubernetes = next(
        (entry["api"] for entry in entries if entry["reachable"] and (entry.get("api") or {}).get("nodes") is not None),
        None,
    )
    listed = {node["name"]: node for node in (kubernetes or {}).get("nodes") or ()}
    return {
        "schema": SCHEMA,
        "cluster": name,
        "nodes": [{**entry, **_of_node(entry, listed)} for entry in entries],
        "kubernetes": kubernetes,
        "harvester": _harvester.cluster(entries),
    }
