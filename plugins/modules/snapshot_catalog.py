# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_catalog
short_description: Show all snapshots of a cluster in one table
version_added: 0.1.0
author: Requorum contributors
description:
  - Puts together the snapshots that M(requorum.cluster.node_info) read on each server (C(requorum_read)), those of
    earlier runs on the controller, and those in S3 when C(requorum_s3_bucket) is set.
  - Each one is judged by its SHA-256, its revision, the tokens at hand and the version of the servers. The usable ones
    come first, the newest of them at the top. C(requorum_snapshot=newest) takes the first line of this very table.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
  - requorum.cluster._shelf.servers
options: {}
attributes:
  check_mode:
    support: full
    details:
      - It only reads, so there is no difference.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - Runs on the controller, with C(hosts=localhost).
  - Tokens at hand are those in force on the servers, the one in C(requorum_token_file), and those that were kept beside
    the snapshots on the controller.
seealso:
  - module: requorum.cluster.etcd_snapshot_info
  - module: requorum.cluster.recovery_plan
"""

EXAMPLES = r"""
- name: Show all snapshots
  requorum.cluster.snapshot_catalog:
    cluster: prod
    servers: "{{ groups['servers'] }}"
    output: /root/recoveries
"""

RETURN = r"""
unread:
  description: Servers whose snapshots could not be read, each with the reason. They have no line in the table.
  returned: success
  type: dict
  sample: {server-3: "ssh: connect to host 192.0.2.13 port 22: Connection timed out"}
snapshots:
  description: >-
    The table. Each row also has the keys of RV(requorum.cluster.etcd_snapshot_info#module:requorum_snapshots).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: >-
        How O(requorum.cluster.recovery_plan#module:snapshot) names it: a path on the controller, C(NODE:/path) or
        C(s3://bucket/key).
      type: str
    verdict:
      description:
        - V(usable), when nothing that was seen forbids to restore it. It is proved as a whole before it is used.
        - V(unread), when it has to be copied before it can be judged. It may be named, and V(newest) does not take it.
        - V(unusable).
      type: str
    why:
      description: What speaks against it, or what was seen.
      type: str
"""
