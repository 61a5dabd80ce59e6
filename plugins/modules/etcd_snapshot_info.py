# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot_info
short_description: Say what snapshots lie on a server and what they are worth
version_added: 0.1.0
author: Requorum contributors
description:
  - Looks at the files in the snapshot directory of the distribution and at the snapshots that earlier runs left in
    C(/var/lib/rancher/requorum). Nothing is copied and nothing is changed.
  - The SHA-256 at the end is computed on the node. Revision and members are read by a few pages of the file, the names
    of the bootstrap keys by searching through it.
extends_documentation_fragment:
  - requorum.cluster._attributes
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
  - A zip is listed and not opened, since a node has nothing to unpack it with.
  - A bootstrap key that was deleted may still be found in a file. A token whose name is missing does not open the
    snapshot; one whose name is found may open it, which the proof before a restore decides.
  - The deadline is 300 seconds for all snapshots of a server.
seealso:
  - module: requorum.cluster.snapshot_catalog
"""

EXAMPLES = r"""
- name: Read the snapshots that lie on this server
  requorum.cluster.etcd_snapshot_info:
  register: requorum_stored
"""

RETURN = r"""
requorum_snapshots:
  description: The snapshots of this server, as the node lists them.
  returned: success
  type: list
  elements: dict
  contains:
    place:
      description: V(node), V(controller) or V(s3).
      type: str
    host:
      description: Inventory name of the node, or the bucket. Empty on the controller.
      type: str
    path:
      description: Where it lies there.
      type: str
    bytes:
      description: Its size.
      type: int
    time:
      description: When it was written, Unix seconds.
      type: int
    revision:
      description: Revision of etcd; V(null) when it could not be read.
      type: int
    members:
      description: Hexadecimal IDs of its members.
      type: list
      elements: str
    bootstrap:
      description: >-
        Names of its bootstrap keys, each the first 12 hex digits of the SHA-256 of the password of the token that
        opens it. V(null) when they could not be read.
      type: list
      elements: str
    etcd:
      description: Minor release of etcd that wrote it; empty when it is not known.
      type: str
    trailer:
      description: The SHA-256 at its end, V(right), V(wrong), V(absent) or V(unread).
      type: str
    fault:
      description: Why it cannot be read, or empty.
      type: str
"""
