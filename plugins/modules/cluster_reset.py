# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_reset
short_description: Make the survivor the only member of a new cluster with the old data
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(reset). Runs the distribution's own C(server --cluster-reset), with the proved snapshot or in place, as the
    transient systemd unit C(requorum-reset). It has the service's SELinux domain and survives a lost connection. While
    it runs, every plan is refused.
  - The configuration of that one run lies in C(/run/requorum/reset.yaml) and C(reset.yaml.d) (0600, in memory). It is
    the one of the files without C(server), C(cluster-init), logging and S3 settings, and holds the token in force, so
    that this run needs none on its command line. Settings on the command line of the server's unit are handed on, with
    the same ones left out.
  - Success is several things together. The unit ended with 0, its log has the success line, the datastore was replaced,
    and the one on disk has exactly one member beside a reset-flag and is at least at the revision of what was restored.
    Until the end of the recovery that revision stands in the journal of the node, C(least=REVISION), and a datastore
    that is behind it counts as damaged.
  - It refuses to begin when another server answers, when the backup is not proved, when etcd still runs, when there is
    no datastore (the program would "succeed" and make an empty cluster), when no token is found, or when a
    configuration file is written in braces or indented as a whole, so that settings cannot be taken out of it line by
    line.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
notes:
  - The deadline is C(requorum_timeouts.reset), 900 seconds. Systemd ends the unit then, and 30 seconds later the wait
    is given up.
  - The old datastore is moved by the program to C(server/db/etcd-old-<unix seconds>), certificates are copied to
    C(server/tls-<unix seconds>). With the method V(plain), a copy is made before as C(server/db/etcd-requorum-<stamp>).
    The paths stand in C(reset.json) and in the report.
  - An old C(reset-flag) or C(tombstone) is moved to C(/var/lib/rancher/requorum/<stamp>).
seealso:
  - module: requorum.cluster.etcd_snapshot
"""

EXAMPLES = r"""
- name: Reset the cluster on the survivor
  requorum.cluster.cluster_reset:
    plan: "{{ requorum_plan }}"
    phase: 5
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
    - id: "5.1"
      phase: 5
      node: server-1
      verb: reset
      what: rke2 server --cluster-reset from the proved snapshot, as a transient unit
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:10.340Z"
      seconds: 3.22
      result: >-
        one member (server-1-4b1c9f02), revision 81734; kept: /var/lib/rancher/rke2/server/db/etcd-old-1795512630
"""
