# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server in memory, as far as decisions and the lab's controllers need one: a transport for `_api.Api`.

Finalizers, merge patches, pages, labels, a generation that counts changes of spec.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

from ansible_collections.requorum.cluster.plugins.module_utils import _api

JSON = dict[str, Any]
Key = tuple[str, str, str]
KUBELET = "no kubelet ends it"


def merged(target: Any, change: Any) -> Any:
    """RFC 7386."""
    if not isinstance(change, dict):
        return change
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


class FakeApi:
    """A transport. refuse: Request -> Answer for those that are not done."""

    def __init__(self, *, missing: tuple[str, ...] = (), page: int = 500) -> None:
        self.objects: dict[Key, JSON] = {}
        self.missing, self.page = missing, page
        self.refuse: Callable[[_api.Request], _api.Answer | None] = lambda _request: None
        self.asked: list[_api.Request] = []
        self.protected: set[str] = set()
        self._numbers = itertools.count(1)

    @property
    def api(self) -> _api.Api:
        return _api.Api(self, where="r1", seconds=0, sleep=lambda _seconds: None)

    @property
    def changes(self) -> list[_api.Request]:
        return [request for request in self.asked if request.verb != "get"]

    def __call__(self, request: _api.Request) -> _api.Answer:
        self.asked.append(request)
        if refused := self.refuse(request):
            return refused
        if request.kind.name in self.missing:
            return _api.Answer("NotFound", "the server could not find the requested resource")
        if request.verb == "get" and not request.name:
            return self._list(request)
        if request.verb == "create" and not request.subresource:
            return self._create(request)
        key = self.key(request.kind, request.name, request.namespace)
        item = self.objects.get(key)
        if item is None:
            return _api.Answer("NotFound", f"{request.kind.name} {request.name} not found")
        return {"get": self._get, "patch": self._patch, "delete": self._delete, "create": self._evict}[request.verb](
            request, key, item
        )

    @staticmethod
    def key(kind: _api.Kind, name: str, namespace: str = "") -> Key:
        return kind.name, namespace if kind.namespaced else "", name

    def names(self, plural: str) -> list[str]:
        """Of all objects of a kind, `nodes.longhorn.io`."""
        return sorted(name for kind, _namespace, name in self.objects if kind == plural)

    def _get(self, _request: _api.Request, _key: Key, item: JSON) -> _api.Answer:
        return _api.Answer("", "", copy.deepcopy(item))

    def _list(self, request: _api.Request) -> _api.Answer:
        query = {key: unquote(values[0]) for key, values in parse_qs(request.query).items()}
        found = [
            item
            for (kind, namespace, _name), item in sorted(self.objects.items())
            if kind == request.kind.name and request.namespace in ("", namespace)
        ]
        if node := re.fullmatch(r"spec\.nodeName=(.+)", query.get("fieldSelector", "")):
            found = [item for item in found if item["spec"].get("nodeName") == node[1]]
        found = [item for item in found if _selected(item, query.get("labelSelector", ""))]
        begin = int(query.get("continue", 0))
        end = begin + min(self.page, int(query.get("limit", self.page)))
        more = {"continue": str(end), "remainingItemCount": len(found) - end} if end < len(found) else {}
        return _api.Answer("", "", {"items": copy.deepcopy(found[begin:end]), "metadata": more})

    def _create(self, request: _api.Request) -> _api.Answer:
        assert request.body
        body = copy.deepcopy(request.body)
        key = self.key(request.kind, body["metadata"]["name"], request.namespace)
        if key in self.objects:
            return _api.Answer("Conflict", f"{key} exists")
        number = next(self._numbers)
        body["metadata"] |= {"uid": f"uid-{number}", "resourceVersion": str(number), "generation": 1}
        self.objects[key] = body
        return _api.Answer("", "", copy.deepcopy(body))

    def _patch(self, request: _api.Request, key: Key, item: JSON) -> _api.Answer:
        assert request.body
        version = (request.body.get("metadata") or {}).get("resourceVersion")
        if version and version != item["metadata"]["resourceVersion"]:
            return _api.Answer("Conflict", "the object has been modified")
        new = merged(item, {"status": request.body.get("status")} if request.subresource else request.body)
        new["metadata"] = {**new["metadata"], "resourceVersion": str(next(self._numbers))}
        if new.get("spec") != item.get("spec"):
            new["metadata"]["generation"] = item["metadata"].get("generation", 0) + 1
        self.objects[key] = new
        self._finish(key)
        return _api.Answer("", "", copy.deepcopy(new))

    def _delete(self, request: _api.Request, key: Key, item: JSON) -> _api.Answer:
        body = request.body or {}
        uid = (body.get("preconditions") or {}).get("uid")
        if uid and uid != item["metadata"]["uid"]:
            return _api.Answer("Conflict", "the UID in the precondition does not match")
        if request.kind.name == "pods":
            kept = [name for name in item["metadata"].get("finalizers") or () if name != KUBELET]
            item["metadata"]["finalizers"] = [*kept, *([KUBELET] if body.get("gracePeriodSeconds") != 0 else [])]
        item["metadata"].setdefault("deletionTimestamp", "2026-11-28T12:00:00Z")
        self._finish(key)
        return _api.Answer("", "", copy.deepcopy(item))

    def _evict(self, request: _api.Request, key: Key, item: JSON) -> _api.Answer:
        """A pod goes at once, unless a budget protects it."""
        assert request.subresource == "eviction" and request.body
        assert request.body["deleteOptions"]["preconditions"] == {"uid": item["metadata"]["uid"]}
        if request.name in self.protected:
            return _api.Answer("TooManyRequests", "Cannot evict pod as it would violate the pod's disruption budget.")
        del self.objects[key]
        return _api.Answer("", "", {"kind": "Status", "status": "Success"})

    def _finish(self, key: Key) -> None:
        meta = self.objects[key]["metadata"]
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            del self.objects[key]


def _selected(item: JSON, selector: str) -> bool:
    labels = item["metadata"].get("labels") or {}
    words = [re.fullmatch(r"([^!=]+)(!?=)(.*)", word) for word in selector.split(",") if word]
    return all(word and (labels.get(word[1]) == word[3]) == (word[2] == "=") for word in words)
