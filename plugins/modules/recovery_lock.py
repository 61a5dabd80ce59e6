# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_lock
short_description: Let only one run at a time work on a cluster
version_added: 0.1.0
author: Requorum contributors
description:
  - Writes C(/var/lib/rancher/requorum/lock) on every host of O(hosts) that INSPECT could read, with owner, host,
    process, start and command of this run. The first of them is asked alone, so that of two runs that begin at the same
    instant exactly one goes on; then all others side by side.
  - Fails where another run holds it, with who that is, since when, and when it was heard last. What was taken until
    then is given back, and the refusal stands in C(plan.json), for the report.
  - Every script of the run, and every file that it copies, renews the time of that file on its node; this is the
    heartbeat, by the clock of the node. A lock that was not renewed anywhere for C(requorum_timeouts.lock) seconds
    (600) is taken over with a warning; one of a process of this machine that has ended, at once. Its text is moved to
    C(/var/lib/rancher/requorum/<stamp>/lock) of this run.
  - A run whose lock was taken over does nothing any more on that node; its next action there fails.
  - A host on which it cannot be written, because its disk is full for example, is left out with a warning; one host
    must have it. One that is not reached holds none and hinders nobody.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  run_dir:
    description: Folder of the run on the controller, with C(plan.json); C(lock.json) is kept there.
    type: path
    required: true
  state:
    description:
      - V(held) takes it; V(free) lets go what V(held) has taken, and does nothing where that is nothing. A host that
        cannot be reached any more keeps it until it expires.
    type: str
    choices: [held, free]
    default: held
  hosts:
    description: Hosts of the inventory, in the order in which they are asked; needed where it is taken.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    support: full
    details:
      - It takes none. M(requorum.cluster.recovery_plan) refuses with the same text, by what INSPECT has read.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - Runs on the controller, and reaches the hosts by connections of their own.
  - The hosts need C(flock) of util-linux.
seealso:
  - module: requorum.cluster.recovery_plan
"""

EXAMPLES = r"""
- name: Take the lock of the cluster
  requorum.cluster.recovery_lock:
    run_dir: "{{ requorum_made.requorum_run_dir }}"
    hosts: "{{ groups['servers'] + groups['agents'] | default([]) }}"

- name: Let it go
  requorum.cluster.recovery_lock:
    run_dir: "{{ requorum_made.requorum_run_dir }}"
    state: free
"""

RETURN = r"""
nodes:
  description: Hosts on which it is held now, or was let go.
  returned: success and not check mode
  type: list
  elements: str
  sample: [server-1, server-2, agent-1]
left_out:
  description: Hosts on which it could not be written, and why.
  returned: when it was taken
  type: dict
  sample: {server-3: "/var/lib/rancher/requorum/lock.new cannot be written"}
taken_over:
  description: >-
    Locks of other runs that were taken over; C(id), C(owner), C(host), C(pid), C(began) (ticks since the boot),
    C(place) (boot and process namespace), C(started), C(run), with C(node) where it was heard last, C(age) in seconds,
    and C(dead), whether its process on this machine has ended.
  returned: when it was taken
  type: list
  elements: dict
requorum_message:
  description: The same in words, for the timeline.
  returned: when it was taken
  type: str
"""
