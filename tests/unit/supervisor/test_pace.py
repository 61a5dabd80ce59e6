# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in waits for at the pace of the real programs, and that it does not at full speed."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from pathlib import Path

import pytest

from lab.supervisor import cleanup, config, cri, podwait, runtime, server, startup
from lab.supervisor.config import Config
from lab.supervisor.context import ServerContext
from lab.supervisor.cri import SOURCE, Pod
from lab.supervisor.distro import K3S, RKE2
from lab.supervisor.pace import FULL, REAL, Pace


def pod(component: str, state: str) -> Pod:
    return Pod(f"{component}-{state}", f"{component}-r1", "kube-system", "u", 0, state, 1, 0.0,
               {"component": component}, {SOURCE: "file"})


@pytest.fixture
def ctx(tmp_path: Path) -> ServerContext:
    return startup.make_context(Config(RKE2, "server", {"data-dir": str(tmp_path), "node-name": "r1",
                                                        "node-ip": "10.89.0.21", "token": "x"}, {}))


@pytest.mark.parametrize("distro", [RKE2, K3S])
def test_the_pace_is_the_distributions_where_the_lab_asks_for_it(distro: config.Distro, tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Config(distro, "server", {}, {})
    monkeypatch.setattr(config, "PACE_FILE", tmp_path / "pace")
    monkeypatch.delenv("REQUORUM_LAB_PACE", raising=False)
    assert settings.pace == FULL
    (tmp_path / "pace").touch()
    assert settings.pace == REAL[distro.name]


@pytest.mark.parametrize(("pods", "seconds"), [(0, 0), (1, 20), (2, 30), (3, 30), (4, 40)])
def test_a_cleanup_takes_as_long_as_recorded_for_so_many_pods(pods: int, seconds: float) -> None:
    assert REAL["rke2"].cleanup_of(pods) == seconds
    assert FULL.cleanup_of(pods) == 0


def test_a_cleanup_goes_on_for_its_time_also_where_no_pod_is_left(ctx: ServerContext,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        def pods(self) -> list[Pod]:
            return []

    class Child:
        def poll(self) -> None:
            return None

    monkeypatch.setattr(cri, "Client", Client)
    monkeypatch.setattr(cleanup, "start_containerd", lambda *_: Child())
    monkeypatch.setattr(cleanup, "stop", lambda _child: None)
    monkeypatch.setattr(Config, "pace", Pace(cleanup_poll=0.05, cleanup={1: 0.3}))
    begun = time.monotonic()
    cleanup._terminate(ctx, ["etcd"])
    assert 0.3 <= time.monotonic() - begun < 2


@pytest.mark.parametrize(("written", "pods", "old"), [
    ((), (), ()),
    ((), (pod("etcd", "Ready"), pod("kube-apiserver", "NotReady")), ("kube-apiserver",)),  # after rke2-killall.sh
    (("etcd", "kube-apiserver"), (), ("etcd", "kube-apiserver")),  # after a power loss
    (("etcd",), (pod("etcd", "Ready"),), ()),  # after a restart of the unit
])
def test_dead_sandboxes_are_those_that_are_known_or_that_a_power_loss_took(
        written: Collection[str], pods: Collection[Pod], old: Collection[str]) -> None:
    assert podwait.leftovers(written, pods) == frozenset(old)


@pytest.mark.parametrize(("written", "old", "looks"), [
    (("etcd",), (), 1),  # a joining server, 20 s after its start
    (("etcd", "kube-apiserver"), ("kube-apiserver",), 2),  # a survivor after rke2-killall.sh, 40 s
    (("etcd", "kube-apiserver"), ("etcd", "kube-apiserver"), 3),  # dead sandboxes of both, 60 s
])
def test_each_dead_sandbox_costs_a_look(written: list[str], old: Collection[str], looks: int) -> None:
    left, number = set(old), 0
    while True:
        number += 1
        _done, waiting = podwait.look(written, left)
        if not waiting:
            break
        left.discard(waiting)
    assert number == looks


def test_a_server_is_not_in_sync_before_its_etcd_has_a_manifest(ctx: ServerContext, tmp_path: Path,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "PODS", tmp_path / "pods")
    monkeypatch.setattr(Config, "pace", Pace(pod_sync=0.05))
    stopped = threading.Event()
    synced = podwait.start(ctx, stopped)
    assert not synced.wait(0.3)
    ctx.manifests.mkdir(parents=True)
    (ctx.manifests / "etcd.yaml").touch()
    assert synced.wait(5)
    stopped.set()


def test_at_full_speed_nobody_waits_for_static_pods(ctx: ServerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Config, "pace", FULL)
    assert podwait.start(ctx, threading.Event()).is_set()


def test_a_unit_is_not_active_before_its_static_pods_are_in_sync(ctx: ServerContext,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    for name in ("write_manifests", "write_companions"):
        monkeypatch.setattr(server.apiserver, name, lambda _ctx: None)
    monkeypatch.setattr(server.apiserver, "readiness", lambda _ctx: "")
    monkeypatch.setattr(server.node, "start_controllers", lambda _ctx: None)
    monkeypatch.setattr(server.children, "notify", told.append)
    made = server.Server(ctx)
    work = threading.Thread(target=made._run_apiserver, daemon=True)
    work.start()
    work.join(0.7)
    assert (told, made.state.api_ready) == ([], False)
    made.pods_synced.set()
    work.join(5)
    assert (told, made.state.api_ready) == (["READY=1"], True)
