# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: join_config
short_description: Write the files by which new hosts join a Harvester
version_added: 0.1.0
author: Requorum contributors
description:
  - For every host that is described in C(requorum_join) it writes the answers of Harvester's installer
    (C(config.yaml)), an iPXE script, GRUB's file of a USB stick, and a README with what to type at the console. They
    lie on the controller, and only their owner may read them. The cluster is only read.
  - Version, VIP and token come from the cluster. Refused are an ISO of another version, a VIP that is not the
    cluster's, a name that is in use or has left traces, addresses that are given twice, and fields that this version
    of Harvester does not know. Then nothing is written.
  - Each host gets notes on what is lost on its disks and on when Harvester will promote it.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  nodes:
    description: Hosts of C(requorum_join) that files are written for; all of them when it is empty.
    type: list
    elements: str
    default: []
  folder:
    description: Folder on the controller; each host has its own below it.
    type: path
    required: true
  url:
    description:
      - Address under which O(folder) will be reached by the hosts. Without it the iPXE script asks for the address
        of C(config.yaml), and there is no file for a USB stick.
      - The installer takes a certificate only when its ISO trusts the authority.
    type: str
    default: ''
attributes:
  check_mode:
    support: full
    details:
      - Says which files would be written.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - A file that is the same already is not written again.
notes:
  - Runs on a server, whose kubectl and rancherd token are used, or with C(requorum_kubeconfig) on C(localhost).
  - Reads C(requorum_join), C(requorum_join_defaults) and C(requorum_rancherd_token_file), so that no secret of them is
    an option. Tokens and passwords stand in C(config.yaml) only.
  - On its way from the server the token is hidden by numbers that are used once. Even C(-vvv) does not show it.
seealso:
  - module: requorum.cluster.server_look
"""

EXAMPLES = r"""
- name: Write the files for one host
  requorum.cluster.join_config:
    nodes: [node-4]
    folder: /root/recoveries/prod/join
  vars:
    requorum_join:
      node-4:
        interfaces: [ens5]
        device: /dev/disk/by-id/wwn-0x5000c500a1b2c3d4
        ssh_authorized_keys: [github:admin]
        iso_url: http://boot.example.org/harvester/harvester-v1.3.2-amd64.iso
"""

RETURN = r"""
cluster:
  description: The C(version) and the C(vip) of the cluster.
  returned: success
  type: dict
  sample: {version: v1.3.2, vip: 10.0.0.10}
hosts:
  description: For each host its C(folder), the names of its C(files), and C(notes) for the one who installs it.
  returned: success
  type: dict
requorum_actions:
  description: Files that were written, or would be, with C(verb), C(kind), C(namespace), C(name), C(what) and C(why).
  returned: success
  type: list
  elements: dict
"""
