# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Steps of hosts that take turns while the quorum stands: members, repairs, the way back."""

from __future__ import annotations

from ._step import BACK_ON, TAKE_AWAY, Step

STEPS = {
    "margin": Step(
        4,
        "margin",
        "See that the quorum stands without {turn}",
        "every server is asked at this moment; a plan is older than that",
        2,
    ),
    "yield": Step(
        4,
        "yield",
        "Hand the leadership to another voter, if {node} leads",
        "clients wait for no election",
        1,
    ),
    "room to join": Step(
        4,
        "room",
        "See that a quorum stands when the old member of {turn} is removed and a new one joins",
        "a member more raises what a quorum needs",
        1,
    ),
    "room to leave": Step(
        4,
        "room",
        "See that a quorum stands when the member of {turn} is removed",
        "what is left must be a quorum of what is left",
        1,
    ),
    "take out": Step(
        7,
        "remove",
        "Remove the member of {turn} from the member list, as far as it is listed",
        "a name that is listed is refused as a duplicate; its Node, with labels and pods, stays",
        1,
        "nothing to undo: the host can join as a new member",
    ),
    "retire": Step(
        7,
        "retire",
        "Stop and disable {unit} on {node}; move its datastore aside",
        "it is no member any more",
        5,
        "rejoin.yml brings it back",
    ),
    "forget": Step(
        7,
        "forget",
        "Save the Node that {turn} leaves behind to the controller and delete it; its member goes with it",
        "nobody bears its name any more",
        5,
        "kubectl create -f the saved file, once a host bears the name again",
    ),
    "join": Step(
        7,
        "rejoin",
        "Move the old datastore aside (if any), point {node} at a voter, start {unit}",
        "{node} holds no datastore of this cluster",
        20,
        "stop {node}, mv server/db/etcd-requorum-* back to server/db/etcd",
    ),
    "let in": Step(
        7,
        "promote",
        "Promote the learner of {turn} as soon as it is in sync",
        "waiting for the program's own 15 s ticker is slower",
        10,
    ),
    "report": Step(
        8,
        "settle",
        "Wait until the Node of {turn} is Ready and its API is among the endpoints",
        "the next server has its turn when this one carries its load",
        10,
    ),
    "release now": Step(
        8,
        "release",
        "Take our drop-in away, let the unit start at boot again, close the journal",
        "the host must come back by itself",
        1,
    ),
    "compact": Step(
        4,
        "compact",
        "Compact the history of the datastore up to its current revision",
        "a full datastore keeps old revisions that nobody compacts any more, since that would be a write",
        5,
        "the API server compacts too; the snapshot of BACKUP holds the old revisions",
    ),
    "defragment": Step(
        4,
        "defragment",
        "Defragment the datastore of {node}; see that its etcd answers again",
        "at least {free_mb} MB of its file are free pages",
        10,
    ),
    "defragment all": Step(
        4,
        "defragment",
        "Defragment the datastore of {node}; see that its etcd answers again",
        "its file must be smaller before the alarm is disarmed",
        10,
    ),
    "disarm": Step(
        4,
        "disarm",
        "Disarm the alarm NOSPACE, if there is room on this server by now; never CORRUPT",
        "as long as it is armed, nothing can be written",
        1,
    ),
    "clear": Step(
        4,
        "clear",
        "Move leftovers on {node} aside: reset-flag, tombstone, drop-ins, load balancer files that name strangers",
        "the next start would obey them",
        1,
        "move them back; the report names them",
    ),
    "stop to revert": Step(
        4,
        "fence",
        TAKE_AWAY,
        "no datastore is put back beneath an etcd that runs",
        3,
        BACK_ON,
    ),
    "revert": Step(
        4,
        "revert",
        "Put back on {node} what run {run} moved aside; the unit is stopped for it, then as it was before that run",
        "newest first; what lies there now is moved aside",
        15,
        "move it back; the report names both",
    ),
    "stale": Step(
        4,
        "fence",
        TAKE_AWAY,
        "its processes have outlived the unit and hold the ports",
        3,
        BACK_ON,
    ),
}
