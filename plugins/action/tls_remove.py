# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/tls_remove.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.plugin_utils import _proved
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """Empty server/tls of a stopped server; the CAs of the datastore are back in it before anything is started."""

    VERBS = ("empty",)

    def do_empty(self) -> str:
        return _proved.put(self, empty=True)
