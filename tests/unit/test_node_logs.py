# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sh/tails.sh on a host made of a temporary folder, and what the controller makes of its answer."""

from __future__ import annotations

import base64
import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.action import node_logs
from ansible_collections.requorum.cluster.plugins.module_utils import _node

SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]
MARK = "requorum-0123456789ab"
SYSTEMCTL = """#!/bin/sh
case "$*" in *rke2-server*LoadState*) echo loaded ;; *LoadState*) echo not-found ;; esac
"""
JOURNALCTL = """#!/bin/sh
case "$*" in *rke2-server*) seq -f '2026-11-28T19:00:00+0000 r1 rke2[1]: line %g' 0 49 ;; esac
"""


def read(shell: str, root: Path, *, size: int = 1000, packed: bool = True) -> tuple[dict[str, dict[str, str]], str]:
    """Logs by source, and what the script printed."""
    programs = root / "programs"
    programs.mkdir(exist_ok=True)
    for name, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    script = _node.script("tails", MARK=MARK, BYTES=str(size), SIDE="server", DISTRO="rke2", DATA=str(root / "data"))
    script = script.replace("/var/log/pods", f"{root}/pods")
    script = script if packed else script.replace("command -v gzip", "false")
    done = subprocess.run([*shell.split(), "-c", script], capture_output=True, text=True, check=True, timeout=60,
                          env={"PATH": f"{programs}:{os.environ['PATH']}"})  # fmt: skip
    logs, unread = node_logs.parted(done.stdout, MARK)
    assert unread == {}
    return {log["source"]: log for log in logs}, done.stdout


def write(path: Path, text: str, mtime: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if mtime:
        os.utime(path, (mtime, mtime))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("shell", SHELLS)
def test_the_end_of_each_log_comes_from_its_first_whole_line_on(shell: str, packed: bool, tmp_path: Path) -> None:
    etcd = tmp_path / "pods/kube-system_etcd-r1_4711/etcd"
    write(etcd / "0.log", "old\n", 1)
    write(etcd / "1.log", "".join(f"new {number:04}\n" for number in range(500)), 2)
    write(tmp_path / "data/agent/logs/kubelet.log", "short: token: K10abcdef0123456789abcdef::server:s3cr3t\n")
    logs, _out = read(shell, tmp_path, packed=packed)
    assert set(logs) == {"rke2-server", "etcd", "kubelet"}
    assert logs["etcd"]["file"] == f"{etcd}/1.log"
    assert logs["etcd"]["text"].startswith("new 0") and logs["etcd"]["text"].endswith("new 0499\n")
    assert 900 < len(logs["etcd"]["text"]) <= 1000
    assert logs["kubelet"]["text"].startswith("short") and "s3cr3t" not in logs["kubelet"]["text"]
    assert logs["rke2-server"]["file"] == "journalctl -u rke2-server"
    assert logs["rke2-server"]["text"].endswith("line 49\n") and len(logs["rke2-server"]["text"]) == 1000


@pytest.mark.parametrize("shell", SHELLS)
def test_a_host_without_any_log(shell: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    logs, _out = read(shell, tmp_path)
    assert set(logs) == {"rke2-server"}


def test_an_answer_that_was_cut_off_is_unread() -> None:
    whole = base64.b64encode(gzip.compress(f"\n{MARK} etcd /x\nline\n".encode())).decode()
    assert node_logs.parted(whole, MARK) == ([{"source": "etcd", "file": "/x", "text": "line\n"}], {})
    logs, unread = node_logs.parted(whole[: len(whole) // 2 & ~3], MARK)
    assert logs == [] and "cut off" in unread["*"]
    broken = base64.b64encode(f"\n{MARK} etcd /x\n\n{MARK}! etcd /x cannot be read\n".encode()).decode()
    assert node_logs.parted(broken, MARK) == ([], {"etcd": "/x cannot be read"})
