# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Harvester loses its quorum: Rancher stands still meanwhile, and virtual machines on living hosts go on."""

from __future__ import annotations

from ansible_collections.requorum.cluster.plugins.module_utils import _harvester
from lab.drill import confirm, killed, lose_quorum, playbook
from lab.harvester import crds, host, play
from lab.labs import Lab
from tests.lab import story


def test_a_harvester_that_lost_its_quorum(rke2: Lab) -> None:
    lab = rke2
    first = lab.servers[0]
    crds.define(lab)
    host.furnish(lab)
    machine = host.run_machine(lab, first, "default/vm1")
    api = play.client(lab)
    api.create(_harvester.CAPI, {
        "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
        "metadata": {"name": "local", "namespace": "fleet-local"}, "spec": {},
    })  # fmt: skip
    try:
        lose_quorum(lab)
        check = playbook(lab, "recover.yml", "--check")
        assert f"{first} brake" in story.verbs(check)
        killed(lab, "recover.yml", "brake", *confirm(lab))
        assert lab.sh(first, "systemctl is-active rancher-system-agent").out.strip() != "active"
        found = _harvester.capi(play.client(lab).get(_harvester.CAPI, "local", "fleet-local"))
        assert found and found["paused"] and found["braked"]

        run = playbook(lab, "recover.yml", *confirm(lab))
        assert story.outcome(run) == "recovered"
        assert f"{first} unbrake" in story.verbs(run)
        checks = {check["name"]: check for check in run.report["checks"]}
        assert checks["virtual machines"]["ok"] and checks["virtual machines"]["observed"] == "1 processes go on"
        assert checks["paused by a run"]["ok"]
        assert host.machines(lab, first) == [machine]
        assert lab.sh(first, "systemctl is-active rancher-system-agent").out.strip() == "active"
        assert lab.sh(first, "systemctl is-enabled rancher-system-agent").out.strip() == "enabled"
        found = _harvester.capi(play.client(lab).get(_harvester.CAPI, "local", "fleet-local"))
        assert found == {"paused": False, "braked": None}
        assert story.voters(lab) == lab.servers
    finally:
        host.strip(lab)
