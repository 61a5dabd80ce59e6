# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_rotate
short_description: Make leaf certificates anew under the CAs of the datastore
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(match), before the server is stopped. Opens the bootstrap data of the snapshot that this run has proved, on
    the controller and with the token that was kept beside it. The CAs and service.key of the server must be those in
    it, or the plan must put them back. Nothing is stopped otherwise.
  - Verb V(secret), likewise before it. Saves the Secret C(rke2-serving) or C(k3s-serving) of C(kube-system) to the
    controller and deletes it. Every server starts with the certificate in it; the next start writes it anew.
  - Verb V(restore), while the server is stopped. Writes CAs, service.key and the files in cred/ that differ, with the
    times that the datastore has for them; what was there is moved aside. It is never done the other way round.
  - Verb V(renew), while the server is stopped. Runs C(certificate rotate) for the services that are due; where the
    program has no such command, moves exactly the due leaves aside. Fails when a CA changed.
  - Verb V(refresh), on an agent. Restarts its unit; an agent fetches its certificates at every start.
  - Verb V(renewed), after the start. The server must be a voter of a healthy quorum, its CAs and keys those of the
    datastore, and every leaf must chain and be in date.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
options:
  verbs:
    description: Verbs that are done now; the server is stopped and started between them.
    type: list
    elements: str
    choices: [match, secret, restore, renew, refresh, renewed]
    required: true
  tls:
    description: Result of M(requorum.cluster.tls_info) on this host after its start; for V(renewed).
    type: dict
    default: {}
notes:
  - Private keys travel through standard input only.
  - Deadlines are C(requorum_timeouts.start), 600 seconds, and C(requorum_timeouts.settle), 300 seconds.
seealso:
  - module: requorum.cluster.tls_info
  - module: requorum.cluster.tls_remove
"""

EXAMPLES = r"""
- name: Take leaf certificates away
  requorum.cluster.tls_rotate:
    plan: "{{ requorum_plan }}"
    phase: 4
    run_dir: "{{ requorum_run_dir }}"
    verbs: [restore, renew]
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
    - id: "4.5"
      phase: 4
      node: server-2
      verb: renew
      turn: server-2
      what: "Take away these leaf certificates of server-2, which its start makes anew: etcd"
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:07.910Z"
      seconds: 0.79
      result: "certificate rotate; the start makes them anew; kept: /var/lib/rancher/rke2/server/tls-1795553183"
"""
