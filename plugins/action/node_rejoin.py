# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_rejoin.py for the documentation."""

from __future__ import annotations

import os

from ansible_collections.requorum.cluster.plugins.module_utils import _node
from ansible_collections.requorum.cluster.plugins.module_utils._classify import RESETS
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import load


class ActionModule(PlanAction):
    """Bring a host back as a new member: old data aside, pointed at the survivor, started without waiting."""

    VERBS = ("rejoin",)

    def do_rejoin(self) -> str:
        servers = {server["name"]: server for server in self.plan["servers"]}
        me, anchor = servers[self.host], self.anchor
        url = f"https://{anchor['address']}:{DISTROS[self.plan['distro']].supervisor_port}"
        foreign = me["authority"] is not None and me["authority"] != anchor["authority"]
        left = anchor if self.plan["case"] in RESETS else me
        replaced = left["cluster_id"] if left is anchor or me["cluster_id"] != anchor["cluster_id"] else ""
        # What START has put into place or rotated to counts before what the anchor had at INSPECT.
        keys = [load(self.run_dir, "token.json", {}).get("key") or next(iter(anchor["tokens"]), "")]
        token = b"" if set(me["tokens"]) & set(keys) else self._token(keys)
        done = self.script(
            "start",
            timeout=120,
            stdin=token,
            STAMP=self.stamp,
            ROLE="join",
            URL=url,
            REPLACED=replaced or "",
            TLS_ASIDE="yes" if foreign else "no",
        )
        if done.rc != 0:
            raise RequorumError(
                f"{self.host} could not be started as a joining server: {done.why}.",
                "Nothing is lost; run the same command again.",
            )
        moved = _node.moved_to(done.out)
        return f"started, joins {url}; kept: {', '.join(moved) or 'nothing was there'}"

    def _token(self, keys: list[str]) -> bytes:
        """The token of the cluster, out of a backup; it goes to the node through stdin only."""
        named = (self.plan["snapshot"] or {}).get("name", "")
        kept = os.path.join(self.run_dir, "backup", self.anchor["name"], "files.tar")
        found = _shelf.opening(self.settings, self.run_dir, keys, named)
        return (found or _shelf.token(self.settings) or _shelf.kept_token(kept)).encode()
