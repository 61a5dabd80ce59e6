# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets of hosts that are not there (bench/simulated), and playbooks that look at them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

JSON = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {
    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
    "ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "bench" / "simulated"),
    "ANSIBLE_NOCOLOR": "1",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
}


def inventory(clusters: Mapping[str, str]) -> JSON:
    """A group for each cluster of three servers; cluster -> how its hosts are."""
    groups = {
        name: {"vars": {"simulated": how}, "children": {f"{name}_servers": {"hosts": hosts(name)}}}
        for name, how in clusters.items()
    }
    return {"all": {"vars": {"ansible_connection": "simulated"}, "children": {"clusters": {"children": groups}}}}


def hosts(name: str) -> JSON:
    """Three of them."""
    return {f"{name}x{number}": {} for number in (1, 2, 3)}


def play(name: str, source: Path, output: Path, **variables: Any) -> subprocess.CompletedProcess[str]:
    """ansible-playbook, with its output."""
    given = json.dumps({"requorum_output": str(output), **variables})
    words = ["ansible-playbook", str(ROOT / "playbooks" / f"{name}.yml"), "-i", str(source), "-e", given]
    return subprocess.run(words, env=os.environ | ENVIRONMENT, text=True, capture_output=True, check=False,
                          cwd=output.parent)  # fmt: skip


def rows(output: Path) -> dict[str, JSON]:
    """Of the overview, by name, in its order."""
    document = json.loads((output / "_fleet" / "overview.json").read_text())
    return {each["cluster"]: each for each in document["clusters"]}


def timeless(path: Path, output: Path) -> str:
    """A file without its times, its ages, and the folder that it lies in."""
    text = path.read_text().replace(str(output), "OUT")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\d{8}T\d{6}Z|\d\d \w{3} \d{4}, \d\d:\d\d UTC", "TIME", text)
    text = re.sub(r'("(?:\w+_)?age_s"|"certificate_days"): [\d.-]+', r"\1: AGE", text)
    text = re.sub(r"^(requorum_collect_timestamp_seconds\{.*\}) .*", r"\1 TIME", text, flags=re.M)
    return re.sub(r"\b\d+ (s|min)\b", "AGE", text)
