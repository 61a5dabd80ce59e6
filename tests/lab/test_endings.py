# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The other endings: servers that stay off, one that comes back with old data, and what is refused."""

from __future__ import annotations

import json

from lab import faults
from lab.drill import confirm, playbook
from lab.labs import Lab
from tests.lab import story

SLOW = ("*k3s?", "*new_disk*", "*new_name*")


def test_servers_that_stay_off_and_come_back_later(lab: Lab) -> None:
    first, second, third = lab.servers
    for host in (second, third):
        faults.power_off(lab, host)

    refused = playbook(lab, "recover.yml", *confirm(lab))
    assert refused.rc != 0
    assert story.outcome(refused) == "refused"
    assert f"{second} does not answer and may still run" in refused.out

    off = "-e", json.dumps({"requorum_powered_off": [second, third]})
    alone = playbook(lab, "recover.yml", *confirm(lab), *off)
    assert story.outcome(alone) == "not_redundant"
    assert story.voters(lab) == [first]
    assert story.count(lab) == 40
    assert "requorum_confirm" in str(alone.report["verdict"]["next"])

    # They come back with their old datastores, and are stopped at once, as the runbook says: their quorum would bring
    # the etcd of the survivor down, since a cluster that was reset on its first server keeps its ID.
    for host in (second, third):
        faults.power_on(lab, host)
        story.stop(lab, host)
    run = playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(run) == "recovered"
    assert story.plan(run)["case"] == "member_lost"
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40


def test_a_dead_member_of_a_standing_quorum_joins_again(lab: Lab) -> None:
    _first, _second, third = lab.servers
    faults.power_off(lab, third)
    faults.replace_disk(lab, third)

    run = playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(run) == "recovered"
    assert story.plan(run)["case"] == "member_lost"
    assert not [verb for verb in story.verbs(run) if verb.endswith("reset")]
    assert story.voters(lab) == lab.servers


def test_an_agent_on_a_new_disk_is_let_in_again(lab: Lab) -> None:
    """Its node password is not the stored one any more; only that secret is removed."""
    agent, third = lab.agents[0], lab.servers[2]
    for host in (agent, third):
        faults.power_off(lab, host)
        faults.replace_disk(lab, host)

    run = playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(run) == "recovered"
    assert lab.nodes(lab.servers[0])[agent]


def test_a_replaced_host_may_have_a_new_name(rke2: Lab) -> None:
    lab = rke2
    third = lab.servers[2]
    faults.power_off(lab, third)
    faults.replace_disk(lab, third)
    lab.sh(third, f"echo 'node-name: {third}-new' >> /etc/rancher/{lab.spec.distro}/config.yaml").ok("new name")

    run = playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(run) == "recovered"
    assert f"{third}-new" in story.voters(lab)

    faults.power_off(lab, third)  # back to its own name for the tests that follow
    faults.replace_disk(lab, third)
    assert story.outcome(playbook(lab, "recover.yml", *confirm(lab))) == "recovered"
    lab.kubectl(lab.servers[0], "delete", "node", f"{third}-new", "--wait=false")


def test_gates_refuse_with_what_where_and_next(rke2: Lab) -> None:
    lab = rke2
    first, second, third = lab.servers
    for host in (second, third):
        story.stop(lab, host)
        lab.sh(host, f"mv {lab.data_dir}/server/db/etcd /var/lib/rancher/gone-{host}").ok("datastore away")
    with story.untouched(lab, quiet=[second, third, *lab.agents]):
        for arguments, words in (
            ((), f'requorum_confirm is "", the cluster is "{lab.name}"'),
            (("-e", "requorum_confirm=another"), 'requorum_confirm is "another"'),
            (("-e", "requorum_cluster="), "requorum_cluster is not set"),
            ((*confirm(lab), "-e", "requorum_plan_id=000000000000"), "the plan is now"),
            ((*confirm(lab), "--limit", first), "Leave --limit out"),
            (
                (*confirm(lab), "-e", json.dumps({"requorum_powered_off": [second]})),
                "named in requorum_powered_off, but it answers",
            ),
        ):
            run = playbook(lab, "recover.yml", *arguments)
            assert run.rc != 0, (arguments, run.out)
            assert words in " ".join(run.out.split()), (arguments, run.out)

    # No token at hand opens the datastore: nothing could be proved, so nothing is begun.
    held = "cd {0}/server 2>/dev/null && mkdir -p /root/held && mv token node-token agent-token cred/passwd /root/held"
    back = "cd /root/held 2>/dev/null || exit 0; mv passwd {0}/server/cred; mv * {0}/server; rmdir /root/held"
    for host in [*lab.servers, *lab.agents]:
        story.configure(lab, host, "wrong-one")
        lab.sh(host, held.format(lab.data_dir))
    with story.no_earlier_backups(lab), story.untouched(lab, quiet=[second, third]):
        run = playbook(lab, "recover.yml", *confirm(lab))
        assert run.rc != 0
        assert f"No token at hand opens the datastore of {first}" in " ".join(run.out.split())
    for host in [*lab.servers, *lab.agents]:
        story.configure(lab, host, lab.spec.token)
        lab.sh(host, back.format(lab.data_dir))

    assert story.outcome(playbook(lab, "recover.yml", *confirm(lab))) == "recovered"
    assert story.voters(lab) == lab.servers


def test_a_server_that_nobody_can_reach_is_no_survivor(rke2: Lab) -> None:
    lab = rke2
    for host in lab.servers:
        faults.power_off(lab, host)
    run = playbook(lab, "recover.yml", "--check")
    assert run.rc != 0
    assert "No server can be reached over SSH" in run.out
    for host in lab.servers:
        faults.power_on(lab, host)
