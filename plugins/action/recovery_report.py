# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/recovery_report.py for the documentation."""

from __future__ import annotations

import os
import typing as t

from ansible.utils.display import Display

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _report,
    _report_html,
    _report_text,
    _timeline,
    _told,
)
from ansible_collections.requorum.cluster.plugins.plugin_utils import _backups
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction, now
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import lines, load, recorded, write

FOUND = ("id", "severity", "node", "summary")


class ActionModule(NodeAction):
    """Write report.json and report.html out of what the run left in its folder, and show the summary."""

    VALID = ("run_dir", "final")

    def act(self) -> dict[str, t.Any]:
        folder = str(self._task.args["run_dir"])
        record = _report.Record(
            plan=load(folder, "plan.json", {}),
            before=load(folder, "state-before.json", {}),
            after=load(folder, "state-after.json", {}),
            actions=recorded(folder),
            backup=load(folder, "backup.json", {}),
            reset=load(folder, "reset.json", {}),
            checks=load(folder, "checks.json", []),
            missed=lines(os.path.join(folder, "machines.jsonl")),
            newest=self._newest(folder),
            events=_timeline.read(self._text(folder, "timeline.jsonl")),
            mode="check" if self._task.check_mode else "run",
            final=bool(self._task.args.get("final")),
            ended=now(),
        )
        report = _report.build(record)
        write(os.path.join(folder, "report.json"), report)
        write(os.path.join(folder, "report.html"), _report_html.render(report))
        Display().display(_report_text.summary(report, folder))
        verdict = {key: report["verdict"][key] for key in ("outcome", "sentence", "next")}
        told = _told.of_report(report, record.plan, folder, check=self._task.check_mode, final=record.final)
        failed = {"failed": True, "msg": verdict["sentence"]} if verdict["outcome"] == "failed" else {}
        found = [{key: each[key] for key in FOUND} for each in report["findings"]]
        return {"changed": False, **verdict, "findings": found, **failed, **told}

    @staticmethod
    def _newest(folder: str) -> dict[str, t.Any] | None:
        """What the end of a backup run has seen, in S3 too; else what is on the controller."""
        kept = _backups.read(folder, "keep.json")
        if kept:
            return t.cast("dict[str, t.Any] | None", kept.get("newest"))
        here = _backups.of_runs(os.path.dirname(os.path.abspath(folder)))
        return _backups.newest(_backups.of_cluster(here, _backups.read(folder, "plan.json").get("system_uid")))

    @staticmethod
    def _text(folder: str, name: str) -> str:
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""
