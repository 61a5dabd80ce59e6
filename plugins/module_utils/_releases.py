# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Which RKE2 comes with a release of Harvester, and from which release it can be installed.

Sources: scripts/version-rke2 and package/upgrade/migrations of the tags of harvester/harvester; facts/harvester.md 10.
"""

from __future__ import annotations

import re
import typing as t


class Release(t.NamedTuple):
    """RKE2, and the oldest release that can be upgraded to this one."""

    kubernetes: str
    oldest: str


RELEASES = {
    "v1.2.0": Release("v1.25.9+rke2r1", "v1.1.2"),
    "v1.2.1": Release("v1.25.9+rke2r1", "v1.1.2"),
    "v1.2.2": Release("v1.26.15+rke2r1", "v1.2.1"),
    "v1.3.0": Release("v1.27.10+rke2r1", "v1.2.2"),
    "v1.3.1": Release("v1.27.13+rke2r1", "v1.2.2"),
    "v1.3.2": Release("v1.28.12+rke2r1", "v1.3.1"),
    "v1.4.0": Release("v1.29.9+rke2r1", "v1.3.2"),
    "v1.4.1": Release("v1.30.7+rke2r1", "v1.4.0"),
    "v1.4.2": Release("v1.31.4+rke2r1", "v1.4.1"),
    "v1.4.3": Release("v1.31.7+rke2r1", "v1.4.1"),
    "v1.5.0": Release("v1.32.3", "v1.4.2"),
    "v1.5.1": Release("v1.32.4", "v1.4.2"),
    "v1.5.2": Release("v1.32.7", "v1.4.2"),
    "v1.6.0": Release("v1.33.3", "v1.5.0"),
    "v1.6.1": Release("v1.33.5", "v1.5.0"),
    "v1.7.0": Release("v1.34.2", "v1.6.0"),
    "v1.7.1": Release("v1.34.3+rke2r3", "v1.6.0"),
    "v1.8.0": Release("v1.35.2", "v1.7.0"),
    "v1.8.1": Release("v1.35.6", "v1.7.0"),
}
"""A version without its +rke2r is one of which only the first part is known."""


def named(text: str | None) -> str:
    """`Harvester v1.3.1` -> `v1.3.1`; empty for a development build and for anything else."""
    found = re.search(r"(?:^|Harvester )(v\d+\.\d+\.\d+)$", text or "")
    return found[1] if found else ""


def kubernetes(os_image: str | None) -> str:
    """The RKE2 that came with an OS; empty where the list does not have it."""
    found = RELEASES.get(named(os_image))
    return found.kubernetes if found else ""


def same(one: str, other: str) -> bool:
    """Two versions of RKE2, as far as both are known."""
    whole = "+" in one and "+" in other
    return one == other if whole else one.partition("+")[0] == other.partition("+")[0]
