# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: join_wait
short_description: Wait until hosts have joined a Harvester
version_added: 0.1.0
author: Requorum contributors
description:
  - A host joins a Harvester by being installed. This watches it, says what it waits for and what it saw last, and
    changes nothing. Each stage has its deadline.
  - The stages are C(reachable), C(registered) (Rancher has a Machine for it), C(running) (the Machine is Running),
    C(ready) (its Node is Ready), C(storage) (its Longhorn node is Ready), C(promoted), and C(voter), as etcd itself
    lists it.
  - Hosts are waited for in the order of O(nodes), each as far as C(storage). Promotion and vote are waited for at the
    end, since only the third node sets them off. Where they will not come as things are, they are C(not due), and why
    is said.
  - A stage that does not come is judged by what the cluster and the logs of the host say. A cause that does not pass
    by itself, as a wrong token, ends the waiting before its deadline.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  nodes:
    description: Hostnames of the hosts, in the order in which they are installed; all of C(requorum_join) when empty.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    details:
      - Looks once and waits for nothing.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Nothing is changed. What is done already is not waited for.
notes:
  - Runs on a server, or with C(requorum_kubeconfig) on C(localhost). Then no etcd can be asked, and the condition
    C(EtcdIsVoter) of the Node stands for it.
  - A host of the inventory is looked at over SSH, where its logs are read too; any other one is knocked at from the
    server.
  - Deadlines are C(requorum_timeouts), by the names C(join_) and the stage, and C(join) for all together.
seealso:
  - module: requorum.cluster.join_config
"""

EXAMPLES = r"""
- name: Wait for two hosts, one after another
  requorum.cluster.join_wait:
    nodes: [node-4, node-5]
"""

RETURN = r"""
hosts:
  description: One entry for each host, in order; also when it fails.
  returned: always
  type: list
  elements: dict
  contains:
    host:
      description: Its name.
      type: str
      sample: node-4
    joined:
      description: Whether all stages that are due are done.
      type: bool
    waits_for:
      description: The first stage that is due and not done; V(null) where there is none.
      type: str
    stages:
      description:
        - In order, with C(stage); C(state), which is V(done), V(open) or V(not due); C(seen); C(cause), C(why) and
          C(next) where a cause is known; and C(seconds) that were waited for it, V(null) where nobody has waited.
      type: list
      elements: dict
"""
