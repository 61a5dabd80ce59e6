# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Steps about tokens and node passwords."""

from __future__ import annotations

from ._step import BACK_ON, TAKE_AWAY, Step

_TOKEN_BACK = "move the files back that the report names; remove zz-requorum-token.yaml"


def _token(why: str) -> Step:
    what = "Put the token of key {token_key} ({token_place}) into place on {node}; move another one's cred/passwd aside"
    return Step(6, "token", what, why, 2, _TOKEN_BACK)


STEPS = {
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
        4, "fence", TAKE_AWAY, "a start that fails floods its log, and a plain stop hangs for it", 5, BACK_ON
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
}
