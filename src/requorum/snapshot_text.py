# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the brain found in datastores, in words: facts, the verdict with what to do, the loss."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _describe, _snapshot

from .output import Table

JSON = Mapping[str, Any]
Blocks = list[str | Table]
KINDS = {"zip": "a zip with a snapshot", "directory": "the datastore directory of a server"}
OPTIONS = {
    "token": "whether a token opens it (--token-file)",
    "cluster": "whose members it knows (--member)",
    "kube-system": "which cluster it is of (--system-uid)",
    "etcd": "whether the servers are new enough for it (--version)",
    "size": "whether it fits their quota (--quota)",
}
NEXT = {
    "sha256 trailer": "It was cut or damaged after it was written, or is a bare db that no server restores: take "
                      "another.",
    "structure": "It is damaged or no snapshot: fetch it again, or take another.",
    "content": "It is of no Kubernetes cluster that ever worked: take another.",
    "cluster": "It is of another cluster, or of the time before its last reset.",
    "kube-system": "It is of another cluster.",
    "token": "Give the token that the cluster had when it was taken; RKE2 sees a wrong one only when it has replaced "
             "the datastore.",
    "etcd": "Restore it with the release that wrote it.",
    "kubernetes": "Restore it with the release that wrote it.",
    "size": "Raise quota-backend-bytes before, or take one that was defragmented.",
}
CHURN = ("endpointslices", "events", "leases", "masterleases")
"""Written by controllers all the time: named last."""


def info(document: JSON, tokens: Collection[str]) -> Blocks:
    """tokens: the bootstrap keys that the given tokens would open."""
    kind = "a db file" if document["trailer"] == "absent" else "a snapshot"
    title = f"{document['path']}: {KINDS.get(document['kind'], kind)}, {size(document['bytes'])}"
    rows = [(name, text) for part in (_etcd, _kubernetes) for name, text in part(document)]
    rows += _bootstrap(document["bootstrap"], tokens)
    unread = {name: why for name, why in document["unread"].items() if name != "wal" or document["kind"] == "directory"}
    rows += [("unread", f"{name}: {why}") for name, why in unread.items()]
    blocks: Blocks = [title, f"sha256 {document['sha256']}", Table((), rows)]
    opened = document["bootstrap"]["opened"]
    if opened and opened["authorities"]:
        cas = [(_day(ca["ends"]), ca["path"], _short(ca["sha256"])) for ca in opened["authorities"]]
        blocks.append(Table(("ENDS", "CA", "SHA256 (FIRST HALF)"), cas))
    resources = [(str(r["count"]), str(r["bytes"]), r["name"]) for r in document["resources"]]
    blocks.append(Table(("KEYS", "BYTES", "RESOURCE"), resources, frozenset((0, 1))))
    return blocks


def _etcd(document: JSON) -> Iterator[tuple[str, str]]:
    etcd, structure, keys = document["etcd"], document["structure"], document["keys"]
    yield "trailer", document["trailer"]
    yield "revision", f"{etcd['revision']} (term {etcd['term']}, raft index {etcd['index']})"
    for member in etcd["members"]:
        learner = " (learner)" if member["learner"] else ""
        yield "member", f"{member['name']}{learner} {member['id']} {' '.join(member['peer_urls'])}"
    yield "conf state", f"voters {_value(etcd['voters'])}; learners {_value(etcd['learners'])}"
    yield "storage", f"etcd {etcd['storage_version'] or '3.5 or older'}"
    yield "cluster", f"etcd {etcd['cluster_version'] or 'unknown'}"
    under_way = f", under way to {etcd['compacting']}" if etcd["compacting"] > etcd["compacted"] else ""
    yield "compacted", f"to revision {etcd['compacted']}{under_way}"
    yield "alarms", _value(etcd["alarms"])
    yield "leases", "many" if etcd["leases"] is None else str(etcd["leases"])
    yield "auth", "on" if etcd["auth"] else "off"
    yield "keys", f"{keys['live']} live in {keys['revisions']} revisions, {size(keys['bytes'])}"
    used = structure["branch"] + structure["leaf"] + structure["overflow"]
    yield "pages", f"{structure['pages']} of {structure['page_size']} bytes: {used} used, {structure['free']} free"
    if wal := document["wal"]:
        torn = "; the last record is torn" if wal["torn"] else ""
        yield "wal", f"to index {wal['index']} (term {wal['term']}), {wal['newer']} after what the db holds{torn}"
        yield "identity", f"member {wal['member_id'] or 'unknown'} of cluster {wal['cluster_id'] or 'unknown'}"


def _kubernetes(document: JSON) -> Iterator[tuple[str, str]]:
    found = document["kubernetes"]
    yield "kubernetes", found["version"] or "unknown"
    yield "nodes", ", ".join(f"{node['name']} ({node['kubelet_version'] or '?'})" for node in found["nodes"]) or "none"
    yield "namespaces", ", ".join(found["namespaces"]) or "none"
    yield "kube-system", found["system_uid"] or "UID unknown"
    encrypted = [f"{count} revisions by {provider}" for provider, count in found["encrypted"].items()]
    yield "encrypted", ", ".join(encrypted) or "nothing"
    yield "newest object", _age(found["newest_object"])
    yield "newest lease", _age(found["newest_lease"])


def _bootstrap(bootstrap: JSON, tokens: Collection[str]) -> Iterator[tuple[str, str]]:
    yield "bootstrap", ", ".join(bootstrap["keys"]) or "no key"
    if bootstrap["advice"]:
        yield "advice", bootstrap["advice"]
    if tokens:
        opens = sorted(set(tokens) & set(bootstrap["keys"]))
        yield "token", f"opens {', '.join(opens)}" if opens else f"opens none: its key would be {', '.join(tokens)}"
    if opened := bootstrap["opened"]:
        yield "service key", f"sha256 {_short(opened['service_key_sha256']) or 'unknown'}"
        yield "providers", _value(opened["encryption_providers"])
        yield "encryption", _short(opened["encryption_hash"]) or "never set up"


def verdict(path: str, proof: _snapshot.Proof) -> Blocks:
    """One word first; then what was checked, what to do, and what was not checked."""
    revision = f", revision {proof.datastore.revision}" if proof.datastore else ""
    title = f"{'PROVED' if proof.ok else 'NOT PROVED'} ({proof.level}): {path}" + (
        f", {size(proof.bytes)}{revision}" if proof.bytes else ""
    )
    blocks: Blocks = [title, checks([asdict(check) for check in proof.checks])]
    if not proof.ok:
        steps = dict.fromkeys(NEXT[check.name] for check in proof.checks if not check.ok)
        blocks.append(Table((), [("next", step) for step in steps]))
    unasked = [text for name, text in OPTIONS.items() if all(check.name != name for check in proof.checks)]
    if proof.ok and proof.level == "quick":
        unasked.insert(0, "its pages and keys (--quick)")
    if proof.ok and unasked:
        blocks.append(f"Not checked: {'; '.join(unasked)}.")
    return blocks


def checks(made: Sequence[JSON]) -> Table:
    """What was looked at and seen."""
    rows = [
        ("ok", check["name"], check["observed"])
        if check["ok"]
        else ("FAILED", check["name"], f"{check['observed']}; wanted {check['wanted']}")
        for check in made
    ]
    return Table(("VERDICT", "CHECK", "SEEN"), rows)


def difference(document: JSON, *, every: bool) -> Blocks:
    """The loss as a sentence, then per resource, then per key if wanted."""
    kinds = sorted(document["kinds"], key=lambda kind: kind["resource"] in CHURN)
    blocks: Blocks = [_describe.loss(document, kinds)]
    if kinds:
        rows = [(*(str(kind[what]) for what in ("added", "changed", "removed")), kind["resource"]) for kind in kinds]
        blocks.append(Table(("ADDED", "CHANGED", "REMOVED", "RESOURCE"), rows, frozenset((0, 1, 2))))
    if every and kinds:
        keys = [(change["what"], change["created"] or "-", change["key"]) for change in document["changes"]]
        blocks.append(Table(("WHAT", "CREATED", "KEY"), keys))
    return blocks


def partly(encodings: Mapping[str, int]) -> str:
    """What stands in the way of whole objects; empty if nothing does."""
    reasons = {
        "protobuf": "stored as protobuf: only metadata are written, and kubectl refuses to apply them",
        "encrypted": "encrypted at rest",
        "other": "unreadable",
    }
    total = sum(encodings.values())
    return "; ".join(f"{encodings[name]} of {total} {text}" for name, text in reasons.items() if encodings.get(name))


def size(number: int) -> str:
    """Bytes, and in a unit that can be compared at a glance."""
    for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if number >= factor:
            return f"{number / factor:.1f} {unit} ({number} bytes)"
    return f"{number} bytes"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(entry)}" for name, entry in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "unknown" if value in (None, "") else str(value)


def _short(text: str) -> str:
    """With half of every sha256: enough to compare it by eye, and it fits into 80 columns."""
    return re.sub(r"(?<![0-9a-f])([0-9a-f]{32})[0-9a-f]{32}(?![0-9a-f])", r"\1", text)


def _day(moment: int | None) -> str:
    return "unknown" if moment is None else datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%F")


def _age(text: str | None) -> str:
    if text is None:
        return "unknown"
    seconds = (datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(text)).total_seconds()
    for unit, factor in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if abs(seconds) >= 2 * factor:
            return f"{text}, {abs(seconds) / factor:.0f} {unit} {'ago' if seconds > 0 else 'ahead of this clock'}"
    return text
