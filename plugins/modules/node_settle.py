# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_settle
short_description: Wait until every server serves and every living Node is Ready
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(serve), on each server that was started, promoted or joined again. Waits until its own etcd sees a leader and
    its own API server says C(/readyz).
  - Verb V(settle), on the survivor. Waits until every living Node is Ready with a Lease younger than 40 seconds, and
    the endpoints of the service C(kubernetes) are exactly the living servers. On a host that this run has started, a
    Lease from before that start does not count.
  - As soon as the API answers V(settle), the stored node passwords of O(refused) are removed in the way of
    M(requorum.cluster.node_password), each one saved to the folder of the run first. Each is written again at the
    host's next request.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
options:
  refused:
    description:
      - Names of Nodes whose node password is not accepted, RV(requorum.cluster.node_agent#module:refused) of the
        agents and RV(requorum.cluster.password_info#module:refused) of all hosts.
      - The secret C(<node>.node-password.rke2) (or C(.k3s)) in C(kube-system) is deleted.
    type: list
    elements: str
    default: []
notes:
  - The deadline is C(requorum_timeouts.settle), 300 seconds for each of the two.
seealso:
  - module: requorum.cluster.node_agent
  - module: requorum.cluster.password_info
"""

EXAMPLES = r"""
- name: Wait until every living Node is Ready
  requorum.cluster.node_settle:
    plan: "{{ requorum_plan }}"
    phase: 8
    run_dir: "{{ requorum_run_dir }}"
    refused: [agent-1]
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
      node: server-1
      verb: settle
      what: >-
        Wait until every living Node is Ready and the API has its endpoints; remove only a refused node password
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "4 Nodes Ready; API at 192.0.2.11, 192.0.2.12, 192.0.2.13"
"""
