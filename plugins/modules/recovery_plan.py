# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_plan
short_description: Judge a cluster and make the plan of its recovery
version_added: 0.1.0
author: Requorum contributors
description:
  - Takes what M(requorum.cluster.node_info) registered as C(requorum_read) on each host, says which case it is, ranks
    the servers that hold the cluster's datastore, and makes the list of actions or says why there is none.
  - It fails closed. A server that does not answer may still run, and what was not read is neither healthy nor dead.
    A reset is done only when no quorum stands, none could stand, and no peer may still run. A leader counts only when
    C(/health) of that etcd is true, which is a read through the quorum.
  - Makes the folder of this run on the controller (0700) and writes C(plan.json) and C(state-before.json) there (0600).
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  servers:
    description: >-
      Inventory names of all servers, the dead ones too. Every member that etcd lists must be among them, by its address
      or by the name of its Node.
    type: list
    elements: str
    required: true
  agents:
    description: Inventory names of the agents. None is V([]).
    type: list
    elements: str
    required: true
  survivor:
    description:
      - Name of the server whose datastore shall win. Without it, the one that got furthest is taken, by raft term,
        applied index and revision, in this order; then the leader, an etcd that answers, free disk and a right clock
        count. Where a leader is seen, a server that votes comes first.
      - It also decides between two clusters that are found under one name, unless only the other one has a leader.
        Without it, the journal of a server that says that its cluster replaced the other decides, under the same
        condition.
      - It also allows a survivor that is no voter in its own member list.
    type: str
    default: ""
  method:
    description:
      - V(auto) and V(restore) save a snapshot of the survivor and restore it, which leaves no entries behind that only
        its write-ahead log holds.
      - V(plain) resets the datastore in place, after a copy of it was made on the node.
    type: str
    choices: [auto, restore, plain]
    default: auto
  snapshot:
    description:
      - The snapshot that is restored when no server has a datastore any more, or instead of the survivor's own after
        quorum was lost. Refused in every other case.
      - V(newest) takes the first line of the table of M(requorum.cluster.snapshot_catalog) that can be used. Else its
        name there, or any file on the controller.
      - Needs the snapshots that M(requorum.cluster.node_info) read on each server.
    type: str
    default: ""
  powered_off:
    description: Servers whose power was cut, as a person has seen. Only servers that do not answer may be named.
    type: list
    elements: str
    default: []
  output:
    description: Folder on the controller. The run's own folder is made below it, as C(<cluster>/<UTC stamp>).
    type: path
    required: true
  purpose:
    description:
      - V(recover) plans everything that the case needs.
      - V(backup) plans phase 3 alone, on the best server whose etcd answers, else on one whose etcd is stopped. It
        stops nothing, and is meant for healthy clusters too.
      - V(rotate), V(rotate_ca), V(tls_remove), V(tokens), V(rejoin), V(agents), V(repair) and V(rollback) plan for a
        cluster whose quorum stands, in five phases; in the fourth one, hosts take turns, each with C(turn) in its
        actions.
      - V(cleanup) plans to remove what runs have moved aside, in four phases, on a healthy cluster of which a proved
        snapshot lies off the nodes.
    type: str
    choices: [recover, backup, rotate, rotate_ca, tls_remove, tokens, rejoin, agents, repair, rollback, cleanup]
    default: recover
  only:
    description: Hosts that the work is restricted to where hosts take turns; empty for all that need it.
    type: list
    elements: str
    default: []
  options:
    description: What plans in which hosts take turns need besides, as their playbook gives it.
    type: dict
    default: {}
  plan_id:
    description: RV(plan.plan_id) of the plan that was seen, to be told what has changed since then.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    details:
      - There is no difference; the plan is what check mode is for. The run's folder on the controller is written as
        well.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - Nodes are not touched. The same state gives the same RV(plan.plan_id); each call makes a folder of its own.
notes:
  - Runs on the controller, with C(hosts=localhost).
  - Fails when the nodes that answer run no single distribution.
seealso:
  - module: requorum.cluster.node_info
  - module: requorum.cluster.recovery_report
"""

EXAMPLES = r"""
- name: Judge the cluster and make the plan
  requorum.cluster.recovery_plan:
    cluster: prod
    servers: "{{ groups['servers'] }}"
    agents: "{{ groups['agents'] | default([]) }}"
    powered_off: [server-3]
    output: /root/recoveries
  register: requorum_made
"""

RETURN = r"""
plan:
  description: The plan, also in C(plan.json).
  returned: success
  type: dict
  contains:
    plan_id:
      description: >-
        First 12 hex digits of the SHA-256 of cluster, case, survivor, method and actions without their times.
      type: str
      sample: 3f9ac0d81b27
    purpose:
      description: O(purpose).
      type: str
      sample: recover
    case:
      description: >-
        V(healthy), V(member_lost) (quorum stands), V(quorum_recoverable) (enough members are intact and are started),
        V(quorum_lost), V(datastore_lost), V(split_brain), V(api_down) or V(unknown).
      type: str
      sample: quorum_lost
    reason:
      description: The case in one sentence.
      type: str
      sample: "Quorum is lost: 1 of 3 members intact, 2 needed. Survivor: server-1."
    survivor:
      description: Server whose datastore is kept, empty where there is none.
      type: str
      sample: server-1
    method:
      description: V(restore), V(plain), or V(none) when nothing is reset.
      type: str
      sample: restore
    actions:
      description: Steps in their order. Empty when there is nothing to do or nothing may be done.
      type: list
      elements: dict
      contains:
        id:
          description: Phase and number.
          type: str
          sample: "5.1"
        phase:
          description: Number of the phase.
          type: int
          sample: 5
        node:
          description: Inventory name of the host.
          type: str
          sample: server-1
        verb:
          description: What kind of step it is.
          type: str
          sample: reset
        what:
          description: What is done.
          type: str
          sample: rke2 server --cluster-reset from the proved snapshot, as a transient unit
        why:
          description: Reason.
          type: str
        destructive:
          description: Whether it destroys data. Only V(clean) does.
          type: bool
          sample: false
        undo:
          description: How to take it back by hand.
          type: str
        expect_s:
          description: Seconds that it should take.
          type: int
          sample: 12
    refusals:
      description: Why nothing may be done now. C(what) is wrong, C(where), and what would allow it as C(next).
      type: list
      elements: dict
      sample:
        - what: server-3 does not answer and may still run.
          where: server-3
          next: "Make it reachable, or cut its power and say so: -e '{\"requorum_powered_off\": [\"server-3\"]}'."
    loss:
      description: What data is lost, in one sentence.
      type: str
      sample: Nothing is lost.
    point_of_no_return:
      description: Until when everything can be put back. V(null) without actions.
      type: str
    saver:
      description: Server whose datastore is saved first, empty where none is.
      type: str
      sample: server-1
    offline:
      description: Whether the snapshot is copied from the disk of a stopped etcd, not asked from a running one.
      type: bool
      sample: false
    expect_s:
      description: Seconds that the whole plan should take.
      type: int
      sample: 118
    command:
      description: >-
        The command that carries it out, with the inventory and the options of this run that decide what is done,
        without the confirmation.
      type: str
      sample: ansible-playbook recover.yml -i prod
    servers:
      description: >-
        Each server with its C(need), V(nothing), V(start), V(promote), V(rejoin), V(stays_off), or V(unknown) where
        none could be told, and what was seen of its datastore.
      type: list
      elements: dict
passing:
  description: Whether this is a job of AWX and the backup would go with its container.
  returned: success
  type: bool
since:
  description: >-
    What has changed since the plan of O(plan_id), and what to do about it; empty where RV(plan.plan_id) is still that
    one, or none was named.
  returned: success
  type: str
  sample: ""
requorum_run_dir:
  description: Folder of this run on the controller.
  returned: success
  type: path
  sample: /root/recoveries/prod/20261124T093007Z
"""
