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
