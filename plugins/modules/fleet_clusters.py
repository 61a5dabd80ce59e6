# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_clusters
short_description: Find the clusters of an inventory
version_added: 0.1.0
author: Requorum contributors
description:
  - Each child group of the group C(clusters) is a cluster. Its servers are its hosts in a group C(servers) or in one
    whose name ends in C(_servers), its agents likewise.
  - Each host of that group itself is one too, with its members in C(requorum_members), as
    P(requorum.cluster.fleet#inventory) makes it.
  - A cluster that cannot be looked at as the inventory has it stands in RV(refused); the others go on.
  - In a job of AWX, groups are refused, since a slice may hold a part of their servers.
extends_documentation_fragment:
  - requorum.cluster._attributes
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
  - Runs on the controller as an action plugin and asks no host.
seealso:
  - module: requorum.cluster.fleet_inspect
  - module: requorum.cluster.fleet_overview
"""

EXAMPLES = r"""
- name: Find the clusters of the inventory
  requorum.cluster.fleet_clusters:
  register: requorum_fleet
"""

RETURN = r"""
clusters:
  description:
    - By the host in whose turn it is looked at, each cluster with C(name), C(servers), C(agents), C(group), C(host)
      and C(inventory).
  returned: success
  type: dict
refused:
  description: The C(name) of each cluster that cannot be looked at, and C(why).
  returned: success
  type: list
  elements: dict
"""
