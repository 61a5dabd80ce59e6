# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_rejoin
short_description: Bring a host back as a new member
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(rejoin). Moves C(server/db/etcd) to C(server/db/etcd-requorum-<stamp>), writes
    C(config.yaml.d/zz-requorum.yaml) with the survivor's address as C(server), and starts the unit without waiting.
    Local snapshots stay where they are.
  - A C(--server) on the unit's command line wins over every file. There the systemd drop-in C(zz-requorum.conf) adds
    one more, which wins over it. M(requorum.cluster.node_release) takes both drop-ins away.
  - An old C(reset-flag) and the agent's lists of load-balanced servers are moved to
    C(/var/lib/rancher/requorum/<stamp>).
  - Certificates and credentials are moved aside too when they come from another certificate authority.
  - A host whose token in force is not the survivor's gets the survivor's out of the backup, through standard input.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - It refuses while an etcd still runs on the host.
  - Several hosts may start at once. etcd takes one learner at a time; the others wait by themselves and log
    C(too many learner members in cluster) meanwhile.
seealso:
  - module: requorum.cluster.member_promote
"""

EXAMPLES = r"""
- name: Start the joining servers, old data aside
  requorum.cluster.node_rejoin:
    plan: "{{ requorum_plan }}"
    phase: 7
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
    - id: "7.1"
      phase: 7
      node: server-2
      verb: rejoin
      what: Move the old datastore aside (if any), point server-2 at server-1, start rke2-server
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: >-
        started, joins https://192.0.2.11:9345; kept: /var/lib/rancher/rke2/server/db/etcd-requorum-20261124T093007Z
"""
