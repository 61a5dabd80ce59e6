# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/fence_proof.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.plugin_utils import _peers
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """See from the survivor that no peer can vote any more."""

    VERBS = ("prove",)

    def do_prove(self) -> str:
        return _peers.prove(self, _peers.others(self))
