# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Prove a snapshot before anything is touched: is it whole, is it this cluster's, does the token at hand open it?

A snapshot is the db image followed by its sha256 (32 bytes). RKE2 and K3s check that sum only after they moved the old
datastore away, and the token only after they replaced it (facts/rke2.md 1.1, 1.2); so both are checked here first.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _bbolt, _contents, _datastore, _image, _structure, _versions


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was wanted, what was seen."""

    name: str
    wanted: str
    observed: str
    ok: bool


@dataclass(frozen=True)
class Wanted:
    """What the cluster at hand expects of a snapshot; what is not given is not checked.

    Level quick reads no keys: token, kube-system and the versions of the nodes are checked at level full only.
    """

    token_hashes: t.Collection[str] | None = None
    """First 12 hex digits of sha256(password) of every token at hand: one must name the bootstrap key."""
    member_ids: t.Collection[str] = ()
    """Hexadecimal."""
    system_uid: str = ""
    """UID of the namespace kube-system: it stays the same for as long as a cluster lives."""
    version: str = ""
    """Of the server that shall restore it: v1.34.3+rke2r1."""
    quota: int | None = None
    """quota-backend-bytes of that server."""


@dataclass(frozen=True)
class Proof:
    """Outcome of `prove`. Nothing may go on unless `ok`."""

    checks: tuple[Check, ...]
    sha256: str
    """Of the whole file, trailer included; empty when it could not be read."""
    bytes: int
    datastore: _datastore.Datastore | None
    level: t.Literal["quick", "full"] = "full"
    bootstrap: tuple[str, ...] = ()
    """Names of the bootstrap keys; read at level full only."""
    system_uid: str = ""
    """As `Wanted.system_uid`; empty where it could not be read."""
    kubernetes: str = ""
    """The newest version among its Nodes."""

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def faults(self) -> str:
        """What is wrong, for one sentence."""
        return "; ".join(f"{check.name}: {check.observed}" for check in self.checks if not check.ok)


def prove(path: str, wanted: Wanted, level: t.Literal["quick", "full"] = "full") -> Proof:
    """Read a snapshot on the controller and judge it.

    quick: trailer, metas, buckets, members. full: also every page of the structure and every key.
    """
    try:
        with _image.opened(path) as image:
            return _prove(image, wanted, level)
    except _bbolt.BadFile as error:
        return Proof((Check("structure", "an etcd snapshot", str(error), False),), "", 0, None, level)


def _prove(image: _image.Image, wanted: Wanted, level: t.Literal["quick", "full"]) -> Proof:
    """The sum first: of a file that was damaged it tells more than the page at which its reader stumbled."""
    inner, whole = image.digests()
    checks = [trailer(image, inner)]
    try:
        return _read(image, wanted, level, checks, whole)
    except _bbolt.BadFile as error:
        wrong = Check("structure", "an etcd snapshot", str(error), False)
        return Proof((*checks, wrong), whole, image.total, None, level)


def _read(
    image: _image.Image, wanted: Wanted, level: t.Literal["quick", "full"], checks: list[Check], whole: str
) -> Proof:
    datastore = _bbolt.drive(_datastore.summary(image.size), _bbolt.local(image.read_at))
    seen = f"revision {datastore.revision}"
    contents = _contents.Contents()
    if level == "full":
        found = _structure.check(image.read_at, image.size, contents.visit)
        seen += f", {found.branch + found.leaf + found.overflow} pages in order"
    checks.append(Check("structure", "an etcd datastore", seen, datastore.revision > 0))
    if level == "full":
        checks += _of_contents(contents, wanted)
    if wanted.member_ids:
        ids = {member.id for member in datastore.members}
        same = bool(ids & set(wanted.member_ids))
        checks.append(Check("cluster", f"a member of {_list(wanted.member_ids)}", _list(ids) or "no member", same))
    if wanted.version:
        checks.append(_etcd_version(datastore, wanted.version))
    if wanted.quota is not None:
        size = f"{image.size} bytes"
        checks.append(Check("size", f"less than the quota of {wanted.quota} bytes", size, image.size < wanted.quota))
    keys = tuple(sorted(contents.bootstrap))
    return Proof(tuple(checks), whole, image.total, datastore, level, keys, contents.system_uid, contents.version)


def trailer(image: _image.Image, digest: str) -> Check:
    """The sum at the end of a snapshot."""
    if image.trailer is None:
        return Check("sha256 trailer", digest[:12], "the file has no trailer", False)
    return Check("sha256 trailer", digest[:12], image.trailer.hex()[:12], image.trailer.hex() == digest)


def _of_contents(contents: _contents.Contents, wanted: Wanted) -> t.Iterator[Check]:
    uid = contents.system_uid
    yield Check(
        "content",
        "objects below /registry/, kube-system among them",
        f"{contents.revisions} revisions, {len(contents.namespaces)} namespaces, {len(contents.nodes)} nodes",
        contents.has_system,
    )
    if wanted.system_uid:
        seen = f"UID {uid}" if uid else "no UID could be read"
        yield Check("kube-system", f"UID {wanted.system_uid}", seen, wanted.system_uid == uid)
    if wanted.token_hashes is not None:
        keys = set(contents.bootstrap)
        yield Check(
            "token",
            f"bootstrap key of {_list(wanted.token_hashes) or 'no token at hand'}",
            _list(keys) or "no bootstrap key",
            bool(keys & set(wanted.token_hashes)),
        )
    if wanted.version and contents.version:
        yield Check(
            "kubernetes",
            f"not newer than {wanted.version}",
            f"written by servers up to {contents.version}",
            _versions.minor(contents.version) <= _versions.minor(wanted.version),
        )


def _etcd_version(datastore: _datastore.Datastore, version: str) -> Check:
    runs = _versions.etcd(version)
    seen = f"etcd {datastore.etcd}" if datastore.etcd else "no version, as etcd before 3.6 leaves it"
    return Check("etcd", f"no newer than etcd {runs} of {version}", seen, datastore.etcd <= runs)


def _list(words: t.Collection[str]) -> str:
    return ", ".join(sorted(words))
