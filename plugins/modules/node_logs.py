# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_logs
short_description: Bring the ends of the logs of a node to the controller, in one call
version_added: 0.1.0
author: Requorum contributors
description:
  - Units of RKE2, K3s and Rancher by C(journalctl), static pods and those of Rancher, Fleet, CAPI, Harvester and
    Longhorn from C(/var/log/pods), kubelet and containerd from the data directory, and the kernel since the last start.
  - They come packed. What looks like a token, a password or a key is hidden.
  - A log that is not there stands in RV(absent), one that could not be read in RV(unread).
  - Of a pod the newest log is read, and where that is short the one before it too, in which a crash stands.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  kib:
    description: So many KiB of the end of each log.
    type: int
    default: 512
  total_kib:
    description: So many KiB of all logs together. Where there is more, RV(unread) has C(*).
    type: int
    default: 4096
attributes:
  check_mode:
    support: full
    details:
      - Nothing is ever changed; check mode makes no difference.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - Runs on the controller as an action plugin; nothing but C(sh) and C(journalctl) runs on the node, for 30 seconds at
    most. A journal has 5 seconds, all journals together 20.
seealso:
  - module: requorum.cluster.cluster_diagnose
"""

EXAMPLES = r"""
- name: Read the ends of the logs of this node
  requorum.cluster.node_logs:
  register: requorum_logs_read
"""

RETURN = r"""
requorum_logs:
  description: The logs.
  returned: success
  type: list
  elements: dict
  contains:
    source:
      description: The program, for example V(etcd) or V(rke2-server).
      type: str
    file:
      description: Path on the node, or the command by which it was read.
      type: str
    text:
      description: Its end.
      type: str
unread:
  description: Program to the reason why its log could not be read; V(*) for those that are not named anywhere.
  returned: success
  type: dict
absent:
  description: Programs of which there is no log on this node.
  returned: success
  type: list
  elements: str
"""
