# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of the log collector: their layout is that of its script, and what is read of them is what stands there."""

from __future__ import annotations

import dataclasses
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _diagnose, _rules
from requorum import bundles
from tests.bundles import collector
from tests.bundles.collector_said import Server

JSON = dict[str, Any]
RULES = _rules.load()
K3S = Server(name="n1", address="10.89.0.11", distro="k3s", peers={"n2": "10.89.0.12", "n3": "10.89.0.13"})


def names(path: Path) -> list[str]:
    with tarfile.open(path) as made:
        return made.getnames()


def read(server: Server, path: Path) -> JSON:
    return dict(bundles.state(bundles.read([collector.write(server, path / "x.tar.gz")]), RULES))


def test_every_name_begins_as_tar_of_a_dot_has_it(tmp_path: Path) -> None:
    found = names(collector.write(Server(), tmp_path / "x.tar.gz"))
    assert found[:2] == [".", "./r1-2026-11-24_09_14_05"]
    assert "./r1-2026-11-24_09_14_05/systeminfo/hostname" in found


def test_without_an_answer_of_the_api_server(tmp_path: Path) -> None:
    found = collector.files(Server())
    assert not [name for name in found if name.startswith("rke2/kubectl/")]
    etcd = [name for name in found if name.startswith("rke2/podlogs/kube-system_etcd-r1_")]
    assert len(etcd) == 1 and etcd[0].endswith("/etcd/0.log")
    assert " stderr F {" in found[etcd[0]].splitlines()[0]
    assert found["etcd/memberlist"].endswith("Error: context deadline exceeded\n")


def test_with_an_answer(tmp_path: Path) -> None:
    found = collector.files(Server(quorum=True))
    assert {"rke2/kubectl/nodes", "rke2/kubectl/nodes.json", "rke2/podlogs/kube-system-etcd-r1"} <= set(found)
    assert found["rke2/podlogs/kube-system-etcd-r1"].startswith('{"level":"info"')
    assert found["rke2/podlogs/kube-system-etcd-r1-previous"].startswith("Error from server (BadRequest)")


def test_k3s_has_no_static_pods_and_without_its_port_no_folder_of_etcd() -> None:
    found = collector.files(K3S)
    assert not [name for name in found if name.startswith(("etcd/", "k3s/pod-manifests", "k3s/agent-logs"))]
    assert "lost leader" in found["journald/k3s"] and "journald/k3s-agent" not in found


def test_members_as_etcdctl_or_the_gateway_tells_them() -> None:
    found = collector.files(Server(quorum=True))
    assert found["etcd/memberlist"].splitlines()[1].startswith("3321951812606883, started, r2-33219518, https://10.89")
    widths = {len(line) for line in found["etcd/endpointstatus"].splitlines()}
    assert len(widths) == 1 and "| https://10.89.0.21:2379 | a9562b49b84b082e |" in found["etcd/endpointstatus"]
    listed = json.loads(collector.files(dataclasses.replace(K3S, quorum=True))["etcd/memberlist.json"])
    assert [member["name"][:2] for member in listed["members"]] == ["n1", "n2", "n3"]


def test_certificates_of_etcd_and_cas_are_not_taken() -> None:
    found = [name for name in collector.files(Server()) if name.startswith("rke2/certs/")]
    assert found and not [name for name in found if "-ca.crt" in name or "etcd" in name]


@pytest.mark.parametrize("server", [Server(), Server(quorum=True), K3S], ids=["lost", "whole", "k3s"])
def test_the_same_bytes_again(server: Server, tmp_path: Path) -> None:
    one, other = (collector.write(server, tmp_path / name).read_bytes() for name in ("a", "b"))
    assert one == other


def test_parts_that_are_left_out(tmp_path: Path) -> None:
    found = names(collector.write(Server(), tmp_path / "x", without=("etcd/*", "journald/rke2-server")))
    assert not [name for name in found if "/etcd/memberlist" in name or name.endswith("journald/rke2-server")]


@pytest.mark.parametrize("server", [Server(), K3S], ids=["rke2", "k3s"])
def test_what_is_read_of_a_server_without_a_leader(server: Server, tmp_path: Path) -> None:
    state = read(server, tmp_path)
    (node,) = state["nodes"]
    assert (node["name"], node["distro"], node["role"]) == (server.name, server.distro, "server")
    assert (state["source"]["kind"], state["time"]) == ("collector", "2026-11-24T09:14:05Z")
    assert node["version"] == server.version and node["memory"]["bytes"] == int(7.7 * (1 << 30)) + 1
    assert node["certificates"] and node["disk"]["bytes"] == 98 << 30
    assert any("lost leader" in line["text"] for hit in state["hits"] for line in hit["lines"])
    found = _diagnose.diagnose(state, RULES)
    assert {"etcd_lost_leader", "api_down"} <= {finding["id"] for finding in found["findings"]}
    assert not [finding for finding in found["findings"] if finding["severity"] != "info" and any(
        "defragment" in each for each in finding["evidence"])]  # fmt: skip
    assert not [each for each in found["allowed"] if each["operation"] in ("reset", "restore", "upgrade")]


def test_what_is_read_of_a_whole_one(tmp_path: Path) -> None:
    state = read(Server(quorum=True), tmp_path)
    assert [node["name"] for node in state["nodes"]] == ["r1", "r2", "r3"]
    etcd = state["nodes"][0]["etcd"]
    assert etcd["health"]["ok"] and etcd["status"]["leader"] == "a9562b49b84b082e" and len(etcd["members"]) == 3
    found = _diagnose.diagnose(state, RULES)
    assert not [each for each in found["findings"] if each["id"].startswith(("no_leader", "etcd_lost", "etcd_elect"))]
