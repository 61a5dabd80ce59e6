# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/ca_rotate.py for the documentation."""

from __future__ import annotations

import os
import time

from ansible_collections.requorum.cluster.plugins.module_utils import _cas, _node, _shared, _x509
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _held, _proved
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import load, write

AGAIN = "No server was restarted. Run the same command again: it makes CAs only while the datastore has the old ones."
SAVED_S = 60
"""etcd writes its file every 100 ms; the rest is for slow disks."""
LOST_S = 5
"""An answer that was lost may have been a yes."""


class ActionModule(PlanAction):
    """Make new CAs on the controller, give them to a server, and let its program put them into the datastore."""

    VERBS = ("issue", "swap")

    def do_issue(self) -> str:
        held = {file.path: file for file in _proved.shared_files(self.settings, self.run_dir)}
        made: list[_shared.File] = []
        for one in (_cas.Successor(**fields) for fields in self.plan["successors"]):
            if held[one.path].sha256 != one.sha256:
                raise RequorumError(f"{one.path} has changed since the plan was made.", "Run the same command again.")
            new = _cas.issue(one, held[one.path].content, held[one.key_path].content)
            made += (
                _shared.File(path, content, int(time.time()))
                for path, content in zip((one.path, one.key_path), new, strict=True)
            )
        done = self.script("ca_put", timeout=60, stdin=_shared.archive(made), STAMP=self.stamp)
        if done.rc != 0:
            raise RequorumError(f"{self.host}: the new CAs could not be laid down: {done.why}.", AGAIN)
        write(os.path.join(self.run_dir, "successors.json"), {file.path: file.sha256 for file in made})
        return f"{len(made) // 2} CAs with their keys are in {_node.pairs(done.out)['placed']}"

    def do_swap(self) -> str:
        wanted: dict[str, str] = load(self.run_dir, "successors.json", {})
        before = _hashes(_held.look(self))
        done = self.script("ca_swap", timeout=120, STAMP=self.stamp)
        said = "; ".join(_node.many(done.out, "said")) or done.why
        after: JSON = {}

        def probe() -> tuple[bool, str]:
            after.update(_held.look(self))
            return _hashes(after) != before, f"{len(wanted)} old files, as before"

        seconds = SAVED_S if done.rc == 0 else LOST_S
        what = f"the datastore to hold the new CAs (certificate rotate-ca said: {said})"
        self.wait(what, probe, seconds=seconds, hint=AGAIN)
        changed = {path: sha256 for path, sha256 in _hashes(after).items() if before.get(path) != sha256}
        if changed != wanted:
            other = ", ".join(sorted(set(changed) ^ set(wanted))) or "with another content"
            raise RequorumError(
                f"{self.host}: the datastore holds other files than those that were given to it: {other}.",
                "Do not restart a server. Put the old ones of this run's BACKUP back by rotate-ca --force.",
            )
        write(os.path.join(self.run_dir, "authorities.json"), after["authorities"])
        pin = _x509.pin(after["authorities"]["server/tls/server-ca.crt"]["text"].encode())
        return f"{said}; {len(changed)} files of the datastore changed; the CA hash of tokens is {pin} now"


def _hashes(found: JSON) -> dict[str, str]:
    return {path: str(file["sha256"]) for path, file in found["authorities"].items()}
