# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: token_put
short_description: Put the token that opens the datastore into place
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(token), on a server whose unit is stopped. Writes the token where the server takes its own from. That is the
    file of C(token-file), which wins over C(token), else a drop-in C(zz-requorum-token.yaml) in C(config.yaml.d).
  - Moves C(server/cred/passwd) aside where it is that of another token. A start with it fails for ever
    (C(newer than datastore)); the server writes it anew from the datastore.
  - The token is found by its hash in C(requorum_token_file), in what BACKUP has copied, in earlier backups, or in the
    Secret C(fleet-local/local-rke-state) of the datastore. It goes through standard input, never through arguments or
    results.
  - A token on the command line of the unit overrules every file. Then it fails, and says so.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
seealso:
  - module: requorum.cluster.token_info
  - module: requorum.cluster.token_rotate
"""

EXAMPLES = r"""
- name: Put the token of the datastore into place
  requorum.cluster.token_put:
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
    - id: "4.4"
      phase: 4
      node: server-3
      verb: token
      turn: server-3
      what: Put the token that opens the datastore into place; move cred/passwd aside where it is another token's
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:08.340Z"
      seconds: 1.22
      result: "its token was the right one; kept: /var/lib/rancher/requorum/20261124T093007Z/passwd"
"""
