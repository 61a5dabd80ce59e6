# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_import
short_description: Put virtual machines of an export back
version_added: 0.1.0
author: Requorum contributors
description:
  - Creates the named virtual machines of an export, halted, with what they need and what the cluster does not have, in
    the order namespaces, storage classes, networks, secrets, images, volumes, claims, templates, machines.
  - An object that is there is left alone; where it differs from the export, that is shown.
  - A claim takes its volume again where the volume is still there. Else it gets a new one, empty or from its image, and
    the reason of the action says so. Disk contents come from backups of the machines.
  - Waits until images are imported.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  export:
    description: Folder on the controller that M(requorum.cluster.cluster_export) has written.
    type: path
    required: true
  vms:
    description:
      - Machines as C(namespace/name).
      - The one word V(all) means all machines, images, key pairs, networks and templates of the export, without those
        that belong to an upgrade of Harvester.
    type: list
    elements: str
    required: true
  passphrase_file:
    description: File on the controller with the passphrase of the export.
    type: path
attributes:
  check_mode:
    support: full
    details:
      - Returns the very actions that a run would take.
  diff_mode:
    support: full
    details:
      - Shows what is created. Of objects with secrets in them it shows that there is one.
  idempotent:
    support: full
notes:
  - Runs on a server, whose kubectl is used, or with C(requorum_kubeconfig) on the controller.
  - C(requorum_timeouts.image) is how many seconds an image is waited for, 1800 unless set.
seealso:
  - module: requorum.cluster.cluster_export
"""

EXAMPLES = r"""
- name: Put a virtual machine back
  requorum.cluster.cluster_import:
    export: /root/recoveries/prod/20261124T031500Z/export
    vms: [default/web-1]
"""

RETURN = r"""
requorum_actions:
  description: What was done, or would be done in check mode, in its order.
  returned: always
  type: list
  elements: dict
  contains:
    verb:
      description: V(create), or V(wait) for an image.
      type: str
    kind:
      description: The resource, C(virtualmachines.kubevirt.io).
      type: str
    namespace:
      description: Empty for what has none.
      type: str
    name:
      description: Of the object.
      type: str
    what:
      description: What is done.
      type: str
    why:
      description: For which object, or what is to be known about it.
      type: str
differences:
  description: Objects that are there and differ, with RV(differences[].paths). They are left alone.
  returned: always
  type: list
  elements: dict
refusals:
  description: Why nothing is created.
  returned: always
  type: list
  elements: str
notes:
  description: What was chosen by V(all) and is left out.
  returned: always
  type: list
  elements: str
"""
