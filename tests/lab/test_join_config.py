# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files by which a new host joins, made from a cluster that answers as a Harvester."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.requorum.cluster.plugins.action import join_config
from lab.drill import ROOT
from lab.harvester import crds, play
from lab.labs import Lab

SLOW = ("*kubeconfig*", "*another_version*")

TOKEN = "the: rancherd 'token' of #1"
VIP = "10.99.0.10"
WISH: dict[str, Any] = {
    "interfaces": ["ens5"],
    "device": "/dev/disk/by-id/wwn-0x5000",
    "ssh_authorized_keys": ["github:admin"],
    "iso_url": "http://boot.example.org/harvester-v1.7.1-amd64.iso",
}


@pytest.fixture(scope="module")
def harvester() -> Iterator[Lab]:
    """One server with Harvester's kinds, a VIP, a version and rancherd's file."""
    lab = Lab(f"test-join-{os.getpid()}", "rke2", 1, 0)
    try:
        lab.up()
        crds.define(lab)
        api = play.client(lab)
        setting: dict[str, Any] = {"apiVersion": "harvesterhci.io/v1beta1", "kind": "Setting", "value": "v1.7.1"}
        api.create(join_config.SETTING, {**setting, "metadata": {"name": "server-version"}})
        place = {"name": "vip", "namespace": "harvester-system"}
        api.create(
            join_config.CONFIGMAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": place, "data": {"ip": VIP}}
        )
        text = yaml.safe_dump({"role": "cluster-init", "token": TOKEN, "kubernetesVersion": "v1.34.3+rke2r3"})
        lab.sh(lab.servers[0], "mkdir -p /etc/rancher/rancherd; umask 077; cat >/etc/rancher/rancherd/config.yaml",
               stdin=text).ok("rancherd")
        yield lab
    finally:
        lab.down()


def run(lab: Lab, program: str, *words: str) -> tuple[int, str]:
    """Exit code and all that was printed."""
    paths = [str(ROOT / ".collections"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    argv = [str(Path(sys.executable).parent / program), *words]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True,
                          check=False, env=environment, timeout=300)
    return done.returncode, done.stdout + done.stderr


def test_the_token_is_read_and_never_shown(harvester: Lab, tmp_path: Path) -> None:
    lab = harvester
    wishes = {"requorum_join": {"n4": WISH}, "requorum_output": str(tmp_path)}
    (tmp_path / "wishes.yml").write_text(yaml.safe_dump(wishes))
    words = ["playbooks/join_config.yml", "-i", str(lab.inventory), "-e", f"@{tmp_path}/wishes.yml", "-vvvv"]
    rc, said = run(lab, "ansible-playbook", *words, "--check")
    assert rc == 0, said[-3000:]
    assert not list(tmp_path.glob("*/join"))
    rc, said = run(lab, "ansible-playbook", *words)
    assert rc == 0, said[-3000:]
    assert TOKEN not in said and "rancherd 'token'" not in said
    (home,) = tmp_path.glob("*/join/n4")
    made = yaml.safe_load((home / "config.yaml").read_text())
    assert (made["token"], made["server_url"]) == (TOKEN, f"https://{VIP}:443")
    rc, said = run(lab, "ansible-playbook", *words[:-1])
    assert rc == 0 and re.search(r"changed=0", said)


def test_a_name_in_use_and_an_iso_of_another_version(harvester: Lab, tmp_path: Path) -> None:
    lab = harvester
    first = next(iter(lab.nodes(lab.servers[0])))
    wishes = {"requorum_join": {first: {**WISH, "iso_url": WISH["iso_url"].replace("1.7.1", "1.7.0")}}}
    (tmp_path / "wishes.yml").write_text(yaml.safe_dump(wishes | {"requorum_output": str(tmp_path)}))
    words = ["-i", str(lab.inventory), "-e", f"@{tmp_path}/wishes.yml"]
    rc, said = run(lab, "ansible-playbook", "playbooks/join_config.yml", *words)
    assert rc != 0
    said = " ".join(said.replace("\\n", " ").split())
    assert f"the name is in use (Node {first}" in said and "the ISO is v1.7.0, the cluster is v1.7.1" in said
    assert not list(tmp_path.glob("*/join"))


def test_the_command_reaches_the_same_cluster_by_kubeconfig(harvester: Lab, tmp_path: Path) -> None:
    lab = harvester
    play.client(lab)
    inventory = {"all": {"vars": {"requorum_cluster": "x", "requorum_join": {"n4": WISH}}, "children": {"servers": {}}}}
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump(inventory))
    (tmp_path / "token").write_text("by hand")
    words = ["join-config", "n4", "-i", str(tmp_path / "hosts.yml"), "--output", str(tmp_path / "out"), "--json"]
    words += ["-e", f"requorum_kubeconfig={lab.folder}/admin.kubeconfig", "--token-file", str(tmp_path / "token")]
    rc, said = run(lab, "requorum", *words)
    assert rc == 0, said
    assert json.loads(said)["cluster"] == {"version": "v1.7.1", "vip": VIP}
    assert yaml.safe_load((tmp_path / "out/n4/config.yaml").read_text())["token"] == "by hand"
