# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What sh/tls.sh printed, as the document that `_tls.judge` takes."""

from __future__ import annotations

import ipaddress
import typing as t

from . import _state, _tls_files

JSON = dict[str, t.Any]
PATHS = "\n".join(dict.fromkeys(file.path for distro in ("rke2", "k3s") for file in _tls_files.files(distro)))
"""For the script: what either distribution may have."""


def unread(name: str, why: str) -> JSON:
    """A node of which nothing is known."""
    return {"name": name, "error": why, "files": [], "clock_skew": None, "bootstrap": None}


def parse(name: str, out: str, *, received: float) -> JSON:
    """The document of a node that answered. received: the controller's clock when the answer came."""
    if not out.rstrip().endswith("\nend=yes"):
        return unread(name, "the answer of the node ends in the middle")
    said, files, offsets = dict[str, str](), list[JSON](), list[int]()
    for line in out.split("\n"):
        key, _equals, value = line.partition("=")
        if line.startswith(" "):
            if files:
                files[-1]["text"] += line[1:] + "\n"
        elif key == "file":
            files.append(_row(value))
        elif key == "bootstrap" and value.isdigit():
            offsets.append(int(value))
        elif value:
            said[key] = value
    clock = said.get("clock", "")
    return {
        "name": name,
        "error": None,
        "distro": said["distro"],
        "version": _state.version(said.get("version", "")),
        "data_dir": said["data_dir"],
        "server": said.get("server") == "yes",
        "names": {"node_name": said.get("node_name", ""), "address": _address(said.get("address", ""))},
        "clock_skew": round(float(clock) - received, 1) if clock.replace(".", "", 1).isdigit() else None,
        "files": files,
        "offsets": offsets,
        "token_bytes": int(said.get("token_bytes") or 0),
        "bootstrap": None,
    }


def _row(words: str) -> JSON:
    path, sha256, key_id = words.rsplit(" ", 2)
    return {
        "path": path,
        "sha256": None if sha256 == "-" else sha256,
        "key_id": {"-": None, "absent": ""}.get(key_id, key_id),
        "text": "",
    }


def _address(word: str) -> str:
    try:
        return str(ipaddress.ip_address(word))
    except ValueError:
        return ""
