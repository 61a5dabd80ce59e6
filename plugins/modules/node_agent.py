# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_agent
short_description: See that an agent reports, and repair how it holds on to the servers
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(agent). Asks through the agent's own connection whether its Node is Ready and its Lease is younger than
    40 seconds. It restarts the agent's unit only when that is not so in time, or at once when the unit does not run.
  - An agent that still does not report is no failure there; M(requorum.cluster.node_settle) and
    M(requorum.cluster.cluster_verify) judge it.
  - Verb V(point). Writes the registration address of a server that answers the agent into a drop-in of its
    configuration.
  - Verb V(pin). Writes the token of the agent with the CA hash of the servers into a drop-in of its configuration. The
    token does not leave the host.
  - Verb V(unlist). Moves the files of its load balancers to C(/var/lib/rancher/requorum).
  - Verb V(restart). Restarts the unit; waits until it is active, the Node is Ready with a Lease newer than the restart,
    and its load balancers list only living servers.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
options:
  failures:
    description: Agents that may be given up before the run stops.
    type: int
    default: 0
notes:
  - The deadline of V(agent) is C(requorum_timeouts.agent), 45 seconds, and once more after a restart; that of
    V(restart) is C(requorum_timeouts.restart), 120 seconds.
  - An agent that does not answer over SSH gets no action.
"""

EXAMPLES = r"""
- name: See that agents report again
  requorum.cluster.node_agent:
    plan: "{{ requorum_plan }}"
    phase: 8
    run_dir: "{{ requorum_run_dir }}"

- name: Repair how this agent holds on to the servers, and restart it
  requorum.cluster.node_agent:
    plan: "{{ requorum_plan }}"
    phase: 4
    run_dir: "{{ requorum_run_dir }}"
    failures: 2
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
    - id: "8.1"
      phase: 8
      node: agent-1
      verb: agent
      what: Wait until its Node reports again; restart rke2-agent only if it does not
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "unit active, Ready True, reported 3 s ago"
refused:
  description: >-
    Name of the Node whose node password is not accepted. M(requorum.cluster.node_settle) removes the stored one.
  returned: when it was seen
  type: str
  sample: agent-1
"""
