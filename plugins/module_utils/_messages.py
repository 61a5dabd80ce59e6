# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What is said of bad input, and by the gates of a recovery: each message once, with what to do next.

`python -m requorum.reference` makes docs/errors.md of it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

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
            "There is no snapshot {name}.", "requorum_snapshot", "See playbooks/snapshots.yml for what there is."
        ),
        "snapshot-none": Message(
            "No snapshot can be used ({seen}).",
            "snapshots",
            "Name one by requorum_snapshot (a file here, NODE:/path, s3://bucket/key), or give its token by "
            "requorum_token_file.",
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
        "host-named-twice": Message(
            "{names} are names of one and the same host.",
            "inventory",
            "Leave one of them in the inventory, {names_apart}.",
        ),
        "host-unread": Message(
            "{host} answers over SSH, but nothing can be read there: {reason}.",
            "{host}",
            "Try it by hand: ansible {host} -b -m ansible.builtin.raw -a id, with your inventory (-i).",
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
        "server-as-agent": Message(
            "{host} is a server, and the inventory has it in the group agents.",
            "{host}",
            "Move it to the group servers.",
        ),
        "sudo-forbidden": Message(
            "{host} answers over SSH, but nothing can be read there: {reason}.",
            "{host}",
            "Let the user of ansible_user do all in /etc/sudoers.d there, or name another user.",
        ),
        "sudo-missing": Message(
            "{host} answers over SSH, but nothing can be read there: {reason}.",
            "{host}",
            "Install it there; or log in as root (ansible_user: root, ansible_become: false); or name another way by "
            "ansible_become_method.",
        ),
        "sudo-password": Message(
            "{host} answers over SSH, but nothing can be read there: {reason}.",
            "{host}",
            "Give it by -K (--ask-become-pass) of ansible-playbook, or as ansible_become_password in a vault; or let "
            "the user do without one (NOPASSWD in /etc/sudoers.d).",
        ),
        "sudo-terminal": Message(
            "{host} answers over SSH, but nothing can be read there: {reason}.",
            "{host}",
            "Write Defaults:USER !requiretty into a file in /etc/sudoers.d there.",
        ),
        "timeout-missing": Message(
            "{host} answers over SSH, but nothing can be read there: {reason}.",
            "{host}",
            "Install coreutils there: no command is run without a deadline.",
        ),
        "tools-missing": Message(
            "{host} lacks programs that a recovery calls there: {tools}.",
            "{host}",
            "Install them (coreutils, findutils, tar, awk, systemd; restorecon is in policycoreutils).",
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
    "The survivor": {
        "survivor-silent": Message("{host} does not answer.", "{host}", "Name a server that does."),
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
            "requorum_token_file {path} cannot be read: {reason}.", "{path}", "Name the file with the token."
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
