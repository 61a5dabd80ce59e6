# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What a diagnosis draws of each node: how its components are, its member of etcd, when its certificates end.

It is no judgement of its own: rules say what is wrong. Fails closed: what was not read is `unknown`, whatever the rest
of the node says.
"""

from __future__ import annotations

import typing as t
from datetime import UTC, datetime

from . import _certificates, _check_storage, _clocks, _jmes, _retention, _stale
from ._orphans import condition, labels, name_of, status

JSON = dict[str, t.Any]
Part = tuple[str, str]
"""`ok`, `wrong`, `unknown` or `absent` (this node has no such thing), and in words what was seen."""
LEAST_FREE, LEAST_MEMORY = 0.1, 100 << 20
"""Share of the disk, and bytes of memory, below which kubelet evicts pods by default."""
ETCD = {
    "voting": ("ok", "voter"),
    "learning": ("wrong", "learner"),
    "leaderless": ("wrong", "runs, sees no leader"),
    "stopped": ("wrong", "does not run"),
}
STORES = {"intact": ("ok", "intact"), "damaged": ("wrong", "damaged"), "absent": ("wrong", "there is none")}


def nodes(state: JSON) -> list[JSON]:
    """`nodes` of docs/diagnosis.schema.json, of a state that `_diagnose.viewed` has made."""
    now = _jmes.seconds(state.get("time"))
    judged: dict[str, list[JSON]] = {}
    for judgement in _certificates.judged(state["nodes"], now):
        judged.setdefault(judgement["node"], []).append(judgement)
    return [_Node(entry, state, now, judged.get(entry["name"], [])).drawn() for entry in state["nodes"]]


class _Node:
    """One node, with what others say of it."""

    def __init__(self, entry: JSON, state: JSON, now: float | None, judged: list[JSON]) -> None:
        self.entry, self.state, self.now, self.server = entry, state, now, entry.get("server")
        named = ((entry.get("program") or {}).get("node_name"), entry.get("hostname"), entry["name"])
        self.names = [name for name in named if name]
        rows = zip(entry.get("certificates") or (), judged, strict=True)
        self.certificates = [
            {"name": found["path"], "ends": _iso(row["ends"]), "state": found["state"]}
            for row, found in rows
        ]

    def drawn(self) -> JSON:
        parts = {name: getattr(self, f"_{name}")() for name in COMPONENTS}
        return {
            "name": self.entry["name"],
            "role": "server" if self.server else "agent",
            "reachable": self.entry["reachable"],
            "version": self.entry.get("version"),
            "os_image": self.entry.get("os_image"),
            "components": {name: {"state": state, "words": words} for name, (state, words) in parts.items()},
            "member": self._member(),
            "certificates": sorted(self.certificates, key=lambda each: (each["ends"] or "", each["name"])),
        }

    def _unknown(self, *blocks: str, otherwise: str = "not read") -> Part:
        """Why a whole node was not read is said once, at the host."""
        told = self.entry.get("unread") or {} if self.entry["reachable"] else {}
        return "unknown", str(next((told[block] for block in (*blocks, "*") if block in told), otherwise))

    def _host(self) -> Part:
        if self.entry["reachable"]:
            return "ok", "answers" if self._live() else "was read"
        why = str(self.entry.get("error") or "not read")
        return ("wrong", f"does not answer: {why}") if self._live() else ("unknown", why)

    def _live(self) -> bool:
        """Whether it was us who looked; a bundle of somebody else lacks a node for reasons of its own."""
        return (self.state.get("source") or {}).get("kind", "live") in ("live", "requorum")

    def _clock(self) -> Part:
        skew = self.entry.get("clock_skew")
        if skew is None:
            return self._unknown("about")
        if abs(skew) <= _clocks.SKEW_S:
            return "ok", "right"
        return "wrong", f"{abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"

    def _unit(self) -> Part:
        return self._service("unit")

    def _system_agent(self) -> Part:
        told = (self.entry.get("harvester") or {}).get("system_agent")
        if told and not self.entry.get("system_agent"):
            return ("ok" if told == "active" else "wrong"), str(told)
        if not (self.state.get("harvester") or self.entry.get("system_agent")):
            return "absent", "not a Harvester"
        return self._service("system_agent")

    def _service(self, name: str) -> Part:
        unit = self.entry.get(name)
        if not unit or not unit.get("ActiveState"):
            return self._unknown(name)
        if unit.get("LoadState") == "not-found":
            return "absent", "not installed"
        words = f"{unit['ActiveState']} ({unit['SubState']})" if unit.get("SubState") else str(unit["ActiveState"])
        again = unit.get("NRestarts") or "0"
        if again != "0":
            words += f", {again} restarts"
        if unit.get("LoadState") == "masked" or unit.get("UnitFileState") == "masked":
            words += ", masked"
        return ("ok" if unit["ActiveState"] == "active" else "wrong"), words

    def _etcd(self) -> Part:
        if not self.server:
            return "absent", "not a server"
        if self.server["etcd"] is None:
            return self._pod("etcd") or self._unknown("gateway", "health", "processes")
        state, words = ETCD[self.server["etcd"]]
        alarms = sorted(self.server.get("alarms") or ())
        words += ", leader" if self.server["leader"] else ""
        return ("wrong", f"{words}, alarm {' and '.join(alarms)}") if alarms else (state, words)

    def _datastore(self) -> Part:
        if not self.server:
            return "absent", "not a server"
        if self.server["store"] is None:
            return self._unknown("datastore", "files")
        state, words = STORES[self.server["store"]]
        size, fault = self.server.get("store_bytes"), self.server.get("fault")
        return state, words + (f": {fault}" if fault else f", {size / 1e6:.0f} MB" if size else "")

    def _api(self) -> Part:
        if not self.server:
            return "absent", "not a server"
        ready = (self.entry.get("api") or {}).get("ready")
        why = str((self.entry.get("unread") or {}).get("readyz") or "")
        if ready is None or (not ready and why.startswith(("no answer before", "was not asked"))):
            return self._pod("kube-apiserver") or self._unknown("readyz", "api")
        return ("ok", "ready") if ready else ("wrong", f"not ready: {why}" if why else "not ready")

    def _pod(self, program: str) -> Part | None:
        """What the API says of a static pod, as long as its kubelet reports."""
        pods = (self.state.get("objects") or {}).get("pods") or ()
        mine = next((pod for name in self.names for pod in pods if name_of(pod) == f"{program}-{name}"), None)
        ready = condition(mine, "Ready") if mine and self._kubelet()[0] == "ok" else None
        if ready is None:
            return None
        return ("ok", "the API calls its pod Ready") if ready == "True" else ("wrong", "its pod is not Ready")

    def _listed(self, kind: str) -> list[JSON] | Part:
        """Objects of a kind; why there are none."""
        found: list[JSON] | None = (self.state.get("objects") or {}).get(kind)
        if found is not None:
            return found
        why = (self.state.get("unread") or {}).get(f"objects.{kind}")
        return ("unknown", str(why)) if why else ("absent", "this cluster has none")

    def _upgrade(self) -> Part:
        """The upgrade of a Harvester that has not come to a good end."""
        found = self._listed("upgrades")
        if isinstance(found, tuple):
            return found
        latest = next((each for each in found if labels(each).get(_stale.LATEST) == "true"), None)
        if latest is None or condition(latest, "Completed") == "True":
            return "absent", "none is under way"
        states = status(latest).get("nodeStatuses") or {}
        mine = next((states[name] or {} for name in self.names if name in states), None)
        if mine is None:
            return "absent", "not named by it"
        return ("ok" if mine.get("state") == "Succeeded" else "wrong"), str(mine.get("state") or "no state")

    def _longhorn(self) -> Part:
        found = self._listed("storage")
        if isinstance(found, tuple):
            return found
        mine = next((each for name in self.names for each in found if name_of(each) == name), None)
        wrong = ["it has none"] if mine is None else list(_check_storage.troubles(mine))
        if wrong or mine is None:
            return "wrong", ", ".join(wrong)
        known = all(condition(mine, kind) == "True" for kind in ("Ready", "Schedulable"))
        return ("ok", "Ready, Schedulable") if known else ("unknown", "its conditions were not read")

    def _kubelet(self) -> Part:
        listed = (self.state.get("kubernetes") or {}).get("nodes")
        if listed is None:
            return "unknown", str((self.state.get("unread") or {}).get("kubernetes") or "no API was read")
        mine = next((node for name in self.names for node in listed if node["name"] == name), None)
        if mine is None:
            return "wrong", "the API has no Node of this name"
        if mine.get("ready") is None:
            return "unknown", "its condition was not read"
        words = "Ready" if mine["ready"] else "not Ready"
        return ("ok" if mine["ready"] else "wrong"), ", ".join(filter(None, (words, mine.get("kubelet_version"))))

    def _certificates(self) -> Part:
        if not self.certificates:
            return self._unknown("certificates", otherwise="none was read")
        if self.now is None:
            return "unknown", "the time of the look is not known"
        wrong = [each for each in self.certificates if each["state"] != "ok"]
        if not wrong:
            first = min(str(each["ends"]) for each in self.certificates)
            return "ok", f"{len(self.certificates)}, the first ends {first[:10]}"
        states = ", ".join(dict.fromkeys(STATES.get(each["state"], each["state"]) for each in wrong))
        return "wrong", f"{len(wrong)} of {len(self.certificates)}: {states}"

    def _snapshots(self) -> Part:
        if not self.server:
            return "absent", "not a server"
        found = self.entry.get("snapshots")
        if found is None:
            return self._unknown("snapshots")
        times = [file["mtime"] for file in found.values() if not file.get("directory")]
        if not times:
            return "wrong", "none on this node"
        if self.now is None:
            return "unknown", f"{len(times)}, age not known"
        age = max(0.0, self.now - max(times))
        return ("ok" if age <= _retention.DAY else "wrong"), f"{len(times)}, the newest {_retention.duration(age)} old"

    def _disk(self) -> Part:
        disk = self.entry.get("disk")
        if not disk or not disk.get("bytes"):
            return self._unknown("disk")
        share = disk["free"] / disk["bytes"]
        return ("ok" if share >= LEAST_FREE else "wrong"), f"{share:.0%} free"

    def _memory(self) -> Part:
        memory = self.entry.get("memory")
        if not memory or memory.get("available") is None:
            return self._unknown("memory")
        state = "ok" if memory["available"] >= LEAST_MEMORY else "wrong"
        return state, f"{memory['available'] / 1e9:.1f} GB available"

    def _member(self) -> JSON | None:
        """None where nothing of it is known; a term of 0 is one that nobody told."""
        if not self.server or not (self.server["member_id"] or self.server["members"]):
            return None
        mine = next((each for each in self.server["members"] if each["id"] == self.server["member_id"]), None)
        return {
            "id": self.server["member_id"],
            "role": None if mine is None else "learner" if mine["learner"] else "voter",
            "term": self.server["term"] or None,
            "index": self.server["index"] or None,
            "revision": self.server["revision"] or None,
            "leader": self.server["leader"] if self.server["gateway"] else None,
        }


COMPONENTS = (
    *("host", "clock", "unit", "system_agent", "etcd", "datastore", "api", "kubelet", "upgrade", "longhorn"),
    *("certificates", "snapshots", "disk", "memory"),
)
"""In the order in which they are drawn."""
STATES = {"soon": "ends soon", "foreign": "of another authority"}


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, ValueError, OSError):
        return None
