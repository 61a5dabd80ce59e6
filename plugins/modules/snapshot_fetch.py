# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_fetch
short_description: Copy the chosen snapshot to the controller and prove it there
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(fetch). Copies the snapshot that the plan names from this node, or from S3, to C(backup/restore) in
    O(run_dir) and proves it as a whole. The SHA-256 at its end must be right, every page in order, a token at hand must
    open it, it must be of this cluster, and no newer version may have written it.
  - It is the first action of BACKUP. A snapshot that is not proved fails it before anything on a node is touched.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - A snapshot that lies on the controller needs no such action; it is proved in PLAN, and again when it is delivered.
  - The deadline for S3 is an hour.
seealso:
  - module: requorum.cluster.snapshot_deliver
  - module: requorum.cluster.snapshot_get
"""

EXAMPLES = r"""
- name: Copy the snapshot that was chosen to the controller and prove it
  requorum.cluster.snapshot_fetch:
    plan: "{{ requorum_plan }}"
    phase: 3
    run_dir: "{{ requorum_run_dir }}"
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
    - id: "3.1"
      phase: 3
      node: server-2
      verb: fetch
      what: Copy server-2:/root/snapshot.db to the controller and prove it there
      started: "2026-11-29T02:11:29.100Z"
      ended: "2026-11-29T02:11:29.910Z"
      seconds: 0.81
      result: "6205472 bytes, revision 2484, proved"
"""
