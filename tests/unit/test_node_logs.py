# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""sh/tails.sh on a host made of a temporary folder, and what the controller makes of its answer."""

from __future__ import annotations

import base64
import gzip
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action import node_logs
from ansible_collections.requorum.cluster.plugins.module_utils import _node

SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]
MARK = "requorum-0123456789ab"
SYSTEMCTL = """#!/bin/sh
case "$*" in *rke2-server*LoadState* | *rancherd*LoadState*) echo loaded ;; *LoadState*) echo not-found ;; esac
"""
JOURNALCTL = """#!/bin/sh
case "$*" in
  *rke2-server*) i=0; while [ $i -lt 50 ]; do echo "2026-11-28T19:00:00+0000 r1 rke2[1]: line $i"; i=$((i + 1)); done ;;
  *rancherd*) sleep "${SLOW:-0}"; echo "2026-11-28T19:00:00+0000 r1 rancherd[1]: begun"; exit ${RC:-0} ;;
esac
"""


class Host:
    """A temporary folder with the programs of a node."""

    def __init__(self, root: Path, shell: str) -> None:
        self.root, self.shell, self.env = root, shell, dict[str, str]()
        for name, text in (("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
            self.write(f"programs/{name}", text).chmod(0o755)

    def write(self, path: str, text: str, mtime: int = 0) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        if mtime:
            os.utime(target, (mtime, mtime))
        return target

    def read(self, *, size: int = 1000, total: int = 1 << 20, packed: bool = True, within: int = 9) -> dict[str, Any]:
        words = {"MARK": MARK, "BYTES": str(size), "TOTAL": str(total), "WITHIN": str(within), "SIDE": "server"}
        script = _node.script("tails", DISTRO="rke2", DATA=str(self.root / "data"), **words)
        script = script.replace("/var/log", str(self.root / "log"))
        script = script if packed else script.replace("command -v gzip", "false")
        env = {"PATH": f"{self.root}/programs:{os.environ['PATH']}", **self.env}
        done = subprocess.run(
            [*self.shell.split(), "-c", script], capture_output=True, text=True, check=True, timeout=60, env=env
        )
        assert done.stderr == ""
        return node_logs.parted(done.stdout, MARK)


@pytest.fixture(params=SHELLS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    return Host(tmp_path, request.param)


def by_source(answer: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {log["source"]: log for log in answer["requorum_logs"]}


@pytest.mark.parametrize("packed", [True, False])
def test_the_end_of_each_log_comes_from_its_first_whole_line_on(host: Host, packed: bool) -> None:
    etcd = "log/pods/kube-system_etcd-r1_4711/etcd"
    host.write(f"{etcd}/0.log", "old\n", 1)
    host.write(f"{etcd}/1.log", "".join(f"new {number:04}\n" for number in range(500)), 2)
    host.write("data/agent/logs/kubelet.log", "short: token: K10abcdef0123456789abcdef::server:s3cr3t\n")
    answer = host.read(packed=packed)
    logs = by_source(answer)
    assert set(logs) == {"rke2-server", "rancherd", "etcd", "kubelet"} and len(answer["requorum_logs"]) == 4
    assert answer["unread"] == {}
    assert {"rke2-agent", "rancher-system-agent", "kube-scheduler", "containerd", "upgrade-job"} <= set(
        answer["absent"]
    )
    assert not set(answer["absent"]) & set(logs)
    assert logs["etcd"]["file"] == f"{host.root}/{etcd}/1.log"
    assert logs["etcd"]["text"].startswith("new 0") and logs["etcd"]["text"].endswith("new 0499\n")
    assert 900 < len(logs["etcd"]["text"]) <= 1000
    assert logs["kubelet"]["text"].startswith("short") and "s3cr3t" not in logs["kubelet"]["text"]
    assert logs["rke2-server"]["file"] == "journalctl -u rke2-server"
    assert logs["rke2-server"]["text"].endswith("line 49\n") and len(logs["rke2-server"]["text"]) == 1000


def test_the_log_before_a_short_one_comes_too(host: Host) -> None:
    host.write("log/pods/kube-system_etcd-r1_4711/etcd/7.log", "starts\n", 3)
    host.write("log/pods/kube-system_etcd-r1_4711/etcd/6.log", "panic: why\n", 2)
    host.write("log/pods/kube-system_etcd-r1_0815/etcd/5.log", "long ago\n", 1)
    texts = [log["text"] for log in host.read()["requorum_logs"] if log["source"] == "etcd"]
    assert texts == ["starts\n", "panic: why\n"]


def test_a_pod_is_told_from_others_of_a_longer_name(host: Host) -> None:
    host.write("log/pods/cattle-system_rancher-5d8f7b9c6d-x2k4p_1/rancher/0.log", "rancher\n")
    host.write("log/pods/cattle-system_rancher-webhook-6f9d_2/rancher/0.log", "webhook\n")
    assert by_source(host.read())["rancher"]["text"] == "rancher\n"


def test_a_journal_that_fails_or_hangs_is_unread_and_costs_no_other(host: Host) -> None:
    host.env = {"RC": "1"}
    answer = host.read()
    assert answer["unread"] == {"rancherd": "journalctl ended with 1 within 5 s"}
    assert "begun" in by_source(answer)["rancherd"]["text"]
    host.env = {"SLOW": "30"}
    begun = time.monotonic()
    answer = host.read(within=3)
    assert "rke2-server" in by_source(answer) and time.monotonic() - begun < 10
    assert "rancherd" in answer["unread"] and answer["unread"]["kernel"] == "no time was left for it"


def test_what_is_too_much_is_left_out_and_told(host: Host) -> None:
    host.write("data/agent/logs/kubelet.log", "x" * 70 + "\n")
    answer = host.read(total=1500)
    assert "rke2-server" in by_source(answer) and "more than is brought" in answer["unread"]["*"]


def test_a_log_that_cannot_be_read_is_unread(host: Host) -> None:
    host.write("data/agent/logs/kubelet.log", "x\n")
    host.write(
        "programs/tail", '#!/bin/sh\ncase "$*" in *kubelet.log) exit 1 ;; esac\nPATH=/usr/bin:/bin exec tail "$@"\n'
    ).chmod(0o755)
    assert host.read()["unread"] == {"kubelet": f"{host.root}/data/agent/logs/kubelet.log cannot be read"}


def test_an_answer_that_was_cut_off_is_unread() -> None:
    lines = "".join(f"line {number * 7919}\n" for number in range(2000))
    whole = base64.b64encode(gzip.compress(f"\n{MARK} etcd /x\n{lines}\n{MARK}- k3s\n{MARK}.\n".encode())).decode()
    assert node_logs.parted(whole, MARK) == {
        "requorum_logs": [{"source": "etcd", "file": "/x", "text": lines}], "unread": {}, "absent": ["k3s"]
    }  # fmt: skip
    answer = node_logs.parted(whole[: len(whole) // 2 & ~3], MARK)
    assert answer["requorum_logs"][0]["text"].startswith("line 0\nline 7919\n") and "cut off" in answer["unread"]["*"]
    assert "damaged" in node_logs.parted(whole[:40] + "AAAA" + whole[44:], MARK)["unread"]["*"]
    assert node_logs.parted("", MARK)["unread"].keys() == {"*"}
    assert node_logs.parted("A", MARK)["unread"].keys() == {"*"}
