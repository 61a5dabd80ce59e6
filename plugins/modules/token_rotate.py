# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: token_rotate
short_description: Rotate the token of a restored cluster to the one of its configuration
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(rotate), on a server that has just been started from a snapshot from before a token rotation. It runs with
    the token of that snapshot, which M(requorum.cluster.token_put) has lent it.
  - Sends its supervisor what C(token rotate) sends, until the datastore has the key of the new token and no other. Both
    tokens go through standard input and files in C(/run) that only root reads, never through arguments.
  - Then it moves the lent token aside, so that the server's own configuration counts again, and starts the server with
    it. Servers that join later, and agents, already hold the new token.
  - Where the server refuses it, the cluster keeps the old token, which the result says, and the recovery goes on.
    Servers that join get the old token.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The deadline is C(requorum_timeouts.rotate), 120 seconds, then C(requorum_timeouts.start), 600 seconds.
seealso:
  - module: requorum.cluster.token_put
"""

EXAMPLES = r"""
- name: Rotate the token of an older snapshot back to the one of the configuration
  requorum.cluster.token_rotate:
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
    - id: "6.3"
      phase: 6
      node: server-1
      verb: rotate
      what: >-
        Rotate the token of the running server from key e2e269d4f6ec to 395cba02d986; start rke2-server with it again
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:28.340Z"
      seconds: 21.22
      result: "rotated from key e2e269d4f6ec to 395cba02d986, started again"
"""
