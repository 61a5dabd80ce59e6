# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Harvester's upgrade controller, played (facts/harvester.md 1): phases, node states, jobs, plans, hooks, webhook.

Without an API `film` yields the objects of a whole upgrade, or of one that stalls:

    for shown in upgrade.film("v1.3.2", "v1.4.0", ["n1", "n2", "n3"], stalls={"predrain-volume": "n2"}):
        shown["upgrades"], shown["secrets"], shown["pods"]  # as `objects` in the state of rules

On a lab, here with one host and two Nodes that are objects only:

    lab = Lab("test-upgrade", "rke2", 1, 0); lab.up()
    api = upgrade.become_ready(lab, "v1.3.2", more=["n2", "n3"], pace=0.5)
    with upgrade.playing(lab) as asked:  # webhook and parts.everything(lab); asked: every write, see webhook.Asked
        upgrade.stall(api, "predrain-volume")  # upgrade.STALLS; upgrade.heal(api, ...) lets it go on
        upgrade.begin(api, "v1.4.0")  # Version and Upgrade; checksum="..." for an ISO that is damaged

Jobs on hosts have pods that run and log, as /var/log/pods/harvester-system_hvst-upgrade-*/apply/0.log; of all others
the lines are the annotation `lab.requorum/log` of their pod.
"""
from __future__ import annotations

from lab.harvester.upgrade.films import film, phase
from lab.harvester.upgrade.stage import become_ready, begin, heal, playing, stall
from lab.harvester.upgrade.stalls import STALLS
from lab.harvester.upgrade.webhook import requests

__all__ = ["STALLS", "become_ready", "begin", "film", "heal", "phase", "playing", "requests", "stall"]
