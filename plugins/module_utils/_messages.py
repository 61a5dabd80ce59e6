# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What is said of bad input, and by the gates of a recovery: each message once, with what to do next.

`python -m requorum.reference` makes docs/errors.md of it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _clocks
from ._errors import Refusal, RequorumError


@dataclass(frozen=True)
class Message:
    """Texts with {fields}."""

    what: str
    where: str
    next: str


CATALOGUE: dict[str, dict[str, Message]] = {
    "The chosen snapshot": {
        "snapshot-needless": Message(
            "The case is {case}: a snapshot is restored only when no quorum can stand any more.",
            "requorum_snapshot",
            "Leave requorum_snapshot out.",
        ),
        "snapshot-and-plain": Message(
            "requorum_method=plain restores nothing, and requorum_snapshot names a snapshot.",
            "requorum_method",
            "Leave one of them out.",
        ),
        "snapshot-unknown": Message(
            "There is no snapshot {name}.",
            "requorum_snapshot",
            "Name it as playbooks/snapshots.yml does: NODE:/path, s3://bucket/key, or the whole path of a file here.",
        ),
        "snapshot-none": Message(
            "No snapshot can be used ({seen}).",
            "snapshots",
            "Name one by requorum_snapshot (a file here, NODE:/path, s3://bucket/key), or give its token by "
            "requorum_token_file.",
        ),
        "snapshot-part": Message(
            "{name} cannot be used: it is a transfer that did not end.",
            "{name}",
            "Name the file without .part, or choose another one: playbooks/snapshots.yml.",
        ),
        "snapshot-unsound": Message(
            "{name} cannot be used: {fault}.",
            "{name}",
            "Look at that path; fetch it again, or choose another one: playbooks/snapshots.yml.",
        ),
        "snapshot-damaged": Message(
            "{name} cannot be used: its sha256 is wrong, so it was damaged or cut after it was written.",
            "{name}",
            "Fetch it again, or choose another one: playbooks/snapshots.yml.",
        ),
        "snapshot-bare": Message(
            "{name} cannot be used: it has no sha256: a reset would fail by it after the old datastore was moved away.",
            "{name}",
            "It is a copy of member/snap/db, not a snapshot. Choose another one: playbooks/snapshots.yml.",
        ),
        "snapshot-foreign": Message(
            "{name} cannot be used: it is of another cluster (its kube-system has the UID {uid}, that of this one is "
            "{here}).",
            "{name}",
            "Choose one of this cluster: playbooks/snapshots.yml. If the cluster was built anew under this name, move "
            "the backups of the old one out of requorum_output.",
        ),
        "snapshot-token": Message(
            "{name} cannot be used: no token at hand opens it (its key is {keys}).",
            "{name}",
            "Name the file with the token of the time when it was written: requorum_token_file. If this cluster never "
            "had that token, the snapshot is of another one.",
        ),
        "snapshot-etcd": Message(
            "{name} cannot be used: it was written by etcd {etcd}, and {version} has {runs}, which refuses it.",
            "{name}",
            "Install the release that wrote it on the servers, or choose an older one: playbooks/snapshots.yml.",
        ),
        "snapshot-kubernetes": Message(
            "{name} cannot be used: its Nodes ran {kubernetes}, which is newer than {version}.",
            "{name}",
            "Install the release that wrote it on the servers, or choose an older one: playbooks/snapshots.yml.",
        ),
        "snapshot-unproved": Message(
            "{name} is not proved ({faults}).", "{name}", "See playbooks/snapshots.yml for another one."
        ),
    },
    "The hosts": {
        "agent-as-server": Message(
            "{host} is an agent, and the inventory has it in the group servers.",
            "{host}",
            "Move it to the group agents. If it shall become a server, disable its agent's unit first.",
        ),
        "both-groups": Message(
            "{host} stands in the group servers and in the group agents.",
            "inventory",
            "Leave it in one of them: servers have the datastore.",
        ),
        "clocks-differ": Message(
            "{clocks} Certificates then look expired or not yet valid, and members do not reach each other.",
            "{hosts}",
            _clocks.HINT,
        ),
        "datastore-unread": Message(
            "The datastore of {host} could not be read.",
            "{host}",
            "Where its etcd was only starting, the same command again is enough. Else make it reachable, and see in "
            "inspect.yml what is unread.",
        ),
        "etcd-may-vote": Message(
            "etcd on {host} may run, and the quorum may stand by it.",
            "{host}",
            "Where it was only starting, the same command again is enough. Else make it answer, or stop its unit.",
        ),
        "host-late": Message(
            "{host} answers over SSH, but nothing can be read there: no answer before the deadline.",
            "{host}",
            "Run this again when its load is lower (uptime). If it stays so, a disk or a mount hangs there: look for "
            "processes in state D (ps -e -o stat=,args=).",
        ),
        "host-named-twice": Message(
            "{names} are names of one and the same host.",
            "inventory",
            "Leave one of them in the inventory, {names_apart}.",
        ),
        "host-silent": Message(
            "{host} does not answer and may still run.",
            "{host}",
            'Make it reachable, or cut its power and say so: -e \'{{"requorum_powered_off": ["{host}"]}}\'.',
        ),
        "hosts-gone": Message("{hosts} cannot be reached.", "{hosts}", "Bring the host back, then run this again."),
        "host-unread": Message(
            "{host} answers over SSH, but nothing can be read there: {reason}.",
            "{host}",
            "Try it by hand: ansible {host} -b -m ansible.builtin.raw -a id, with your inventory (-i).",
        ),
        "member-twice": Message("{hosts} hold the same member.", "{hosts}", "Take the copy away."),
        "member-unlisted": Message(
            "Member {member} at {address} is not in the inventory.",
            "inventory",
            "Add it to the group servers, or give it as ansible_host to the dead server that it is.",
        ),
        "members-unread": Message(
            "No member list could be read on {hosts}.", "{hosts}", "Look at what is unread, then run inspect again."
        ),
        "no-server": Message(
            "{host} has neither RKE2 nor K3s.",
            "{host}",
            "Correct its ansible_host, or take it out of the group servers. If it shall become a server, install the "
            "program of the cluster there; its unit need not run.",
        ),
        "not-root": Message(
            "{host} was read without the rights of root.",
            "{host}",
            "Set ansible_become: true in the inventory, or log in as root.",
        ),
        "off-but-answers": Message(
            "{host} is named in requorum_powered_off, but it answers.",
            "{host}",
            "Take it out of requorum_powered_off.",
        ),
        "quorum-elsewhere": Message(
            "etcd on {host} reports a quorum, but its part in it could not be read.",
            "{host}",
            "Look at its gateway (port 2382) and its certificates; nothing is reset while a quorum stands.",
        ),
        "server-as-agent": Message(
            "{host} is a server, and the inventory has it in the group agents.",
            "{host}",
            "Move it to the group servers.",
        ),
        "servers-silent": Message(
            "No server can be reached over SSH.", "inventory", "Bring one server back or correct ansible_host."
        ),
        "sudo-forbidden": Message(
            "{host} answers over SSH, but nothing can be read there: sudo does not let this user become root.",
            "{host}",
            "Let the user of ansible_user do all in /etc/sudoers.d there, or name another user.",
        ),
        "sudo-missing": Message(
            "{host} answers over SSH, but nothing can be read there: sudo is not installed.",
            "{host}",
            "Install it there; or log in as root (ansible_user: root, ansible_become: false); or name another way by "
            "ansible_become_method.",
        ),
        "sudo-password": Message(
            "{host} answers over SSH, but nothing can be read there: sudo asks for a password.",
            "{host}",
            "Give it by -K (--ask-become-pass) of ansible-playbook, or as ansible_become_password in a vault; or let "
            "the user do without one (NOPASSWD in /etc/sudoers.d).",
        ),
        "sudo-password-wrong": Message(
            "{host} answers over SSH, but nothing can be read there: sudo does not take the password that was given.",
            "{host}",
            "Give the one of that user: -K (--ask-become-pass) of ansible-playbook, or ansible_become_password.",
        ),
        "sudo-terminal": Message(
            "{host} answers over SSH, but nothing can be read there: sudo wants a terminal (requiretty).",
            "{host}",
            "Write Defaults:USER !requiretty into a file in /etc/sudoers.d there.",
        ),
        "timeout-missing": Message(
            "{host} answers over SSH, but nothing can be read there: the program timeout is not installed.",
            "{host}",
            "Install coreutils there: no command is run without a deadline.",
        ),
        "tools-missing": Message(
            "{host} lacks programs that a recovery calls there: {tools}.",
            "{host}",
            "Install them (coreutils, findutils, tar, awk, systemd; restorecon is in policycoreutils).",
        ),
    },
    "The fence: nothing was reset, what was fenced stays fenced": {
        "fence-failed": Message(
            "{host} could not be fenced: {reason}.",
            "{host}",
            "Power it off and name it in requorum_powered_off, or stop it by hand. Nothing was reset.",
        ),
        "fence-left": Message(
            "{host} still runs after fencing: {seen}.",
            "{host}",
            "End it there, or power that host off and name it in requorum_powered_off; then run the same command "
            "again. Nothing was reset.",
        ),
        "fence-unproved": Message(
            "The peers of {host} are not proved away: {faults}.",
            "{host}",
            "Cut its power or its network, or take it out of requorum_powered_off if it may stay on; then run the same "
            "command again. This step was not begun.",
        ),
        "fence-unseen": Message(
            "{host} could not look at its peers: {reason}.",
            "{host}",
            "See that curl works on {host} (without it, the kubectl of RKE2 or K3s is asked), then run the same "
            "command again. This step was not begun.",
        ),
    },
    "The plan": {
        "plan-changed": Message(
            "requorum_plan_id is {seen}, but the plan is now {now}: since {when} {changes}.",
            "requorum_plan_id",
            "Read the plan above, and run it again with its own id.",
        ),
        "plan-unknown": Message(
            "requorum_plan_id is {seen}, but the plan is now {now}. What has changed cannot be told: no plan with that "
            "id lies in {folder}.",
            "requorum_plan_id",
            "Read the plan above, and run it again with its own id.",
        ),
    },
    "The runs before": {
        "run-unread": Message(
            "{path} cannot be read: {reason}.",
            "controller",
            "Correct its rights or its content, or move the folder of that run away; it is read no more then.",
        ),
    },
    "This run": {
        "run-unwritten": Message(
            "{path} on the controller cannot be written: {reason}.",
            "controller",
            "Make room there, or correct its rights, then run the same command again: it goes on from what it finds.",
        ),
    },
    "The survivor": {
        "survivor-unknown": Message(
            "requorum_survivor names {host}, which is no server of the inventory.",
            "requorum_survivor",
            "Correct it, or leave it out: {best} got furthest.",
        ),
        "survivor-silent": Message("{host} does not answer.", "{host}", "Name a server that does."),
        "survivor-without": Message(
            "requorum_survivor names {host}, which has no datastore that can be restored: it has {fault}.",
            "{host}",
            "Leave requorum_survivor out: {best} got furthest.",
        ),
        "survivor-removed": Message(
            "{host} is no voter in its own member list, or has a tombstone; its data may be old or not complete.",
            "{host}",
            "If nothing better exists, say so: -e requorum_survivor={host}.",
        ),
    },
    "Disks": {
        "disk-small": Message(
            "{host}: {mount} has {free} free, and {need} are needed there, for {what}.",
            "{host}",
            "Make room there: old logs, snapshots that are kept elsewhere too. Never old datastores (etcd-old-*, "
            "etcd-requorum-*): one of them may be the last. Or do without this host: cut its power, and name it in "
            "requorum_powered_off.",
        ),
        "disk-read-only": Message(
            "{host}: {path} lies on {mount}, which is mounted read-only.",
            "{host}",
            "Look into dmesg there: after an error of the disk, replace it; else mount -o remount,rw {mount}. Or do "
            "without this host: cut its power, and name it in requorum_powered_off.",
        ),
        "disk-mounted": Message(
            "{host}: {path} is a mount of its own, and cannot be moved aside.",
            "{host}",
            "Stop the unit, unmount it, and mount that file system at {above}, with the datastore in a folder etcd.",
        ),
        "disk-controller": Message(
            "{folder} has {free} free, and the backup takes {need}.",
            "{folder}",
            "Make room there, or set requorum_output to a folder on a larger disk.",
        ),
    },
    "The token": {
        "token-lost": Message(
            "No token at hand opens {datastore}, whose key is {keys}.",
            "{host}",
            "Look for it in an older backup, a password store, on another host, and name the file by "
            "requorum_token_file.",
        ),
        "token-flag": Message(
            "{host}: the token stands on the command line of its unit, which overrules every file.",
            "{host}",
            "Change it in the unit file, then run this again.",
        ),
        "token-file-unread": Message(
            "requorum_token_file {path} cannot be read: {reason}.",
            "{path}",
            "Name the file with the token, as server/token of a server, or files.tar of a backup.",
        ),
        "token-file-open": Message(
            "requorum_token_file {path} can be read by others: its mode is {mode}.",
            "{path}",
            "It opens the whole cluster: chmod 600 {path}, then run this again.",
        ),
        "token-file-empty": Message(
            "requorum_token_file {path} holds no token: it has {lines} lines, and one is expected.",
            "{path}",
            "Name the file with the token, as server/token of a server, or files.tar of a backup.",
        ),
    },
}
"""Topic -> id -> message."""


def refusal(ident: str, **fields: object) -> Refusal:
    """A gate that does not open."""
    message = _BY_ID[ident]
    return Refusal(message.what.format(**fields), message.where.format(**fields), message.next.format(**fields))


def error(ident: str, **fields: object) -> RequorumError:
    """An action that cannot be done; its `what` names the place too."""
    return RequorumError(_BY_ID[ident].what.format(**fields), _BY_ID[ident].next.format(**fields))


_BY_ID: t.Final = {ident: message for messages in CATALOGUE.values() for ident, message in messages.items()}
