# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repairs by name: only what was named is done, the quorum stands, and what was moved is kept."""

from __future__ import annotations

import json
from typing import Any

from lab import faults
from lab.drill import Run, confirm, killed, playbook
from lab.labs import Lab
from tests.lab import story

SLOW = ("*last?*", "*again?k3s?", "*aside?*", "*together?*", "*outlived*")

REPAIR = "playbooks/repair.yml"


def gateway(lab: Lab, host: str, call: str, body: str) -> dict[str, Any]:
    tls = f"{lab.data_dir}/server/tls/etcd"
    done = lab.sh(
        host,
        f"curl -s -m 20 --cacert {tls}/server-ca.crt --cert {tls}/client.crt --key {tls}/client.key "
        f"-d '{body}' https://127.0.0.1:2382/v3/{call}",
    )
    return dict(json.loads(done.out))


def sizes(lab: Lab) -> dict[str, int]:
    return {host: int(str(gateway(lab, host, "maintenance/status", "{}")["dbSize"])) for host in lab.servers}


def fragment(lab: Lab) -> None:
    """Write 24 MB beside Kubernetes' own keys, delete them, compact: the pages are free, the file is as large."""
    first = lab.servers[0]
    tls = f"{lab.data_dir}/server/tls/etcd"
    lab.sh(
        first,
        f"""
        set -e
        e() {{ /opt/lab/bin/etcdctl --endpoints=https://127.0.0.1:2379 --cacert={tls}/server-ca.crt \
          --cert={tls}/server-client.crt --key={tls}/server-client.key "$@"; }}
        head -c 750000 /dev/urandom | base64 -w 0 >/tmp/block
        for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24; do e put /lab/$n </tmp/block; done
        e del --prefix /lab/ >/dev/null
        rm /tmp/block
        """,
        120,
    ).ok("fill")
    revision = gateway(lab, first, "maintenance/status", "{}")["header"]["revision"]
    gateway(lab, first, "kv/compaction", json.dumps({"revision": revision, "physical": True}))


def verbs(lab: Lab, run: Run, phase: int = 4) -> list[str]:
    return [f"{a['node']} {a['verb']}" for a in story.plan(run)["actions"] if a["phase"] == phase]


def test_a_fragmented_datastore_is_made_smaller_leader_last(lab: Lab) -> None:
    fragment(lab)
    large = sizes(lab)
    small = "-e", "requorum_defragment_mb=8"

    with story.untouched(lab, quiet=[]):
        listed = playbook(lab, REPAIR, *small)
        assert listed.rc == 0, listed.out
        assert "Due, and done when named by --tags: defragment" in " ".join(listed.out.split())
        check = playbook(lab, REPAIR, "--tags", "defragment", "--check", *small)
        assert check.rc == 0, check.out
        assert story.outcome(check) == "planned"
    assert sizes(lab) == large

    run = playbook(lab, REPAIR, "--tags", "defragment", *small, *confirm(lab))
    assert run.rc == 0, run.out
    assert story.outcome(run) == "done"
    assert story.planned(check) == story.planned(run) == story.done(run)
    turns = list(dict.fromkeys(a["turn"] for a in story.plan(run)["actions"] if a["turn"]))
    assert turns[-1] == next(s["name"] for s in story.plan(run)["servers"] if s["leader"])
    now = sizes(lab)
    assert all(now[host] < large[host] / 2 for host in lab.servers), (large, now)
    assert story.count(lab) == 40

    again = playbook(lab, REPAIR, "--tags", "defragment", *small, *confirm(lab))
    assert again.rc == 0 and "Not needed: defragment" in " ".join(again.out.split())


def test_a_full_datastore_takes_writes_again(lab: Lab) -> None:
    """The alarm is raised by hand: it forbids writes as the one that a full datastore raises."""
    first, second, _third = lab.servers
    member = gateway(lab, second, "maintenance/status", "{}")["header"]["member_id"]
    body = json.dumps({"action": "ACTIVATE", "memberID": member, "alarm": "NOSPACE"})
    gateway(lab, first, "maintenance/alarm", body)
    create = "create", "configmap", "full", "-n", "default"
    assert lab.kubectl(first, *create).rc != 0

    inspected = playbook(lab, "playbooks/inspect.yml")
    assert inspected.rc == 0, inspected.out
    found = {f["id"]: f for f in story.diagnosis(inspected)["findings"]}
    assert found["repair_nospace"]["action"].endswith("--tags nospace --check")
    refused = playbook(lab, "recover.yml", *confirm(lab))
    assert refused.rc != 0 and "--tags nospace" in " ".join(refused.out.split())

    killed(lab, REPAIR, "defragment", "--tags", "nospace", *confirm(lab))
    run = playbook(lab, REPAIR, "--tags", "nospace", *confirm(lab))
    assert run.rc == 0, run.out
    assert story.outcome(run) == "done"
    assert [v.split()[1] for v in verbs(lab, run)] == ["compact", *["defragment"] * 3, "disarm", "settle"]
    assert lab.kubectl(first, *create).rc == 0
    lab.kubectl(first, "delete", "configmap", "full", "-n", "default")
    assert story.count(lab) == 40


def test_a_corrupt_member_is_never_disarmed(rke2: Lab) -> None:
    lab = rke2
    first, second, _third = lab.servers
    member = gateway(lab, second, "maintenance/status", "{}")["header"]["member_id"]
    alarm = {"memberID": member, "alarm": "CORRUPT"}
    gateway(lab, first, "maintenance/alarm", json.dumps({"action": "ACTIVATE", **alarm}))
    try:
        for playbook_of in ("recover.yml", REPAIR):
            run = (
                playbook(lab, playbook_of, "--tags", "nospace", *confirm(lab))
                if playbook_of == REPAIR
                else playbook(lab, playbook_of, *confirm(lab))
            )
            assert run.rc != 0 and "CORRUPT" in run.out, run.out
        assert gateway(lab, first, "maintenance/alarm", '{"action":"GET"}')["alarms"] == [alarm]
    finally:
        gateway(lab, first, "maintenance/alarm", json.dumps({"action": "DEACTIVATE", **alarm}))


def test_leftovers_are_moved_aside(lab: Lab) -> None:
    second = lab.servers[1]
    distro, data = lab.spec.distro, lab.data_dir
    dropin, flag = f"/etc/rancher/{distro}/config.yaml.d/zz-requorum.yaml", f"{data}/server/db/reset-flag"
    tombstone = f"{data}/server/db/etcd/tombstone"
    lab.sh(
        second, f"mkdir -p {dropin.rsplit('/', 1)[0]}; echo 'server: https://10.9.9.9:9345' >{dropin}; "
        f"touch {flag} {tombstone}"
    ).ok("leftovers")  # fmt: skip

    run = playbook(lab, REPAIR, "--tags", "leftovers", *confirm(lab))
    assert run.rc == 0, run.out
    assert story.outcome(run) == "done"
    assert f"{second} clear" in verbs(lab, run)
    kept = [entry["path"] for entry in run.report["kept"] if entry["node"] == second and entry["what"] == "leftover"]
    assert sorted(path.rsplit("/", 1)[1] for path in kept) == ["reset-flag", "tombstone", "zz-requorum.yaml"]
    lab.sh(second, f"test -f {' -a -f '.join(kept)} && test ! -e {dropin} && test ! -e {tombstone}").ok("moved aside")
    assert story.voters(lab) == lab.servers


def test_crashed_servers_are_started_together(lab: Lab) -> None:
    _first, second, third = lab.servers
    for host in (second, third):
        story.stop(lab, host)
    inspected = playbook(lab, "playbooks/inspect.yml")
    assert "repair_crashed" in [f["id"] for f in story.diagnosis(inspected)["findings"]]

    run = playbook(lab, REPAIR, "--tags", "crashed", *confirm(lab))
    assert run.rc == 0, run.out
    assert story.outcome(run) == "done"
    assert not [verb for verb in story.verbs(run) if verb.endswith((" reset", " rejoin", " fence"))]
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40


def test_an_etcd_that_outlived_its_unit_is_taken_away(rke2: Lab) -> None:
    """The unit is stopped and its etcd, cut off from the others, goes on and holds the ports."""
    lab = rke2
    first, second, third = lab.servers
    lab.sh(third, f"systemctl stop {lab.spec.unit(third)}", 120).ok("stop")
    faults.partition(lab, third, first, second)
    try:
        run = playbook(lab, REPAIR, "--tags", "leftovers", "--check")
        assert f"{third} fence" in verbs(lab, run), run.out
    finally:
        faults.heal(lab, third)
        lab.sh(third, f"systemctl start --no-block {lab.spec.unit(third)}").ok("start")
