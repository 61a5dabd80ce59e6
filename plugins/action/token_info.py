# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/token_info.py for the documentation."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bbolt,
    _bootstrap,
    _bootstrap_find,
    _node,
    _secret,
    _tokens,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import has_failed


class ActionModule(NodeAction):
    """Hashes of every token of a host, and the names of the bootstrap keys in its datastore."""

    VALID = ("wait", "run_dir")

    def act(self) -> dict[str, t.Any]:
        run_dir = self._task.args.get("run_dir")
        seconds = 0.0 if run_dir and has_failed(run_dir) else float(self._task.args.get("wait") or 0)
        until = time.monotonic() + seconds
        found = self._read()
        while not found["passwords"] and time.monotonic() < until:
            time.sleep(2)
            found = self._read()
        offsets, path, cred = found.pop("offsets"), found.pop("db"), found.pop("cred")
        found["server"] = self.host in self.vars["groups"].get("servers", ())
        found["live"] = found["keys"] is not None
        found["seen"] = sorted({key for _at, key in offsets if key != _secret.STATE})
        if not found["live"] and found["seen"]:
            newest = self._newest(path, offsets, found["seen"])
            found["keys"] = [newest.key] if newest else None
        if not found["passwords"] and any(key == _secret.STATE for _at, key in offsets):  # no API gave it
            found["tokens"] += self._kept_by_rancher(path, cred, offsets)
        return {"changed": False, "requorum_tokens": found}

    @property
    def question(self) -> _node.Question:
        side = "server" if self.host in self.vars["groups"].get("servers", ()) else "agent"
        return _node.Question("tokens", 60, {"NAMED": _shelf.on_host(self.settings, self.host), "SIDE": side})

    def _read(self) -> dict[str, t.Any]:
        done = self.ask(self.question)
        if done.rc != 0:
            raise RequorumError(f"{self.host}: its tokens cannot be read: {done.why}.", "Look at the host.")
        return _tokens.parse(self.host, done.out)

    def _newest(
        self, path: str, offsets: list[tuple[int, str]], names: t.Collection[str]
    ) -> _bootstrap_find.Found | None:
        """The one of these keys that was written last to the file, while no etcd answers."""
        reader = _bootstrap_find.newest([at for at, key in offsets if key in names], names)
        try:
            return _bbolt.drive(reader, self.pages(path))
        except (_bbolt.BadFile, OSError, RequorumError):
            return None

    def _kept_by_rancher(self, path: str, cred: str, offsets: list[tuple[int, str]]) -> list[dict[str, str]]:
        """Tokens in Rancher's Secret, out of the file; they stay in the memory of this process."""
        secret = self._newest(path, offsets, {_secret.STATE})
        if secret is None:
            return []
        kept = _secret.tokens(secret.value, [self.small(f"{cred}/encryption-config.json")])
        return [
            {**_bootstrap.about(word), "user": "-", "place": f"Secret fleet-local/local-rke-state on disk: {name}"}
            for name, word in kept.items()
        ]
