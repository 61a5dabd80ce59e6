# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_retire
short_description: Leave a server stopped for good
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(retire), on a server that is no member any more. Fences it as M(requorum.cluster.node_fence) does, moves its
    datastore to C(etcd-requorum-<stamp>), and leaves its unit disabled. Certificates, token and configuration stay.
  - Pods of that host go on running until somebody stops them. Drain it before, where that matters.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
seealso:
  - module: requorum.cluster.node_fence
"""

EXAMPLES = r"""
- name: Leave the server stopped for good
  requorum.cluster.node_retire:
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
    - id: "4.3"
      phase: 4
      node: server-4
      verb: retire
      turn: server-4
      what: Stop and disable rke2-server on server-4; move its datastore aside
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "stopped and disabled; kept: /var/lib/rancher/rke2/server/db/etcd-requorum-20261124T093007Z"
"""
