# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What a node reads of the release that an upgrade shall go to: nodes download it, and not the controller."""

from __future__ import annotations

import base64

from ansible_collections.requorum.cluster.plugins.module_utils import _node, _target
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction

TEXT_S, HASH_S = 12, 3600
"""Deadlines of a question, and of reading the whole ISO (`requorum_timeouts.iso`)."""


def ask(action: NodeAction, state: JSON, wish: _target.Wish) -> tuple[JSON, dict[str, str]]:
    """`target` of docs/state.schema.json, and what could not be asked, and why."""
    found: JSON = {"version": wish.version, "node": None, "wanted": wish.checksum or None,
                   "checksum": wish.checksum or None, "releases": wish.releases or None,
                   "release": None, "iso": None}  # fmt: skip
    if action.host not in action.vars["groups"].get("servers", ()):
        why = "no server that answers could be asked to read it"
        return found, {"target.release": why, "target.iso": why}
    objects = state.get("objects") or {}
    look = _Look(action, _target.proxies(objects.get("config") or ()))
    base, arch = _target.base(objects.get("config") or ()), _target.arch(objects.get("nodes") or ())
    stored = _target.stored(objects.get("versions") or (), wish)
    if stored:
        release = {"url": f"versions.harvesterhci.io {wish.version}", "reachable": True, "why": None, **stored}
    else:
        release = look.release(_target.release_url(wish, base, arch))
    iso = look.iso(_target.iso_url(wish, base, arch, release.get("isoURL")), wish.hash)
    checksum = found["wanted"] or release.get("isoChecksum")
    return found | {"node": action.host, "release": release, "iso": iso, "checksum": checksum}, look.unread


class _Look:
    """Questions to a web server, by the node of an action."""

    def __init__(self, action: NodeAction, proxies: tuple[str, str, str]) -> None:
        self._action = action
        self._proxies = "".join(f"{proxy}\n" for proxy in proxies).encode()  # a password may stand in it
        self.unread: dict[str, str] = {}

    def release(self, url: str) -> JSON:
        told, why = self._ask(url, "text", TEXT_S)
        said = _target.release(base64.b64decode(told.get("body", "")).decode("utf-8", "replace")) if told else None
        if told and not said:
            why = "what stands there is no Version of Harvester"
        return {"url": url, "reachable": said is not None, "why": why or None, **(said or {})}

    def iso(self, url: str, whole: bool) -> JSON:
        told, why = self._ask(url, "size", TEXT_S)
        size = told.get("bytes", "") if told else ""
        found = {"url": url, "reachable": told is not None, "why": why or None, "hash": whole, "sha512": None}
        if told is not None and not size.isdecimal():
            self.unread["target.iso.bytes"] = "the server does not tell how large it is"
        if told is not None and whole:
            limit = int(self._action.timeout("iso", HASH_S))
            self._action.say(f"reads {url} for its checksum; that may take up to {limit} s")
            read, why = self._ask(url, "hash", limit)
            found |= {"sha512": (read or {}).get("sha512"), "why": why or None}
        if whole and not found["sha512"]:
            self.unread["target.iso.sha512"] = f"it was not read to its end: {why}"
        return found | {"bytes": int(size) if size.isdecimal() else None}

    def _ask(self, url: str, how: str, seconds: int) -> tuple[dict[str, str] | None, str]:
        done = self._action.script(
            "fetch", stdin=self._proxies, timeout=seconds + 5, URL=url, HOW=how, WITHIN=str(seconds)
        )
        return (_node.pairs(done.out), "") if done.rc == 0 else (None, done.why)
