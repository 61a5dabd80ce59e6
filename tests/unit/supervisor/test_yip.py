# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of /oem at a boot: in lexical order, of one stage, and a broken one keeps nobody else from its work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.supervisor import yip


def oem(folder: Path, name: str, *steps: Any, stage: str = "initramfs") -> None:
    (folder / name).write_text(yaml.safe_dump({"stages": {stage: list(steps)}}))


def test_the_last_file_wins_and_other_stages_wait(tmp_path: Path) -> None:
    target = tmp_path / "etc" / "deep" / "config.yaml"
    for name, content in (("90_custom.yaml", "of the installer"), ("99_mine.yaml", "mine")):
        oem(tmp_path, name, {"files": [{"path": str(target), "content": content, "permissions": 0o600}]})
    oem(tmp_path, "99_z.yaml", {"files": [{"path": str(target), "content": "too late"}]}, stage="network")
    oem(tmp_path, "95_run.yaml", {"commands": [f"echo ran >{tmp_path}/ran"]})
    assert yip.main(["yip", "-s", "initramfs", str(tmp_path)]) == 0
    assert target.read_text() == "mine" and target.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "ran").read_text() == "ran\n"


@pytest.mark.parametrize("broken", ["stages: [", "stages: {initramfs: [{files: [{content: no path}]}]}", "[]", "- x"])
def test_a_broken_file(tmp_path: Path, broken: str) -> None:
    (tmp_path / "10_broken.yaml").write_text(broken)
    oem(tmp_path, "90_custom.yaml", {"files": [{"path": str(tmp_path / "x"), "content": "y"}]})
    assert yip.main(["yip", "-s", "initramfs", str(tmp_path)]) == (0 if broken == "[]" else 1)
    assert (tmp_path / "x").read_text() == "y"
