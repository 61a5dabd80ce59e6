# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/tls_rotate.py for the documentation."""

from __future__ import annotations

import json
import os
import time

from ansible_collections.requorum.cluster.plugins.module_utils import _look, _node, _shared, _tls
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _changes, _node_api, _proved
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import load, write

AGAIN = "Running the same command again is safe: it goes on from what it finds."


class ActionModule(PlanAction):
    """Make leaf certificates anew on a stopped server under the CAs of the datastore, and see that they are."""

    VALID = ("plan", "phase", "run_dir", "verbs", "tls")

    def act(self) -> JSON:
        self.VERBS = tuple(self._task.args["verbs"])  # the unit is stopped and started between them
        return super().act()

    def do_match(self) -> str:
        found = _proved.shared_files(self.settings, self.run_dir)
        wrong = _shared.differing(found, self._seen())
        mine = {action["verb"] for action in self.plan["actions"] if action["node"] == self.host}
        if wrong and "restore" not in mine:
            raise RequorumError(
                f"{self.host}: {', '.join(wrong)} are not those of the datastore.",
                "Nothing was stopped. rotate_certs.yml puts the datastore's back where the other servers have them; "
                "where no server has them, this snapshot is of another cluster: read docs/certificates.md.",
            )
        known = {
            file.path: {
                "sha256": file.sha256,
                "text": file.content.decode("utf-8", "replace") if file.path.endswith(".crt") else None,
            }
            for file in found
        }
        write(os.path.join(self.run_dir, "authorities.json"), known)
        return f"{len(_shared.NEEDED)} files compared, " + (
            f"{', '.join(wrong)} will be put right" if wrong else "alike"
        )

    def do_secret(self) -> str:
        """While the API answers here. A server that runs goes on with the certificate that it has."""
        path, api = os.path.join(self.run_dir, "secrets", "serving.json"), _node_api.on_host(self)
        try:
            name = f"{self.plan['distro']}-serving"
            there = _changes.let_go(api, _node_api.SECRET, name, path, "kube-system")
        except RequorumError as error:
            raise RequorumError(str(error), "Nothing was stopped.") from error
        return f"deleted; kept: {path}" if there else "there is none any more"

    def do_restore(self) -> str:
        return _proved.put(self, empty=False)

    def do_renew(self) -> str:
        need = self.plan["renew"][self.host]
        done = self.script(
            "tls_renew",
            timeout=120,
            STAMP=self.stamp,
            SERVICES=" ".join(need["services"]),
            FILES=" ".join(path for path in need["files"] if path.startswith("server/tls/")),
        )
        if done.rc != 0:
            raise RequorumError(f"{self.host}: its leaf certificates could not be taken away: {done.why}.", AGAIN)
        how = "certificate rotate" if _node.pairs(done.out).get("how") == "rotate" else "moved aside"
        kept = sorted(set(_node.moved_to(done.out)))
        return f"{how}; the start makes them anew; kept: {_few(kept)}"

    def do_refresh(self) -> str:
        before = self.must("tls_refresh", "the agent could not be looked at", AGAIN, timeout=30, RESTART="no")
        self.must("tls_refresh", "the agent could not be restarted", AGAIN, timeout=40, RESTART="yes")

        def probe() -> tuple[bool, str]:
            seen = _node.pairs(self.script("tls_refresh", timeout=20, RESTART="no").out)
            return seen.get("unit") == "active" and seen.get("run") != before.get("run"), f"unit {seen.get('unit')}"

        return self.wait("its unit to be active again", probe, seconds=self.timeout("start", 600), hint=AGAIN)

    def do_renewed(self) -> str:
        server = self.host not in self.plan["agents"]
        member = self._wait_for_voter() if server else ""
        read = self._task.args.get("tls") or {}
        node = json.loads(json.dumps(read.get("requorum_tls") or {}))
        known = load(self.run_dir, "authorities.json", None)
        found = [
            j for j in _tls.judge(node, known, now=time.time(), days=0) if j.path.startswith(("server/", "agent/"))
        ]
        wrong = [f"{j.path}: {j.why}" for j in found if j.state not in ("ok", "soon")]
        if wrong or not found:
            raise RequorumError(
                f"{self.host}: {'; '.join(wrong) or 'its certificates could not be read'}.",
                "No other server is stopped. See its log; " + AGAIN[0].lower() + AGAIN[1:],
            )
        leaves = sum(j.kind == "leaf" for j in found)
        return f"{member}{leaves} leaves chain and are in date" + (
            ", CAs and keys are the datastore's" if server else ""
        )

    def _wait_for_voter(self) -> str:
        def probe() -> tuple[bool, str]:
            look = _look.parse(self.script("look", timeout=20, READYZ="yes").out)
            voters = {member["id"] for member in look.members or () if not member["learner"]}
            return look.healthy and look.leader is not None and look.member_id in voters and look.ready, look.seen

        self.wait("it to be a voter of a healthy quorum again", probe, seconds=self.timeout("settle", 300), hint=AGAIN)
        return "voter, quorum healthy; "

    def _seen(self) -> dict[str, str]:
        done = self.script("authorities", timeout=30)
        if done.rc != 0:
            raise RequorumError(f"{self.host}: its CAs cannot be read: {done.why}.", "Nothing was stopped.")
        lines = (line.split(None, 1) for line in done.out.split("\n") if line.strip())
        return {f"server/{path.strip()}": digest for digest, path in lines}


def _few(paths: list[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "") or "nothing was there"
