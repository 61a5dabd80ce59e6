# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cluster_import against a cluster that is played: what is shown is what is done, and a failure tells what was done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action import cluster_import
from ansible_collections.requorum.cluster.plugins.action.cluster_import import ActionModule
from ansible_collections.requorum.cluster.plugins.module_utils import _api, _export, _wait
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._import import CLAIMS, IMAGES, MACHINES, SECRETS, Ref
from ansible_collections.requorum.cluster.plugins.plugin_utils import _exporter
from tests.unit.test_export import serving
from tests.unit.test_import import IMAGE, PVC, VM, whole

JSON = dict[str, Any]


class Cluster:
    """Objects by kind; Harvester imports an image at the third look."""

    def __init__(self, missing: tuple[str, ...] = ()) -> None:
        self.objects: dict[Ref, JSON] = {}
        self.missing, self.refused, self.looks = missing, "", 0

    def __call__(self, request: _api.Request) -> _api.Answer:
        kind = request.kind.name
        if kind in self.missing:
            return _api.Answer("NotFound")
        if request.verb == "create":
            assert request.body is not None
            if kind == self.refused:
                return _api.Answer("Forbidden", "an admission webhook says no")
            self.objects[Ref(kind, request.namespace, request.body["metadata"]["name"])] = request.body
            return _api.Answer("", "", request.body)
        if not request.name:
            found = [body for ref, body in self.objects.items() if ref.kind == kind]
            return _api.Answer("", "", {"items": found, "metadata": {}})
        body = self.objects.get(Ref(kind, request.namespace, request.name))
        if body is not None and kind == IMAGES:
            self.looks += 1
            if self.looks > 2:
                body["status"] = {"conditions": [{"type": "Imported", "status": "True"}], "storageClassName": "lh-new"}
        return _api.Answer("", "", body) if body is not None else _api.Answer("NotFound")


Import = Callable[..., JSON]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Import:
    """The module with an export of one machine and all that it needs."""
    (tmp_path / "p").write_text("of the test")
    lists: dict[str, list[JSON]] = {}
    for ref, body in whole().items():
        kind = _export.NAMED[ref.kind].kinds[0]
        lists.setdefault(ref.kind, []).append({**body, "apiVersion": f"{kind.group}/{kind.version}".lstrip("/")})
    _exporter.run(str(tmp_path / "e"), cluster="c", api=serving(lists), passphrase_file=str(tmp_path / "p"))
    monkeypatch.setattr(_wait, "EVERY", 0)

    def run(cluster: Cluster, *, check: bool = False, diff: bool = False, seconds: float = 5, **given: Any) -> JSON:
        action, said = ActionModule.__new__(ActionModule), list[str]()
        args = {"export": str(tmp_path / "e"), "vms": ["vms/web"], "passphrase_file": str(tmp_path / "p"), **given}
        action._task = SimpleNamespace(args=args, check_mode=check, diff=diff)
        action.host = "r1"
        api = _api.Api(cluster, where="r1", seconds=-1)
        monkeypatch.setattr(cluster_import._node_api, "of", lambda _action: api)
        monkeypatch.setattr(ActionModule, "settings", {"requorum_timeouts": {"image": seconds}})
        monkeypatch.setattr(action, "say", said.append)
        monkeypatch.setattr(action, "script", lambda *_words, **_options: SimpleNamespace(out=""))
        return {**action.act(), "said": said}

    return run


def test_what_is_shown_is_what_is_done(run: Import) -> None:
    cluster = Cluster()
    shown = run(cluster, check=True)
    assert cluster.objects == {} and shown["changed"] and len(shown["requorum_actions"]) == 14
    done = run(cluster)
    assert done["requorum_actions"] == shown["requorum_actions"] and "failed" not in done
    assert {ref.kind for ref in cluster.objects} == {action["kind"] for action in done["requorum_actions"]}
    assert cluster.objects[VM]["spec"]["runStrategy"] == "Halted"
    assert cluster.objects[PVC]["spec"] == {"storageClassName": "lh-new"}, "as its image has it here"
    again = run(cluster)
    assert again["requorum_actions"] == [] and not again["changed"]


def test_a_failure_tells_what_was_done_and_the_next_run_goes_on(run: Import) -> None:
    cluster = Cluster()
    cluster.refused = CLAIMS
    failed = run(cluster)
    assert failed["failed"] and "webhook says no" in failed["msg"] and failed["changed"]
    assert [action["name"] for action in failed["requorum_actions"]][-2:] == ["image", "image"]
    cluster.refused = ""
    assert [action["kind"] for action in run(cluster)["requorum_actions"]] == [CLAIMS, MACHINES]


def test_an_image_that_does_not_come_ends_the_wait(run: Import) -> None:
    cluster = Cluster()
    cluster.looks = -1000
    late = run(cluster, seconds=0)
    assert late["failed"] and "what was created stays" in late["msg"] and VM not in cluster.objects
    cluster.objects[IMAGE]["status"] = {"conditions": [{"type": "RetryLimitExceeded", "status": "True"}]}
    assert "its download failed too often" in run(cluster)["msg"]


@pytest.mark.parametrize(
    ("missing", "given", "said"),
    [
        ((MACHINES,), {}, f"does not serve {MACHINES}"),
        ((), {"passphrase_file": ""}, "name the passphrase's file in requorum_export_passphrase_file"),
        ((), {"vms": "vms/other"}, "vms/other is neither in the export nor in the cluster"),
    ],
)
def test_what_is_refused_changes_nothing(run: Import, missing: tuple[str, ...], given: JSON, said: str) -> None:
    cluster = Cluster(missing)
    refused = run(cluster, **given)
    assert refused["failed"] and said in refused["msg"] and cluster.objects == {}
    assert run(cluster, check=True, **given)["refusals"] == refused["refusals"]


def test_no_secret_is_in_what_is_shown(run: Import) -> None:
    result = run(Cluster(), check=True, diff=True)
    texts = {entry["after_header"]: entry["after"] for entry in result["diff"]}
    assert texts[f"{SECRETS} vms/init"] == cluster_import.WITHHELD
    assert "runStrategy: Halted" in texts[str(VM)] and len(texts) == 13


def test_an_api_that_does_not_answer_is_an_error(run: Import) -> None:
    def silent(_request: _api.Request) -> _api.Answer:
        return _api.Answer("NoAnswer", "down")

    with pytest.raises(RequorumError, match="down"):
        run(silent)
