# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The API of a cluster as an action plugin reaches it: by kubectl on its host, or by `requorum_kubeconfig`."""

from __future__ import annotations

import base64
import gzip
import json
import os
import re
import typing as t
import zlib

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _node, _orphans
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _kubeconfig
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

SECRET = _api.Kind("", "v1", "secrets")
SYSTEM = _api.Kind("", "v1", "namespaces", namespaced=False)
WAIT = 20
"""Seconds for one request; it may be repeated."""


def of(action: NodeAction, *, proved: bool = True) -> _api.Api:
    """The API as this action reaches it; every request is repeated for `requorum_timeouts.api` seconds, 60.

    proved: a kubeconfig must lead to the cluster of the servers that were looked at. Whoever asks for less proves it.
    """
    path = str(action.settings.get("requorum_kubeconfig") or "")
    if not path:
        return on_host(action)
    link = _kubeconfig.Link(os.path.expanduser(path), timeout=WAIT)
    api = _api.Api(link, where=link.server, seconds=_seconds(action))
    if proved and (told := told_by(action)) and (refusal := _orphans.foreign(system_uid(api), told)):
        raise RequorumError(f"{api.where}: {refusal.what}", f"Nothing was changed. {refusal.next}")
    return api


def on_host(action: NodeAction, *, seconds: float | None = None) -> _api.Api:
    """The API of the host itself, by its kubectl, whatever kubeconfig is named. seconds: another deadline."""
    return _api.Api(_Kubectl(action), where=action.host, seconds=_seconds(action) if seconds is None else seconds)


def system_uid(api: _api.Api) -> str:
    """Of kube-system: a cluster is known by it."""
    return str(((api.get(SYSTEM, "kube-system") or {}).get("metadata") or {}).get("uid") or "")


def told_by(action: NodeAction, *, but: t.Collection[str] = ()) -> set[str]:
    """The same as the servers that were looked at have told it, but for some of them."""
    hosts: t.Mapping[str, t.Any] = action.vars.get("hostvars") or {}
    read = ((hosts[name].get("requorum_read") or {}).get("requorum_node") or {} for name in hosts if name not in but)
    return {str(node["api"]["system_uid"]) for node in read if (node.get("api") or {}).get("system_uid")}


def _seconds(action: NodeAction) -> float:
    return float((action.settings.get("requorum_timeouts") or {}).get("api", 60))


class _Kubectl:
    """A transport by what a server has: its kubectl; several lists in one go by curl, where that is there."""

    def __init__(self, action: NodeAction) -> None:
        self._action = action

    def __call__(self, request: _api.Request) -> _api.Answer:
        if request.verb == "get":
            return self.many([request])[0]
        words: dict[str, str] = {"DO": request.verb, "URL": request.url, "WAIT": str(WAIT)}
        if request.verb == "patch":
            kind = request.kind
            words |= {
                "KIND": f"{kind.plural}.{kind.version}.{kind.group}" if kind.group else kind.plural,
                "NAME": request.name,
                "NAMESPACE": request.namespace if kind.namespaced else "",
                "SUB": request.subresource,
            }
        body = None if request.body is None else json.dumps(request.body).encode()
        done = self._action.script("api", stdin=body, timeout=WAIT + 10, **words)
        return _api.parsed(done.out) if done.rc == 0 else _api.refusal(done.err if done.known else "")

    def many(self, requests: t.Sequence[_api.Request]) -> list[_api.Answer]:
        """Several reads in one round trip."""
        mark, paths = _node.new_mark(), "".join(f"{request.url}\n" for request in requests)
        words = {"DO": "get", "MARK": mark, "WAIT": str(WAIT), "MANY": "yes" if len(requests) > 1 else "no"}
        done = self._action.script("api", stdin=paths.encode(), timeout=WAIT + 10 + len(requests), **words)
        if done.rc != 0:
            return [_api.refusal(done.err if done.known else "")] * len(requests)
        found = answers(done.out, mark)
        return [*found, *[_api.refusal("")] * len(requests)][: len(requests)]


def answers(text: str, mark: str) -> list[_api.Answer]:
    """What sh/api.sh has read, as far as it came."""
    try:
        data = base64.b64decode(text)
        whole = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8", "replace")
    except (ValueError, OSError, EOFError, zlib.error):
        return []
    found, begin = [], 0
    for end in re.finditer(rf"\n{mark} (\d+) ?(.*)\n", whole):
        body, code = whole[begin : end.start()], int(end[1])
        refused = _api.Answer("NoAnswer", end[2]) if end[1] == "000" else _api.refusal(end[2])  # curl has no other word
        found.append(_api.answered(code, body) if code else refused)
        begin = end.end()
    return found
