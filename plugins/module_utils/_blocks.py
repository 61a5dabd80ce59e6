# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Blocks of text that a script on a node prints, one for each question; not all of them are answered."""

from __future__ import annotations

import json
import typing as t


class Blocks:
    """The blocks of one answer: `text(name)` is None for one that failed, hung or is not there; its reason is kept."""

    def __init__(self, out: str) -> None:
        self.blocks: dict[str, tuple[int, str]] = {}
        self.unread: dict[str, str] = {}
        name, lines = "", list[str]()
        for line in out.split("\n"):
            if line.startswith("@@ ") and line.count(" ") == 2 and line.split(" ")[2].isdigit():
                _mark, name, rc = line.split(" ")
                lines = []
                self.blocks[name] = (int(rc), "")
            elif name and line.startswith(" "):
                lines.append(line[1:])
                self.blocks[name] = (self.blocks[name][0], "\n".join(lines))

    def text(self, name: str) -> str | None:
        rc, text = self.blocks.get(name, (-1, "was not asked"))
        if rc == 0:
            return text
        if rc == 124 or "timed out" in text:
            self.unread[name] = "no answer before the deadline"
        else:
            self.unread[name] = text.strip().split("\n")[-1][:200] or f"exit code {rc}"
        return None

    def pairs(self, name: str) -> dict[str, str]:
        lines = (self.text(name) or "").split("\n")
        return dict(line.split("=", 1) for line in lines if "=" in line)


def loads(text: str | None) -> dict[str, t.Any] | None:
    """A JSON object, or None for anything else."""
    try:
        found = json.loads(text) if text else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
