# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_release.py for the documentation."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """Undo what fencing and joining needed."""

    VERBS = ("release",)

    def do_release(self) -> str:
        off = any(back["node"] == self.host and back["off"] for back in self.plan.get("back") or ())
        enable = "never" if off else "yes" if self.plan["enable"] else "no"
        after = self.must(
            "release",
            "drop-in and unit could not be put back",
            "Run the same command again.",
            timeout=60,
            STAMP=self.stamp,
            ENABLE=enable,
        )
        why = "stays: the host's own configuration has the token of another cluster; put it right, then take this away"
        kept = f"{after['kept']} {why}" if "kept" in after else "drop-in gone"
        return f"unit {after.get('enabled')}, {kept}"
