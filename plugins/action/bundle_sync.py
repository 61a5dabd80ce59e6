# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/bundle_sync.py for the documentation."""

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._bundles import Bundle, Bundles
from ansible_collections.requorum.cluster.plugins.plugin_utils._changes import Changes
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction

NO_FLEET = "This cluster has no Fleet, so there is nothing to sync."


class ActionModule(NodeAction):
    """Bring bundles on until they are really synced."""

    VALID = ("bundles", "always", "cluster", "output")

    def act(self) -> JSON:
        args = self._task.args
        bundles = Bundles(_node_api.of(self))
        found = bundles.find(args.get("bundles") or (), always=boolean(args.get("always", False)))
        if found is None:
            self.say(NO_FLEET)
            return {"changed": False, "msg": NO_FLEET, "requorum_actions": [], "bundles": [], "saved": []}
        for bundle in found:
            self.say(_told(bundle))
        changes = Changes(args["output"], args["cluster"])
        try:
            self._refuse(found)
            done = self._plan(found) if self._task.check_mode else self._sync(bundles, found, changes)
        except RequorumError as error:  # what was done so far is part of the result
            return _result(found, changes.done, changes) | {"failed": True, "msg": f"{self.host}: {error}"}
        return _result(found, done, changes)

    def _sync(self, bundles: Bundles, found: t.Sequence[Bundle], changes: Changes) -> list[JSON]:
        seconds = float((self.settings.get("requorum_timeouts") or {}).get("sync", 600))
        for bundle in (bundle for bundle in found if bundle.steps):
            with self.acting("sync", f"Bring {bundle.seen.name} on until it is synced"):
                bundles.bring_on(bundle, changes, seconds=seconds, say=self.say)
            self.say(_told(bundle))
        return changes.done

    @staticmethod
    def _plan(found: t.Sequence[Bundle]) -> list[JSON]:
        return [step.document for bundle in found for step in bundle.steps]

    @staticmethod
    def _refuse(found: t.Sequence[Bundle]) -> None:
        """Before anything is changed: where helm would refuse, a force sync makes a working bundle a broken one."""
        for bundle in found:
            if bundle.seen.undeployed:
                raise bundle.stuck("cannot be synced, and nothing was changed")


def _told(bundle: Bundle) -> str:
    """One line of a bundle."""
    entry = bundle.document
    return f"{entry['bundle']}: {'synced' if entry['synced'] else entry['state']}" + (
        f"; {entry['why']}" if entry["why"] else ""
    )


def _result(found: t.Sequence[Bundle], done: list[JSON], changes: Changes) -> JSON:
    return {
        "changed": bool(done),
        "requorum_actions": done,
        "bundles": [bundle.document for bundle in found],
        "saved": changes.saved,
    }
