# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The words of a plan: what each step does, why, how it is undone, how many seconds it takes.

Seconds are those of real servers on two cores (three RKE2 hosts, facts of recorded runs), not of the lab.
"""

from __future__ import annotations

from . import _steps_tls, _steps_tokens, _steps_turns
from ._step import BACK_ON, TAKE_AWAY, Step

_RESET_WHY = "it makes the survivor the only member of a new cluster with the old data"

WATCHED = range(4, 9)
"""Phases after which running virtual machines are looked at again."""

STEPS = {
    **_steps_tls.STEPS,
    **_steps_turns.STEPS,
    **_steps_tokens.STEPS,
    "stop to copy": Step(3, "fence", TAKE_AWAY, "its datastore is copied while nothing writes to it", 3, BACK_ON),
    "stop the old": Step(
        3,
        "fence",
        TAKE_AWAY,
        "it runs with the data from before a reset: under the same cluster ID it brings down the etcd that is saved",
        3,
        BACK_ON,
    ),
    "snapshot": Step(
        3,
        "snapshot",
        "Save a snapshot from {source}; copy it to the controller and prove it there",
        "nothing is touched before it is proved",
        3,
    ),
    "keep": Step(
        3,
        "keep",
        "Copy tls/, cred/, token, configuration and node password to the controller",
        "a snapshot is worth nothing without its token",
        2,
    ),
    "fetch": Step(
        3,
        "fetch",
        "Copy {snapshot} to the controller and prove it there",
        "nothing is touched before it is proved",
        5,
    ),
    "deliver": Step(
        3,
        "deliver",
        "Prove {snapshot} on the controller and put it on {node}",
        "nothing is reset before it is proved",
        5,
    ),
    "export": Step(
        3,
        "export",
        "Write virtual machines, volumes, networks and settings as files: from the API if it answers, else from the "
        "proved snapshot",
        "a snapshot brings all back or nothing",
        15,
    ),
    "fence": Step(4, "fence", TAKE_AWAY, "its old datastore must not run beside the new one", 3, BACK_ON),
    "furnish": Step(
        4,
        "furnish",
        "Put the saved configuration and node password of {node} back",
        "the host has none",
        2,
        "remove the files that the report names",
    ),
    "stop to reset": Step(4, "fence", TAKE_AWAY, "the reset needs its ports and its datastore", 3, BACK_ON),
    "prove": Step(
        4,
        "prove",
        "See from {node} that no etcd and no supervisor of {peers} answers",
        "two clusters must never run at once",
        3,
    ),
    "restore": Step(
        5,
        "reset",
        "{program} server --cluster-reset from the proved snapshot, as a transient unit",
        _RESET_WHY,
        12,
        "before START: mv server/db/etcd-old-* back to server/db/etcd, tls-* back to tls, remove reset-flag; "
        "paths stand in the report",
    ),
    "plain": Step(
        5,
        "reset",
        "{program} server --cluster-reset in place, as a transient unit",
        _RESET_WHY,
        12,
        "before START: put the copy of db/etcd back that was made before the reset; its path stands in the report",
    ),
    "start alone": Step(
        6,
        "start",
        "Start {unit}",
        "one member, one leader: POINT OF NO RETURN is its first write",
        25,
        "systemctl stop {unit} on {node}",
    ),
    "brake": Step(
        6,
        "brake",
        "Pause Rancher's planner: spec.paused of the CAPI cluster fleet-local/local",
        "it would go on with old plans on servers that are not back yet",
        1,
        "set spec.paused of clusters.cluster.x-k8s.io fleet-local/local to false",
    ),
    "unbrake": Step(
        9,
        "unbrake",
        "Let Rancher's planner go on, if a run has paused it",
        "while it is paused, no host can register",
        1,
    ),
    "start": Step(
        6,
        "start",
        "Start {unit}",
        "its datastore is intact and belongs to this cluster",
        15,
        "systemctl stop {unit} on {node}",
    ),
    "remove": Step(
        7,
        "remove",
        "Remove the old members of {joiners} from the member list, as far as they are listed",
        "their names would be refused as duplicates",
        1,
        "nothing to undo: the hosts join as new members",
    ),
    "rejoin": Step(
        7,
        "rejoin",
        "Move the old datastore aside (if any), point {node} at {survivor}, start {unit}",
        "{node} holds no datastore of this cluster",
        30,
        "stop {node}, mv server/db/etcd-requorum-* back to server/db/etcd",
    ),
    "promote": Step(
        7,
        "promote",
        "Promote each learner as soon as it is in sync, until {voters} are voters",
        "waiting for the program's own 15 s ticker is slower",
        20,
    ),
    "admit": Step(
        4,
        "admit",
        "Wait until the node password of {turn} is stored anew and its Node is Ready",
        "its next request writes it",
        10,
    ),
    "agent": Step(
        8,
        "agent",
        "Wait until its Node reports again; restart {agent_unit} only if it does not",
        "agents find the cluster again by themselves",
        5,
    ),
    "agent point": Step(
        8,
        "point",
        "Point {node} at {survivor} by a drop-in of its configuration",
        "its registration address is no server of this cluster any more, or answers nothing",
        1,
        "remove config.yaml.d/zz-requorum-server.yaml and restart {agent_unit}",
    ),
    "agent pin": Step(
        8,
        "pin",
        "Put the hash of the cluster's CA into the token of {node} by a drop-in of its configuration",
        "with the hash of another CA it is refused at its next start",
        1,
        "remove config.yaml.d/zz-requorum-token.yaml and restart {agent_unit}",
    ),
    "agent unlist": Step(
        8,
        "unlist",
        "Move the load balancer files of {node} aside",
        "they list hosts that are no living servers",
        1,
        "move them back; the report names them",
    ),
    "agent restart": Step(
        8,
        "restart",
        "Restart {agent_unit}; see that its Node reports anew and that it lists only living servers",
        "its pods go on: systemd stops only the main process",
        10,
    ),
    "serve": Step(
        8,
        "serve",
        "Wait until its own etcd sees the leader and its own API server answers",
        "a voter whose API does not come up is only half recovered",
        20,
    ),
    "settle": Step(
        8,
        "settle",
        "Wait until every living Node is Ready and the API has its endpoints; remove only a refused node password",
        "the cluster must work, not only its members",
        15,
        "the Secret is saved to passwords/ of the run, and written again by itself",
    ),
    "release": Step(
        9,
        "release",
        "Take our drop-in away, let the unit start at boot again, close the journal",
        "the host must come back by itself",
        1,
    ),
    "save": Step(
        9,
        "save",
        "Save a fresh snapshot with the distribution's own program",
        "the next fault starts from here",
        3,
    ),
    **{
        f"watch {phase}": Step(
            phase,
            "watch",
            "See that the virtual machines of {node} run on",
            "only etcd and kube-apiserver were taken away",
            1,
        )
        for phase in WATCHED
    },
    "verify": Step(
        9,
        "verify",
        "Check members, leader, alarms, API, endpoints, Nodes, workloads and leftovers",
        "no success is taken from an exit code",
        3,
    ),
}
