# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What differs between the plan that a person has seen and the one that is made now, the causes first."""

from __future__ import annotations

import typing as t
from collections import Counter

from . import _messages
from ._errors import Refusal

JSON = t.Mapping[str, t.Any]
SHOWN = 5
NO_CAUSE = "only words have changed, as by another version of Requorum"
_STATES = {"etcd": "etcd", "store": "datastore"}


def refusal(seen: JSON, now: JSON) -> Refusal:
    """Of plan.json with the id that was asked for, and of the one of this run."""
    found = changes(seen, now) or [NO_CAUSE]
    more = [f"{len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return _messages.refusal(
        "plan-changed",
        seen=seen["plan_id"],
        now=now["plan_id"],
        when=str(seen.get("started") or "then"),
        changes="; ".join([*found[:SHOWN], *more]),
    )


def changes(seen: JSON, now: JSON) -> list[str]:
    """Parts of a sentence: what is another cluster, case or choice, then servers, then actions."""
    return [*_choices(seen, now), *_servers(seen, now), *_actions(seen, now)]


def _choices(seen: JSON, now: JSON) -> t.Iterator[str]:
    for key, what in (
        ("purpose", "the plan was for"),
        ("case", "the case was"),
        ("survivor", "the survivor was"),
        ("method", "the method was"),
    ):
        if (old := seen.get(key) or "none") != (new := now.get(key) or "none"):
            yield f"{what} {old}, now {new}"
    old, new = ((plan.get("snapshot") or {}).get("name") or "none" for plan in (seen, now))
    if old != new:
        yield f"the snapshot that is restored was {old}, now {new}"
    for more, less, word in ((now, seen, "too"), (seen, now, "no more")):
        off = [name for name in more.get("powered_off") or () if name not in (less.get("powered_off") or ())]
        if off:
            yield f"requorum_powered_off names {', '.join(off)} {word}"


def _servers(seen: JSON, now: JSON) -> t.Iterator[str]:
    old, new = ({server["name"]: server for server in plan.get("servers") or ()} for plan in (seen, now))
    if gone := [name for name in old if name not in new]:
        yield f"no more among the servers: {', '.join(gone)}"
    if come := [name for name in new if name not in old]:
        yield f"new among the servers: {', '.join(come)}"
    for name in [name for name in old if name in new]:
        was, is_ = old[name], new[name]
        if was.get("reachable") != is_.get("reachable"):
            yield f"{name} {'answers now' if is_.get('reachable') else 'does not answer any more'}"
            continue
        for key, what in _STATES.items():
            if was.get(key) != is_.get(key):
                yield f"{what} of {name} was {was.get(key)}, now {is_.get(key)}"
        if was.get("cluster_id") and is_.get("cluster_id") and was["cluster_id"] != is_["cluster_id"]:
            yield f"{name} held cluster {was['cluster_id']}, now {is_['cluster_id']}"


def _actions(seen: JSON, now: JSON) -> t.Iterator[str]:
    old, new = (list(plan.get("actions") or ()) for plan in (seen, now))
    had, has = (Counter(map(_step, actions)) for actions in (old, new))
    yield from (f"{step} is no more planned" for step in had - has)
    yield from (f"{step} is planned too" for step in has - had)
    if had == has:
        before = {action["id"]: action for action in old}
        for action in new:
            was = before.get(action["id"], action)
            if _step(was) != _step(action):
                yield f"{action['id']} was {_step(was)}, now {_step(action)}"
            elif was.get("what") != action.get("what"):
                yield f"{_step(action)} was '{was.get('what')}', now '{action.get('what')}'"


def _step(action: JSON) -> str:
    turn = action.get("turn") or ""
    return f"{action['verb']} on {action['node']}" + (f" for {turn}" if turn not in ("", action["node"]) else "")
