# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The export in BACKUP: from where, with which token, and what its failure costs."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action import backup_export
from ansible_collections.requorum.cluster.plugins.module_utils import _bootstrap, _node, _report_words
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _exporter, _node_api, _shelf
from tests.unit.test_export import passphrase, real, serving, thing

JSON = dict[str, Any]


class Export(backup_export.ActionModule):
    """On r1, in the run of a purpose, with the real snapshot proved and its token kept."""

    def __init__(self, folder: Path, purpose: str = "recover", *, ready: bool = False, token: str = "sekret123",
                 **settings: str) -> None:  # fmt: skip
        self.host, self.ready, self.given, self.asked = "r1", ready, settings, 0
        self.run_dir = str(folder / "20261124T201500Z")
        kept = Path(self.run_dir, "backup", "r1")
        kept.mkdir(parents=True)
        with tarfile.open(kept / "files.tar", "w") as tar:
            about = tarfile.TarInfo("var/lib/rancher/requorum/x/token")
            about.size = len(token)
            tar.addfile(about, io.BytesIO(token.encode()))
        names = {"path": real(), "bootstrap": ["x", self.name_of("sekret123")]}
        Path(self.run_dir, "backup.json").write_text(json.dumps(names))
        self.plan = {"cluster": "prod", "purpose": purpose, "snapshot": None}

    @staticmethod
    def name_of(token: str) -> str:
        return str(_bootstrap.name(token))

    @property
    def settings(self) -> JSON:
        return dict(self.given)

    @property
    def folder(self) -> Path:
        return Path(self.run_dir, "backup", "export")

    def script(self, name: str, *, stdin: bytes | None = None, timeout: int = 60, **given: str) -> _node.Done:
        assert name == "look"
        return _node.Done(0, "@@ readyz 0\n " + ("ok" if self.ready else "etcd failed"), "")

    def say(self, text: str) -> None:
        pass


def api_of(action: Export) -> Any:
    action.asked += 1
    return serving({"namespaces": [thing("vms", "")]})


@pytest.fixture(autouse=True)
def api(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_node_api, "of", api_of)


@pytest.mark.parametrize("purpose", ["recover", "backup"])
def test_from_the_proved_snapshot_by_the_token_that_was_kept(tmp_path: Path, purpose: str) -> None:
    action = Export(tmp_path, purpose, requorum_export_passphrase_file=passphrase(tmp_path))
    said = action.do_export()
    assert said.startswith("backup/export: 56 objects, 2 virtual machines, ") and f"from the snapshot {real()}" in said
    assert action.asked == 0, "an API that is not ready is not asked for 80 kinds"
    manifest = json.loads((action.folder / "export.json").read_text())
    assert manifest["encrypted"]["secrets"] == 5
    size = sum(path.stat().st_size for path in action.folder.rglob("*.yaml"))
    assert manifest["bytes"] == size and _report_words.size(size) in said


def test_from_the_api_where_it_is_ready(tmp_path: Path) -> None:
    action = Export(tmp_path, ready=True)
    assert "1 objects, 0 virtual machines" in action.do_export() and action.asked == 1
    assert json.loads((action.folder / "export.json").read_text())["source"] == "the API (r1)"


def test_without_passphrase_or_token_secrets_are_left_out_and_counted(tmp_path: Path) -> None:
    said = Export(tmp_path, token="another").do_export()
    assert "; 0 objects encrypted; " in said and "1 left out: secrets are kept encrypted only" in said
    assert "5 left out: it cannot be read: it is encrypted at rest" in said


def broken(kind: str, action: Export, monkeypatch: pytest.MonkeyPatch) -> str:
    if kind == "passphrase":
        action.given["requorum_export_passphrase_file"] = "/none"
        return "passphrase file /none cannot be read"
    if kind == "snapshot":
        Path(action.run_dir, "backup.json").write_text(json.dumps({"path": "/none.db", "bootstrap": []}))
        return "/none.db is no file"
    if kind == "disk":
        monkeypatch.setattr(_exporter.Tree, "_make", full)
        return "No space left"

    def fault(*_given: Any, **_more: Any) -> str:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(_shelf, "opening", fault)
    return "a fault of ours"


def full(tree: Any, _folder: str) -> None:
    raise tree._full(OSError(28, "No space left on device"))


@pytest.mark.parametrize("kind", ["passphrase", "snapshot", "disk", "fault"])
def test_a_failure_is_a_warning_in_a_recovery_and_fails_a_backup(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    action = Export(tmp_path)
    why = broken(kind, action, monkeypatch)
    said = action.do_export()
    assert said.startswith("warning: nothing was exported: ") and why in said
    assert not action.folder.exists() and not Path(f"{action.folder}.part").exists()
    action.plan["purpose"] = "backup"
    with pytest.raises((RequorumError, KeyError), match=why):
        action.do_export()


def test_what_a_killed_run_left_is_started_anew(tmp_path: Path) -> None:
    action = Export(tmp_path)
    part = Path(f"{action.folder}.part", "vms", "half")
    part.mkdir(parents=True)
    action.do_export()
    assert not part.exists() and not (action.folder / "vms" / "half").exists()
