# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/node_revert.py for the documentation."""

from __future__ import annotations

import os

from ansible_collections.requorum.cluster.plugins.module_utils import _look, _node, _rollback
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


class ActionModule(PlanAction):
    """Put back what a run moved aside; the unit is stopped for it and is then as it was before that run."""

    VERBS = ("revert",)

    def do_revert(self) -> str:
        back = next(item for item in self.plan["back"] if item["node"] == self.host)
        done = self.script(
            "revert",
            timeout=300,
            stdin="".join(f"{item['origin']}|{item['kept']}\n" for item in back["moved"]).encode(),
            STAMP=self.stamp,
            AGENT_ROLE="yes" if self.host in self.plan["agents"] else "no",
            START="yes" if back["start"] else "no",
            STORE=back["store"],
            SUMS="yes" if self._store else "no",
        )
        if done.rc != 0:
            raise RequorumError(
                f"{self.host}: not everything was put back: {done.why}.",
                "What was put back, and what lay there before, stands in /var/lib/rancher/requorum/journal-closed of "
                "the node. Run the same command again; it goes on from there.",
            )
        if any((action["node"], action["verb"]) == (self.host, "serve") for action in self.plan["actions"]):
            self._active()
        undone = [entry.split("|")[0] for entry in _node.many(done.out, "undone")]
        kept = _node.moved_to(done.out)
        gone = [f"{path} is gone" for path in _node.many(done.out, "gone")]
        said = ", ".join([*undone, *gone]) or "nothing"
        unit = _node.pairs(done.out).get("unit")
        proof, differs = self._proof(done.out)
        text = f"put back: {said}; {proof}unit {unit}; kept: {', '.join(kept) or 'nothing lay there'}"
        return f"warning: {text}" if differs else text

    def _proof(self, out: str) -> tuple[str, bool]:
        """By hashes: the datastore is the one that the run had stopped, files are those in the backup of that run."""
        words = ["datastore bit by bit as before"] if _node.many(out, "store") else []
        archive = os.path.join(os.path.dirname(self.run_dir), self.plan["undoes"], "backup", self.host, "files.tar")
        now = {path: digest for digest, path in (line.split("  ", 1) for line in _node.many(out, "sum"))}
        kept = {path: found for path, found in _shelf.hashes(archive).items() if _rollback.in_scope(path, self._store)}
        same, differ = _rollback.compared(kept, now) if now and kept else (0, [])
        words += [f"{same} certificates, credentials and files of configuration as before"] if same else []
        words += [f"not as before: {', '.join(differ)}"] if differ else []
        return "".join(f"{word}; " for word in words), bool(differ)

    @property
    def _store(self) -> str:
        """Folder of the datastore that this node gets back, or loses."""
        back = next(item for item in self.plan["back"] if item["node"] == self.host)
        return next((i["origin"] for i in back["moved"] if i["origin"].endswith("/db/etcd")), "")

    def _active(self) -> None:
        """RKE2's API server of before goes on while its unit starts, and is replaced before the unit is active."""

        def probe() -> tuple[bool, str]:
            look = _look.parse(self.script("look", timeout=20).out)
            return look.unit == "active", look.seen

        self.wait(
            "its unit to be active",
            probe,
            seconds=self.timeout("start", 600),
            hint=f"See journalctl -u on {self.host}; running the same command again is safe.",
        )
