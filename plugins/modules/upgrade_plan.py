# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_plan
short_description: Say by which hops a Harvester comes to another release
version_added: 0.1.0
author: Requorum contributors
description:
  - Reads the upgrades, Nodes and settings of a Harvester, and finds the fewest allowed hops to a release in
    C(rules/matrix/harvester.yaml). Nothing is changed.
  - An upgrade that goes on, from here or from Harvester's console, is found; then the plan is to watch it.
  - Refused are a release that is older or not known, a way that does not exist, an upgrade that goes on to elsewhere,
    and one that failed in phase 4, which must never be begun anew.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  to:
    description: The release at the end of the way, with or without C(v).
    type: str
    required: true
  releases:
    description: A file in the place of C(rules/matrix/harvester.yaml), which knows newer releases.
    type: path
    default: ""
  findings:
    description: C(findings) of M(requorum.cluster.cluster_precheck), for the known issues of the first hop.
    type: list
    elements: dict
    default: []
  quiet:
    description: Do not show the plan.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - Runs on the controller as an action plugin. It asks the API by C(kubectl) on its host, a server, or by the file of
    C(requorum_kubeconfig).
"""

EXAMPLES = r"""
- name: Say how the cluster comes to 1.4.1
  requorum.cluster.upgrade_plan:
    cluster: prod
    to: 1.4.1
"""

RETURN = r"""
plan:
  description: The plan.
  returned: success
  type: dict
  contains:
    plan_id:
      description: First 12 hex digits of the sha256 of the plan.
      type: str
    before:
      description: The release that runs.
      type: str
      sample: v1.3.2
    do:
      description: V(start), V(watch) or V(nothing).
      type: str
    upgrade:
      description: Name of the Upgrade that is watched.
      type: str
    hops:
      description: Each with C(before), C(version), what it brings, C(issues) and C(expect_s), a rough guess in seconds.
      type: list
      elements: dict
    actions:
      description: Of the next hop, each with C(verb), C(version) and C(what).
      type: list
      elements: dict
    refusals:
      description: Why nothing may be begun, each with C(what), C(where) and C(next).
      type: list
      elements: dict
    phases:
      description: What can be undone in which phase.
      type: list
      elements: dict
"""
