# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done with a token and a node password, by actions whose scripts are answered in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ansible_collections.requorum.cluster.plugins.action import node_password, token_put
from ansible_collections.requorum.cluster.plugins.module_utils import _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction
from tests.unit.test_tokens import CA, NEW, NEW_KEY, OLD, archive


def acting(kind: type[PlanAction], folder: Path, answers: list[_node.Done]) -> Any:
    """An action of this kind on r1 for a1; its scripts give these answers, and are kept in `calls`."""

    class Acting(kind):  # type: ignore[misc, valid-type]
        settings: ClassVar[dict[str, Any]] = {}

        def __init__(self) -> None:
            self.host, self.turn, self.run_dir, self.vars = "r1", "a1", str(folder), {}
            self.plan = {"tokens": {"key": NEW_KEY}, "nodes": {"a1": ("node-a1",)}, "stamp": "s"}
            self.calls: list[dict[str, Any]] = []

        def script(self, name: str, **given: Any) -> _node.Done:
            self.calls.append({"name": name, **given})
            return answers.pop(0)

    return Acting()


def test_exactly_one_secret_goes_and_its_manifest_stays(tmp_path: Path) -> None:
    manifest = {"kind": "Secret", "metadata": {"name": "node-a1.node-password.k3s"}}
    action = acting(
        node_password.ActionModule, tmp_path, [_node.Done(0, json.dumps(manifest), ""), _node.Done(0, "", "")]
    )
    said = action.do_password()
    path = tmp_path / "passwords" / "a1.json"
    assert json.loads(path.read_text()) == manifest
    assert path.stat().st_mode & 0o077 == 0
    assert said == f"Secret of node-a1 deleted; kept: {path}"
    assert [(call["NODE"], call["GO"]) for call in action.calls] == [("node-a1", "show"), ("node-a1", "drop")]


def test_a_run_that_goes_on_finds_the_secret_gone(tmp_path: Path) -> None:
    action = acting(node_password.ActionModule, tmp_path, [_node.Done(0, "", "")])
    assert action.do_password() == "no node password is stored any more"
    assert len(action.calls) == 1


def test_nothing_is_deleted_while_the_api_does_not_answer(tmp_path: Path) -> None:
    action = acting(node_password.ActionModule, tmp_path, [_node.Done(1, "", "refused")])
    with pytest.raises(RequorumError, match="its API does not answer"):
        action.do_password()
    assert len(action.calls) == 1


def test_the_token_comes_from_the_backup_of_any_server(tmp_path: Path) -> None:
    run = tmp_path / "prod" / "20261128T062920Z"
    archive(run / "backup" / "r1" / "files.tar", {"k/server/token": f"K10{CA}::server:{NEW}", "x/token": OLD})
    answer = _node.Done(0, "moved=/a|/b\nmoved=/a|/b\nplaced=/etc/zz-requorum-token.yaml\n", "")
    action = acting(token_put.ActionModule, run, [answer])
    said = action.do_token()
    assert action.calls[0]["stdin"] == NEW.encode()
    assert said.startswith("its token is in /etc/zz-requorum-token.yaml; kept: /b")
    assert NEW not in said


def test_a_token_that_is_nowhere(tmp_path: Path) -> None:
    run = tmp_path / "prod" / "20261128T062920Z"
    archive(run / "backup" / "r1" / "files.tar", {"x/token": OLD})
    action = acting(token_put.ActionModule, run, [])
    with pytest.raises(RequorumError, match="not at hand any more"):
        action.do_token()
    assert action.calls == []
