# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/cluster_reset.py for the documentation."""

from __future__ import annotations

import os

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _datastore, _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _peers, _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import load, write

BACK = "Its old datastore lies beside the new one (paths in the report); running the same command again is safe."
UNTOUCHED = "The old datastore is where it was; running the same command again is safe."
KEPT = "The old datastore was not touched; find out what this program is, then run the same command again."


class ActionModule(PlanAction):
    """Make the survivor the only member of a new cluster with the old data, and look at what is then on disk."""

    VERBS = ("reset",)

    def do_reset(self) -> str:
        backup = load(self.run_dir, "backup.json", {"checks": [{"ok": False}]})
        source = load(self.run_dir, "restore.json", {"checks": [{"ok": False}]}) if self.plan["snapshot"] else backup
        if not all(check["ok"] for check in backup["checks"] + source["checks"]):
            raise RequorumError("The backup is not proved.", "Nothing was reset.")
        me = next(server for server in self.plan["servers"] if server["name"] == self.host)
        seconds = self.timeout("reset", 900)
        state = self.script("reset_state", timeout=30)
        before, had = set(_node.many(state.out, "old")), "store" in _node.pairs(state.out)
        restore = source["node_path"] if self.plan["method"] == "restore" else ""
        _peers.prove(self, _peers.others(self))
        done = self.script(
            "reset",
            timeout=120,
            stdin=self._token(source).encode(),
            STAMP=self.stamp,
            RESTORE=restore,
            REPLACED=me["cluster_id"] or "",
            LEAST=str(source["revision"] or ""),
            SECONDS_MAX=str(int(seconds)),
        )
        if done.rc != 0:
            raise RequorumError(f"{self.host}: the reset was not started: {done.why}.", "Nothing was reset.")

        def probe() -> tuple[bool, str]:
            nonlocal state
            state = self.script("reset_state", timeout=30, AWAIT="over")
            if state.rc != 0:
                return False, state.why
            unit = _node.pairs(state.out)
            last = (_node.many(state.out, "log") or ["no line yet"])[-1]
            over = unit.get("SubState") in ("exited", "dead", "failed")
            return over, last

        self.wait("the reset to end", probe, seconds=seconds + 30, hint=BACK)
        if "said" not in _node.pairs(state.out):  # the journal may get it a moment later than the unit ends
            again = self.script("reset_state", timeout=30)
            state = again if again.rc == 0 else state
        unit, log = _node.pairs(state.out), _node.many(state.out, "log")
        moved = sorted(set(_node.many(state.out, "old")) - before)
        write(os.path.join(self.run_dir, "reset.json"), {"node": self.host, "moved": moved})
        full = _node.pairs(self.script("reset_end", timeout=60, STAMP=self.stamp).out).get("full", "")
        said = unit.get("said") == "yes"
        if unit.get("Result") != "success" or unit.get("ExecMainStatus") != "0" or not said:
            raise RequorumError(
                f"{self.host}: the reset failed (result {unit.get('Result')}, exit code {unit.get('ExecMainStatus')}): "
                f"{(log or ['it has said nothing'])[-1].rstrip('.')}{full}.",
                # Without a snapshot it works in place, beside a copy; one of an earlier run may have moved it before.
                BACK if moved or state.rc != 0 or not restore or "attached" in done.out else UNTOUCHED,
            )
        if restore and had and "attached" not in done.out and not any("/etcd-old-" in path for path in moved):
            raise RequorumError(f"{self.host}: the reset says success, but it has not replaced the datastore.", KEPT)
        return self._observe(moved, "flag" in unit, source["revision"] or 0)

    def _token(self, source: JSON) -> str:
        """Through stdin only, and only where the node's own does not open what is restored."""
        me = next(server for server in self.plan["servers"] if server["name"] == self.host)
        keys = source.get("bootstrap") or [key for key in [self.plan["tokens"].get("key")] if key]
        if not keys or set(me["tokens"]) & set(keys):
            return ""
        return _shelf.opening(self.settings, self.run_dir, keys, (self.plan["snapshot"] or {}).get("name", ""))

    def _observe(self, moved: list[str], flag: bool, revision: int) -> str:
        """Exit code and message are not believed: the datastore on disk must have exactly one member, and what was
        restored.
        """
        path = self.must("db", "the new datastore was not found", BACK, timeout=30)
        try:
            store = _bbolt.drive(_datastore.summary(int(path["bytes"])), _node.read_many(self.node, path["path"]))
        except (_bbolt.BadFile, OSError) as error:
            raise RequorumError(f"{self.host}: the new datastore cannot be read: {error}.", BACK) from error
        if len(store.members) != 1 or not flag:
            raise RequorumError(
                f"{self.host}: the reset says success, but the datastore has {len(store.members)} members"
                + ("" if flag else " and there is no reset-flag")
                + ".",
                BACK,
            )
        if store.revision < revision:
            raise RequorumError(
                f"{self.host}: the reset says success, but the datastore is at revision {store.revision} instead of "
                f"{revision} or more: it has made an empty cluster.",
                f"Do not start it. {BACK}",
            )
        kept = ", ".join(moved) or "nothing was moved"
        return f"one member ({store.members[0].name}), revision {store.revision}; kept: {kept}"
