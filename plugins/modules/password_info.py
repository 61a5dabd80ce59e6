# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: password_info
short_description: Compare a host's node password with the stored one
version_added: 0.1.0
author: Requorum contributors
description:
  - Computes scrypt of C(/etc/rancher/node/password) with the salt of the stored hash, and compares. A join with another
    password is refused, which is known before it is tried. It changes nothing.
  - The stored hashes are those that M(requorum.cluster.node_info) read on the servers, or later
    M(requorum.cluster.token_info), registered as C(requorum_token_after).
    The password is held in the memory of the controller's process for it, and returned nowhere.
extends_documentation_fragment:
  - requorum.cluster._attributes
attributes:
  check_mode:
    support: full
    details:
      - It only reads, so there is no difference.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Nothing is changed.
options:
  server:
    description:
      - The server whose reading counts, where what the others registered is older. By default the first one that has
        read any.
    type: str
seealso:
  - module: requorum.cluster.token_info
  - module: requorum.cluster.node_password
"""

EXAMPLES = r"""
- name: Compare its node password with the stored one
  requorum.cluster.password_info:
  register: requorum_password_read
"""

RETURN = r"""
accepted:
  description: Whether they agree; V(null) where either is missing or unread.
  returned: success
  type: bool
refused:
  description: The name of its Node where they do not agree, else empty.
  returned: success
  type: str
  sample: agent-1
"""
