# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_deliver
short_description: Prove the chosen snapshot and put it on the server that restores it
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(deliver). Takes the snapshot that the plan names from the controller, or from where
    M(requorum.cluster.snapshot_fetch) has copied it to, and proves it as a whole. The SHA-256 at its end must be right,
    every page in order, the token must open it, and no newer version may have written it.
  - Then it goes to C(/var/lib/rancher/requorum) on the node, where its hash is computed again. A snapshot that lies on
    this very node is restored from where it is.
  - A zip is unpacked on the controller, because the distribution's own unpacking is broken in some versions.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The node needs three times the size of the snapshot free.
  - C(restore.json) in O(run_dir) has the paths on both sides, size, hash, revision and the checks with what was
    observed.
  - The deadline is 600 seconds for the hash on the node.
seealso:
  - module: requorum.cluster.snapshot_fetch
  - module: requorum.cluster.etcd_snapshot
  - module: requorum.cluster.cluster_reset
"""

EXAMPLES = r"""
- name: Prove the snapshot that was chosen and put it on the server that restores it
  requorum.cluster.snapshot_deliver:
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
    - id: "3.2"
      phase: 3
      node: server-1
      verb: deliver
      what: Prove /root/snapshot.db on the controller and put it on server-1
      started: "2026-11-25T02:11:31.410Z"
      ended: "2026-11-25T02:11:33.180Z"
      seconds: 1.77
      result: "6205472 bytes, revision 2484, proved; it lies in /var/lib/rancher/requorum/20261125T021120Z/restore.db"
"""
