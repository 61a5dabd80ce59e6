# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What sh/tls.sh printed, as the document that `_tls.judge` takes."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import typing as t

from . import _state, _tls_files

JSON = dict[str, t.Any]
PATHS = "\n".join(dict.fromkeys(file.path for distro in ("rke2", "k3s") for file in _tls_files.files(distro)))
"""For the script: what either distribution may have."""
_P256, _POINT = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200"), 65
"""A public EC P-256 key begins with these bytes; the point, as long as that, is its end."""


def unread(name: str, why: str) -> JSON:
    """A node of which nothing is known."""
    return {"name": name, "error": why, "files": [], "clock_skew": None, "bootstrap": None}


def parse(name: str, out: str, *, received: float) -> JSON:
    """The document of a node that answered. received: the controller's clock when the answer came."""
    if not out.rstrip().endswith("\nend=yes"):
        return unread(name, "the answer of the node ends in the middle")
    said, offsets, sums = dict[str, str](), list[int](), dict[str, str]()
    rows, config, flags = list[tuple[str, list[str]]](), list[str](), list[str]()
    text = config
    for line in out.split("\n"):
        key, _equals, value = line.partition("=")
        if line.startswith(" "):
            text.append(line[1:])
        elif key == "file":
            text = []
            rows.append((value, text))
        elif key == "sum":
            digest, _blanks, path = value.partition("  ")
            sums[path] = digest
        elif key == "bootstrap" and value.isdigit():
            offsets.append(int(value))
        elif key == "san":
            flags.append(value)
        elif value:
            said[key] = value
    clock = said.get("clock", "")
    data = said["data_dir"].rstrip("/")
    return {
        "name": name,
        "error": None,
        "distro": said["distro"],
        "version": _state.version(said.get("version", "")),
        "data_dir": said["data_dir"],
        "server": said.get("server") == "yes",
        "names": {
            "node_name": said.get("node_name", ""),
            "address": _address(said.get("address", "")),
            "sans": _sans("\n".join(config), flags),
        },
        "clock_skew": round(float(clock) - received, 1) if clock.replace(".", "", 1).isdigit() else None,
        "files": [_row(words, lines, sums, data) for words, lines in rows],
        "offsets": offsets,
        "token_bytes": int(said.get("token_bytes") or 0),
        "bootstrap": None,
    }


def _row(words: str, lines: list[str], sums: t.Mapping[str, str], data: str) -> JSON:
    path, _blank, half = words.rpartition(" ")
    if path == _tls_files.DYNAMIC or path.startswith(_tls_files.CLUSTER):
        text = "".join(_decoded(line).decode("ascii", "replace") for line in lines)
    else:
        text = "".join(f"{line}\n" for line in lines)
    return {"path": path, "sha256": sums.get(f"{data}/{path}"), "key_id": _key_id(half), "text": text}


def _key_id(half: str) -> str | None:
    """SHA-256 of a public key; None where it is unknown, empty where there is no key."""
    if half == "absent":
        return ""
    if half.startswith("sha256:"):
        return half.partition(":")[2]
    point = _decoded(half)[-_POINT:]
    if len(point) != _POINT or point[0] != 4:
        return None
    return hashlib.sha256(_P256 + point).hexdigest()


def _decoded(line: str) -> bytes:
    try:
        return base64.b64decode(line, validate=True)
    except ValueError:
        return b""


def _sans(config: str, flags: t.Sequence[str]) -> list[str]:
    """The values of tls-san that are in force; none where a file with it cannot be read."""
    try:
        given = flags or _state.merged(config).get("tls-san") or []
    except ValueError:
        return []
    words = ",".join(map(str, given if isinstance(given, list) else [given])).split(",")
    return [_address(word.strip()) or word.strip() for word in words if word.strip()]


def _address(word: str) -> str:
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        return ""
