# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_furnish
short_description: Give a host that has no configuration the one that was kept beside a snapshot
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(furnish). Puts the files below C(/etc/rancher) that M(requorum.cluster.etcd_snapshot) kept of this very host
    back where there is none - configuration and node password. A file that is there is left alone.
  - The action fails when the host has a configuration by now, and when the kept files hold none.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - It is planned only with a snapshot that was kept on the controller by an earlier run, and for a host whose
    configuration was found empty.
seealso:
  - module: requorum.cluster.etcd_snapshot
  - module: requorum.cluster.snapshot_deliver
"""

EXAMPLES = r"""
- name: Give a host without configuration the one that was kept
  requorum.cluster.node_furnish:
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
      node: server-2
      verb: furnish
      what: Put the saved configuration and node password of server-2 back
      started: "2026-11-25T02:11:31.410Z"
      ended: "2026-11-25T02:11:31.790Z"
      seconds: 0.38
      result: /etc/rancher/rke2/config.yaml, /etc/rancher/node/password
"""
