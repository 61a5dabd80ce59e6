# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Objects of an API for whoever judges a whole cluster: each kind read once, all of it within a deadline."""

from __future__ import annotations

import time
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _harvester_checks, _orphans
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import JSON, NodeAction


class Reader:
    """What is read by name of kind (`_harvester_checks.KINDS`): None where the cluster has none, a text where it could
    not be read: why.

    deadline: the name in `requorum_timeouts` of the seconds that all of it may take, 120. api: whether any API
    answers; None: as the action's option `api` says.
    """

    def __init__(self, action: NodeAction, deadline: str = "verify", *, api: bool | None = None) -> None:
        self._seconds, self._deadline = action.timeout(deadline, 120), deadline
        self._until = time.monotonic() + self._seconds
        self._read: dict[str, list[JSON] | str | None] = {}
        self._first: dict[str, _api.Answer] = {}
        self.where: str | None = None
        answers = action._task.args.get("api") if api is None else api
        self._why = "" if answers else "no API server answers"
        if not self._why:
            self._api = _node_api.of(action, proved=False)
            self.where = self._api.where
            self._why = self._foreign(_node_api.told_by(action))

    def _foreign(self, told: t.Collection[str]) -> str:
        """Why this API is not asked any further."""
        try:
            refusal = _orphans.foreign(_node_api.system_uid(self._api), told)
        except RequorumError as error:
            return str(error)
        return str(refusal) if refusal else ""

    def of(self, names: t.Sequence[str]) -> dict[str, list[JSON] | str | None]:
        """Of several kinds; their first pages come in one round trip where that can be."""
        asked = {name: _harvester_checks.KINDS[name] for name in names if name not in self._read}
        if asked and not self._why:
            pages = self._api.firsts((kind.kinds[0], kind.namespace, kind.selector) for kind in asked.values())
            self._first |= dict(zip(asked, pages, strict=False))
        return {name: self.one(name) for name in names}

    def one(self, name: str) -> list[JSON] | str | None:
        if name not in self._read:
            self._read[name] = self._why or self._ask(_harvester_checks.KINDS[name], self._first.pop(name, None))
        return self._read[name]

    def _ask(self, asked: _harvester_checks.Asked, first: _api.Answer | None) -> list[JSON] | str | None:
        if time.monotonic() > self._until:
            limit = f"requorum_timeouts.{self._deadline}"
            return f"the API took longer than {self._seconds:.0f} s for what was asked before ({limit})"
        why: str | None = None
        for kind in asked.kinds:
            try:
                if (found := self._list(kind, asked, first)) is not None:
                    return found
                first = None
            except RequorumError as error:  # a version that is not the stored one needs a webhook
                why, first = why or str(error), None
        return why

    def _list(self, kind: _api.Kind, asked: _harvester_checks.Asked, first: _api.Answer | None) -> list[JSON] | None:
        if asked.keep is None:
            return self._api.items(kind, asked.namespace, selector=asked.selector, first=first)
        keep, kept = asked.keep, dict[tuple[str, str], JSON]()

        def take(item: JSON) -> None:
            kept[item["metadata"].get("namespace", ""), item["metadata"]["name"]] = keep(item)

        return list(kept.values()) if self._api.each(kind, take, first) else None
