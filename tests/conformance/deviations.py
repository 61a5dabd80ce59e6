# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the stand-in is known not to behave like the real programs: the one list, each row with its reason.

A row that names a check makes it an expected failure against the stand-in; against a real program it must pass.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deviation:
    """One known difference."""

    distro: str
    check: str
    """`situation/check` of the table; empty where no transcript shows what the real program does."""
    reason: str


_BOTH = (
    ("healthy/node-pod-cidr", "no kube-controller-manager hands out pod networks; nothing routes pods here"),
    ("healthy/node-args", "the annotations with arguments and environment of the program are not written"),
    ("healthy/snapshot-object", "snapshots are not mirrored into ETCDSnapshotFile objects; the files are what counts"),
    ("healthy/kubelet-answers-the-api", "10250 answers 401 to everybody: no logs, no exec"),
)

DEVIATIONS: tuple[Deviation, ...] = (
    *(Deviation(distro, check, reason) for distro in ("rke2", "k3s") for check, reason in _BOTH),
    Deviation("rke2", "healthy/containers-have-their-cgroup",
              "containers are processes of the host and stay in the cgroup of the unit that started them, so that the "
              "stop of a transient unit with KillMode=mixed also ends the etcd that its reset left"),
    Deviation("rke2", "rebooted/temporary-corruption-check",
              "the temporary etcd starts without the corruption check, which waits 3 s for every peer that is off"),
    Deviation("rke2", "", "`Pod for etcd not synced (waiting for termination of old pod sandbox), retrying` is never "
              "written: a sandbox whose processes were killed is made again at once"),
    Deviation("rke2", "", "static pods have no liveness probes: kubelet does not restart a hanging kube-apiserver"),
    Deviation("k3s", "healthy/one-process",
              "etcd and kube-apiserver are children called k3s; in the real program they are threads of it"),
    Deviation("k3s", "healthy/loopback-certificate",
              "K3s' kube-apiserver keeps the certificate of its loopback client in files, upstream's in memory"),
    Deviation("k3s", "end/kubernetes-port",
              "upstream's kube-apiserver has no --advertise-port: the endpoints name 6444, where it listens itself"),
    Deviation("k3s", "", "without a leader it ends after 60 s with a line of its own; when and with which words the "
              "real program ends was not recorded"),
)
