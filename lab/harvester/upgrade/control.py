# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All who have to do with an upgrade, one look each."""

from __future__ import annotations

from lab.harvester.upgrade import controller, hooks, rancher, scripts, stalls, work
from lab.harvester.upgrade.seen import World


def step(world: World) -> None:
    """What they make of the objects now; the world is changed."""
    stalls.spoil(world)
    controller.upgrades(world)
    work.workers(world)
    scripts.jobs(world)
    rancher.rancher(world)
    hooks.handlers(world)
