# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_prune
short_description: Let all but the newest backups go
version_added: 0.1.0
author: Requorum contributors
description:
  - On the controller, removes whole folders of runs that were made for a backup of this cluster; in S3, objects that
    Requorum has put there for this cluster. O(keep) of the proved ones stay, counted for each place by itself.
  - Never the run of a recovery, never a snapshot that a recovery has restored, never a link, never a copy that
    M(requorum.cluster.snapshot_get) has made, never the snapshots of RKE2 and K3s. Nothing on a node.
  - A backup that is not proved takes no place; it goes when it is a day old and a newer one is proved. Without any
    proved one everything stays.
  - Nothing is removed when the bucket cannot be listed.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
options:
  keep:
    description: So many stay, at least one.
    type: int
    required: true
attributes:
  check_mode:
    support: full
    details:
      - Says what would be removed.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - Runs on the controller, with C(hosts=localhost). No node is asked.
  - Backups of another cluster that had the same name stay. The cluster is the one of the newest proved backup.
seealso:
  - module: requorum.cluster.snapshot_keep
"""

EXAMPLES = r"""
- name: Keep the ten newest backups
  requorum.cluster.snapshot_prune:
    cluster: prod
    output: /root/recoveries
    keep: 10
"""

RETURN = r"""
removed:
  description: What was removed, or would be. Folders of runs on the controller, and objects in S3.
  returned: success
  type: list
  elements: str
  sample: [/root/recoveries/prod/20261101T020000Z]
kept:
  description: Names of the proved backups that stay.
  returned: success
  type: list
  elements: str
  sample: ["s3://backups/prod/20261125T020000Z-server-1.db"]
"""
