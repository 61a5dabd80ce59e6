# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single servers come back, are replaced and leave while the quorum stands and a client goes on writing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab import faults, objects
from lab.drill import Run, confirm, killed, playbook
from lab.labs import Lab
from lab.progress import wait_for
from lab.workload import Workload
from tests.lab import story

SLOW = ("*wiped*k3s?", "*annotation*", "*corrupt*", "*another_cluster*", "*renamed*", "*grow*")

LEADER_CHANGE_S = 20.0
"""An election of etcd takes 5 to 10 s with the time-outs of K3s and RKE2; machines that run tests are slow."""


def words(options: dict[str, Any]) -> list[str]:
    return [word for name, value in options.items() for word in ("-e", json.dumps({f"requorum_{name}": value}))]


def rejoin(lab: Lab, *arguments: str, **options: Any) -> Run:
    return playbook(lab, "playbooks/rejoin.yml", *confirm(lab), *arguments, *words(options))


def told_and_done(lab: Lab, *, told: bool = True, **options: Any) -> Run:
    """A dry run, then the run itself, which does exactly that."""
    check = rejoin(lab, "--check", **options) if told else None
    run = rejoin(lab, **options)
    assert story.outcome(run) == "done"
    assert story.done(run) == story.planned(run)
    if check:
        assert story.outcome(check) == "planned"
        assert story.plan(check)["plan_id"] == story.plan(run)["plan_id"]
        assert story.planned(check) == story.planned(run)
    print(f"rejoin.yml took {run.seconds:.1f} s")
    return run


def refused(lab: Lab, why: str, *arguments: str, **options: Any) -> None:
    run = rejoin(lab, *arguments, **options)
    assert run.rc != 0
    assert why in " ".join(run.out.split()), run.out[-4000:]
    if run.folder:
        assert not (run.folder / "actions.jsonl").exists()


@contextmanager
def without_downtime(lab: Lab, voters: list[str] | None = None) -> Iterator[None]:
    """A client writes and reads all the time; no write that was acknowledged is lost, and no gap is long."""
    with Workload(lab) as client:
        yield
    print(f"longest gap {client.report.gap:.1f} s")
    assert client.report.missing == []
    assert client.report.gap < LEADER_CHANGE_S
    assert story.voters(lab) == sorted(voters or lab.servers)
    assert story.count(lab) == 40


def new_disk(lab: Lab, host: str) -> None:
    faults.power_off(lab, host)
    faults.replace_disk(lab, host)


def test_a_wiped_server_joins_again(lab: Lab) -> None:
    third = lab.servers[2]
    new_disk(lab, third)
    with without_downtime(lab):
        told_and_done(lab)
    lab.wait_ready(120)
    again = rejoin(lab)
    assert story.verbs(again) == []


def test_a_run_that_was_cut_off_is_finished_by_the_same_command(k3s: Lab) -> None:
    lab = k3s
    third = lab.servers[2]
    new_disk(lab, third)
    with without_downtime(lab):
        for verb in ("remove", "rejoin"):
            killed(lab, "playbooks/rejoin.yml", verb, *confirm(lab))
        told_and_done(lab, told=False)
    assert lab.sh(third, f"systemctl is-enabled {lab.spec.unit(third)}").out.strip() == "enabled"


def test_a_server_that_was_removed_by_annotation_joins_again(lab: Lab) -> None:
    first, _second, third = lab.servers
    mark = f"{lab.spec.supervisor.annotation}/remove=true"
    lab.kubectl(first, "annotate", "node", third, mark).ok("annotate")

    def gone() -> tuple[bool, str]:
        grave = lab.sh(third, f"ls {lab.data_dir}/server/db/etcd/tombstone").rc == 0
        return grave and third not in lab.members(first), f"{lab.members(first)}, tombstone {grave}"

    wait_for(f"{third} to be removed", gone, 60)
    with without_downtime(lab):
        told_and_done(lab)


def test_a_server_with_a_corrupt_datastore_joins_again(lab: Lab) -> None:
    third = lab.servers[2]
    faults.power_off(lab, third)
    faults.destroy_datastore(lab, third)
    faults.power_on(lab, third)
    with without_downtime(lab):
        told_and_done(lab, told=False)


def test_a_server_of_another_cluster_joins_and_can_start_again(k3s: Lab) -> None:
    lab = k3s
    first, _second, third = lab.servers
    new_disk(lab, third)
    config, unit = lab.spec.supervisor.config, lab.spec.unit(third)
    own = "s/^token:.*/token: another-cluster/; s/^server:.*/cluster-init: true/"
    lab.sh(third, f"sed -i '{own}' {config}").ok("a configuration of its own")
    lab.sh(third, f"systemctl start {unit}", 120).ok("start")
    refused(lab, "Two clusters are alive")
    lab.sh(third, f"systemctl stop {unit}", 60)
    refused(lab, "More than one cluster ID")
    with without_downtime(lab):
        run = told_and_done(lab, told=False, survivor=first)
    assert "another-cluster" not in run.out
    lab.sh(third, f"systemctl restart {unit}", 120).ok("its next start")
    lab.wait_ready(120)
    lab.sh(third, f"mv {config}.d/90-requorum.yaml /root; sed -i 's/^token:.*/token: {lab.spec.token}/' {config}")


def test_a_renamed_server_leaves_no_node_behind(k3s: Lab) -> None:
    lab = k3s
    first, second, third = lab.servers
    new_disk(lab, third)
    lab.sh(third, f"echo 'node-name: {third}-new' >> {lab.spec.supervisor.config}").ok("new name")
    with without_downtime(lab, [first, second, f"{third}-new"]):
        run = told_and_done(lab, told=False)
    assert third not in lab.nodes(first)
    assert run.folder
    assert json.loads((run.folder / "nodes" / f"{third}.json").read_text())["metadata"]["name"] == third
    new_disk(lab, third)
    told_and_done(lab, told=False)
    assert sorted(lab.nodes(first)) == sorted([*lab.servers, *lab.agents])


def test_a_server_with_another_address_joins_again(k3s: Lab) -> None:
    """Its datastore is whole, and its member has the old address: a start would find that it is no member."""
    lab = k3s
    first, _second, third = lab.servers
    old, config = lab.spec.host(third).ip, lab.spec.supervisor.config
    new = f"{old.rpartition('.')[0]}.99"
    lab.sh(third, f"ip addr add {new}/24 dev eth0").ok(new)
    for address in (new, old):
        story.stop(lab, third)
        lab.sh(third, f"sed -i 's/^node-ip:.*/node-ip: {address}/' {config}").ok("another address")
        with without_downtime(lab):
            told_and_done(lab)
        assert f"https://{address}:2380" in lab.etcdctl(first, "member", "list").out


def test_the_leader_joins_again_in_its_own_place_only_with_three_voters(k3s: Lab) -> None:
    lab = k3s
    first, second, third = lab.servers
    faults.power_off(lab, third)
    refused(lab, "fewer than three voters", replace={first: first})
    refused(lab, "1 of 2 voters work, and 2 are needed", remove=[second])
    refused(lab, "Leave --limit out", "--limit", first)
    faults.power_on(lab, third)
    lab.wait_ready(120)
    with without_downtime(lab):
        told_and_done(lab, replace={first: first})


def test_grow_shrink_and_replace() -> None:
    lab = Lab(f"grow-{os.getpid()}", "k3s", 5, 0)
    n1, n2, n3, n4, n5 = lab.servers
    try:
        lab.up()
        objects.write_objects(lab)
        for options, voters in (
            ({"remove": [n4, n5]}, [n1, n2, n3]),
            ({"replace": {n1: n4}}, [n2, n3, n4]),
            ({"remove": [n1, n3, n4]}, [n2]),
            ({"only": [n1, n3]}, [n1, n2, n3]),
            ({}, [n1, n2, n3, n4, n5]),
        ):
            with without_downtime(lab, voters):
                told_and_done(lab, told=False, **options)
            assert sorted(lab.nodes(lab.answering())) == voters
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()
