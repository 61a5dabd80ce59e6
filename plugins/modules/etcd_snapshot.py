# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot
short_description: Save a snapshot of a server, prove it and copy it off the node
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(snapshot). Saves a snapshot on the node, from the gateway of the running etcd, or from the file
    C(member/snap/db) of a stopped one with its SHA-256 appended. Streams it to C(backup/<node>/snapshot.db) in
    O(run_dir), hashed while it passes, and judges the copy there.
  - Where the connection is C(ssh), C(paramiko) is installed on the controller and sudo asks for no password, files
    come through one SSH channel of their own, with what C(ssh -G) says about the host. Else they come in chunks of
    4 MiB through Ansible's connection.
  - Verb V(keep). Copies C(server/tls), C(server/cred), the token, the member's name, the configuration and the node
    password to C(backup/<node>/files.tar); of a Harvester also C(/oem), the files of C(/etc/rancher), and what
    C(lsblk), C(ip) and C(efibootmgr) say. The result begins with C(warning:) where some of the latter cannot be read.
  - Verb V(save). Saves a snapshot named C(requorum-after) with the distribution's own program.
  - The proof is what makes the later phases possible. The snapshot must end with the right SHA-256, open as an etcd
    datastore, hold objects below C(/registry/), name a member of this cluster, and hold the bootstrap key of the token
    that is in force on the node; and the copy must have the hash that was computed on its way.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The token in force is the one of the unit's command line, else of the configuration files, of the token file, of
    the unit's environment files, else C(server/token).
  - Deadlines are 900 seconds for the snapshot, 300 for the other files, 150 for the fresh snapshot.
  - C(backup.json) in O(run_dir) has the paths on both sides, size, hash, revision and the checks with what was
    observed.
  - RKE2 and K3s check the hash of a snapshot only after they have moved the old datastore away, and its token only
    after they have replaced it. Both are checked here before.
"""

EXAMPLES = r"""
- name: Save the snapshot and what it needs, prove it on the controller
  requorum.cluster.etcd_snapshot:
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
      node: server-1
      verb: snapshot
      what: Save a snapshot from the running etcd through its gateway
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "16818208 bytes, revision 81734, proved: trailer, structure, content, cluster, token"
"""
