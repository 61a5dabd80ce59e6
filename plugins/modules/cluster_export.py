# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_export
short_description: Write the objects of a cluster as files that can be applied
version_added: 0.1.0
author: Requorum contributors
description:
  - Writes virtual machines, volumes, images, networks, storage classes, settings and what belongs to them as YAML into
    a tree C(namespace/kind/name.yaml), without what a server sets, with an index of all disks as CSV and HTML.
  - Reads them from the API; where it does not answer, from the snapshot O(snapshot).
  - Secrets, and objects with passwords in them, are written encrypted by ansible-vault, or are left out and counted.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
options:
  folder:
    description: Folder to write, instead of one below O(output). It must not be there yet.
    type: path
  snapshot:
    description: Snapshot on the controller, for when the API does not answer.
    type: path
  api:
    description: Whether to ask the API first.
    type: bool
    default: true
  passphrase_file:
    description: File on the controller with the passphrase of ansible-vault. Without it secrets are left out.
    type: path
attributes:
  check_mode:
    support: full
    details:
      - It reads and writes nothing, and says which folder it would write.
  diff_mode:
    support: none
  idempotent:
    support: none
notes:
  - Runs on a server, whose kubectl is used, or with C(requorum_kubeconfig) on the controller.
  - Objects that are encrypted at rest in a snapshot are opened with the token in C(requorum_token_file).
  - Disk contents are in no export.
seealso:
  - module: requorum.cluster.cluster_import
"""

EXAMPLES = r"""
- name: Export the objects
  requorum.cluster.cluster_export:
    cluster: prod
    output: /root/recoveries
    passphrase_file: /root/export.pass
"""

RETURN = r"""
folder:
  description: What was written, readable by its owner only. It has this name only when it is complete.
  returned: success
  type: str
  sample: /root/recoveries/prod/20261124T031500Z/export
source:
  description: Where the objects were read.
  returned: when it was written
  type: str
  sample: the API (server-1)
counts:
  description: Objects that were written, by kind.
  returned: when it was written
  type: dict
  sample: {virtualmachines.kubevirt.io: 12}
encrypted:
  description: Those of them that were encrypted, by kind.
  returned: when it was written
  type: dict
left_out:
  description: Objects that were not written, with RV(left_out[].kind), RV(left_out[].count) and RV(left_out[].why).
  returned: when it was written
  type: list
  elements: dict
not_installed:
  description: Kinds that the cluster does not serve.
  returned: when it was written
  type: list
  elements: str
warnings:
  description: What speaks against trusting the source.
  returned: when it was written
  type: list
  elements: str
objects:
  description: How many objects were written.
  returned: when it was written
  type: int
bytes:
  description: Size of these objects.
  returned: when it was written
  type: int
machines:
  description: How many virtual machines the index has, also those that were left out.
  returned: when it was written
  type: int
"""
