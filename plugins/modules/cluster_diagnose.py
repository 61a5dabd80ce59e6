# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_diagnose
short_description: Say what is wrong with a cluster, what caused it, and what to type next
version_added: 0.1.0
author: Requorum contributors
description:
  - Takes what M(requorum.cluster.node_info) registered as C(requorum_read) on each host, the logs among it, reads
    objects of the API, and asks every rule of C(rules/) and of the folders in O(rules).
  - The case, and the operations that are refused now, come from the same judgement by which C(recover.yml) decides.
  - What could not be read is not checked, and never counts as healthy.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
  - requorum.cluster._shelf.servers
  - requorum.cluster._shelf.look
  - requorum.cluster._shelf.rules
options:
  survivor:
    description: The server that a person has chosen to go on with.
    type: str
    default: ""
  bundle:
    description:
      - File on the controller into which all that was read is written, without secrets, for C(requorum diagnose).
    type: path
    default: ""
  upkeep:
    description:
      - Parts of the maintenance checks (C(docs/monitoring)) that are made too.
    type: list
    elements: str
    choices: [certificates, etcd, backups]
    default: []
  prometheus:
    description: File on the controller that they, and the findings of the rules, are written to for Prometheus.
    type: path
attributes:
  check_mode:
    support: full
    details:
      - Nothing on a node is ever changed; check mode makes no difference.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - Runs on the controller as an action plugin. It asks the API by C(kubectl) on its host, a server, or by the file of
    C(requorum_kubeconfig), within C(requorum_timeouts.inspect) seconds (120).
  - The task does not fail for what it finds.
seealso:
  - module: requorum.cluster.node_info
  - module: requorum.cluster.node_logs
  - module: requorum.cluster.cluster_check
"""

EXAMPLES = r"""
- name: Ask every rule
  requorum.cluster.cluster_diagnose:
    cluster: prod
    servers: "{{ groups['servers'] }}"
    agents: "{{ groups['agents'] | default([]) }}"
    output: /root/recoveries
    api: true
  register: requorum_diagnosed
"""

RETURN = r"""
diagnosis:
  description: The diagnosis, as C(docs/diagnosis.schema.json) has it.
  returned: success
  type: dict
upkeep:
  description: The maintenance checks, as a C(document), as C(text), and the exit C(code) of C(requorum inspect).
  returned: with O(upkeep)
  type: dict
requorum_run_dir:
  description: Folder with C(diagnosis.json), C(diagnosis.html) and C(state.json).
  returned: with O(record)
  type: str
  sample: /root/recoveries/prod/20261128T020000Z
"""
