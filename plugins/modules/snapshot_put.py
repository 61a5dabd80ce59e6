# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_put
short_description: Prove a snapshot on the controller and put it on a server or into S3
version_added: 0.1.0
author: Requorum contributors
description:
  - Proves the file as a whole first, as M(requorum.cluster.snapshot_get) does. When it is not proved, the task fails
    and nothing is sent.
  - On a server, it becomes C(/var/lib/rancher/requorum/<UTC stamp>/snapshot.db), after its hash was computed again
    there. It keeps its time, so that an old snapshot does not become the newest one.
  - In S3, it becomes C(<cluster>/<UTC time of the snapshot>-put.db) with its revision, the hash of its token and the
    cluster as metadata, like a backup, and is kept or removed like one. What the store then holds is compared with the
    file.
  - A zip is unpacked before, because the distribution's own unpacking is broken in some versions.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
  - requorum.cluster._shelf.servers
options:
  file:
    description: The snapshot on the controller, or a zip with one.
    type: path
    required: true
  target:
    description: The server on which the task runs, or C(s3://) for the bucket in C(requorum_s3_bucket).
    type: str
    required: true
attributes:
  check_mode:
    support: full
    details:
      - It is proved, and not sent.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - In S3, one that is there is not sent again. On a server, each run makes a new copy.
notes:
  - Runs on the server, or on C(localhost) for S3. C(requorum_read) of every server is what the role
    P(requorum.cluster.inspect#role) registered.
  - The time of a snapshot is that of its record C(<file>.json), else that in the name that RKE2, K3s or Requorum gave
    it, else that of the file.
  - The server needs three times its size free.
  - Deadlines are 600 seconds for the hash on the node, an hour for S3.
seealso:
  - module: requorum.cluster.snapshot_get
  - module: requorum.cluster.snapshot_catalog
"""

EXAMPLES = r"""
- name: Put a snapshot on this server
  requorum.cluster.snapshot_put:
    file: /root/snapshot.db
    target: "{{ inventory_hostname }}"
    cluster: prod
    servers: "{{ groups['servers'] }}"
    output: /root/recoveries
"""

RETURN = r"""
name:
  description: >-
    How O(requorum.cluster.recovery_plan#module:snapshot) names what was put there; empty when the file is not proved.
  returned: always
  type: str
  sample: server-2:/var/lib/rancher/requorum/20261125T023012Z/snapshot.db
proved:
  description: Whether every check is right.
  returned: always
  type: bool
checks:
  description: What was looked at, with C(name), C(wanted), C(observed) and C(ok).
  returned: always
  type: list
  elements: dict
sha256:
  description: Of the snapshot; empty when it cannot be read.
  returned: always
  type: str
bytes:
  description: Size of the snapshot.
  returned: always
  type: int
revision:
  description: Revision of etcd; V(null) when it cannot be read.
  returned: always
  type: int
"""
