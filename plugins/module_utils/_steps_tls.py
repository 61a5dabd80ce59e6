# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Steps about certificates and CAs."""

from __future__ import annotations

from ._step import BACK_ON, TAKE_AWAY, Step


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
        TAKE_AWAY,
        "a start takes the new CAs and makes its leaves under them; workloads go on",
        3,
        BACK_ON,
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
        BACK_ON,
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
}
