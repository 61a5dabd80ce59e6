# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_remove
short_description: Empty server/tls without losing the CAs
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(empty), while the server is stopped, for runbooks that say C(rm -rf server/tls). On most versions that makes
    new CAs and finishes the cluster off.
  - Opens the bootstrap data of the snapshot that this run has proved, moves server/tls aside, and writes CAs,
    service.key and the files in cred/ that differ with their old times. Only leaves are made anew by the next start.
  - V(match) of M(requorum.cluster.tls_rotate) comes before it, and refuses where the CAs of the server are others.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - Private keys travel through standard input only.
seealso:
  - module: requorum.cluster.tls_rotate
"""

EXAMPLES = r"""
- name: Empty server/tls, the CAs put back at once
  requorum.cluster.tls_remove:
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
    - id: "4.5"
      phase: 4
      node: server-2
      verb: empty
      turn: server-2
      what: Move server/tls aside; write CAs, service.key and cred/ of the datastore with their old times
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:07.910Z"
      seconds: 0.79
      result: "placed: /var/lib/rancher/rke2/server/tls; kept: .../server/tls-requorum-20261124T093000Z"
"""
