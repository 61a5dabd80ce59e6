# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/cluster_precheck.py for the documentation."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from ansible_collections.requorum.cluster.plugins.action import cluster_diagnose
from ansible_collections.requorum.cluster.plugins.module_utils import (
    _diagnosis_text,
    _harvester,
    _hops,
    _precheck,
    _target,
    _told,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _release_server
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, display


class ActionModule(cluster_diagnose.ActionModule):
    """The diagnosis, of the items of an upgrade alone."""

    VALID = (
        *("cluster", "servers", "agents", "powered_off", "output", "api", "rules", "record"),
        *("to", "releases", "iso_url", "iso_checksum", "iso_hash", "seen_to"),
    )
    BUCKET = True

    def act(self) -> JSON:
        args, target = self._task.args, None
        wish = self._wish() if args.get("to") else None
        rules = tuple(rule for rule in self.rules() if rule.id not in (args.get("seen_to") or ()))
        state = self.seen(rules)
        if state["distro"] and not _harvester.known(state):
            raise RequorumError(
                f"{args['cluster']} is no Harvester: no host that answers has /etc/harvester-release.yaml.",
                "requorum inspect -i INV says of any cluster what is wrong with it.",
            )
        if wish:
            target, unread = _release_server.ask(self, state, wish)
            state = {**state, "target": target, "unread": {**state["unread"], **unread}}
        checked = self.typed(_precheck.document(self.diagnosis(state, rules), rules, target))
        display.display(_diagnosis_text.summary(checked))
        verdict = checked["precheck"]["verdict"]
        result = {"changed": False, "precheck": checked, "ready": verdict == _precheck.READY, "target": target}
        result |= self.record(state, checked) if args.get("record", True) else {}
        sentence = checked["verdict"]["sentence"]
        return result | _told.of_look("precheck", result["ready"], sentence, result.get("requorum_run_dir"))

    def _wish(self) -> _target.Wish:
        args = self._task.args
        path = os.path.abspath(os.path.expanduser(args["releases"])) if args.get("releases") else ""
        if path:
            _hops.load(Path(path))  # its faults are told before anything is asked
        words = (str(args.get(name) or "") for name in ("to", "iso_url", "iso_checksum"))
        return replace(_target.Wish.of(*words, hash=bool(args.get("iso_hash"))), releases=path)
