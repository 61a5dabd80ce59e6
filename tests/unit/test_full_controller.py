# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The disk of the controller is full: nothing is begun that cannot be recorded, and it is said what to do."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_action, _run_folder
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction

ACTION = {"id": "4.1", "phase": 4, "node": "r1", "verb": "fence", "what": "Take it away", "turn": ""}
SAID = r"{} on the controller cannot be written: No space left on device\. Make room there.*run the same command again"


class Acting(PlanAction):
    """A host that does what it is told, or raises."""

    def __init__(self, folder: Path, raises: Exception | None = None) -> None:
        self.host, self.run_dir, self.plan = "r1", str(folder), {"phases": [0] * 9}
        self.raises = raises
        self.did: list[str] = []

    def do_fence(self) -> str:
        self.did.append("fence")
        if self.raises:
            raise self.raises
        return "done"

    def blocks(self, _path: str, _size: int) -> Iterator[bytes]:
        yield b"bytes"

    def execute(self) -> list[dict[str, Any]]:
        return list(self._execute([ACTION]))


def no_room() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_nothing_is_begun_that_could_not_be_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def __init__(self, **_options: Any) -> None:
            raise no_room()

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    host = Acting(tmp_path)
    [refused] = host.execute()
    assert refused["result"].startswith(f"failed: {tmp_path} on the controller cannot be written: No space left")
    assert not host.did
    # Little room is enough for the record of it, so that no other host goes on once somebody has made more.
    monkeypatch.undo()
    other = Acting(tmp_path)
    assert other.execute() == [] and not other.did


def test_an_action_that_finds_no_room_fails_with_what_to_do(tmp_path: Path) -> None:
    failed = Acting(tmp_path, no_room()).execute()[0]["result"]
    assert failed.startswith(f"failed: {tmp_path} on the controller cannot be written: No space left on device. Make")
    assert _run_folder.has_failed(str(tmp_path))
    failed = Acting(tmp_path / "other", OSError(errno.ECONNRESET, "reset"))
    (tmp_path / "other").mkdir()
    assert failed.execute()[0]["result"].startswith("failed: ConnectionResetError: ")


def test_a_node_that_cannot_be_read_is_not_taken_for_a_controller_without_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no channel of ssh of its own, as where sudo asks for a password."""

    def unread(_node: Any, path: str) -> Any:
        def read(_requests: Any) -> list[bytes]:
            raise OSError(f"{path} cannot be read: no answer before the deadline")

        return read

    def unavailable(*_words: Any) -> Iterator[bytes]:
        raise _node_action._stream.Unavailable("sudo asks for a password")
        yield b""

    monkeypatch.setattr(_node_action._node, "read_many", unread)
    monkeypatch.setattr(_node_action._stream, "read", unavailable)
    monkeypatch.setattr(Acting, "blocks", _node_action.NodeAction.blocks)
    host = Acting(tmp_path)
    host.node = host._connection = None
    with pytest.raises(RequorumError, match=r"r1: /db cannot be read: no answer before the deadline\. Look at"):
        host.pull("/db", 5, str(tmp_path / "db"))


def test_what_did_not_arrive_as_a_whole_makes_room_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, *_words: Any, **_options: Any) -> Any:
        os.close(handle)
        raise no_room()

    monkeypatch.setattr(_node_action, "open", full, raising=False)
    with pytest.raises(RequorumError, match=SAID.format(tmp_path / "db")):
        Acting(tmp_path).pull("/db", 5, str(tmp_path / "db"))
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_full_is_said(tmp_path: Path) -> None:
    with pytest.raises(RequorumError, match=SAID.format("/dev/full")):
        _run_folder.append("/dev/full", {"a": 1})
    with pytest.raises(RequorumError, match="on the controller cannot be written: No such file or directory"):
        _run_folder.write(str(tmp_path / "none" / "plan.json"), {})
