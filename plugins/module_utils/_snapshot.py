# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Prove a snapshot before anything is touched: is it whole, is it this cluster's, does the token at hand open it?

A snapshot is the db image followed by its sha256 (32 bytes). RKE2 and K3s check that sum only after they moved the old
datastore away, and the token only after they replaced it (facts/rke2.md 1.1, 1.2); so both are checked here first.
"""

from __future__ import annotations

import hashlib
import os
import typing as t
from dataclasses import dataclass

from . import _bbolt, _datastore

TRAILER = 32
REGISTRY, BOOTSTRAP = b"/registry/", b"/bootstrap/"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was wanted, what was seen."""

    name: str
    wanted: str
    observed: str
    ok: bool


@dataclass(frozen=True)
class Proof:
    """Outcome of `prove`. Nothing may go on unless `ok`."""

    checks: tuple[Check, ...]
    sha256: str
    """Of the whole file, trailer included; empty when it could not be read."""
    bytes: int
    datastore: _datastore.Datastore | None

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def faults(self) -> str:
        """What is wrong, for one sentence."""
        return "; ".join(f"{check.name}: {check.observed}" for check in self.checks if not check.ok)


def prove(path: str, *, token_hashes: t.Collection[str], member_ids: t.Collection[str]) -> Proof:
    """Read a snapshot file on the controller and judge it.

    token_hashes: first 12 hex digits of sha256(password) of every token at hand; one of them must be the name of the
    bootstrap key. member_ids: hexadecimal IDs of the cluster at hand; an empty collection leaves that check out.
    """
    try:
        return _prove(path, token_hashes, member_ids)
    except (OSError, _bbolt.BadFile) as error:
        return Proof((Check("structure", "an etcd snapshot", str(error), False),), "", 0, None)


def _prove(path: str, token_hashes: t.Collection[str], member_ids: t.Collection[str]) -> Proof:
    size = os.path.getsize(path)
    whole, image, trailer = _digests(path, size)
    checks = [
        Check(
            "sha256 trailer",
            trailer.hex()[:12],
            image[:12] if size % 512 == TRAILER else "the file has no trailer",
            size % 512 == TRAILER and trailer.hex() == image,
        )
    ]
    with open(path, "rb") as file:

        def read_many(ranges: list[_bbolt.Range]) -> list[bytes]:
            found = []
            for offset, length in ranges:
                file.seek(offset)
                found.append(file.read(length))
            return found

        length = size - TRAILER if size % 512 == TRAILER else size
        datastore = _bbolt.drive(_datastore.summary(length), read_many)
        checks.append(Check("structure", "an etcd datastore", f"revision {datastore.revision}", datastore.revision > 0))
        objects, keys = _content(length, read_many)
    checks.append(Check("content", "objects below /registry/", f"{objects} objects", objects > 0))
    ids = {member.id for member in datastore.members}
    if member_ids:
        checks.append(
            Check("cluster", f"a member of {_list(member_ids)}", _list(ids) or "no member", bool(ids & set(member_ids)))
        )
    checks.append(
        Check(
            "token",
            f"bootstrap key of {_list(token_hashes)}",
            _list(keys) or "no bootstrap key",
            bool(keys & set(token_hashes)),
        )
    )
    return Proof(tuple(checks), whole, size, datastore)


def _list(words: t.Collection[str]) -> str:
    return ", ".join(sorted(words))


def _digests(path: str, size: int) -> tuple[str, str, bytes]:
    """(sha256 of the file, sha256 of all but the trailer, trailer), in one pass and constant memory."""
    image, trailer, left = hashlib.sha256(), b"", size - TRAILER
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            image.update(chunk[: max(left, 0)])
            trailer += chunk[max(left, 0) :]
            left -= len(chunk)
    whole = image.copy()
    whole.update(trailer)
    return whole.hexdigest(), image.hexdigest(), trailer


def _content(size: int, read_many: t.Callable[[list[_bbolt.Range]], list[bytes]]) -> tuple[int, set[str]]:
    """(number of live objects, names of the bootstrap keys); a key that was deleted last does not count."""
    meta = _bbolt.drive(_bbolt.metas(size), read_many)
    top = _bbolt.drive(_bbolt.buckets(meta), read_many)
    live: dict[bytes, bool] = {}
    for item in _bbolt.scan(top["key"], meta, read_many):
        key = next((value for field, value in _datastore.protobuf(item.value) if field == 1), b"")
        if isinstance(key, bytes) and key.startswith((REGISTRY, BOOTSTRAP)):
            live[key] = len(item.key) != 18  # a deletion has an extra "t"
    names = {
        key[len(BOOTSTRAP) :].decode("ascii", "replace")
        for key, alive in live.items()
        if alive and key.startswith(BOOTSTRAP)
    }
    return sum(alive for key, alive in live.items() if key.startswith(REGISTRY)), names
