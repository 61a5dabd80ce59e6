# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/tls_info.py for the documentation."""

from __future__ import annotations

import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _node, _tls_read
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _held
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

JSON = dict[str, t.Any]


class ActionModule(NodeAction):
    """Read the certificates of a node, and the authorities that the datastore on it holds."""

    question = _node.Question("tls", 60, {"PATHS": _tls_read.PATHS})

    def act(self) -> JSON:
        done = self.ask(self.question)
        if done.rc != 0:
            return self._result(_tls_read.unread(self.host, f"its certificates cannot be read: {done.why}"))
        found = _tls_read.parse(self.host, done.out, received=done.came)
        at = _held.At.of(found)
        if not found["error"] and found["server"]:
            try:
                found["bootstrap"] = _held.bootstrap(self, at)
            except (_bbolt.BadFile, OSError, RequorumError) as error:
                found["bootstrap_unread"] = str(error)
        return self._result(found)

    def _result(self, found: JSON) -> JSON:
        return {"changed": False, "requorum_tls": {"bootstrap_unread": "", **found}}
