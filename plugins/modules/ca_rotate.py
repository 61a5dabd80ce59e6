# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ca_rotate
short_description: Replace CAs before they end
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(issue). Opens the bootstrap data of the snapshot that this run has proved, with the token that was kept
    beside it, and makes on the controller what the plan tells, which is a new CA for each one that ends soon, below a
    new root which the old root signs too. Certificates and keys are laid down on a server in a folder that only root
    reads.
  - Verb V(swap). Runs C(certificate rotate-ca) there, which verifies the signatures and writes to the datastore. Then
    the datastore is read again, and must hold exactly the new files instead of the old ones.
  - No file in C(server/tls) is touched; every server takes the new ones from the datastore when it is restarted.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - Private keys travel through standard input only, and are never in a file on the controller.
  - C(service.key) stays as it is.
seealso:
  - module: requorum.cluster.tls_rotate
  - module: requorum.cluster.tls_info
"""

EXAMPLES = r"""
- name: Make new CAs on the controller, put them into the datastore
  requorum.cluster.ca_rotate:
    plan: "{{ requorum_plan }}"
    phase: 4
    run_dir: "{{ requorum_run_dir }}"
"""

RETURN = r"""
requorum_actions:
  description:
    - The actions of this host and phase, with the keys of the plan, C(started) and C(ended) (UTC), C(seconds) and
      C(result). The result of one that failed begins with C(failed:), says what is wrong, where, and what to do next;
      no later action of the run is begun on any host, and none that was not begun stands here. The task does not
      fail; M(requorum.cluster.recovery_report) does at the end.
    - In check mode, C(started), C(ended) and C(seconds) are V(null).
  returned: success
  type: list
  elements: dict
  sample:
    - id: "4.2"
      phase: 4
      node: server-1
      verb: swap
      turn: ""
      what: rke2 certificate rotate-ca on server-1; read in the datastore that it holds exactly these instead
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:08.910Z"
      seconds: 1.79
      result: "certificates saved to datastore; 10 files of the datastore changed; the CA hash of tokens is 1f5a... now"
"""
