# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The files that all servers of a cluster have in common, out of the bootstrap data: contents, places, times.

Private keys are among them: what is made here goes to a server through standard input, and nowhere else.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import io
import json
import re
import tarfile
import typing as t
from dataclasses import dataclass, field

from ._bbolt import BadFile
from ._bootstrap import FILES, _opened

NEEDED = tuple(path for path in FILES.values() if path.startswith("server/tls/"))
"""Without any of these a start makes a new one, and the cluster falls apart."""


@dataclass(frozen=True)
class File:
    """One of them."""

    path: str
    """Below the data directory."""
    content: bytes = field(repr=False)
    time: int
    """Unix seconds: a file on disk that differs and is newer keeps a server from starting."""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def files(value: bytes, token: str) -> tuple[File, ...]:
    """All files in the value of a bootstrap key; BadFile when the token does not open it or something needed lacks."""
    try:
        entries = json.loads(_opened(value, token))
        found = tuple(
            File(path, base64.b64decode(entry["Content"]), _seconds(entry["Timestamp"]))
            for name, path in FILES.items()
            if (entry := entries.get(name)) and entry.get("Content")
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        found = ()  # no cause is named: it would show contents
    lacking = sorted(set(NEEDED) - {file.path for file in found})
    if lacking:
        raise BadFile(f"the bootstrap data do not hold {', '.join(lacking)}")
    return found


def _seconds(timestamp: str) -> int:
    """Go writes nanoseconds, which Python does not read; they are cut off."""
    return int(datetime.datetime.fromisoformat(re.sub(r"\.\d+", "", timestamp)).timestamp())


def archive(found: t.Iterable[File]) -> bytes:
    """A tar archive of them, to be unpacked in server/."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for file in found:
            about = tarfile.TarInfo(file.path.removeprefix("server/"))
            about.size, about.mtime = len(file.content), file.time
            about.mode = 0o644 if file.path.endswith(".crt") else 0o600
            tar.addfile(about, io.BytesIO(file.content))
    return out.getvalue()


def differing(found: t.Iterable[File], seen: t.Mapping[str, str]) -> list[str]:
    """Paths of those in tls/ that a server has otherwise, by the sha256 it says; what it lacks is no difference."""
    return sorted(
        file.path for file in found if file.path in NEEDED and seen.get(file.path, file.sha256) != file.sha256
    )
