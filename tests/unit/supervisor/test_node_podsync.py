# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubelet's decisions and manifest parsing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.supervisor.cri import Container, Pod
from lab.supervisor.podsync import Remove, Run, Start, decide, delay, due, parse_api_pod, parse_manifest

MANIFEST = """
apiVersion: v1
kind: Pod
metadata:
  annotations: {etcd.k3s.io/initial: '{}'}
  labels: {component: etcd, tier: control-plane}
  name: etcd
  namespace: kube-system
  uid: 1295ef9081b502a6f4ee2016f76fc45a
spec:
  containers:
  - args: [--config-file=/var/lib/rancher/rke2/server/db/etcd/config]
    command: [etcd]
    env: [{name: FILE_HASH, value: 49fb}]
    image: hardened-etcd
    name: etcd
"""
ETCD = parse_manifest(MANIFEST, "r1")
RUNNING = Container("c1", "etcd", "hardened-etcd", 0, "Running", 10, 0, 100.0, 100.0, 0.0)
EXITED = replace(RUNNING, state="Exited", exit_code=2, finished_at=150.0)
POD = Pod("p1", "etcd-r1", "kube-system", ETCD.uid, 0, "Ready", 9, 100.0, {}, {"kubernetes.io/config.source": "file"},
          (RUNNING,))


def test_a_manifest_is_read() -> None:
    assert (ETCD.name, ETCD.namespace, ETCD.uid) == ("etcd-r1", "kube-system", "1295ef9081b502a6f4ee2016f76fc45a")
    assert ETCD.containers[0].command == ("etcd", "--config-file=/var/lib/rancher/rke2/server/db/etcd/config")
    assert ETCD.containers[0].env == {"FILE_HASH": "49fb"}
    assert ETCD.annotations == {"etcd.k3s.io/initial": "{}", "kubernetes.io/config.source": "file",
                                "kubernetes.io/config.hash": ETCD.uid}


def test_without_a_uid_the_content_is_one() -> None:
    text = MANIFEST.replace("  uid: 1295ef9081b502a6f4ee2016f76fc45a\n", "")
    assert parse_manifest(text, "r1").uid != parse_manifest(text, "r2").uid
    assert parse_manifest(text, "r1").uid != parse_manifest(text.replace("49fb", "50"), "r1").uid


def test_nothing_to_do_while_it_runs() -> None:
    assert decide([ETCD], [POD], 200, api_known=True) == []


def test_a_missing_pod_is_made() -> None:
    assert decide([ETCD], [], 200, api_known=False) == [Run(ETCD, 0, {})]


def test_a_dead_sandbox_is_replaced_and_counts_on() -> None:
    dead = replace(POD, state="NotReady", containers=(EXITED,))
    assert decide([ETCD], [dead], 200, api_known=False) == [Remove(dead, 0.0, "it is dead"), Run(ETCD, 1, {"etcd": 1})]


def test_another_uid_is_ended_first_and_replaced_when_it_has_gone() -> None:
    old = replace(POD, uid="old")
    assert decide([ETCD], [old], 200, api_known=False) == [Remove(old, 30.0, "of another uid")]
    assert decide([ETCD], [old], 200, api_known=False, busy={"p1"}) == []


def test_an_exited_container_is_started_again() -> None:
    pod = replace(POD, containers=(EXITED,))
    assert decide([ETCD], [pod], 151, api_known=False) == [Start("p1", ETCD.containers[0], 1)]


def test_what_is_not_wanted_goes_once_it_is_known_to_be_so() -> None:
    assert decide([], [POD], 200, api_known=False) == []
    assert decide([], [POD], 200, api_known=False, seen={POD.uid}) == [Remove(POD, 30.0, "it is not wanted any more")]
    assert decide([], [POD], 200, api_known=True) == [Remove(POD, 30.0, "it is not wanted any more")]
    assert decide([], [POD], 200, api_known=True, busy={"p1"}) == []


def test_a_pod_of_the_api_goes_on_counting_after_a_power_loss() -> None:
    pod = parse_api_pod({"metadata": {"name": "vm", "namespace": "default", "uid": "u"},
                         "spec": {"containers": [{"name": "vm", "command": ["sleep", "infinity"]}]},
                         "status": {"containerStatuses": [{"name": "vm", "restartCount": 2, "containerID": "x"}]}})
    assert decide([pod], [], 0, api_known=True) == [Run(pod, 0, {"vm": 3})]


@pytest.mark.parametrize(("attempts", "seconds"), [(0, 0), (1, 10), (2, 20), (5, 160), (6, 300), (20, 300)])
def test_back_off(attempts: int, seconds: float) -> None:
    assert delay(attempts) == seconds


def test_restart_policies() -> None:
    assert due(EXITED, "Always", 150.5)
    assert not due(EXITED, "Never", 1e9)
    assert not due(replace(EXITED, exit_code=0), "OnFailure", 1e9)
    assert not due(replace(EXITED, attempt=1), "Always", 155)
    assert due(replace(EXITED, attempt=9, finished_at=900.0), "Always", 901)
