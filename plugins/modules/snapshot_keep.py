# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_keep
short_description: Put a backup into S3, let old backups go, say how old the newest proved one is
version_added: 0.1.0
author: Requorum contributors
description:
  - When C(requorum_s3_bucket) is set and the snapshot of this run is proved, puts it there as
    C(<cluster>/<UTC stamp>-<server>.db), with its revision, the hash of its token, node and cluster as metadata. What
    the store then holds is compared with the file. The token and the certificates are not put there.
  - Removes what the policy lets go. On the controller, that is the whole folder of a run that was made for a backup of
    this cluster; in S3, an object that Requorum has put there for this cluster. Never the run of a recovery, never a
    snapshot that a recovery has restored, never the newest proved one, never a link.
  - A backup counts only when it is proved. One that is not fills no place of the policy; it goes when it is a day old
    and a newer one is proved.
  - Nothing is removed after the backup of this run or its transfer to S3 has failed.
  - Shows one line for monitoring, and fails when the newest proved backup is too old, and when the backup of this run
    has failed.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  run_dir:
    description: >-
      Folder of this run, RV(requorum.cluster.recovery_plan#module:requorum_run_dir). The other runs of the cluster lie
      beside it.
    type: path
    required: true
  keep_last:
    description: So many of the newest backups stay.
    type: int
    default: 0
  keep_hours:
    description: >-
      The newest backup of each of so many hours stays. Hours, days and weeks are those in which there is a proved
      backup, in UTC, so that a pause in the backups removes none.
    type: int
    default: 0
  keep_days:
    description: The newest backup of each of so many days stays.
    type: int
    default: 0
  keep_weeks:
    description: >-
      The newest backup of each of so many weeks, from Monday on, stays. When it and the three options above are V(0),
      everything stays.
    type: int
    default: 0
  max_age_s:
    description: Fail when the newest proved backup off the node is older, in seconds. V(0) only shows its age.
    type: int
    default: 0
attributes:
  check_mode:
    support: full
    details:
      - Says what would be removed if this run had made its backup. The age is that of what is there now, and it fails
        when that is too old.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - Runs on the controller, with C(hosts=localhost).
  - Writes C(keep.json) to O(run_dir), where M(requorum.cluster.recovery_report) finds it.
  - The deadline is an hour for the transfer to S3, and as long for each listing and removal there.
seealso:
  - module: requorum.cluster.etcd_snapshot
  - module: requorum.cluster.snapshot_catalog
"""

EXAMPLES = r"""
- name: Keep a day of hours, two weeks of days and two months of weeks; fail when the newest is older than 26 hours
  requorum.cluster.snapshot_keep:
    run_dir: "{{ requorum_made.requorum_run_dir }}"
    keep_hours: 24
    keep_days: 14
    keep_weeks: 8
    max_age_s: 93600
"""

RETURN = r"""
line:
  description: The line for monitoring.
  returned: always
  type: str
  sample: "newest proved backup off the node: 12 s old (s3://backups/prod/20261125T020000Z-s1.db, revision 2484)"
newest:
  description: >-
    The newest proved backup on the controller and in S3, C(name), C(time) in Unix seconds and C(revision). V(null) when
    there is none.
  returned: always
  type: dict
stored:
  description: Name of the object in S3 that holds the snapshot of this run, or would; empty without one.
  returned: always
  type: str
  sample: s3://backups/prod/20261125T020000Z-s1.db
removed:
  description: What was removed, or would be. Folders of runs on the controller, and objects in S3.
  returned: always
  type: list
  elements: str
  sample: [/root/recoveries/prod/20261101T020000Z]
"""
