# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Harvester's upgrade controller, played (facts/harvester.md 1).

`film` yields the objects of a whole upgrade, or of one that stalls (`STALLS`), without any API:

    for shown in upgrade.film("v1.3.2", "v1.4.0", ["n1", "n2", "n3"], stalls={"predrain-volume": "n2"}):
        shown["upgrades"], shown["secrets"], shown["pods"]  # as `objects` in the state of rules
"""
from __future__ import annotations

from lab.harvester.upgrade.films import film, phase
from lab.harvester.upgrade.stalls import STALLS

__all__ = ["STALLS", "film", "phase"]
