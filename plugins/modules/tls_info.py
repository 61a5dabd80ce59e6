# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_info
short_description: Read all certificates of a node
version_added: 0.1.0
author: Requorum contributors
description:
  - Reads every certificate, authority and kubeconfig that RKE2 or K3s keeps on a server or agent with one shell call.
    It changes nothing. Certificates come as PEM. They are read and judged on the controller.
  - Private keys never leave the node. Of a key only its public half is read, which says whether it belongs to its
    certificate. Of the files that all servers have in common, the SHA-256 is read.
  - Where the API of a server answers, the Secret with which servers start is read too, Secrets of webhooks, and the
    authorities that webhooks and APIServices trust; their certificates only.
  - On a server it also reads the bootstrap data in the datastore on its disk, by two small reads, whether its etcd runs
    or not. They hold the authorities that the whole cluster has. They are opened on the controller, with the token in
    C(server/token) or in C(requorum_token_file); hashes and certificates of authorities are all that is returned.
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
options: {}
notes:
  - The settings C(requorum_distro), C(requorum_data_dir) and C(requorum_token_file) of the inventory are taken into
    account; see P(requorum.cluster.inspect#role).
  - The deadline is 60 seconds. A node whose certificates cannot be read is a result, not an error.
seealso:
  - module: requorum.cluster.node_info
"""

EXAMPLES = r"""
- name: Read all certificates
  requorum.cluster.tls_info:
  register: requorum_certificates
  ignore_unreachable: true
"""

RETURN = r"""
requorum_tls:
  description: What lies on this node.
  returned: success
  type: dict
  contains:
    name:
      description: The node, by its inventory name.
      type: str
      sample: server-1
    error:
      description: Why nothing could be read; V(null) where it was read. Then nothing below but C(files) is there.
      type: str
    distro:
      description: V(rke2) or V(k3s).
      type: str
      sample: rke2
    version:
      description: Version of the program; V(null) where it does not say.
      type: str
      sample: v1.34.3+rke2r1
    data_dir:
      description: The data directory.
      type: str
      sample: /var/lib/rancher/rke2
    server:
      description: Whether it is a server.
      type: bool
    names:
      description:
        - C(node_name) and C(address), under which the node must be served, empty where it is not certain; and C(sans),
          the names and addresses of its setting C(tls-san).
      type: dict
    clock_skew:
      description: Seconds by which its clock is ahead of the controller's.
      type: float
    files:
      description:
        - The files that are there, with C(path) (below the data directory, or absolute; C(secret/) is a Secret of the
          cluster, C(trust/) the authorities that a webhook or an APIService trusts), C(sha256) (of what all servers
          have alike), C(text) (PEM, or the lines of a kubeconfig that name certificates) and C(key_id) (SHA-256 of the
          public half of the private key beside a certificate; V(null) is unknown, empty is no key).
      type: list
      elements: dict
    bootstrap:
      description:
        - C(key) (name of the bootstrap key), C(revision) and C(authorities) (path below the data directory, with
          C(sha256) and for certificates C(text)) of the bootstrap data in the datastore of this server; V(null) where
          they are unread.
      type: dict
    bootstrap_unread:
      description: Why the bootstrap data of a server are unread; else empty.
      type: str
"""
