# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, addresses and files of a lab."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import yaml

from lab import gobuild, hosts, image
from lab.podman import global_options
from lab.progress import LabError
from lab.spec import Spec, candidate_subnets, inventory, ssh_options
from lab.supervisor.install import HostFile

SPEC = Spec("drill", "rke2", 3, 1, "10.89.7.0/24", "0123456789abcdef")


def test_hosts_have_the_addresses_of_the_contract() -> None:
    assert [(host.name, host.role, host.ip) for host in SPEC.hosts] == [
        ("r1", "server", "10.89.7.11"), ("r2", "server", "10.89.7.12"), ("r3", "server", "10.89.7.13"),
        ("a1", "agent", "10.89.7.21")]
    assert [host.name for host in replace(SPEC, distro="k3s", agents=0).hosts] == ["n1", "n2", "n3"]


def test_names_in_podman() -> None:
    assert SPEC.container("r2") == "drill-r2"
    assert SPEC.volumes("r2") == {"drill-r2-data": "/var/lib/rancher", "drill-r2-kubelet": "/var/lib/kubelet",
                                  "drill-r2-log": "/var/log"}
    assert (SPEC.unit("r2"), SPEC.unit("a1"), SPEC.url("r1")) == ("rke2-server", "rke2-agent", "https://10.89.7.11:9345")
    with pytest.raises(LabError, match="has no host 'r4'; it has r1 r2 r3 a1"):
        SPEC.container("r4")


@pytest.mark.parametrize(("change", "said"), [
    ({"name": "../x"}, "lab name"), ({"name": "a" * 21}, "lab name"), ({"name": "-a"}, "lab name"),
    ({"distro": "k8s"}, "one of k3s, rke2"), ({"servers": 0}, "1 to 9 servers"), ({"agents": 101}, "0 to 100 agents")])
def test_what_cannot_work_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(LabError, match=said):
        replace(SPEC, **change)  # type: ignore[arg-type]


def test_lab_json_holds_everything() -> None:
    assert Spec.from_json(SPEC.to_json()) == SPEC


def test_a_subnet_that_overlaps_nothing_is_chosen() -> None:
    taken = ["10.88.0.0/16", "10.89.1.0/24", "10.89.2.128/25", "10.89.4.7", "fd00::/64"]
    assert list(islice(candidate_subnets(taken), 2)) == ["10.89.3.0/24", "10.89.5.0/24"]
    assert list(candidate_subnets(["10.89.0.0/16"])) == []


@pytest.mark.parametrize("agents", [0, 2])
def test_the_inventory_is_what_the_playbooks_expect(agents: int) -> None:
    folder = Path("/state/my labs/drill")
    content = yaml.safe_load(inventory(replace(SPEC, agents=agents), folder))["all"]
    groups, variables = content["children"], content["vars"]
    assert groups["servers"]["hosts"] == {f"r{i}": {"ansible_host": f"10.89.7.1{i}"} for i in (1, 2, 3)}
    assert list(groups["agents"]["hosts"]) == [f"a{i}" for i in range(1, agents + 1)]
    assert (variables["requorum_cluster"], variables["ansible_user"], variables["ansible_become"]) == (
        "drill", "rancher", True)
    assert variables["ansible_ssh_private_key_file"] == str(folder / "id_ed25519")
    assert SPEC.token not in inventory(SPEC, folder)


def test_ssh_accepts_only_the_host_keys_of_the_lab() -> None:
    options = ssh_options(Path("/lab"))
    assert "StrictHostKeyChecking=yes" in options
    assert "UserKnownHostsFile=/lab/known_hosts" in options


def test_files_for_a_host_are_packed_with_modes_and_links() -> None:
    content = {"/etc/rancher/rke2/config.yaml": HostFile(0o600, "token: ä\n"),
               "/usr/local/bin/rke2": HostFile(0o777, "/opt/lab/standin/standin", link=True)}
    with tarfile.open(fileobj=io.BytesIO(hosts.archive(content))) as tar:
        config, program = tar.getmember("etc/rancher/rke2/config.yaml"), tar.getmember("usr/local/bin/rke2")
        stream = tar.extractfile(config)
        assert stream is not None
        assert (config.mode, config.uid, stream.read().decode()) == (0o600, 0, "token: ä\n")
        assert program.linkname == "/opt/lab/standin/standin"


def test_a_real_program_is_not_covered_by_the_link_to_the_stand_in() -> None:
    host = SPEC.hosts[1]
    played, real = hosts.files(SPEC, host), hosts.files(replace(SPEC, binary="/srv/rke2"), host)
    assert played["/usr/local/bin/rke2"].link
    assert "/usr/local/bin/rke2" not in real
    assert "cgroup-driver=cgroupfs" in real["/etc/rancher/rke2/config.yaml.d/10-real.yaml"].content
    assert "UnsetEnvironment=INVOCATION_ID" in real["/etc/systemd/system/rke2-server.service.d/real.conf"].content
    assert "server: https://10.89.7.11:9345" in real["/etc/rancher/rke2/config.yaml"].content
    assert "server:" not in hosts.files(SPEC, SPEC.hosts[0])["/etc/rancher/rke2/config.yaml"].content


def test_strict_and_relaxed_images_are_different_ones() -> None:
    assert image.key(True) != image.key(False)
    assert not any("python" in part for part in image.PACKAGES)


def test_podman_is_left_alone_where_cgroups_are_unified() -> None:
    assert global_options(unified=True) == []
    assert global_options(unified=False) == ["--runtime", "/usr/sbin/runc"]


@pytest.mark.parametrize(("line", "enough"), [
    ("go version go1.26.8 linux/amd64", True), ("go version go1.24 linux/amd64", True),
    ("go version go1.23.9 linux/amd64", False), ("", False), ("go version go2.0 linux/amd64", True)])
def test_go_must_be_new_enough(line: str, enough: bool) -> None:
    assert gobuild.new_enough(line) is enough


def test_what_decides_the_build_decides_its_name(tmp_path: Path) -> None:
    (tmp_path / "go.mod").write_text("module x\n")
    (tmp_path / "go.sum").write_text("")
    module = gobuild.Module(tmp_path, {"x": "example.org/x"})
    keys = {module.key, replace(module, ldflags="-s").key, replace(module, programs={"y": "example.org/y"}).key}
    (tmp_path / "go.sum").write_text("changed")
    assert len(keys | {module.key}) == 4
