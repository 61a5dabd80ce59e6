# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_password
short_description: Remove exactly one stored node password
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(password), on a server whose API answers, for the host whose turn it is. Writes the manifest of its Secret
    C(<node>.node-password.<distribution>) to C(passwords/<host>.json) in the folder of the run, then deletes that one
    and nothing else. The host's next request writes it again. Where no host has a turn, this is done for every host
    that the plan names.
  - Verb V(admit) waits until it is stored anew and the Node is Ready, for an agent that was refused and asks every
    few seconds.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The deadline of V(admit) is C(requorum_timeouts.settle), 300 seconds.
seealso:
  - module: requorum.cluster.password_info
"""

EXAMPLES = r"""
- name: Remove a stored node password that is not the host's
  requorum.cluster.node_password:
    plan: "{{ requorum_plan }}"
    phase: 4
    run_dir: "{{ requorum_run_dir }}"
  delegate_to: server-1
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
    - id: "4.4"
      phase: 4
      node: server-1
      verb: password
      turn: agent-1
      what: Save the Secret with the node password of agent-1 to the controller, then delete it
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:08.340Z"
      seconds: 1.22
      result: "Secret of agent-1 deleted; kept: /root/recoveries/prod/20261124T093007Z/passwords/agent-1.json"
"""
