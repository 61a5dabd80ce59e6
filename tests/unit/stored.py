# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server in memory, as far as decisions and stand-ins use one: a transport for `_api.Api`."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from ansible_collections.requorum.cluster.plugins.module_utils import _api

JSON = dict[str, Any]


class Stored:
    """Objects by kind, namespace and name; a generation that counts changes of spec, and a status of its own."""

    def __init__(self, missing: tuple[str, ...] = ()) -> None:
        """missing: kinds that this cluster does not have."""
        self.objects: dict[tuple[str, str, str], JSON] = {}
        self.missing = missing
        self.asked: list[_api.Request] = []
        self.refuse: Callable[[_api.Request], _api.Answer | None] = lambda _request: None

    @property
    def api(self) -> _api.Api:
        return _api.Api(self, where="r1", seconds=0, sleep=lambda _seconds: None)

    def __call__(self, request: _api.Request) -> _api.Answer:
        self.asked.append(request)
        if refused := self.refuse(request):
            return refused
        key = (request.kind.name, request.namespace, request.name)
        if request.kind.name in self.missing or (request.name and key not in self.objects):
            return _api.Answer("NotFound", "not found")
        return _api.Answer("", "", copy.deepcopy(getattr(self, f"_{request.verb}")(request, key)))

    @property
    def changes(self) -> list[_api.Request]:
        return [request for request in self.asked if request.verb != "get"]

    def _get(self, request: _api.Request, key: tuple[str, str, str]) -> JSON:
        if request.name:
            found = self.objects[key]
            return found
        wanted = parse_qs(request.query).get("labelSelector", [""])[0]
        found = [
            item
            for (kind, namespace, _name), item in sorted(self.objects.items())
            if kind == key[0] and request.namespace in ("", namespace) and _selected(item, wanted)
        ]
        return {"items": found, "metadata": {}}

    def _create(self, request: _api.Request, _key: tuple[str, str, str]) -> JSON:
        assert request.body
        meta = request.body["metadata"]
        key = (request.kind.name, meta.get("namespace", ""), meta["name"])
        assert key not in self.objects
        made = {**request.body, "metadata": {**meta, "generation": 1, "uid": f"uid-{len(self.asked)}"}}
        self.objects[key] = copy.deepcopy(made)
        return made

    def _patch(self, request: _api.Request, key: tuple[str, str, str]) -> JSON:
        before, body = self.objects[key], request.body or {}
        parts = ("status",) if request.subresource else tuple(k for k in (*before, *body) if k != "status")
        after = merged(before, {name: body[name] for name in body if name in parts})
        if after.get("spec") != before.get("spec"):
            after["metadata"] = {**after["metadata"], "generation": before["metadata"]["generation"] + 1}
        self.objects[key] = after
        return after

    def _delete(self, _request: _api.Request, key: tuple[str, str, str]) -> JSON:
        gone = self.objects.pop(key)
        return gone


def merged(before: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(before) if isinstance(before, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _selected(item: JSON, selector: str) -> bool:
    labels = item["metadata"].get("labels") or {}
    words = [re.fullmatch(r"([^!=]+)(!?=)(.*)", word) for word in selector.split(",") if word]
    return all(word and (labels.get(word[1]) == word[3]) == (word[2] == "=") for word in words)
