# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/snapshot_keep.py for the documentation."""

from __future__ import annotations

import os
import time
import typing as t

from ansible.utils.display import Display

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._keep import Keep
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

POLICY = ("last", "hours", "days", "weeks")


class ActionModule(NodeAction):
    """Put the snapshot of a backup run into S3, let old backups go, say how old the newest proved one is."""

    VALID = ("run_dir", *(f"keep_{name}" for name in POLICY), "max_age_s")

    def act(self) -> dict[str, t.Any]:
        keep = Keep(
            run_dir=os.path.abspath(str(self._task.args["run_dir"])),
            policy={name: self._number(f"keep_{name}") for name in POLICY},
            max_age_s=self._number("max_age_s"),
            now=time.time(),
            connect=self.bucket if self.settings.get("requorum_s3_bucket") else None,
            dry=bool(self._task.check_mode),
        )
        result = keep.act()
        for what in result["removed"]:
            Display().display(f"  {'would be removed' if keep.dry else 'removed'}: {what}")
        if result["stored"]:
            Display().display(f"  {'would be put' if keep.dry else 'put'} to {result['stored']}")
        Display().display(result["line"])
        return result

    def _number(self, name: str) -> int:
        given = self._task.args.get(name) or 0
        try:
            return int(given)
        except (TypeError, ValueError) as error:
            raise RequorumError(f"{name} is {given!r}.", "It is a whole number.") from error
