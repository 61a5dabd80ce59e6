# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""From one release of Harvester to another, hop by hop.

A hop is allowed from the oldest release that the ISO upgrades on (it is the ISO that refuses others), never to an older
one, and never over a minor release of Kubernetes (facts/harvester.md 10).
"""

from __future__ import annotations

import typing as t

from . import _releases
from ._releases import Release, number
from ._versions import minor

Matrix = t.Mapping[str, Release]
load = _releases.load


def refusal(matrix: Matrix, before: str, to: str) -> str:
    """Why this one hop is not allowed; empty when it is."""
    if why := _unknown(matrix, before, to):
        return why
    release = matrix[_v(to)]
    if number(before) < number(release.oldest):
        return f"{_v(to)} upgrades {release.oldest} and newer, and this is {_v(before)}"
    old = matrix.get(_v(before))
    if old and minor(release.rke2)[1] - minor(old.rke2)[1] > 1:
        both = f"{_v(before)} has Kubernetes {old.kubernetes} and {_v(to)} {release.kubernetes}"
        return f"{both}: one minor release at a time"
    return ""


def path(matrix: Matrix, before: str, to: str) -> tuple[Release, ...]:
    """The fewest hops, over the newest release where several serve; empty when there is no way, or nothing to do."""
    if _unknown(matrix, before, to):
        return ()
    ways: dict[str, tuple[Release, ...]] = {_v(before): ()}
    queue = [_v(before)]
    while queue and _v(to) not in ways:
        # The newest first, so that of ways of one length the one over the newest releases is found.
        step = [
            (release, at) for at in sorted(queue, key=number, reverse=True) for release in matrix.values()
            if release.version not in ways and number(release.version) <= number(to)
            and not refusal(matrix, at, release.version)
        ]  # fmt: skip
        queue = []
        for release, at in step:
            if release.version not in ways:
                ways[release.version] = (*ways[at], release)
                queue.append(release.version)
    return ways.get(_v(to), ())


def why_no_path(matrix: Matrix, before: str, to: str) -> str:
    """Why there is no way; empty when there is one."""
    if why := _unknown(matrix, before, to):
        return why
    return "" if path(matrix, before, to) else f"no allowed hops lead from {_v(before)} to {_v(to)}"


def _v(version: str) -> str:
    return f"v{version.removeprefix('v')}"


def _unknown(matrix: Matrix, before: str, to: str) -> str:
    if not number(before):
        return f"{before or 'what runs'} is no release of Harvester"
    if not number(to) or _v(to) not in matrix:
        return f"{to} is no release of Harvester that is known: {', '.join(matrix)}"
    if number(to) == number(before):
        return f"{_v(to)} is what runs"
    if number(to) < number(before):
        return f"{_v(to)} is older than {_v(before)}, and Harvester cannot go back"
    return ""
