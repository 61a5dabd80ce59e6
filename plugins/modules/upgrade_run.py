# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_run
short_description: Begin the next hop of an upgrade, or find the one that goes on, and watch it to its end
version_added: 0.1.0
author: Requorum contributors
description:
  - Creates the Version, where it is missing, and an Upgrade to the first hop of a plan; the cluster is read once more
    right before, so that nothing is begun beside another upgrade.
  - Then it watches phase, node, job, what is waited for and the last line of the job's log, about one request a second.
    Servers that reboot are replaced by others that answer. Whoever is interrupted runs the same command again.
  - It ends when the upgrade has succeeded and Harvester has cleaned up behind it (C(requorum_timeouts.upgrade_cleanup),
    3600 seconds at most), has failed, or stands still by an error of the diagnosis for
    C(requorum_timeouts.upgrade_stall) seconds (1800), or for C(requorum_timeouts.upgrade_unknown) seconds (5400) by
    what only warns or what no rule knows, or when no API has answered for C(requorum_timeouts.upgrade_silent) seconds
    (1800).
  - It never deletes, restarts or changes an Upgrade, and never sets C(harvesterhci.io/skipWebhook).
  - One run at a time, by the ConfigMap C(harvester-system/requorum-upgrade), which is taken over 120 seconds after the
    last sign of its holder.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
  - requorum.cluster._shelf.servers
options:
  plan:
    description: The plan of M(requorum.cluster.upgrade_plan).
    type: dict
    required: true
  target:
    description: C(target) of M(requorum.cluster.cluster_precheck), where the ISO and its checksum are.
    type: dict
    default: {}
  named:
    description: Whether a person named the ISO or its checksum, which then must be those of a Version that is there.
    type: bool
    default: false
  log:
    description: Whether Harvester collects the logs of the upgrade, for which it needs images of its logging.
    type: bool
    default: true
  pace:
    description: Seconds between two looks.
    type: float
    default: 10
attributes:
  check_mode:
    support: full
    details:
      - The actions of the plan are returned, and none is done.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - An upgrade that goes on is found, and one that has succeeded leaves nothing to do.
notes:
  - Runs on the controller as an action plugin. It asks the API by C(kubectl) on its host, a server, or by the file of
    C(requorum_kubeconfig).
"""

EXAMPLES = r"""
- name: Upgrade the cluster by one hop
  requorum.cluster.upgrade_run:
    plan: "{{ requorum_way.plan }}"
    target: "{{ requorum_prechecked.target }}"
    cluster: prod
    output: /root/recoveries
    servers: [n1, n2, n3]
"""

RETURN = r"""
requorum_actions:
  description: What was changed, or would be, in its order.
  returned: always
  type: list
  elements: dict
  contains:
    verb:
      description: V(create), or one of the plan.
      type: str
    what:
      description: In words.
      type: str
timeline:
  description: File of JSON lines, one for each change that was seen.
  returned: when something was watched
  type: str
report:
  description: The same as a chart of nodes and their states over the time, HTML.
  returned: when something was watched
  type: str
progress:
  description: The last look, with C(phase), C(states), C(node), C(job), C(waits), C(line), C(since) and C(ended).
  returned: when something was watched
  type: dict
stall:
  description: Rule that names why it stands still, or V(unknown).
  returned: when it stands still
  type: str
looks:
  description: Round trips for the watching.
  returned: when something was watched
  type: int
"""
