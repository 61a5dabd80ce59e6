# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""A snapshot in a bucket: whose it is, and the hashes that tell whether it is the same as a file.

RKE2 and K3s put a snapshot at `<folder>/<file name>`, its extra metadata at `<folder>/.metadata/<file name>`, and
cluster, node and token hash into the user metadata (k3s pkg/etcd/s3/s3.go). They too send parts of 16 MiB.
"""

from __future__ import annotations

import contextlib
import hashlib
import posixpath
import re
import typing as t
from dataclasses import dataclass, field
from datetime import UTC, datetime

PART = 16 << 20
BLOCK = 1 << 20
METADATA = ".metadata"
# Without user metadata (before 2024) the name is all there is; <base>-<node>-<unix>, and these are RKE2's own bases.
NAMED = re.compile(r"(?:etcd-snapshot|on-demand)-(?P<node>.+)-\d{10}(\.zip)?$")
TIME = re.compile(r"-(\d{10})(\.zip)?$")
OURS = re.compile(r"(?:^|/)(\d{8}T\d{6}Z)-[^/]+\.db$")
MAKER = re.compile(r"(requorum|rke2|k3s)-(cluster-id|node-name|token-hash)$")


@dataclass(frozen=True)
class Stored:
    """A snapshot in the bucket. `name` is its key below the folder."""

    name: str
    bytes: int
    modified: int
    etag: str
    sha256: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def time(self) -> int:
        """When it was made: RKE2 and Requorum write it into the name, which a copy does not change."""
        if named := TIME.search(self.name):
            return int(named[1])
        if named := OURS.search(self.name):
            with contextlib.suppress(ValueError):
                return int(datetime.strptime(named[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
        return self.modified

    @property
    def maker(self) -> str | None:
        """rke2, k3s or requorum, where it can be told."""
        marks = [mark[1] for key in self.metadata if (mark := MAKER.match(key))]
        return marks[0] if marks else None

    @property
    def cluster(self) -> str | None:
        """UID of the namespace kube-system."""
        return self._said("cluster-id")

    @property
    def token_hash(self) -> str | None:
        """First 12 digits of the sha256 of the token's password, as in the name of the bootstrap key."""
        return self._said("token-hash")

    @property
    def node(self) -> str | None:
        """The server whose datastore it is."""
        named = NAMED.match(posixpath.basename(self.name))
        return self._said("node-name") or (named["node"] if named else None)

    def _said(self, what: str) -> str | None:
        return next((value for key, value in self.metadata.items() if MAKER.match(key) and key.endswith(what)), None)


@dataclass(frozen=True)
class Sums:
    """Hashes of a file, one pass."""

    size: int
    sha256: str
    parts: tuple[str, ...]
    """MD5 of every 16 MiB, hexadecimal."""

    @classmethod
    def of(cls, file: t.IO[bytes]) -> Sums:
        whole, parts, size = hashlib.sha256(), list[str](), 0
        file.seek(0)
        while True:
            part = hashlib.md5(usedforsecurity=False)
            end = size + PART
            while size < end and (block := file.read(min(BLOCK, end - size))):
                whole.update(block)
                part.update(block)
                size += len(block)
            if size > end - PART:
                parts.append(part.hexdigest())
            if size < end:
                return cls(size, whole.hexdigest(), tuple(parts))

    def fits(self, etag: str) -> bool:
        """Whether an ETag shows this content: sent in parts of 16 MiB, or all at once when it is no larger."""
        joined = hashlib.md5(b"".join(map(bytes.fromhex, self.parts)), usedforsecurity=False).hexdigest()
        return etag == f"{joined}-{len(self.parts)}" or (etag,) == self.parts

    def begin(self, parts: t.Mapping[int, str]) -> bool:
        """Whether an unfinished upload, number of a part -> ETag, is of this content; without parts it may be any."""
        return bool(parts) and all(n <= len(self.parts) and etag == self.parts[n - 1] for n, etag in parts.items())
