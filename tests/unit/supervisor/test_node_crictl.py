# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""crictl of the stand-in: selection and output."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from lab.supervisor import crictl
from lab.supervisor.cri import Container, Pod, matches, parse_selector, pod_from_json, static

NOW = 1_000_000.0
CONTROLLER = Container("56f7b4470fbaa1", "kube-controller-manager", "k8s", 0, "Running", 480, 0, NOW - 300,
                       NOW - 300, 0)
ETCD = Container("63666b4969b25b", "etcd", "etcd", 1, "Running", 259, 0, NOW - 60, NOW - 60, 0)
DEAD = replace(ETCD, id="aaaabbbbccccdd", attempt=0, state="Exited", exit_code=137, created_at=NOW - 400)
LABELS = {"component": "etcd", "tier": "control-plane"}
PODS = [
    Pod("d61d98aea2ea37c1", "kube-controller-manager-r1", "kube-system", "u2", 0, "Ready", 385, NOW - 300,
        {"component": "kube-controller-manager", "tier": "control-plane"}, {"kubernetes.io/config.source": "file"},
        (CONTROLLER,)),
    Pod("dde3f6162f1c3aad", "etcd-r1", "kube-system", "u1", 0, "Ready", 213, NOW - 400, LABELS,
        {"kubernetes.io/config.source": "file"}, (DEAD, ETCD)),
    Pod("eeeeeeeeeeeeeeee", "vm", "default", "u3", 0, "NotReady", 0, NOW - 500, {}, {}, ()),
]


def options(*words: str) -> object:
    """Parsed command line."""
    return crictl.parser().parse_args(list(words))


@pytest.mark.parametrize(("text", "expected"), [
    ("", {}), ("component=etcd", {"component": "etcd"}),
    ("component=etcd,tier=control-plane", {"component": "etcd", "tier": "control-plane"}),
])
def test_label_selectors_are_read(text: str, expected: dict[str, str]) -> None:
    assert parse_selector(text) == expected


def test_a_selector_matches_only_when_every_pair_does() -> None:
    assert matches({"component": "etcd"}, LABELS)
    assert not matches({"component": "etcd", "tier": "workload"}, LABELS)


@pytest.mark.parametrize(("words", "names"), [
    (("pods", "-q", "--label", "component=etcd,tier=control-plane"), ["etcd-r1"]),
    (("pods", "--name", "^vm$"), ["vm"]),
    (("pods", "--state", "ready"), ["kube-controller-manager-r1", "etcd-r1"]),
    (("pods",), ["kube-controller-manager-r1", "etcd-r1", "vm"]),
])
def test_pods_are_selected(words: tuple[str, ...], names: list[str]) -> None:
    assert [pod.name for pod in crictl.select_pods(PODS, options(*words))] == names  # type: ignore[arg-type]


def test_ps_shows_running_containers_and_with_a_all() -> None:
    running = crictl.select_containers(PODS, options("ps", "-q", "--name", "^etcd$"))  # type: ignore[arg-type]
    assert [row.id for _, row in running] == [ETCD.id]
    every = crictl.select_containers(PODS, options("ps", "-a"))  # type: ignore[arg-type]
    assert [row.id for _, row in every] == [ETCD.id, CONTROLLER.id, DEAD.id]


def test_the_table_is_the_recorded_one() -> None:
    """Header and first row of transcripts/rke2-healthy-r1.txt, ids of images aside."""
    lines = crictl.containers_table([(PODS[0], CONTROLLER)], NOW).splitlines()
    assert lines[0] == ("CONTAINER           IMAGE               CREATED             STATE               "
                        "NAME                      ATTEMPT             POD ID              "
                        "POD                          NAMESPACE")
    image = crictl.image_id("k8s")[:13]
    assert lines[1] == (f"56f7b4470fbaa       {image}       5 minutes ago       Running             "
                        "kube-controller-manager   0                   d61d98aea2ea3       "
                        "kube-controller-manager-r1   kube-system")


@pytest.mark.parametrize(("seconds", "text"), [
    (0.2, "Less than a second ago"), (1.5, "1 second ago"), (43, "43 seconds ago"), (61, "About a minute ago"),
    (360, "6 minutes ago"), (3600, "About an hour ago"), (7300, "2 hours ago"), (200000, "2 days ago"),
])
def test_ages(seconds: float, text: str) -> None:
    assert crictl.ago(seconds) == text


def test_static_pods_are_found_by_component_and_source() -> None:
    assert [pod.name for pod in static(PODS, "etcd")] == ["etcd-r1"]
    assert static([replace(PODS[1], annotations={})], "etcd") == []


def test_pods_survive_json() -> None:
    assert pod_from_json(asdict(PODS[1])) == PODS[1]
    assert PODS[1].latest("etcd") == ETCD
    assert PODS[1].latest("other") is None
