# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decisions of the stand-in's server: etcd configuration, joining, cleanup, snapshots, log lines, request heads."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from lab.supervisor import cleanup, etcd, install, join, log, manifests, proxy, reset, snapshots, startup
from lab.supervisor.config import Config
from lab.supervisor.context import ServerContext
from lab.supervisor.distro import DISTROS, K3S, RKE2, Distro
from lab.supervisor.etcd import Member


def context(tmp_path: Path, distro: Distro = RKE2, lists: dict[str, tuple[str, ...]] | None = None) -> ServerContext:
    values = {"data-dir": str(tmp_path), "node-name": "r1", "node-ip": "10.89.0.21", "token": "x"}
    return startup.make_context(Config(distro, "server", values, lists or {}))


def member(name: str, host: str, learner: bool = False) -> Member:
    return Member(1, name, (f"https://{host}:2380",), (f"https://{host}:2379",), learner)


def test_etcd_config_of_a_new_cluster_as_recorded(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    settings = yaml.safe_load(etcd.render_config(ctx, "r1-acac502c", etcd.initial_new(ctx, "r1-acac502c")))
    assert {key: settings[key] for key in ("initial-cluster", "listen-client-urls", "election-timeout",
                                           "listen-client-http-urls", "listen-metrics-urls")} == {
        "initial-cluster": "r1-acac502c=https://10.89.0.21:2380", "election-timeout": 5000,
        "listen-client-urls": "https://127.0.0.1:2379,https://10.89.0.21:2379",
        "listen-client-http-urls": "https://127.0.0.1:2382", "listen-metrics-urls": "http://127.0.0.1:2381"}
    assert "force-new-cluster" not in settings


def test_etcd_of_a_reset_listens_on_loopback_only(tmp_path: Path) -> None:
    ctx = context(tmp_path, lists={"etcd-arg": ("quota-backend-bytes=4294967296",)})
    settings = yaml.safe_load(etcd.render_config(ctx, "r1-a", {}, reset=True))
    assert (settings["force-new-cluster"], settings["listen-client-urls"], settings["listen-peer-urls"]) == (
        True, "https://127.0.0.1:2379", "https://127.0.0.1:2380")
    assert settings["quota-backend-bytes"] == 4294967296


def test_join_adds_a_new_name_and_lists_the_members() -> None:
    members = [member("r1-11111111", "10.0.0.1"), member("", "10.0.0.3", learner=True)]
    entries, add = join.plan(members, "r2", "r2-22222222", "https://10.0.0.2:2380")
    assert (entries, add) == (["r1-11111111=https://10.0.0.1:2380", "=https://10.0.0.3:2380"], True)


def test_join_recognises_itself_when_an_earlier_try_got_as_far_as_the_member_list() -> None:
    entries, add = join.plan([member("", "10.0.0.2")], "r2", "r2-22222222", "https://10.0.0.2:2380")
    assert (entries, add) == (["r2-22222222=https://10.0.0.2:2380"], False)


def test_join_refuses_the_name_of_a_member_that_was_not_removed() -> None:
    with pytest.raises(join.JoinError, match="duplicate node name found"):
        join.plan([member("r2-old00000", "10.0.0.2")], "r2", "r2-22222222", "https://10.0.0.2:2380")
    entries, add = join.plan([member("r2-22222222", "10.0.0.2")], "r2", "r2-22222222", "https://10.0.0.2:2380")
    assert not add and entries


def test_cleanup_ends_only_pods_whose_manifest_is_there(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    assert cleanup.components(ctx, reset=True, forced=False) == []
    (tmp_path / "bin").mkdir()
    ctx.manifests.mkdir(parents=True)
    manifests.write_etcd(ctx, tmp_path / "config", {})
    assert cleanup.components(ctx, reset=True, forced=False) == ["etcd"]
    assert cleanup.components(ctx, reset=False, forced=False) == ["etcd"]  # db/etcd/name is missing
    etcd.set_name(ctx, force=False)
    assert cleanup.components(ctx, reset=False, forced=False) == []
    assert cleanup.components(ctx, reset=False, forced=True) == ["etcd"]


def test_static_pod_changes_its_uid_with_its_configuration(tmp_path: Path) -> None:
    ctx, config = context(tmp_path), tmp_path / "config"
    uids = []
    for text in ("a", "b", "b"):
        config.write_text(text)
        manifests.write_etcd(ctx, config, {"initial-cluster-state": "new"})
        uids.append(yaml.safe_load(manifests.path(ctx, "etcd").read_text())["metadata"]["uid"])
    assert uids[0] != uids[1] == uids[2]
    assert manifests.initial_options(ctx) == {"initial-cluster-state": "new"}


def test_log_lines_are_logrus_text() -> None:
    assert log.line("info", 'a "b"', {"pods": "[etcd x]"}, 0) == (
        'time="1970-01-01T00:00:00Z" level=info msg="a \\"b\\"" pods="[etcd x]"')
    assert log.line("info", "start", {}, 0).endswith("msg=start")


def test_etcdutl_lines_become_the_real_programs_lines() -> None:
    text = "2026-11-24T22:26:01Z\tinfo\tsnapshot/v3_snapshot.go:333\trestored snapshot\t{\"path\": \"/x\"}"
    assert json.loads(reset.zap(text, "rke2-etcd-client")) == {
        "level": "info", "ts": "2026-11-24T22:26:01Z", "logger": "rke2-etcd-client",
        "caller": "snapshot/v3_snapshot.go:333", "msg": "restored snapshot", "path": "/x"}


def test_snapshot_table_as_recorded() -> None:
    item = {"spec": {"snapshotName": "s-n1-1", "location": "file:///s-n1-1"},
            "status": {"size": "12", "creationTime": "2026-11-24T20:14:36Z"}}
    assert snapshots.table([item]) == ("Name   Location       Size Created\n"
                                       "s-n1-1 file:///s-n1-1 12   2026-11-24T20:14:36Z")


def test_prune_keeps_the_newest_of_one_kind(tmp_path: Path) -> None:
    for name in ("a-n1-100", "a-n1-300", "a-n1-200.zip", "b-n1-50", "a-n1-400.part"):
        (tmp_path / name).touch()
    assert snapshots.prune(tmp_path, "a-n1-", 1) == ["a-n1-200.zip", "a-n1-100"]
    assert sorted(os.listdir(tmp_path)) == ["a-n1-300", "a-n1-400.part", "b-n1-50"]


def test_client_identity_goes_to_the_apiserver_and_cannot_be_forged() -> None:
    cert = {"subject": ((("organizationName", "system:masters"),), (("commonName", "system:admin"),))}
    user, groups = proxy.identity(cert)
    text = proxy.head("GET", "/api", [("Host", "x"), ("X-Remote-User", "evil"), ("Connection", "keep-alive")],
                      user, groups).decode()
    assert text == ("GET /api HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Remote-User: system:admin\r\n"
                    "X-Remote-Group: system:masters\r\n\r\n")
    assert proxy.identity(None) == ("", [])


@pytest.mark.parametrize("name", sorted(DISTROS))
def test_host_files_make_a_server_as_the_real_installation(name: str) -> None:
    distro = DISTROS[name]
    files = install.host_files(distro, "server", token="t", server="", node_ip="10.0.0.1")
    unit = files[f"{distro.unit_dir}/{distro.server_unit}.service"].content
    assert all(line in unit for line in ("Type=notify", "KillMode=process", "Delegate=yes", "RestartSec=5s"))
    assert "@" not in unit
    assert files[distro.binary].link and files[str(distro.config)].mode == 0o600
    assert yaml.safe_load(files[str(distro.config)].content).get("cluster-init", False) is (distro is K3S)
