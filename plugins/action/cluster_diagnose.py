# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/cluster_diagnose.py for the documentation."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bundle,
    _diagnose,
    _diagnosis_html,
    _diagnosis_text,
    _harvester,
    _harvester_checks,
    _rules,
    _scan,
    _seen,
    _told,
)
from ansible_collections.requorum.cluster.plugins.plugin_utils import _inspected, _run_folder, _survey, _upkept
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction, display, now

FLEET = ("bundles", "deployed", "fleets", "charts")
"""Read wherever there is a Fleet, which a cluster of Rancher has too."""


class ActionModule(NodeAction):
    """Ask all rules of what INSPECT has read and of what the API says now."""

    VALID: t.ClassVar[tuple[str, ...]] = (
        *("cluster", "servers", "agents", "powered_off", "survivor", "output", "api", "rules"),
        *("record", "bundle", "upkeep", "prometheus"),
    )
    BUCKET = False
    """Whether the bucket is looked at for the rules."""

    def act(self) -> JSON:
        args = self._task.args
        rules = self.rules()
        state = self.seen(rules)
        diagnosis = self.diagnosis(state, rules)
        result: JSON = {"changed": False, "diagnosis": diagnosis}
        if args.get("upkeep"):
            result["upkeep"] = self._upkeep(state, diagnosis, self.shelf)
        display.display(result["upkeep"]["text"] if "upkeep" in result else _diagnosis_text.summary(diagnosis))
        result |= self.record(state, diagnosis) if args.get("record", True) else {}
        sentence = diagnosis["verdict"]["sentence"]
        return result | _told.of_look("inspect", True, sentence, result.get("requorum_run_dir"))

    @property
    def shelf(self) -> str:
        """The folder of the cluster's runs."""
        return _run_folder.shelf(os.path.abspath(self._task.args["output"]), self._task.args["cluster"])

    def rules(self) -> tuple[_rules.Rule, ...]:
        """Ours, and those of the site."""
        return _rules.load(*(Path(os.path.expanduser(folder)) for folder in self._task.args.get("rules") or ()))

    def seen(self, rules: t.Sequence[_rules.Rule]) -> JSON:
        """The state that rules are asked of."""
        args = self._task.args
        hosts: t.Mapping[str, t.Any] = self.vars["hostvars"]
        entries = _inspected.entries(hosts, [*args["servers"], *(args.get("agents") or ())])
        state = _seen.live(args["cluster"], entries, args["servers"], self._objects(entries), now())
        state["source"]["unread"] += _unread(hosts, entries)
        bucket = self.settings.get("requorum_s3_bucket")
        elsewhere = f"bucket {bucket}" if bucket and not self.BUCKET else ""
        connect = self.bucket if bucket and self.BUCKET else None
        state = _upkept.known(state, _upkept.backups(state, self.shelf, connect), elsewhere)
        if bundle := str(args.get("bundle") or ""):
            _bundle.write(os.path.abspath(os.path.expanduser(bundle)), state, _logs(hosts, entries))
        read = ((node, source, file, [text.encode()]) for node, source, file, text in _logs(hosts, entries))
        return _seen.with_logs(state, read, _scan.patterns(rules))

    def diagnosis(self, state: JSON, rules: t.Sequence[_rules.Rule]) -> JSON:
        """What they say, with this run's inventory in each command."""
        args = self._task.args
        powered_off = args.get("powered_off") or ()
        found = _diagnose.diagnose(state, rules, survivor=args.get("survivor") or "", powered_off=powered_off)
        return t.cast("JSON", self.typed(found))

    def _upkeep(self, state: JSON, diagnosis: JSON, shelf: str) -> JSON:
        found = _upkept.look(
            state,
            self.settings,
            shelf=shelf,
            connect=self.bucket if self.settings.get("requorum_s3_bucket") else None,
            parts=self._task.args["upkeep"],
            diagnosis=diagnosis,
            prometheus=os.path.expanduser(self._task.args.get("prometheus") or ""),
        )
        return t.cast("JSON", self.typed(found))

    def record(self, state: JSON, diagnosis: JSON) -> JSON:
        """What was seen and said, in the folder of this run."""
        folder = _run_folder.new_folder(os.path.abspath(self._task.args["output"]), self._task.args["cluster"])
        for name, document in (("state.json", state), ("diagnosis.json", diagnosis)):
            _run_folder.write(os.path.join(folder, name), document)
        with open(os.path.join(folder, "diagnosis.html"), "w", encoding="utf-8") as file:
            file.write(_diagnosis_html.render(diagnosis))
        return {"requorum_run_dir": folder}

    def _objects(self, entries: t.Sequence[JSON]) -> dict[str, list[JSON] | str | None]:
        """Objects that rules ask for, as far as this cluster is one that has them."""
        read = _survey.Reader(self, "inspect")
        names = [*_harvester_checks.needed(_harvester_checks.EVERY), "pods"]
        if self.settings.get("requorum_distro") == "harvester" or _harvester.rancher(entries):
            names = list(_harvester_checks.KINDS)
        elif isinstance(read.one("bundles"), list):
            names += FLEET
        return read.of(names)


def _unread(hosts: t.Mapping[str, t.Any], entries: t.Sequence[JSON]) -> list[JSON]:
    """Logs that INSPECT could not read, where it was to read any."""
    found = []
    for entry in entries:
        read = _inspected.part(hosts[entry["name"]], "logs")
        unread = read.get("unread") or {}
        if "requorum_logs" not in read and "msg" in read:
            unread = {"*": str(read["msg"])}  # it failed, which must not end INSPECT
        for source, why in unread.items():
            what = "logs" if source == "*" else f"log of {source}"
            found.append({"what": f"{entry['name']}: {what}", "why": why})
    return found


def _logs(hosts: t.Mapping[str, t.Any], entries: t.Sequence[JSON]) -> t.Iterator[tuple[str, str, str, str]]:
    """The tails that INSPECT has read of the hosts: node, source, file, text."""
    for entry in entries:
        for log in _inspected.part(hosts[entry["name"]], "logs").get("requorum_logs") or ():
            yield entry["name"], log["source"], log["file"], log["text"]
