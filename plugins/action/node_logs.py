# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_logs.py for the documentation."""

from __future__ import annotations

import base64
import functools
import zlib

from ansible_collections.requorum.cluster.plugins.module_utils import _node, _timeline
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction

KIB, TOTAL, DEADLINE, WITHIN = 512, 4096, 30, 20


class ActionModule(NodeAction):
    """Bring the ends of the logs of a node here, in one call."""

    VALID = ("kib", "total_kib")

    @functools.cached_property
    def question(self) -> _node.Question:
        args = self._task.args
        each, total = int(args.get("kib") or KIB) << 10, int(args.get("total_kib") or TOTAL) << 10
        given = {"MARK": _node.new_mark(), "BYTES": str(each), "TOTAL": str(total), "WITHIN": str(WITHIN)}
        return _node.Question("tails", DEADLINE, {**given, "SIDE": self.side})

    def act(self) -> JSON:
        done = self.ask(self.question)
        if done.rc != 0:
            raise RequorumError(f"{self.host}: its logs cannot be read: {done.why}.", "Look at its disk.")
        return {"changed": False, **parted(done.out, self.question.variables["MARK"])}


def parted(text: str, mark: str) -> JSON:
    """What one answer of sh/tails.sh holds: the logs, masked, what is absent, and why others could not be read."""
    logs, unread, absent = list[JSON](), dict[str, str](), list[str]()
    whole, fault = _unpacked(text)
    parts = whole.decode("utf-8", "replace").split(f"\n{mark}")[1:]
    if not parts or parts[-1].strip() != ".":
        unread["*"] = fault or "there is more than is brought: what follows the last log was left out"
    for part in parts:
        head, _newline, body = part.partition("\n")
        source, _blank, rest = head[1:].lstrip().partition(" ")
        if head.startswith("!"):
            unread[source] = rest
        elif head.startswith("-"):
            absent.append(source)
        elif body.strip():
            logs.append({"source": source, "file": rest, "text": _timeline.mask(body)})
    return {"requorum_logs": logs, "unread": unread, "absent": sorted(set(absent))}


def _unpacked(text: str) -> tuple[bytes, str]:
    """As far as it came, and what is wrong with it."""
    try:
        data = base64.b64decode(text)
    except ValueError as error:
        return b"", f"the answer was cut off: {error}"
    if data[:2] != b"\x1f\x8b":
        return data, ""
    stream = zlib.decompressobj(wbits=31)
    try:
        whole = stream.decompress(data)
    except zlib.error as error:
        return b"", f"the answer was damaged: {error}"
    return whole, "" if stream.eof else "the answer was cut off"
