# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_fence
short_description: Take etcd and kube-apiserver of a node away
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(fence). Disables and stops the server's unit, takes etcd and kube-apiserver away, and looks whether they are
    gone and ports 2379, 2380, 2381 and the supervisor's are closed. Pods and virtual machines go on running.
  - On RKE2, the unit alone does not stop etcd and kube-apiserver, which are static pods. So kubelet is frozen, the
    manifests of the control plane are moved to C(/var/lib/rancher/requorum/<stamp>/pod-manifests), the two pods are
    removed through C(crictl), the unit is stopped, and what is left is killed with its own shim.
  - On K3s, both are part of the unit's process and end with it.
  - C(rke2-killall.sh) and C(k3s-killall.sh) are never called.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The deadline is 180 seconds. A stop of the unit that takes more than 30 is cut short by killing its main process.
  - Whether the unit was enabled is noted in C(/var/lib/rancher/requorum/journal); M(requorum.cluster.node_release)
    puts it back.
  - To take it back by hand, run C(systemctl enable --now rke2-server) (or C(k3s)); the program writes its manifests
    anew.
"""

EXAMPLES = r"""
- name: Take etcd and kube-apiserver away
  requorum.cluster.node_fence:
    plan: "{{ requorum_plan }}"
    phase: 4
    run_dir: "{{ requorum_run_dir }}"
"""

RETURN = r"""
requorum_actions:
  description:
    - The actions of this host and phase, with the keys of the plan, C(started) and C(ended) (UTC), C(seconds) and
      C(result). The result of one that failed begins with C(failed:), says what is wrong, where, and what to do next;
      no later action of the run is begun on any host, and none that was not begun stands here. The task does not
      fail; M(requorum.cluster.recovery_report) does at the end.
    - In check mode, C(started), C(ended) and C(seconds) are V(null).
  returned: success
  type: list
  elements: dict
  sample:
    - id: "4.1"
      phase: 4
      node: server-2
      verb: fence
      what: Stop and disable rke2-server; take away etcd and kube-apiserver only
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "etcd and kube-apiserver are gone, ports closed; other processes were left alone"
"""
