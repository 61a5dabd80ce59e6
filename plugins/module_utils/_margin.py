# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Does the quorum stand without a member, or with one more? By what every server says of itself at this moment.

A voter counts only when its own etcd says that it reads through a quorum and sees a leader. A server that does not
answer does not count, whatever others think of it.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from . import _server
from ._look import Look


@dataclass(frozen=True)
class Margin:
    """Members of the cluster, and which of the voters work."""

    members: tuple[_server.Member, ...]
    working: frozenset[str]
    """Member IDs of the voters that say so themselves."""
    leader: str | None
    fault: str = ""
    """Why nothing can be said."""

    @property
    def voters(self) -> tuple[_server.Member, ...]:
        return tuple(member for member in self.members if not member.learner)

    def why_not_stop(self, member_id: str | None) -> str:
        """What forbids to stop this member for a while; empty when nothing does. The only voter may be stopped."""
        if self.fault or self._only(member_id):
            return self.fault
        return self._short(len(self.working - {member_id}), len(self.voters), "it stops")

    def why_not_remove(self, member_id: str | None) -> str:
        """What forbids to remove this member for good."""
        if self.fault:
            return self.fault
        if self._only(member_id):
            return "it is the only voter"
        left = [voter for voter in self.voters if voter.id != member_id]
        return self._short(len(self.working - {member_id}), len(left), "it is removed")

    def why_not_add(self) -> str:
        """What forbids one more voter. While it is a learner it counts for nothing, then it works."""
        return self.fault or self._short(len(self.working) + 1, len(self.voters) + 1, "one more joins")

    def change(self, gone: t.Iterable[str], comes: str = "") -> tuple[Margin, str]:
        """These members are removed one after another, then `comes`, where it is not empty, joins.

        The margin afterwards, and what forbids it.
        """
        seen = self
        for member_id in gone:
            why = seen.why_not_remove(member_id)
            if why:
                return seen, why
            left = tuple(member for member in seen.members if member.id != member_id)
            seen = replace(seen, members=left, working=seen.working - {member_id})
        if not comes:
            return seen, ""
        return seen.works(comes, ()), seen.why_not_add()

    def works(self, name: str, members: t.Collection[str]) -> Margin:
        """With these members as voters that work; with a new one of that name where there are none."""
        new = () if members else (_server.Member(name, name, "", False),)
        voters = tuple(replace(m, learner=m.learner and m.id not in members) for m in self.members)
        return replace(self, members=(*voters, *new), working=self.working | set(members or (name,)))

    def _only(self, member_id: str | None) -> bool:
        return [voter.id for voter in self.voters] == [member_id]

    def _short(self, working: int, voters: int, when: str) -> str:
        quorum = voters // 2 + 1
        if working >= quorum:
            return ""
        return f"when {when}, {working} of {voters} voters work, and {quorum} are needed"


def margin(looks: t.Sequence[Look]) -> Margin:
    """The margin of a cluster, out of a look at each of its servers that answered."""
    sighted = [look for look in looks if look.leader and look.healthy and look.members is not None and look.member_id]
    clusters = {look.cluster_id for look in sighted}
    leaders = {look.leader for look in sighted}
    if not sighted:
        return Margin((), frozenset(), None, "no server says that it sees a leader")
    if len(clusters) > 1:
        return Margin((), frozenset(), None, "servers of more than one cluster answer")
    if len(leaders) > 1:
        return Margin((), frozenset(), None, "servers name different leaders: an election goes on")
    members = tuple(_server.member(entry) for entry in sighted[0].members or ())
    voters = {member.id for member in members if not member.learner}
    return Margin(members, frozenset({str(look.member_id) for look in sighted} & voters), leaders.pop())
