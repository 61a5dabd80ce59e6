# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_precheck
short_description: Say whether a Harvester can be upgraded now, item by item
version_added: 0.1.0
author: Requorum contributors
description:
  - Takes what M(requorum.cluster.node_info) registered as C(requorum_read) on each host, the logs among it, reads
    objects of the API, and asks every rule that forbids an upgrade or belongs to the official pre-check
    (C(docs/precheck.md)).
  - With O(to) it looks at the release to go to as well - whether one step leads there, and whether the host that it
    runs on reaches its C(version.yaml) and its ISO.
  - What could not be checked is never passed, and the cluster is not ready then.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
  - requorum.cluster._shelf.servers
  - requorum.cluster._shelf.look
  - requorum.cluster._shelf.rules
options:
  to:
    description: Release of Harvester to go to. Without one, nothing is said of any.
    type: str
    default: ""
  releases:
    description: File on the controller with the list of releases, where it is not the one that comes with Requorum.
    type: path
    default: ""
  iso_url:
    description:
      - URL of its ISO where it is not the official one. C(version.yaml) is looked for beside it, and needed without
        O(iso_checksum).
    type: str
    default: ""
  iso_checksum:
    description: SHA-512 of the ISO, where it is not to be the one of C(version.yaml).
    type: str
    default: ""
  iso_hash:
    description:
      - Whether the host reads the whole ISO for its checksum, within C(requorum_timeouts.iso) seconds (3600). Nothing
        of it is written to a disk.
    type: bool
    default: false
  seen_to:
    description: Rules that the caller sees to before anything is begun, as those of the backup; they are not asked.
    type: list
    elements: str
    default: []
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
  - The task fails only where the cluster is no Harvester; RV(ready) says whether it can be upgraded.
seealso:
  - module: requorum.cluster.cluster_diagnose
"""

EXAMPLES = r"""
- name: Ask whether the cluster can go to 1.4.1
  requorum.cluster.cluster_precheck:
    cluster: prod
    servers: "{{ groups['servers'] }}"
    agents: "{{ groups['agents'] | default([]) }}"
    output: /root/recoveries
    api: true
    to: v1.4.1
  register: requorum_prechecked
"""

RETURN = r"""
precheck:
  description: The diagnosis of the items alone, with C(precheck), as C(docs/diagnosis.schema.json) has it.
  returned: success
  type: dict
ready:
  description: Whether every item passed or only warns.
  returned: success
  type: bool
target:
  description: The release that was named and where its files are, as C(docs/state.schema.json) has it; else V(null).
  returned: success
  type: dict
requorum_run_dir:
  description: Folder with C(diagnosis.json), C(diagnosis.html) and C(state.json).
  returned: with O(record)
  type: str
  sample: /root/recoveries/prod/20261128T020000Z
"""
