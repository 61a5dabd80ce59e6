# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The way back behind the point of no return: the cluster that replaced an old one has begun to write.

A datastore is put back only by somebody who gives those writes up by the number that the refusal has shown, and only
when every server of the new cluster is fenced.
"""

from __future__ import annotations

import datetime
import re
import typing as t
from dataclasses import replace

from . import _plan, _turns
from ._classify import Case, Refusal
from ._distro import Distro
from ._plan import Plan
from ._rollback_parts import JSON, Back, Record, reset_said, starts
from ._server import Server
from ._step import Todo

PHASES = ("INSPECT", "PLAN", "BACKUP", "ROLLBACK", "VERIFY")
OFFERED = 3600
"""Seconds for which the number of a refusal may be typed: a living cluster writes all the time."""
NO_RETURN = "The first datastore that is put back: until then recover.yml starts the new cluster again as it is."


def plan(record: Record, found: t.Sequence[Back], case: Case, distro: Distro, ask: _turns.Ask, why: str) -> Plan:
    """Behind the point of no return: nothing of the new cluster may run any more when an old datastore comes back."""
    lost, loss = given_up(record, case.servers)
    made = replace(_plan.empty(case, ask.cluster), loss=loss, lost=lost)
    refusals = tuple(_hindered(record, case, ask, why, loss))
    if refusals:
        return replace(made, refusals=refusals)
    source = None
    if case.kind in ("healthy", "member_lost", "api_down") and not any(one["acted"] for one in record.rollbacks):
        source = _plan.find_source(case, distro)
    if source and source.stop:
        source = None
    living = [back.node for back in found if back.node not in ask.agents]
    anchor = next((name for name in living if name == record.plan.get("survivor")), living[0])
    steps = [
        *(_plan.saving(case, source) if source else ()),
        *(Todo("stop to revert", name) for name in living),
        Todo("prove to revert", anchor),
        *(Todo("revert", back.node) for back in found),
        *(Todo("release", name) for name in living),
    ]
    words = {"run": record.stamp, "others": ", ".join(server.name for server in case.servers if server.name != anchor)}
    base = case if case.base else replace(case, base=case.servers)
    was = str(record.plan.get("reason") or "")
    return replace(
        made,
        refusals=(),
        actions=_plan.number(steps, base, distro, source, phases=PHASES, more=words),
        saver=source.node if source else "",
        offline=bool(source and source.offline),
        phases=PHASES,
        aim=f"Rolled back: run {record.stamp}. The new cluster is kept aside, and this is again the cluster of before, "
        f"without a quorum: {was or record.plan.get('case')}",
        no_return=NO_RETURN,
    )


def _hindered(record: Record, case: Case, ask: _turns.Ask, why: str, loss: str) -> t.Iterator[Refusal]:
    """The number first, then what must be there besides."""
    ends, given = reached(case.servers), accepted(ask.options)
    if not given or given not in _offered(record, ask.now, ends):
        what = f"Run {record.stamp} has passed its point of no return: {why}. {loss}"
        if given and ends:
            what = f"requorum_accept_loss={given} is not what a refusal of the last hour has shown. {what}"
        allows = (
            f"requorum_accept_loss={ends} allows it, within the hour."
            if ends
            else "How far the new cluster got cannot be read, and until then nothing allows it: recover.yml --check."
        )
        hint = f"{allows} What is older is in the backup of the run too: recover.yml goes back to it with "
        yield Refusal(what, str(record.plan.get("survivor") or "the datastore"), f"{hint}requorum_snapshot.")
    off = [server for server in case.servers if not server.reachable]
    for server in off:
        if not server.powered_off:
            yield Refusal(
                f"{server.name} does not answer. A member of the new cluster that runs there would go on beside the "
                "old one.",
                server.name,
                "Bring it back, or cut its power and name it in requorum_powered_off.",
            )
    if len(off) * 2 > len(case.servers):
        yield Refusal(
            "Most servers are off. Powered on again, they would be the new cluster beside the old one.",
            ", ".join(server.name for server in off),
            "Bring them back first: what they hold must be moved aside too.",
        )
    if ask.only:
        yield Refusal(
            "requorum_only would leave members of the new cluster as they are.",
            "requorum_only",
            "Behind the point of no return all servers go back together: leave it out.",
        )


def _offered(record: Record, now: float, ends: int) -> set[str]:
    """Revisions that may be typed now: of refusals of the last hour, and of a rollback that has begun with it."""
    found = {str(ends)} if ends else set()
    for made in record.rollbacks:
        age = now - datetime.datetime.strptime(made["stamp"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC).timestamp()
        if made.get("reached") and age <= OFFERED:
            found.add(str(made["reached"]))
        if made["acted"] and made.get("accepted"):
            found.add(str(made["accepted"]))
    return found


def accepted(options: JSON) -> str:
    """The number that was typed; other playbooks take a list by this name, so it comes as a list of one."""
    given = options.get("accept_loss") or ""
    return ",".join(map(str, given)) if isinstance(given, list) else str(given)


def reached(servers: t.Iterable[Server]) -> int:
    """The revision that the cluster has reached, as far as its servers tell; 0 when none does."""
    return max((server.revision for server in servers), default=0)


def given_up(record: Record, servers: t.Sequence[Server]) -> tuple[int | None, str]:
    """(revisions, sentence): what the new cluster has written."""
    ends, told = reached(servers), re.search(r"revision (\d+)", reset_said(record))
    begun = starts(record)
    since = f" since {begun[0]['node']} was started at {begun[0]['started'][:19]}Z" if begun else ""
    mine: JSON = next(
        (one for one in record.plan.get("servers") or () if one["name"] == record.plan.get("survivor")), {}
    )
    old = f" The old datastore of {mine['name']} ends at revision {mine['revision']}." if mine.get("revision") else ""
    if not told or not ends:
        return None, f"All that the new cluster has written{since} is given up.{old}"
    count = max(0, ends - int(told[1]))
    text = f"revision {told[1]} to {ends}, {count} writes, those of Leases too"
    return count, f"All that the new cluster has written{since} is given up: {text}.{old}"
