# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `keep` takes of a Harvester besides, and that none of it costs what a snapshot needs."""

from __future__ import annotations

import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action import etcd_snapshot
from ansible_collections.requorum.cluster.plugins.module_utils import _node
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from tests.unit.test_scripts import shells
from tests.unit.test_tokens import NEW, Disk

TIMEOUT = """
timeout() { shift; "$@"; }
lsblk() { echo '{"blockdevices": []}'; }
ip() { echo "of ip $*"; }
efibootmgr() { echo 'EFI variables are not supported on this system.'; return 2; }
NAMED=
"""


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A Harvester whose paths lie below a temporary folder."""
    root, scripts = tmp_path / "root", tmp_path / "sh"
    scripts.mkdir()
    for name in ("common", "keep"):
        text = (_node.SCRIPTS / f"{name}.sh").read_text()
        for path in ("/etc/harvester-release.yaml", "/oem"):
            text = text.replace(f" {path} ", f" {root}{path} ")
        (scripts / f"{name}.sh").write_text(text)
    monkeypatch.setattr(_node, "SCRIPTS", scripts)
    made = Disk(root)
    (root / "oem").mkdir()
    (root / "oem" / "90_custom.yaml").write_text("stages: {}\n")
    return made


def names(disk: Disk) -> set[str]:
    with tarfile.open(disk.root / "home" / "s" / "files.tar") as tar:
        found = [member.name for member in tar if member.isfile()]
    assert len(found) == len(set(found))
    return {name.removeprefix(str(disk.root).lstrip("/")) for name in found}


def harvester(disk: Disk) -> None:
    (disk.root / "etc" / "harvester-release.yaml").write_text("harvester: v1.3.1\n")


@shells
def test_of_a_harvester(shell: str, disk: Disk) -> None:
    disk.run(shell, "keep", more=TIMEOUT)
    without = names(disk)
    assert not [name for name in without if "/host/" in name or "oem" in name]
    harvester(disk)
    said = disk.run(shell, "keep", more=TIMEOUT)
    assert "without=" not in said
    host = {f"/home/s/host/{name}" for name in ("lsblk.json", "ip-addr.txt", "ip-link.txt", "ip-route.txt",
                                                 "ip-rule.txt", "os-release")}  # fmt: skip
    assert names(disk) - without >= {*host, "/oem/90_custom.yaml", "/etc/harvester-release.yaml"}
    assert not [name for name in names(disk) if "efibootmgr" in name], "it failed, so it says nothing"
    assert (disk.root / "home/s/host/ip-addr.txt").read_text() == "of ip -d addr\n"


@shells
def test_a_file_that_cannot_be_read_costs_no_token(shell: str, disk: Disk) -> None:
    harvester(disk)
    tar = 'tar() { case "$*" in *oem*) echo "oem: Input/output error" >&2; return 2 ;; esac; command tar "$@"; }\n'
    said = _node.pairs(disk.run(shell, "keep", more=TIMEOUT + tar))
    assert any(word.endswith("/oem") for word in said["without"].split())
    assert not [name for name in names(disk) if "oem" in name]
    assert NEW in "".join(_shelf.kept_tokens(said["path"]))
    assert "tar could not pack everything" in disk.run(shell, "keep", more=TIMEOUT + "tar() { return 2; }\n", rc=1)


@pytest.mark.parametrize(
    ("without", "said"),
    [("", "9 bytes"), (" oem etc/x", "warning: 9 bytes, without files of Harvester that could not be read")],
)
def test_what_was_left_out_is_told(without: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Keep(etcd_snapshot.ActionModule):
        def __init__(self) -> None:
            self.host, self.run_dir, self.plan = "r1", str(tmp_path), {"agents": [], "stamp": "s"}
            self._task = SimpleNamespace(args={})

        @property
        def settings(self) -> dict[str, Any]:
            return {}

        def must(self, name: str, what: str, hint: str, **options: Any) -> dict[str, str]:
            return {"path": "/files.tar", "bytes": "9", **({"without": without} if without else {})}

        def pull(self, path: str, size: int, target: str) -> str:
            return ""

    result = Keep().do_keep()
    assert result.startswith(said) and (not without or "/oem, /etc/x" in result)
