# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callback that writes a run's timeline, line by line, while it happens."""

from __future__ import annotations

DOCUMENTATION = r"""
name: timeline
type: aggregate
short_description: Write the timeline of a recovery as JSON lines
version_added: 0.1.0
author: Requorum contributors
description:
  - Writes one JSON object per line and event, flushed at once, so that the file is the record of the run, its live
    progress, and what is left of it when the controller dies.
  - Without O(path), events are kept in memory until a task returns RV(ignore:requorum_run_dir) (in its result or as a
    fact); C(timeline.jsonl) is then written in that folder.
  - Every line has the keys C(t) (UTC), C(event) (V(run_start), V(play), V(task), V(result), V(action), V(wait) or
    V(stats)), C(phase), C(phase_name), C(node), C(task), C(status), C(seconds) and C(message). Actions and waits also
    have C(id), C(started), C(ended) and C(result); a result of calls to nodes has their number as C(trips).
  - Neither task arguments nor results are written. Of a result, only the message of a failure and the keys that the
    collection's own plugins return for this purpose are read; tokens, passwords and keys in them are masked.
requirements:
  - Enabled by C(callbacks_enabled = requorum.cluster.timeline) in C(ansible.cfg).
options:
  path:
    description:
      - File to write, or an existing folder in which C(timeline.jsonl) is written.
      - When it is not set, the folder of the run is used as soon as the run names it.
    type: path
    env:
      - name: REQUORUM_TIMELINE
    ini:
      - section: callback_requorum_timeline
        key: path
"""

EXAMPLES = r"""
callbacks: |
  # ansible.cfg
  [defaults]
  callbacks_enabled = requorum.cluster.timeline
"""

import os
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any

from ansible.plugins.callback import CallbackBase

from ansible_collections.requorum.cluster.plugins.module_utils import _timeline


class CallbackModule(CallbackBase):  # type: ignore[misc]  # ansible-core has no type hints
    """Record of a run as JSON lines."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "requorum.cluster.timeline"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._file: int | None = None
        self._broken = False
        self._early: deque[str] = deque(maxlen=10000)
        self._phase: int | None = None
        self._phase_name: str | None = None
        self._begun = time.monotonic()
        self._since: dict[str, float] = {}

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        if path := self.get_option("path"):
            self._open(path)

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._write("run_start", message=os.path.basename(str(getattr(playbook, "_file_name", ""))))

    def v2_playbook_on_play_start(self, play: Any) -> None:
        name = play.get_name().strip()
        self._phase, self._phase_name = _timeline.phase_of(name)
        self._write("play", message=name)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        self._write("task", task=task.get_name())

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        self._write("task", task=task.get_name())

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        self._since[host.get_name()] = time.monotonic()

    def v2_runner_on_ok(self, result: Any) -> None:
        self._result(result, "changed" if result.is_changed() else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._result(result, "failed")

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._result(result, "skipped")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._result(result, "unreachable")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        self._phase = self._phase_name = None
        seconds = round(time.monotonic() - self._begun, 3)
        for host in sorted(stats.processed):
            counts = stats.summarize(host)
            bad = "unreachable" if counts["unreachable"] else "failed" if counts["failures"] else None
            self._write(
                "stats",
                node=host,
                status=bad or ("changed" if counts["changed"] else "ok"),
                seconds=seconds,
                message=" ".join(f"{key}={value}" for key, value in counts.items()),
            )

    def _result(self, result: Any, status: str) -> None:
        node, task, data = result.host.get_name(), result.task.get_name(), result.result
        since = self._since.pop(node, None)
        if self._file is None and (folder := _timeline.run_dir(data)):
            self._open(folder, must_be_folder=True)
        for event in _timeline.reported(data, self._now(), self._phase, node, task):
            self._put(event)
        self._write(
            "result",
            node=node,
            task=task,
            status=status,
            message=_timeline.message_of(data, status),
            seconds=None if since is None else round(time.monotonic() - since, 3),
            **({"trips": trips} if (trips := _timeline.trips(data)) else {}),
        )

    def _write(self, event: str, **fields: Any) -> None:
        self._put(_timeline.make(event, self._now(), self._phase, phase_name=self._phase_name, **fields))

    def _put(self, event: _timeline.Event) -> None:
        text = _timeline.line(event)
        if self._file is None:
            self._early.append(text)
            return
        self._append(text)

    def _append(self, text: str) -> None:
        data = text.encode()
        try:
            while data and self._file is not None and not self._broken:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self._give_up(f"The timeline is no longer written: {error}.")

    def _open(self, path: str, must_be_folder: bool = False) -> None:
        if os.path.isdir(path):
            path = os.path.join(path, _timeline.FILE_NAME)
        elif must_be_folder or self._broken:
            return
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            self._give_up(f"The timeline cannot be written to {path}: {error}.")
            return
        while self._early:
            self._append(self._early.popleft())

    def _give_up(self, message: str) -> None:
        if not self._broken:
            self._broken = True
            self._display.warning(message)

    @staticmethod
    def _now() -> str:
        return _timeline.stamp(datetime.now(UTC))
