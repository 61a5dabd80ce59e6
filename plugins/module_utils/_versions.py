# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What versions of RKE2 and K3s mean for a datastore."""

from __future__ import annotations

import re


def numbers(version: str) -> tuple[int, int, int]:
    """`v1.34.3+rke2r1` -> (1, 34, 3); zeros for anything else, which then is older than all."""
    found = re.match(r"v?(\d+)\.(\d+)(?:\.(\d+))?", version)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def minor(version: str) -> tuple[int, int]:
    """`v1.34.3+rke2r1` -> (1, 34)."""
    return numbers(version)[:2]


def etcd(version: str) -> str:
    """Minor release of etcd in a version of RKE2 or K3s: 3.6 since 1.33.11 (facts/rke2.md 7.4)."""
    return "3.6" if numbers(version) >= (1, 33, 11) else "3.5"
