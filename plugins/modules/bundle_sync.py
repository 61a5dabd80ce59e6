# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: bundle_sync
short_description: Bring bundles of Fleet on until they are really synced
version_added: 0.1.0
author: Requorum contributors
description:
  - 'For each bundle that is not synced: its ManagedChart is unpaused, then the bundle itself, then
    C(spec.forceSyncGeneration) becomes one more than the bundle and all its agents have. Then it waits until every
    condition holds.'
  - A bundle is synced when its newest generation was observed, all its clusters are ready and nothing else is counted,
    its condition is Ready, every agent has applied what is staged with that very number, its ManagedChart shows the
    same, the newest helm release is deployed, and the chart C(harvester) has the version of C(server-version).
  - A refusal that may pass is answered by up to four more force syncs, after 10, 30, 60 and 120 seconds. Where it does
    not pass, or after C(requorum_timeouts.sync) seconds (600), the known cause is named with its repair.
  - No webhook configuration and no Secret of helm is ever changed. Where no helm release is deployed, helm refuses
    every further one, so nothing at all is changed then.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._shelf
options:
  bundles:
    description:
      - Bundles as C([namespace/]name), with or without C(mcc-); C(fleet-local) is the default namespace.
      - Empty means C(mcc-harvester-crd), then C(mcc-harvester).
    type: list
    elements: str
    default: []
  always:
    description: Force the sync of these bundles also where they are synced.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    details:
      - The same actions are returned, and none is done.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - With O(always=true) every run forces a sync.
notes:
  - Runs on the controller as an action plugin. It asks the API by C(kubectl) on its host, a server, or by the file of
    C(requorum_kubeconfig).
  - Each object is saved before it is changed, in C(objects) of the folder of the run.
  - On a cluster without Fleet nothing is done, and C(msg) says so.
"""

EXAMPLES = r"""
- name: Bring Harvester's bundles on
  requorum.cluster.bundle_sync:
    cluster: prod
    output: /root/recoveries

- name: Bring a bundle of a cluster on that Rancher manages
  requorum.cluster.bundle_sync:
    bundles: [fleet-default/app]
    cluster: prod
    output: /root/recoveries
"""

RETURN = r"""
requorum_actions:
  description: What was changed, or would be, in its order; also when the task failed.
  returned: always
  type: list
  elements: dict
  contains:
    verb:
      description: V(patch).
      type: str
    kind:
      description: Resource and group.
      type: str
      sample: bundles.fleet.cattle.io
    namespace:
      description: Of the object.
      type: str
      sample: fleet-local
    name:
      description: Of the object.
      type: str
      sample: mcc-harvester
    what:
      description: The field and its value.
      type: str
      sample: "forceSyncGeneration: 3"
    why:
      description: What is not as it should be.
      type: str
      sample: fleet-local/local is ErrApplied, syncGeneration 1 of 2
bundles:
  description: How each bundle is at the end.
  returned: always
  type: list
  elements: dict
  contains:
    bundle:
      description: Namespace and name.
      type: str
      sample: fleet-local/mcc-harvester
    state:
      description: The worst state of its clusters, in Fleet's words.
      type: str
      sample: Ready
    synced:
      description: Whether all conditions hold and nothing is paused.
      type: bool
    checks:
      description: Each condition with C(name), C(ok) and C(seen).
      type: list
      elements: dict
    cause:
      description: Short name of what holds it up; V(null) when it is synced.
      type: str
      sample: webhook_down
    why:
      description: The cause in words.
      type: str
    repair:
      description: What to do about it.
      type: str
    force_sync_generation:
      description: The highest number that the bundle and its agents have.
      type: int
      sample: 3
    tries:
      description: How often it was forced once more.
      type: int
saved:
  description: Files with the objects as they were before.
  returned: always
  type: list
  elements: str
  sample: [/root/recoveries/prod/20261128T121500Z/objects/bundles.fleet.cattle.io.fleet-local.mcc-harvester.json]
msg:
  description: That the cluster has no Fleet, or why a bundle is not synced, and the repair.
  returned: when nothing can be synced
  type: str
"""
