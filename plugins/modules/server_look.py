# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: server_look
short_description: A short look at a server
version_added: 0.1.0
author: Requorum contributors
description:
  - Asks unit, supervisor, etcd (health, status, members) and C(/readyz) of a server in one shell call of at most 20
    seconds. Much shorter than M(requorum.cluster.node_info), for gates right before something is stopped.
extends_documentation_fragment:
  - requorum.cluster._attributes
attributes:
  check_mode:
    support: full
    details:
      - There is no difference; nothing is changed.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Nothing is changed.
options: {}
seealso:
  - module: requorum.cluster.quorum_margin
"""

EXAMPLES = r"""
- name: Look at every server
  requorum.cluster.server_look:
  delegate_to: "{{ item }}"
  loop: "{{ groups['servers'] }}"
  register: requorum_looks
  ignore_unreachable: true
"""

RETURN = r"""
requorum_look:
  description: What the server said, in the form that M(requorum.cluster.quorum_margin) takes.
  returned: success
  type: dict
  contains:
    name:
      description: The server, by its inventory name.
      type: str
      sample: server-1
    out:
      description: Its answer; V(null) when it gave none before the deadline.
      type: str
"""
