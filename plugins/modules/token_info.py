# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: token_info
short_description: Read every token of a host as a hash
version_added: 0.1.0
author: Requorum contributors
description:
  - Reads which tokens lie on a server or agent, where, in full or short form, with which hash of the CA, and which of
    them is in force. It changes nothing.
  - Tokens never leave the host. Of each one the first 12 hex digits of the SHA-256 of its password are read. That is
    the name of the key with the bootstrap data that it opens.
  - On a server it also reads the names of these keys in the datastore, through the gateway of its etcd. Where etcd does
    not run, the one that was written last to the file on its disk is taken.
  - Where the API answers, the stored hashes of the node passwords are read too, and the tokens in the Secret
    C(fleet-local/local-rke-state), which Rancher and Harvester keep. Where neither API nor etcd answers, that Secret is
    read out of the file on disk, and decrypted with the key in C(server/cred/encryption-config.json), where it is
    encrypted at rest (aescbc, aesgcm).
  - A file on this host that C(requorum_token_file) names as C(HOST:/path) is read too.
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
  wait:
    description:
      - Seconds to wait until the API of this server gives the stored node passwords, where it has just been started.
        Then what was read counts, with them or without.
    type: float
    default: 0
  run_dir:
    description: Folder of the run on the controller. Where an action of it has failed, nothing is waited for.
    type: path
notes:
  - The settings C(requorum_distro) and C(requorum_data_dir) of the inventory are taken into account; see
    P(requorum.cluster.inspect#role).
seealso:
  - module: requorum.cluster.password_info
  - module: requorum.cluster.token_put
"""

EXAMPLES = r"""
- name: Read the tokens of this node as hashes
  requorum.cluster.token_info:
  register: requorum_token_after
"""

RETURN = r"""
requorum_tokens:
  description: What lies on this host.
  returned: success
  type: dict
  contains:
    name:
      description: The host, by its inventory name.
      type: str
      sample: server-1
    node:
      description: The name of its Node.
      type: str
      sample: server-1
    server:
      description: Whether it is in the group C(servers).
      type: bool
    unit:
      description: ActiveState of the server's unit.
      type: str
      sample: active
    agent:
      description: ActiveState of the agent's unit.
      type: str
      sample: inactive
    in_force:
      description: Hash of the token that its next start takes; empty where there is none.
      type: str
      sample: e2e269d4f6ec
    source:
      description: Where that comes from, V(file), V(flag), V(config), V(environment) or V(server).
      type: str
      sample: config
    authority:
      description: SHA-256 of the CA that it serves, as in full tokens.
      type: str
      sample: 1074936edf087fee40e83659efe2bd5f1850597e5bfdd085c95ecfb022eded63
    tokens:
      description: Every token, with C(key), C(form) (V(full) or V(short)), C(user), C(authority) and C(place).
      type: list
      elements: dict
    keys:
      description: Names of the bootstrap keys in its datastore; V(null) where none was read.
      type: list
      elements: str
      sample: [e2e269d4f6ec]
    idle:
      description: A drop-in C(zz-requorum-token.yaml) that is needed no more; empty where there is none.
      type: str
    seen:
      description: Bootstrap keys that stand anywhere in the file of the datastore, deleted ones among them.
      type: list
      elements: str
    live:
      description: Whether a running etcd said so.
      type: bool
    passwords:
      description: Name of a Node, and the salted hash of its password as it is stored.
      type: dict
    said:
      description: The last line of its log about a token or C(cred/passwd); empty where there is none.
      type: str
"""
