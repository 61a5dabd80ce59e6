# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done with a token and a node password, by actions whose scripts are answered in memory."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest

from ansible_collections.requorum.cluster.plugins.action import (
    cluster_reset,
    node_password,
    node_rejoin,
    node_settle,
    token_put,
    token_rotate,
)
from ansible_collections.requorum.cluster.plugins.module_utils import _api, _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from tests.unit.fake_api import FakeApi
from tests.unit.test_tokens import CA, NEW, NEW_KEY, OLD, OLD_KEY, archive


def acting(kind: type[PlanAction], folder: Path, answers: list[_node.Done]) -> Any:
    """An action of this kind on r1 for a1; its scripts give these answers, and are kept in `calls`."""

    class Acting(kind):  # type: ignore[misc, valid-type]
        settings: ClassVar[dict[str, Any]] = {}

        def __init__(self) -> None:
            self.host, self.turn, self.run_dir, self.vars = "r1", "a1", str(folder), {}
            self.plan = {
                "tokens": {"key": NEW_KEY, "back": "", "refused": ["r2", "a1"]},
                "nodes": {"a1": ("node-a1",)},
                "anchors": {"a1": "r1"},
                "servers": [{"name": "r2", "node": "node-r2", "tokens": [NEW_KEY]}],
                "snapshot": None,
                "stamp": "s",
                "distro": "k3s",
            }
            self.calls: list[dict[str, Any]] = []

        def script(self, name: str, **given: Any) -> _node.Done:
            self.calls.append({"name": name, **given})
            return answers.pop(0)

    return Acting()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """The API of r1 with the node passwords of r2 and a1."""
    fake = FakeApi()
    for node in ("node-r2", "node-a1"):
        meta = {"name": f"{node}.node-password.k3s", "namespace": "kube-system"}
        fake.api.create(_node_api.SECRET, {"metadata": meta})
    fake.asked.clear()
    monkeypatch.setattr(_node_api, "on_host", lambda _action, **_how: fake.api)
    return fake


def test_exactly_one_secret_goes_and_its_manifest_stays(tmp_path: Path, store: FakeApi) -> None:
    manifest = store.objects["secrets", "kube-system", "node-a1.node-password.k3s"]
    said = acting(node_password.ActionModule, tmp_path, []).do_password()
    path = tmp_path / "passwords" / "a1.json"
    assert json.loads(path.read_text()) | {"metadata": manifest["metadata"]} == manifest
    assert path.stat().st_mode & 0o077 == 0
    assert said == f"Secret of node-a1 deleted; kept: {path}"
    assert store.names("secrets") == ["node-r2.node-password.k3s"]
    assert [request.body["preconditions"]["uid"] for request in store.changes if request.body] == ["uid-2"]


def test_a_run_that_goes_on_finds_the_secret_gone(tmp_path: Path, store: FakeApi) -> None:
    store.objects.clear()
    said = acting(node_password.ActionModule, tmp_path, []).do_password()
    assert said == "no node password of node-a1 is stored any more" and store.changes == []


@pytest.mark.parametrize("verb", ["get", "delete"])
def test_nothing_is_deleted_while_the_api_does_not_answer(tmp_path: Path, store: FakeApi, verb: str) -> None:
    store.refuse = lambda request: _api.Answer("NoAnswer", "refused") if request.verb == verb else None
    with pytest.raises(RequorumError, match="refused"):
        acting(node_password.ActionModule, tmp_path, []).do_password()
    assert len(store.names("secrets")) == 2


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


def test_where_no_host_has_a_turn_all_that_the_plan_names_are_removed(tmp_path: Path, store: FakeApi) -> None:
    del store.objects["secrets", "kube-system", "node-a1.node-password.k3s"]
    action = acting(node_password.ActionModule, tmp_path, [])
    action.plan["anchors"] = {}
    assert action.do_password() == f"Secret of node-r2 deleted; kept: {tmp_path}/passwords/r2.json; " + (
        "no node password of node-a1 is stored any more"
    )
    assert store.names("secrets") == []


NODES = "1764000000\n{}\n{}\n{}\n".format(
    json.dumps({"items": []}), json.dumps({"endpoints": [{"addresses": ["10.0.0.1"]}]}), json.dumps({"items": []})
)


def test_what_is_refused_at_the_end_of_a_recovery_is_saved_first_too(tmp_path: Path, store: FakeApi) -> None:
    answers = [_node.Done(1, "", "refused"), _node.Done(0, NODES, "")]
    action = acting(node_settle.ActionModule, tmp_path, answers)
    action.plan |= {"servers": [{"name": "r1", "node": "r1", "need": "stays_off", "address": "x"}], "agent_nodes": []}
    action._task = type("Task", (), {"args": {"refused": ["node-a1"]}})()
    looked: list[tuple[bool, str]] = []

    def wait(what: str, probe: Any, **_given: Any) -> str:
        looked.extend(probe() for _time in range(2))
        return what

    action.wait, action.say, action.timeout = wait, lambda _text: None, lambda _name, default: default
    action.do_settle()
    assert looked[0] == (False, "the API does not answer (refused)")
    assert store.names("secrets") == ["node-r2.node-password.k3s"]
    saved = json.loads((tmp_path / "passwords" / "node-a1.json").read_text())
    assert saved["metadata"]["name"] == "node-a1.node-password.k3s"


def keys(*names: str) -> _node.Done:
    kvs = [{"key": base64.b64encode(f"/bootstrap/{name}".encode()).decode()} for name in names]
    return _node.Done(0, f"keys={json.dumps({'header': {}, 'kvs': kvs})}\n", "")


def rotating(run: Path, answers: list[_node.Done]) -> Any:
    archive(run / "backup" / "r1" / "files.tar", {"x/token": NEW})
    archive(run.parent / "20261101T000000Z" / "backup" / "r1" / "files.tar", {"x/token": f"K10{CA}::server:{OLD}"})
    action = acting(token_rotate.ActionModule, run, answers)
    action.plan["tokens"] = {"key": OLD_KEY, "back": NEW_KEY}
    action.plan["snapshot"] = {"name": "/kept.db"}
    action.timeout = lambda _name, _default: 0.2
    action.say = lambda _text: None
    action.until_ping = lambda _hint: "pong"
    return action


def test_the_token_of_an_older_snapshot_is_rotated_back(tmp_path: Path) -> None:
    run = tmp_path / "prod" / "20261128T062920Z"
    done = _node.Done(0, "", "")
    moved = _node.Done(0, "moved=/a|/b\n", "")
    action = rotating(run, [_node.Done(1, "", "starting"), keys(OLD_KEY), done, keys(NEW_KEY), moved])
    action.timeout = lambda _name, _default: 30
    said = action.do_rotate()
    assert said == f"rotated from key {OLD_KEY} to {NEW_KEY}, started again; kept: /b"
    asked = next(call for call in action.calls if call["GO"] == "ask")
    assert asked["stdin"] == f"{OLD}\n{NEW}\n".encode()
    assert action.calls[-1] == {"name": "token_rotate", "timeout": 150, "GO": "back", "STAMP": "s", "WANT": NEW_KEY}
    assert json.loads((run / "token.json").read_text()) == {"key": NEW_KEY}


def test_where_it_is_refused_the_old_one_stays_everywhere_and_that_is_said(tmp_path: Path) -> None:
    run = tmp_path / "prod" / "20261128T062920Z"
    action = rotating(run, [keys(OLD_KEY), _node.Done(22, "", "404")] * 9)
    said = action.do_rotate()
    assert said.startswith("not rotated (") and f"keeps the token of key {OLD_KEY}" in said
    assert not [call for call in action.calls if call["GO"] == "back"]
    assert not (run / "token.json").exists()


def test_a_token_that_is_not_at_hand_any_more_is_said_and_the_run_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "prod" / "20261128T062920Z"
    action = rotating(run, [])
    (run / "backup" / "r1" / "files.tar").unlink()
    said = action.do_rotate()
    assert said.startswith("not rotated (a token is not at hand any more): ") and f"token of key {OLD_KEY}" in said
    assert action.calls == [] and not (run / "token.json").exists()


def test_who_joins_takes_the_token_that_start_has_left(tmp_path: Path) -> None:
    run = tmp_path / "prod" / "20261128T062920Z"
    archive(run / "backup" / "r1" / "files.tar", {"x/token": NEW, "y/token": OLD})
    for left, sent in (({}, b""), ({"key": NEW_KEY}, b""), ({"key": OLD_KEY}, OLD.encode())):
        action = acting(node_rejoin.ActionModule, run, [_node.Done(0, "", "")])
        action.host = "r2"
        about = {"authority": None, "cluster_id": "A", "tokens": [NEW_KEY], "address": "10.0.0.1"}
        action.plan |= {"servers": [{"name": "r1", **about}, {"name": "r2", **about}], "survivor": "r1"}
        action.plan |= {"case": "quorum_lost", "distro": "k3s"}
        (run / "token.json").write_text(json.dumps(left))
        action.do_rejoin()
        assert action.calls[0]["stdin"] == sent


@pytest.mark.parametrize(
    ("mine", "source", "key", "sent"),
    [
        ([NEW_KEY], {"bootstrap": [NEW_KEY]}, "", ""),
        ([NEW_KEY], {"bootstrap": [OLD_KEY]}, OLD_KEY, OLD),
        ([], {}, NEW_KEY, NEW),
        ([], {}, "", ""),
    ],
)
def test_the_token_of_a_reset(tmp_path: Path, mine: list[str], source: dict[str, Any], key: str, sent: str) -> None:
    run = tmp_path / "prod" / "20261128T062920Z"
    archive(run / "backup" / "a1" / "files.tar", {"x/token": NEW, "y/token": OLD})
    action = acting(cluster_reset.ActionModule, run, [])
    action.plan |= {"servers": [{"name": "r1", "tokens": mine}], "tokens": {"key": key}}
    assert action._token(source) == sent


def test_a_token_that_only_the_copied_snapshot_names(tmp_path: Path) -> None:
    run = tmp_path / "prod" / "20261128T062920Z"
    archive(run / "backup" / "r1" / "files.tar", {"x/token": OLD})
    (run / "restore.json").write_text(json.dumps({"bootstrap": [OLD_KEY], "path": str(run / "none.db")}))
    action = acting(token_put.ActionModule, run, [_node.Done(0, "already=yes\n", "")])
    action.plan["tokens"] = {"refused": []}
    assert action.do_token() == "its token was the right one"
    assert json.loads((run / "token.json").read_text()) == {"key": OLD_KEY}
