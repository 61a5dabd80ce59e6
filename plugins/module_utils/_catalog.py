# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""All snapshots of a cluster in one table: on its nodes, on the controller, in S3; which can be restored, and why not.

What is judged here was read in a hurry and from afar. A snapshot that is chosen is proved as a whole before it is used.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import _image, _messages, _s3, _versions
from ._classify import Refusal
from ._datastore import Datastore
from ._snapshot import Proof

Place = t.Literal["node", "controller", "s3"]
Trailer = t.Literal["right", "wrong", "absent", "unread"]
NEWEST = "newest"
OPENS = "the token opens it"


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
    system_uid: str = ""
    """Of the namespace kube-system; empty when it is not known."""
    kubernetes: str = ""
    """The newest version among its Nodes; empty when it is not known."""

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
    right = {check.name: check.ok for check in proof.checks}
    if proof.datastore is None:
        if proof.bytes % 512 == _image.TRAILER and not right["sha256 trailer"]:
            return replace(stored, trailer="wrong")
        observed = proof.checks[-1].observed
        return replace(stored, fault=f"it is damaged, cut or no snapshot ({observed})")
    bad = [check for check in proof.checks if check.name in ("structure", "content") and not check.ok]
    wrong = "; ".join(f"no cluster worked with it ({check.observed})" for check in bad)
    trailer: Trailer = "right" if right["sha256 trailer"] else "absent" if proof.bytes % 512 == 0 else "wrong"
    stored = with_datastore(replace(stored, trailer=trailer, fault=wrong), proof.datastore)
    return replace(stored, bootstrap=proof.bootstrap, system_uid=proof.system_uid, kubernetes=proof.kubernetes)


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
    refusal: Refusal | None = None
    """The same for the person who names it, where it is unusable."""


def table(
    found: t.Iterable[Stored], *, tokens: t.Collection[str], version: str, now: int, system_uid: str = ""
) -> tuple[Row, ...]:
    """The usable ones first, then those that were not read; each group with the newest first.

    tokens: first 12 hex digits of sha256(password) of the tokens at hand. version: of the servers that shall restore.
    system_uid: that of this cluster, where it is known.
    """
    order = ("usable", "unread", "unusable")
    rows = [_judge(stored, tokens, version, now, system_uid) for stored in found]
    return tuple(sorted(rows, key=lambda row: (order.index(row.verdict), -row.stored.time, row.stored.name)))


def _judge(stored: Stored, tokens: t.Collection[str], version: str, now: int, system_uid: str) -> Row:
    if wrong := _wrong(stored, tokens, version, system_uid):
        why = wrong.what.removeprefix(f"{stored.name} cannot be used: ").removesuffix(".")
        return Row(stored, "unusable", why, wrong)
    if stored.revision is None and (stored.place != "s3" or stored.bootstrap is None):
        return Row(stored, "unread", "it is judged when it was copied: name it if it shall be")
    if stored.time > now + 300:
        return Row(stored, "usable", "its time lies in the future: look at the clock of the host that wrote it")
    if stored.kubernetes and version and _versions.minor(stored.kubernetes) < _versions.minor(version):
        return Row(stored, "usable", f"it is of {stored.kubernetes}: {version} has lost APIs since, and their objects")
    return Row(stored, "usable", OPENS)


def _wrong(stored: Stored, tokens: t.Collection[str], version: str, system_uid: str) -> Refusal | None:
    """What forbids its restore; the first reason."""
    name, runs = stored.name, _versions.etcd(version)
    if stored.path.endswith(".part"):
        return _messages.refusal("snapshot-part", name=name)
    if stored.fault:
        return _messages.refusal("snapshot-unsound", name=name, fault=stored.fault)
    if stored.trailer == "wrong":
        return _messages.refusal("snapshot-damaged", name=name)
    if stored.trailer == "absent":
        return _messages.refusal("snapshot-bare", name=name)
    if stored.revision == 0:
        return _messages.refusal("snapshot-unsound", name=name, fault="it is empty")
    if system_uid and stored.system_uid not in ("", system_uid):
        return _messages.refusal("snapshot-foreign", name=name, uid=stored.system_uid, here=system_uid)
    if stored.bootstrap is not None and not set(stored.bootstrap) & set(tokens):
        return _messages.refusal("snapshot-token", name=name, keys=", ".join(stored.bootstrap) or "none")
    if version and stored.etcd > runs:
        return _messages.refusal("snapshot-etcd", name=name, etcd=stored.etcd, version=version, runs=runs)
    if version and _versions.minor(stored.kubernetes) > _versions.minor(version):
        return _messages.refusal("snapshot-kubernetes", name=name, kubernetes=stored.kubernetes, version=version)
    return None


def choose(rows: t.Sequence[Row], word: str) -> Row | Refusal:
    """The snapshot that `requorum_snapshot` names: `newest`, or the name of one."""
    named = [row for row in rows if row.stored.name == word]
    usable = [row for row in rows if row.verdict == "usable"] if word == NEWEST else named
    if usable and usable[0].verdict != "unusable":
        return usable[0]
    if named and named[0].refusal:
        return named[0].refusal
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
