# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The API of a cluster as an action plugin reaches it: by kubectl on its host, or by `requorum_kubeconfig`."""

from __future__ import annotations

import json
import os
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from ansible_collections.requorum.cluster.plugins.plugin_utils import _kubeconfig
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

WAIT = 20
"""Seconds for one request; it may be repeated."""


def of(action: NodeAction) -> _api.Api:
    """The API as this action reaches it; every request is repeated for `requorum_timeouts.api` seconds, 60."""
    seconds = float((action.settings.get("requorum_timeouts") or {}).get("api", 60))
    path = str(action.settings.get("requorum_kubeconfig") or "")
    if path:
        link = _kubeconfig.Link(os.path.expanduser(path), timeout=WAIT)
        return _api.Api(link, where=link.server, seconds=seconds)
    return _api.Api(_through(action), where=action.host, seconds=seconds)


def _through(action: NodeAction) -> _api.Transport:
    def ask(request: _api.Request) -> _api.Answer:
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
        done = action.script("api", stdin=body, timeout=WAIT + 10, **words)
        return _api.parsed(done.out) if done.rc == 0 else _api.refusal(done.err if done.known else "")

    return t.cast("_api.Transport", ask)
