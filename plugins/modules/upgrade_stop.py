# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_stop
short_description: Delete an upgrade of Harvester before it comes to its nodes
version_added: 0.1.0
author: Requorum contributors
description:
  - Deletes the Upgrade that goes on, exactly as it was seen, and only before phase 4. What it leaves, as paused charts,
    is cleared by C(playbooks/purge_orphans.yml) with C(requorum_leftovers), which C(playbooks/upgrade_stop.yml) runs.
  - In phase 4 it refuses. No option changes that.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
notes:
  - Runs on the controller as an action plugin. It asks the API by C(kubectl) on its host, a server, or by the file of
    C(requorum_kubeconfig).
  - The Upgrade is saved before, in C(objects) of the folder of the run.
"""

EXAMPLES = r"""
- name: Stop the upgrade
  requorum.cluster.upgrade_stop:
    cluster: prod
    output: /root/recoveries
"""

RETURN = r"""
requorum_actions:
  description: What was changed, or would be, in its order.
  returned: always
  type: list
  elements: dict
  contains:
    verb:
      description: V(delete).
      type: str
    what:
      description: In words.
      type: str
saved:
  description: Files with the objects as they were.
  returned: success
  type: list
  elements: str
"""
