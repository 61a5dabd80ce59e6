# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_logs.py for the documentation."""

from __future__ import annotations

import base64
import gzip
import zlib

from ansible_collections.requorum.cluster.plugins.module_utils import _node, _timeline
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction

KIB, DEADLINE = 512, 30


class ActionModule(NodeAction):
    """Bring the ends of the logs of a node here, in one call."""

    VALID = ("kib",)

    def act(self) -> JSON:
        agent, mark = self.host in self.vars["groups"].get("agents", ()), _node.new_mark()
        size = int(self._task.args.get("kib") or KIB) << 10
        side = "agent" if agent else "server"
        done = self.script("tails", timeout=DEADLINE, MARK=mark, BYTES=str(size), SIDE=side)
        if done.rc != 0:
            raise RequorumError(f"{self.host}: its logs cannot be read: {done.why}.", "Look at its disk.")
        logs, unread = parted(done.out, mark)
        return {"changed": False, "requorum_logs": logs, "unread": unread}


def parted(text: str, mark: str) -> tuple[list[JSON], dict[str, str]]:
    """The logs of one answer of sh/tails.sh, masked, and why others could not be read."""
    try:
        data = base64.b64decode(text)
        whole = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except (ValueError, OSError, EOFError, zlib.error) as error:
        return [], {"*": f"the answer was cut off: {error}"}
    logs, unread = list[JSON](), dict[str, str]()
    for part in whole.decode("utf-8", "replace").split(f"\n{mark}")[1:]:
        head, _newline, body = part.partition("\n")
        source, _blank, rest = head.removeprefix("!").strip().partition(" ")
        if head.startswith("!"):
            unread[source] = rest
        elif body.strip():
            logs.append({"source": source, "file": rest, "text": _timeline.mask(body)})
    return logs, unread


