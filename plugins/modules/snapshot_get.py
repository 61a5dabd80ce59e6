# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: snapshot_get
short_description: Copy a snapshot of a server or of S3 to the controller and prove it there
version_added: 0.1.0
author: Requorum contributors
description:
  - Hashes the snapshot where it lies and while it is copied, and proves the copy as a whole. The SHA-256 at its end
    must be right, every page in order, a token at hand must open it, it must be of this cluster when that could be
    asked, and no newer version may have written it.
  - A proved copy gets a record beside it, C(<file>.json). By that M(requorum.cluster.snapshot_catalog) finds it from
    then on, and it can be restored by its path.
  - One that is not proved keeps the ending C(.unproved), has no record and counts nowhere; the task fails.
  - Only the snapshot is copied. Keep the token of the cluster too, without it the snapshot is worthless.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
  - requorum.cluster._shelf.servers
options:
  source:
    description:
      - C(SERVER) means its newest usable snapshot, C(SERVER:/path) any file on it, C(s3://bucket/key) an object of the
        bucket in C(requorum_s3_bucket).
    type: str
    required: true
  folder:
    description: >-
      Folder for the copy, instead of C(<output>/<cluster>/fetched/<server or bucket>). The table of snapshots does not
      look into another one.
    type: path
attributes:
  check_mode:
    support: full
    details:
      - Says which snapshot it would copy, and where to.
  diff_mode:
    support: none
  idempotent:
    support: none
    details:
      - It is copied and proved again. A copy that is there is replaced when the new one is proved.
notes:
  - Runs on the server, or on C(localhost) for S3. C(requorum_read) of every server is what the role
    P(requorum.cluster.inspect#role) registered.
  - Tokens at hand are those in force on the servers that answer, the one in C(requorum_token_file), and those that were
    kept beside the snapshots on the controller.
  - A snapshot in a folder of a run is copied as C(<stamp>-snapshot.db).
  - Deadlines are 600 seconds for the hash on the node, an hour for S3.
seealso:
  - module: requorum.cluster.snapshot_catalog
  - module: requorum.cluster.snapshot_put
"""

EXAMPLES = r"""
- name: Copy the newest usable snapshot of this server to the controller
  requorum.cluster.snapshot_get:
    source: "{{ inventory_hostname }}"
    cluster: prod
    servers: "{{ groups['servers'] }}"
    output: /root/recoveries
"""

RETURN = r"""
source:
  description: Name of the snapshot that was copied, C(SERVER:/path) or C(s3://bucket/key).
  returned: success
  type: str
  sample: server-1:/var/lib/rancher/rke2/server/db/snapshots/on-demand-server-1-1795572585
path:
  description: Where the copy lies.
  returned: success
  type: str
  sample: /root/recoveries/prod/fetched/server-1/on-demand-server-1-1795572585
proved:
  description: Whether every check is right; V(null) in check mode.
  returned: success
  type: bool
checks:
  description: What was looked at, with C(name), C(wanted), C(observed) and C(ok).
  returned: success
  type: list
  elements: dict
sha256:
  description: Of the copy, of what is in it if it is a zip; empty when it cannot be read.
  returned: when it was copied
  type: str
bytes:
  description: Size of the copy.
  returned: when it was copied
  type: int
revision:
  description: Revision of etcd; V(null) when it cannot be read.
  returned: when it was copied
  type: int
"""
