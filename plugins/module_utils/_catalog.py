# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""All snapshots of a cluster in one table: on its nodes, on the controller, in S3; which can be restored, and why not.

What is judged here was read in a hurry and from afar. A snapshot that is chosen is proved as a whole before it is used.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import _messages, _s3, _versions
from ._classify import Refusal
from ._datastore import Datastore
from ._snapshot import Proof

Place = t.Literal["node", "controller", "s3"]
Trailer = t.Literal["right", "wrong", "absent", "unread"]
NEWEST = "newest"


@dataclass(frozen=True)
class Stored:
    """One snapshot where it lies."""

    place: Place
    host: str
    """Inventory name of the node, or bucket; empty on the controller."""
    path: str
    bytes: int
    time: int
    """When it was written, Unix seconds."""
    revision: int | None = None
    members: tuple[str, ...] = ()
    """Hexadecimal IDs."""
    bootstrap: tuple[str, ...] | None = None
    """Names of its bootstrap keys; None when they could not be read."""
    etcd: str = ""
    """Minor release of etcd that wrote it: 3.6; empty when it is not known."""
    trailer: Trailer = "unread"
    fault: str = ""

    @property
    def name(self) -> str:
        """How it is named in requorum_snapshot: /path, node:/path or s3://bucket/key."""
        if self.place == "s3":
            return f"s3://{self.host}/{self.path}"
        return f"{self.host}:{self.path}" if self.place == "node" else self.path


def parse(host: str, out: str) -> list[Stored]:
    """Read the lines of sh/snapshots.sh."""
    found: list[Stored] = []
    for key, equals, value in (line.partition("=") for line in out.split("\n")):
        if key == "file" and equals:
            size, time, path = value.split(" ", 2)
            found.append(Stored("node", host, path, int(size), int(time)))
        elif key == "trailer" and found:
            bootstrap = () if value == "right" else None
            found[-1] = replace(found[-1], trailer=t.cast(Trailer, value), bootstrap=bootstrap)
        elif key == "bootstrap" and found:
            found[-1] = replace(found[-1], bootstrap=(*(found[-1].bootstrap or ()), value))
    return found


def with_datastore(stored: Stored, datastore: Datastore) -> Stored:
    """What its pages say."""
    return replace(
        stored,
        revision=datastore.revision,
        members=tuple(member.id for member in datastore.members),
        etcd=datastore.etcd,
    )


def proved(stored: Stored, proof: Proof) -> Stored:
    """What a proof of the whole file says."""
    if proof.datastore is None:
        return replace(stored, fault=proof.faults)
    right = {check.name: check.ok for check in proof.checks}
    bad = [check for check in proof.checks if check.name in ("structure", "content") and not check.ok]
    wrong = "; ".join(f"{check.name}: {check.observed}" for check in bad)
    trailer: Trailer = "right" if right["sha256 trailer"] else "absent" if stored.bytes % 512 == 0 else "wrong"
    stored = with_datastore(replace(stored, trailer=trailer, fault=wrong), proof.datastore)
    return replace(stored, bootstrap=proof.bootstrap)


def from_s3(bucket: str, there: _s3.Stored) -> Stored:
    """What the metadata of an object say; RKE2 and K3s write the token's hash there, Requorum the revision too."""
    revision, etcd = there.metadata.get("requorum-revision", ""), there.metadata.get("requorum-etcd", "")
    return Stored(
        "s3",
        bucket,
        there.name,
        there.bytes,
        there.time,
        revision=int(revision) if revision.isdigit() else None,
        bootstrap=(there.token_hash,) if there.token_hash else None,
        etcd=etcd,
    )


@dataclass(frozen=True)
class Row:
    """A snapshot with its verdict."""

    stored: Stored
    verdict: t.Literal["usable", "unread", "unusable"]
    """unread: it may be named, and is judged when it was copied; `newest` does not take it."""
    why: str
    """What speaks against it, or what was seen."""


def table(found: t.Iterable[Stored], *, tokens: t.Collection[str], version: str, now: int) -> tuple[Row, ...]:
    """The usable ones first, then those that were not read; each group with the newest first.

    tokens: first 12 hex digits of sha256(password) of the tokens at hand. version: of the servers that shall restore.
    """
    order = ("usable", "unread", "unusable")
    rows = [Row(stored, *_judge(stored, tokens, version, now)) for stored in found]
    return tuple(sorted(rows, key=lambda row: (order.index(row.verdict), -row.stored.time, row.stored.name)))


def _judge(
    stored: Stored, tokens: t.Collection[str], version: str, now: int
) -> tuple[t.Literal["usable", "unread", "unusable"], str]:
    runs = _versions.etcd(version)
    if stored.fault:
        return "unusable", stored.fault
    if stored.path.endswith(".part"):
        return "unusable", "a transfer that did not end"
    if stored.trailer == "wrong":
        return "unusable", "its sha256 is wrong: it is damaged"
    if stored.trailer == "absent":
        return "unusable", "it has no sha256: RKE2 and K3s would refuse it after they moved the old datastore away"
    if stored.revision == 0:
        return "unusable", "it is empty"
    if stored.bootstrap is not None and not set(stored.bootstrap) & set(tokens):
        keys = ", ".join(stored.bootstrap) or "none"
        return "unusable", f"no token at hand opens it (its key is {keys})"
    if version and stored.etcd > runs:
        return "unusable", f"written by etcd {stored.etcd}, {version} has {runs}"
    if stored.revision is None and (stored.place != "s3" or stored.bootstrap is None):
        return "unread", "it is judged when it was copied: name it if it shall be"
    if stored.time > now + 300:
        return "usable", "its time lies in the future: look at the clock of the host that wrote it"
    return "usable", "the token opens it"


def choose(rows: t.Sequence[Row], word: str) -> Row | Refusal:
    """The snapshot that `requorum_snapshot` names: `newest`, or the name of one."""
    named = [row for row in rows if row.stored.name == word]
    usable = [row for row in rows if row.verdict == "usable"] if word == NEWEST else named
    if usable and usable[0].verdict != "unusable":
        return usable[0]
    if named:
        return Refusal(f"{word} cannot be used: {named[0].why}.", word, "Choose another one: playbooks/snapshots.yml.")
    if word != NEWEST:
        return _messages.refusal("snapshot-unknown", name=word)
    seen = "; ".join(f"{row.stored.name}: {row.why}" for row in rows[:3]) or "none was found"
    return _messages.refusal("snapshot-none", seen=seen)


def text(rows: t.Sequence[Row], now: int) -> str:
    """The table for a terminal."""
    if not rows:
        return "No snapshot was found on the nodes, on the controller or in S3."
    lines = []
    for row in rows:
        stored = row.stored
        age = max(0, now - stored.time)
        old = f"{age // 86400} d" if age >= 2 * 86400 else f"{age // 3600} h" if age >= 7200 else f"{age // 60} min"
        lines += [
            stored.name,
            f"    {row.verdict}: {row.why}; revision "
            f"{'unknown' if stored.revision is None else stored.revision}, {old} old, {stored.bytes} bytes",
        ]
    return "\n".join(lines)
