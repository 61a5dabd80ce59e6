# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/cluster_export.py for the documentation."""

from __future__ import annotations

import os
import time
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _export
from ansible_collections.requorum.cluster.plugins.plugin_utils import _exporter, _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import shelf


class ActionModule(NodeAction):
    """Write the objects of a cluster as files that can be applied."""

    VALID = ("cluster", "output", "folder", "snapshot", "api", "passphrase_file")

    def act(self) -> dict[str, t.Any]:
        args = self._task.args
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        folder = str(args.get("folder") or os.path.join(shelf(args["output"], args["cluster"]), stamp, "export"))
        api = _node_api.of(self) if args.get("api", True) else None
        if self._task.check_mode:
            return {"changed": True, "folder": folder}
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        done = _exporter.run(
            folder,
            cluster=str(args["cluster"]),
            api=api,
            snapshot=os.path.expanduser(str(args.get("snapshot") or "")),
            passphrase_file=str(args.get("passphrase_file") or ""),
            token=_exporter.token_of(str(self.settings.get("requorum_token_file") or "")),
            say=self.say,
        )
        for line in _export.summary(done):
            self.say(line)
        return {"changed": True, **done}
