# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: server_start
short_description: Start a server that has its datastore
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(start). Starts the server's unit without waiting for systemd, which has no limit for it, and goes on as soon
    as the supervisor answers C(/ping). From then on other servers can join.
  - In a recovery it looks first whether a server answers of which the datastore knows nothing, as
    M(requorum.cluster.fence_proof) does, and refuses to begin beside it.
  - After a reset, where a server is the only member, and where it takes CAs from its datastore, a C(server) in the
    configuration is overridden by C(config.yaml.d/zz-requorum.yaml), and one on the unit's command line by the systemd
    drop-in C(zz-requorum.conf).
    The server then asks no other one, which may have other CAs on its disk.
    M(requorum.cluster.node_release) takes both away.
  - After a reset, the first write by the API server that comes up is the point of no return.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The deadline is C(requorum_timeouts.start), 600 seconds. What is waited for and what was seen last is shown every
    5 seconds; when it passes, the lines of the log that explain it are part of the message.
"""

EXAMPLES = r"""
- name: Start the server until its supervisor answers
  requorum.cluster.server_start:
    plan: "{{ requorum_plan }}"
    phase: 6
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
    - id: "6.1"
      phase: 6
      node: server-1
      verb: start
      what: Start rke2-server
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "unit activating, supervisor answers, etcd healthy, members server-1-4b1c9f02"
"""
