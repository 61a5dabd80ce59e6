# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_nudge
short_description: Answer a hook of a drain that Harvester has served and not answered
version_added: 0.1.0
author: Requorum contributors
description:
  - Writes Harvester's annotation of a hook on the plan secret of a node, with the text of Rancher's own, which lets
    Rancher go on.
  - Only in phase 4, where Rancher asks for it, the node has exactly one plan secret, and the job of the hook has
    succeeded; for V(post-drain) the node must run the OS and RKE2 of the new release too.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
options:
  hook:
    description: Which one.
    type: str
    choices: [pre-drain, post-drain]
    required: true
  node:
    description: Name of the Node.
    type: str
    required: true
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
  - The Secret is saved before, in C(objects) of the folder of the run, which only its owner can read.
"""

EXAMPLES = r"""
- name: Let Rancher drain n2
  requorum.cluster.upgrade_nudge:
    hook: pre-drain
    node: n2
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
      description: V(patch).
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
