# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The files that all servers have in common, out of the snapshot that BACKUP of this run has proved."""

from __future__ import annotations

import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _contents,
    _image,
    _node,
    _shared,
    _structure,
)
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import load

HINT = "Nothing was changed. Find the token that belongs to this datastore (server/token of another server, backups)."


def shared_files(settings: t.Mapping[str, t.Any], run_dir: str) -> tuple[_shared.File, ...]:
    """Opened offline, on the controller; RequorumError unless the backup is proved and a token at hand opens it."""
    backup = load(run_dir, "backup.json", {"checks": [{"ok": False}]})
    if not all(check["ok"] for check in backup["checks"]):
        raise RequorumError("The backup is not proved.", "Nothing was changed.")
    contents = _contents.Contents()
    try:
        with _image.opened(backup["path"]) as image:
            _structure.check(image.read_at, image.size, contents.visit)
        for name, value in contents.bootstrap.items():
            token = _shelf.opening(settings, run_dir, [name])
            if token and value:
                return _shared.files(value, token)
    except BadFile as error:
        raise RequorumError(f"The bootstrap data of the proved snapshot cannot be used: {error}.", HINT) from error
    raise RequorumError("No token at hand opens the bootstrap data of the proved snapshot.", HINT)


def put(action: PlanAction, *, empty: bool) -> str:
    """Put them on the stopped node of an action, through standard input; empty: server/tls holds nothing else then."""
    found = shared_files(action.settings, action.run_dir)
    done = action.script(
        "tls_restore",
        timeout=60,
        stdin=_shared.archive(found),
        STAMP=action.stamp,
        EMPTY="yes" if empty else "no",
    )
    if done.rc != 0:
        raise RequorumError(
            f"{action.host}: the datastore's files could not be put in their places: {done.why}.",
            "Do not start this server yet: it could make new CAs. Run the same command again.",
        )
    placed, kept = ", ".join(_node.many(done.out, "placed")), ", ".join(_node.moved_to(done.out))
    return f"placed: {placed or 'nothing differed'}; kept: {kept or 'nothing was there'}"
