# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives in which people hand a cluster over, read into the state that rules are asked of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _scan, _seen
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

from .. import archive, archive_parts

JSON = dict[str, Any]
Members = Callable[[], Iterator[archive.Member]]
"""All files, from the first one on, as often as it is called."""


@dataclass(frozen=True)
class Source:
    """What an archive holds."""

    state: JSON
    """Without logs and hits."""
    logs: Callable[[], Iterable[_seen.Log]]
    notes: archive.Notes


def read(paths: Sequence[Path], cluster: str = "") -> Source:
    """The state in one archive, or in those of several nodes; RequorumError where it is of no kind that is known.

    One of several that cannot be read is noted.
    """
    from . import collector, own, support

    notes, paths = archive.Notes(), archive_parts.firsts(paths)

    def members() -> Iterator[archive.Member]:
        for path in paths:
            try:
                for member in archive.walk(path, notes):
                    yield member if len(paths) == 1 else replace(member, path=f"{path.name}/{member.path}")
            except RequorumError as error:
                if len(paths) == 1:
                    raise
                notes.add(path.name, error)

    names = [member.path for member in members()]
    name = cluster or paths[0].name.partition(".")[0]
    for kind in (own, support, collector):
        if kind.suits(names):
            state, logs = kind.read(members, names, name, notes)
            return Source(state, logs, notes)
    raise RequorumError(
        f"{paths[0]} is no support bundle of Harvester, no archive of a log collector of RKE2 or K3s and none of ours: "
        f"{len(names)} files, and no metadata.yaml with yamls/, no rke2/ or k3s/ with systeminfo/, no state.json.",
        "Give the archive as it was downloaded.",
    )


def state(source: Source, rules: Iterable[Any]) -> JSON:
    """The whole state, with the lines of logs that rules look for; what could not be read stands in its source."""
    whole = _seen.with_logs(source.state, source.logs(), _scan.patterns(rules))
    unread = [{"what": what, "why": why} for what, why in source.notes.unread.items()]
    if source.notes.more:
        unread.append({"what": f"{source.notes.more} more parts", "why": "as those that are named"})
    return {**whole, "source": {**whole["source"], "unread": [*whole["source"]["unread"], *unread]}}
