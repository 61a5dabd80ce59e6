# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: orphan_purge
short_description: Let go what the API still holds of dead servers
version_added: 0.1.0
author: Requorum contributors
description:
  - Of servers that a person has declared dead, deletes Machine, RKEBootstrap, CustomMachine, plan secrets, Node, node
    password, volume attachments, Longhorn's replicas and node, block devices, and pods that are stuck in Terminating.
  - A server's objects are found by its Machine. The Machine is found by its C(nodeRef), its C(providerID), the
    annotation and the label of the Node. That a Node is not Ready says nothing here.
  - The RKEBootstrap is annotated with C(rke.cattle.io/etcd-force-remove) first, or Rancher would wait for ever. No
    finalizer is taken away; each object is waited for until its own controllers have let it go.
  - Every object is saved on the controller before anything goes. Deletions are bound to the UID that was seen.
  - Where CAPI's Cluster is paused, Rancher's planner is paused by an annotation of its RKEControlPlane instead, as long
    as Machines are deleted; then the Cluster is paused again.
  - Refuses while a named server is alive, is unknown, has more than one Machine, or has the last healthy replica of a
    Longhorn volume, and where the API is that of another cluster.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  cluster:
    description: Name of the cluster; its folder below O(output).
    type: str
    required: true
  dead:
    description:
      - Names of Nodes, or of hosts of the inventory; also of a single Machine that has no Node.
      - Required unless O(powered_off) or O(leftovers) is given.
    type: list
    elements: str
    default: []
  powered_off:
    description: Servers whose power was cut. They count as O(dead), and must not answer.
    type: list
    elements: str
    default: []
  servers:
    description: Names of all servers of the inventory, as INSPECT has read them.
    type: list
    elements: str
    default: []
  output:
    description: Folder on the controller.
    type: path
    required: true
  leftovers:
    description:
      - What an aborted upgrade of Harvester has left is restored too. Paused ManagedCharts, plans of the system upgrade
        controller, annotations of the drain on plan secrets, cordon, taint and annotations of Nodes, Longhorn's
        C(replica-replenishment-wait-interval), drain hooks of the provisioning cluster.
      - Nothing of it while the upgrade can go on by itself. The Upgrade is never deleted.
    type: bool
    default: false
  accept_loss:
    description: Longhorn volumes and backing images whose last copy lies on a dead server, and that are given up.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    details:
      - Returns the same RV(actions).
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - A run that was cut off is gone on with by the same call. What is gone is skipped.
notes:
  - Runs on a server that answers, by its own C(kubectl), or with C(requorum_kubeconfig) on the controller.
  - The deadline for each object is C(requorum_timeouts.purge), 300 seconds.
seealso:
  - module: requorum.cluster.node_forget
"""

EXAMPLES = r"""
- name: Let two dead servers go
  requorum.cluster.orphan_purge:
    cluster: prod
    dead: [harvester-1, harvester-3]
    servers: "{{ groups['servers'] }}"
    output: /root/recoveries
"""

RETURN = r"""
actions:
  description:
    - What was done, in this order, or would be done in check mode. Of a run that failed, what was done before.
  returned: always
  type: list
  elements: dict
  sample:
    - verb: delete
      kind: machines.cluster.x-k8s.io
      namespace: fleet-local
      name: custom-1a2b3c4d5e6f
      what: delete it
      why: it is the machine of harvester-1
notes:
  description: What was left alone or skipped, and why.
  returned: always
  type: list
  elements: str
  sample: ["harvester-3: an earlier run has purged it; nothing of it is left."]
refusals:
  description: Why nothing is done, and what would allow it.
  returned: always
  type: list
  elements: str
  sample: ["harvester-1 is alive: its kubelet reported 8 s ago. Cut its power, wait 40 s, and run it again."]
requorum_run_dir:
  description: Folder of this run on the controller.
  returned: when something was done
  type: str
  sample: /root/recoveries/prod/20261128T120000Z
saved:
  description: Folder with the objects as they were, one JSON file each. Of plan secrets without their data.
  returned: when something was done
  type: str
  sample: /root/recoveries/prod/20261128T120000Z/objects
"""
