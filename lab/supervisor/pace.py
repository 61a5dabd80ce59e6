# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the real programs wait, as it was recorded on real servers of v1.34.3 on two cores, and the lab's own haste.

What the stand-in's etcd and kube-apiserver take by themselves is not in here: they are the real ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pace:
    """Seconds."""

    reset_poll: float = 0.2
    """Between two tries of a reset to end."""
    etcd_test: float = 0.5
    """Between two tests of the own etcd."""
    cleanup_poll: float = 0.2
    """Between two looks of the static pod cleanup."""
    cleanup: Mapping[int, float] = field(default_factory=dict)
    """Static pods that it ends -> how long it takes."""
    kubelet: float = 0.0
    """From containerd to kubelet, which images are imported beside."""
    pod_sync: float = 0.0
    """Between two looks whether the static pods are in sync, without which the unit is not active."""

    def cleanup_of(self, pods: int) -> float:
        """How long a static pod cleanup of so many pods takes."""
        return max((seconds for known, seconds in self.cleanup.items() if known <= pods), default=0.0)


FULL = Pace()
REAL = {
    "rke2": Pace(
        reset_poll=5.0,  # rke2-reset-restore-r1: tests at 30:07 and 30:12
        etcd_test=5.0,  # rke2-rejoin-r2: 31:55, 32:00, ...
        cleanup_poll=10.0,  # rke2-certificate-rotate-r3: started 46:23, first pods removed 46:33
        cleanup={
            1: 20.0,  # rke2-early-promote (b), (d): after a restore, etcd.yaml only, supervisor after 24 to 25
            2: 30.0,  # rke2-fence-without-killall-r1: 22:22 to 22:52
            4: 40.0,  # rke2-certificate-rotate-r3: 46:23 to 47:03
        },
        kubelet=1.0,  # rke2-first-start-r1: containerd 30:41, kubelet 30:42
        pod_sync=20.0,  # rke2-fence-frozen-kubelet-r1: 35:56, 36:16, 36:36; rke2-rejoin-r2: 31:53 to 32:13
    ),
    "k3s": Pace(
        reset_poll=5.0,  # k3s-reset-cases-n1: 44:27 to 44:32
        etcd_test=5.0,  # k3s-early-promote: 26:36 to 26:41
    ),
}
