# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_clean
short_description: Remove old data that runs have moved aside
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(clean). Removes one path for good. It is the only action of this collection that destroys data.
  - The node asks again before it removes anything. The path must stand in a closed journal in
    C(/var/lib/rancher/requorum) on the node, have a name that runs give, and lie below that folder or the data
    directory of the program. It may be no link, be reached through none, hold no mount, and no process may have its
    datastore open. Otherwise the action fails.
  - A path is renamed before it shrinks, so that half of a datastore is never put back. Its entry goes from
    C(journal-closed) to C(journal-cleaned). A run that was killed goes on.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
seealso:
  - module: requorum.cluster.node_revert
"""

EXAMPLES = r"""
- name: Remove old data
  requorum.cluster.node_clean:
    plan: "{{ requorum_plan }}"
    phase: 3
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
    - id: "3.1"
      phase: 3
      node: server-2
      verb: clean
      turn: ""
      what: >-
        Remove /var/lib/rancher/rke2/server/db/etcd-requorum-20261124T093000Z (84.1 MB), which was
        /var/lib/rancher/rke2/server/db/etcd
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: "removed: /var/lib/rancher/rke2/server/db/etcd-requorum-20261124T093000Z"
"""
