# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controllers of a Harvester together, for `play.playing`."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import capi, core, drain, fleet, guests, machines, planner, promote
from lab.harvester.play import Part
from lab.harvester.upgrade import live
from lab.labs import Lab


def everything(lab: Lab) -> tuple[Part, ...]:
    """All that answers in a Harvester whose hosts are those of the lab."""
    carry_out = planner.on(lab)

    on = guests.OfLab(lab)

    def machine_guests(api: _api.Api) -> None:
        guests.guests(api, on)

    def agents(api: _api.Api) -> None:
        planner.agents(api, carry_out)

    rancher: tuple[Part, ...] = (machines.requests, machines.plans, planner.planner, agents, machines.phases)
    harvester: tuple[Part, ...] = (promote.promote, machine_guests, *capi.PARTS, fleet.fleet, core.images)
    return (*rancher, drain.machine_drain, *harvester, live.part(lab))
