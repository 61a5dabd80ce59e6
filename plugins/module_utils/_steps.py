# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The words of a plan: what each step does, why, how it is undone, how many seconds it takes.

Seconds are those of real servers on two cores (three RKE2 hosts, facts of recorded runs), not of the lab.
"""

from __future__ import annotations

from dataclasses import dataclass

NOTHING = "nothing to undo"


@dataclass(frozen=True)
class Step:
    """One kind of step; texts have placeholders for the nodes and units of a case."""

    phase: int
    verb: str
    what: str
    why: str
    expect_s: int
    undo: str = NOTHING


_TAKE_AWAY = "Stop and disable {unit}; take away etcd and kube-apiserver only"
_BACK_ON = "systemctl enable --now {unit} on {node}"
_RESET_WHY = "it makes the survivor the only member of a new cluster with the old data"


def _renewal(phase: int) -> Step:
    return Step(
        phase,
        "renew",
        "Take away these leaf certificates of {node}, which its start makes anew",
        "they have ended, end soon or do not chain; CAs stay as they are",
        2,
        "put the folders that the report names back while {unit} is stopped",
    )


def _restoration(phase: int) -> Step:
    return Step(
        phase,
        "restore",
        "Put CAs, service.key and cred/ of the datastore on {node}, with their old times",
        "they are missing or differ, and the datastore's are the cluster's",
        2,
        "put the files that the report names back while {unit} is stopped",
    )


_TOKEN_BACK = "move the files back that the report names; remove zz-requorum-token.yaml"


def _token(why: str) -> Step:
    what = "Put the token of key {token_key} ({token_place}) into place on {node}; move another one's cred/passwd aside"
    return Step(6, "token", what, why, 2, _TOKEN_BACK)


STEPS = {
    "match": Step(
        4,
        "match",
        "See that the CAs and service.key of {node} are those of the proved snapshot",
        "leaves are only made under the CAs that the whole cluster trusts",
        2,
    ),
    "issue": Step(
        4,
        "issue",
        "Make on the controller: {successors}. Lay them down on {node}, in a folder of root",
        "the old ones end; each new root is signed by the old one too, so that nobody is cut off",
        3,
    ),
    "swap": Step(
        4,
        "swap",
        "{program} certificate rotate-ca on {node}; read in the datastore that it holds exactly these instead",
        "every start takes the CAs from there",
        5,
        "the same again with the old ones of BACKUP and --force; then every host has to restart",
    ),
    "stop to swap": Step(
        4,
        "fence",
        _TAKE_AWAY,
        "a start takes the new CAs and makes its leaves under them; workloads go on",
        3,
        _BACK_ON,
    ),
    "match to empty": Step(
        4,
        "match",
        "Open the bootstrap data of the proved snapshot with the token; see that {node} has its CAs and service.key",
        "without them an empty server/tls makes new CAs, and the cluster falls apart",
        2,
    ),
    "drop serving": Step(
        4,
        "secret",
        "Save the Secret with the serving certificate of all servers to the controller, then delete it",
        "every server starts with the certificate in it; the next start writes a new one",
        2,
        "kubectl create -f the saved file",
    ),
    "stop to renew": Step(
        4,
        "fence",
        "Stop and disable {unit}; take away etcd and kube-apiserver only",
        "leaf certificates are made at a start; workloads go on",
        3,
        _BACK_ON,
    ),
    "empty": Step(
        4,
        "empty",
        "Move server/tls aside; write CAs, service.key and cred/ of the datastore with their old times",
        "only leaves are made anew by the start",
        2,
        "stop {unit}, mv server/tls-requorum-* back to server/tls",
    ),
    "put back": _restoration(4),
    "put back to start": _restoration(6),
    "renew": _renewal(4),
    "renew to reset": _renewal(5),
    "renew to start": _renewal(6),
    "renew to join": _renewal(7),
    "start again": Step(6, "start", "Start {unit}", "it makes its leaves anew", 15, "systemctl stop {unit} on {node}"),
    "start alone again": Step(
        6,
        "start",
        "Start {unit} without `server:` in its configuration",
        "it takes CAs from its own datastore; another server may have the old ones on its disk yet",
        15,
        "systemctl stop {unit} on {node}",
    ),
    "renewed": Step(
        8,
        "renewed",
        "See that the quorum is healthy, the CAs of {node} are the datastore's, and every leaf chains and is in date",
        "the next host is only touched when this one works",
        3,
    ),
    "enable": Step(
        8,
        "release",
        "Take our drop-in away, let {unit} start at boot again, close the journal",
        "the host must come back by itself",
        1,
    ),
    "refresh": Step(
        8,
        "refresh",
        "Restart {agent_unit}",
        "an agent fetches its certificates at every start; workloads go on",
        10,
    ),
    "fresh": Step(
        8,
        "renewed",
        "See that every certificate of {node} chains and is in date",
        "the next host is only touched when this one works",
        1,
    ),
    "stop to copy": Step(3, "fence", _TAKE_AWAY, "its datastore is copied while nothing writes to it", 3, _BACK_ON),
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
        "Copy {snapshot} to the controller",
        "it is proved there and kept off the node",
        5,
    ),
    "deliver": Step(
        3,
        "deliver",
        "Prove {snapshot} on the controller and put it on {node}",
        "nothing is touched before it is proved",
        5,
    ),
    "fence": Step(4, "fence", _TAKE_AWAY, "its old datastore must not run beside the new one", 3, _BACK_ON),
    "furnish": Step(
        4,
        "furnish",
        "Put the saved configuration and node password of {node} back",
        "the host has none",
        2,
        "remove the files that the report names",
    ),
    "stop to reset": Step(4, "fence", _TAKE_AWAY, "the reset needs its ports and its datastore", 3, _BACK_ON),
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
        _TAKE_AWAY,
        "no datastore is put back beneath an etcd that runs",
        3,
        _BACK_ON,
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
        _TAKE_AWAY,
        "its processes have outlived the unit and hold the ports",
        3,
        _BACK_ON,
    ),
    "drop password": Step(
        4,
        "password",
        "Save the Secret with the node password of {turn} to the controller, then delete it",
        "it is not the hash of /etc/rancher/node/password: a join is refused",
        2,
        "kubectl create -f the saved file",
    ),
    "drop passwords": Step(
        7,
        "password",
        "Save the Secrets with the node passwords of {refused} to the controller, then delete them",
        "they are not the hashes of /etc/rancher/node/password there: a join is refused",
        2,
        "kubectl create -f the saved files",
    ),
    "take drop-in": Step(
        4,
        "clear",
        "Move zz-requorum-token.yaml of {node} aside",
        "its own configuration holds the same token by now",
        1,
        "move it back; the report names it",
    ),
    "stop for token": Step(
        4, "fence", _TAKE_AWAY, "a start that fails floods its log, and a plain stop hangs for it", 5, _BACK_ON
    ),
    "put token": Step(
        4,
        "token",
        "Put the token that opens the datastore into place; move cred/passwd aside where it is another token's",
        "with another token, or newer passwd, the start fails",
        2,
        _TOKEN_BACK,
    ),
    "keep token": Step(
        3,
        "keep",
        "Copy the token of {node} to the controller: it is the one of key {token_key}",
        "no server has it any more",
        2,
    ),
    "put found token": _token("no server starts without it; it was lost or stale there, and stays"),
    "keep old token": _token(
        "the snapshot is older than a rotation, and this version cannot rotate: the cluster has this token afterwards. "
        "Write it into the configuration of all servers and agents"
    ),
    "lend token": _token("the snapshot is older than a rotation of the token; the new one is put back after START"),
    "put its token": Step(
        6,
        "token",
        "Put the token that opens {snapshot} into place, if {node} has another one",
        "which one that is, is known when the snapshot was copied; the cluster has it afterwards",
        2,
        _TOKEN_BACK,
    ),
    "rotate back": Step(
        6,
        "rotate",
        "Rotate the token of the running server from key {token_key} to {token_back}; start {unit} with it again",
        "its configuration, the other servers and the agents hold that one",
        25,
        "`{program} token rotate` with both tokens, as docs/tokens.md has it",
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
    "verify": Step(
        9,
        "verify",
        "Check members, leader, alarms, API, endpoints, Nodes, workloads and leftovers",
        "no success is taken from an exit code",
        3,
    ),
}
