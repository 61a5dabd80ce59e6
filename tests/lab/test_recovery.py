# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two of three servers lost: the dry run is true, one command brings the cluster back, nothing is lost or leaked."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _diagnose, _rules
from lab import faults, fingerprint, objects
from lab.drill import confirm, lose_quorum, playbook
from lab.labs import Lab
from requorum import bundles
from tests.lab import story

SLOW = ("*changes_nothing?k3s?",)


@contextmanager
def watched_arguments(lab: Lab) -> Iterator[dict[str, str]]:
    """Sample /proc/*/cmdline on every host while something runs."""
    stop, seen = threading.Event(), dict[str, str]()
    script = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"

    def sample(host: str) -> None:
        while not stop.is_set():
            seen[host] = seen.get(host, "") + lab.sh(host, script, 10).out
            stop.wait(0.3)

    threads = [threading.Thread(target=sample, args=(host,), daemon=True) for host in [*lab.servers, *lab.agents]]
    for thread in threads:
        thread.start()
    yield seen
    stop.set()
    for thread in threads:
        thread.join(15)


@pytest.mark.recovery
def test_lost_quorum_is_recovered_with_everything_kept(lab: Lab, tmp_path: Path) -> None:
    first = lab.servers[0]
    before = objects.objects(lab)
    secrets = story.every_secret(lab)
    sound = story.diagnosis(playbook(lab, "playbooks/inspect.yml"))
    assert sound["verdict"]["case"] == "healthy"
    assert not [f for f in sound["findings"] if f["severity"] in ("blocker", "error") and f["id"] != "snapshots_none"]
    lose_quorum(lab)
    hosts = [*lab.servers, *lab.agents]
    marks = fingerprint.read(lab)
    workloads = {host: objects.workload_process(lab, host) for host in hosts}
    assert workloads[first] and workloads[lab.agents[0]]

    _inspected(lab, tmp_path, secrets)

    check = playbook(lab, "recover.yml", "--check")
    assert check.rc == 0, check.out
    assert story.outcome(check) == "planned"
    assert story.plan(check)["case"] == "quorum_lost"
    assert story.plan(check)["survivor"] == first
    assert story.touched(lab, marks, quiet=story.quiet(lab)) == []

    with watched_arguments(lab) as arguments:
        run = playbook(lab, "recover.yml", *confirm(lab), "-e", f"requorum_plan_id={story.plan(check)['plan_id']}")
    assert run.rc == 0, run.out
    assert story.outcome(run) == "recovered"
    assert story.planned(check) == story.planned(run) == story.done(run)
    assert story.voters(lab) == lab.servers
    assert lab.nodes(first) == dict.fromkeys(hosts, True)
    assert objects.objects(lab) == before
    for host in (first, *lab.agents):
        assert objects.workload_process(lab, host) == workloads[host], f"the workload of {host} was touched"

    folder = run.folder
    assert folder
    schema = json.loads(Path("docs/report.schema.json").read_text("utf-8"))
    jsonschema.validate(run.report, schema, format_checker=jsonschema.FormatChecker())
    assert (folder / "timeline.jsonl").stat().st_size > 1000
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*"))
    backup = folder / "backup"
    backup.rename(folder.parent / f"{folder.name}-backup")  # the only place where a secret belongs
    assert story.places_of(secrets, folder) == []
    (folder.parent / f"{folder.name}-backup").rename(backup)
    assert not [secret for secret in secrets if secret in run.out]
    assert all("sshd" in arguments[host] for host in hosts)
    assert not [host for host, text in arguments.items() if any(secret in text for secret in secrets)]
    for host in lab.servers:
        ours = "/etc/rancher/*/config.yaml.d/zz-requorum.yaml /run/requorum/*.yaml"
        left = lab.sh(host, f"ls {lab.data_dir}/server/db/reset-flag {ours}").out
        assert not left, f"left on {host}: {left}"
        assert lab.sh(host, f"systemctl is-enabled {lab.spec.unit(host)}").out.strip() == "enabled"

    again = playbook(lab, "recover.yml", *confirm(lab))
    assert again.rc == 0, again.out
    assert story.outcome(again) == "healthy"
    assert "changed=0" in again.out and not [
        line for line in again.out.splitlines() if "changed=" in line and "changed=0" not in line
    ]


def _inspected(lab: Lab, tmp_path: Path, secrets: list[str]) -> None:
    """The diagnosis names the loss and what to type; its bundle says the same, and neither holds a secret."""
    bundle = tmp_path / "bundle.zip"
    inspected = playbook(lab, "playbooks/inspect.yml", "-e", f"requorum_bundle={bundle}")
    lost = story.diagnosis(inspected)
    assert (lost["verdict"]["case"], lost["verdict"]["severity"]) == ("quorum_lost", "blocker")
    assert {"quorum_lost", "no_leader", "datastore_damaged"} <= {finding["id"] for finding in lost["findings"]}
    assert "reset" in [each["operation"] for each in lost["allowed"]]
    assert lost["verdict"]["next"]["command"].startswith("ansible-playbook recover.yml")
    rules = _rules.load()
    again = _diagnose.diagnose(bundles.state(bundles.read([bundle], lab.name), rules), rules)
    told = [[(f["id"], f["node"], f["summary"], f["evidence"]) for f in each["findings"]] for each in (lost, again)]
    assert told[0] == told[1], "a bundle of inspect says the same"
    with zipfile.ZipFile(bundle) as packed:
        packed.extractall(tmp_path / "bundle")
    assert inspected.folder and story.places_of(secrets, tmp_path) + story.places_of(secrets, inspected.folder) == []


def test_living_peers_keep_their_workloads(rke2: Lab) -> None:
    """Two servers lose only their datastores; their hosts and pods live on through fence and rejoin."""
    lab = rke2
    _first, second, third = lab.servers
    workloads = {host: objects.workload_process(lab, host) for host in lab.servers}
    assert all(workloads.values())
    for host in (second, third):
        lab.sh(
            host,
            f"systemctl stop {lab.spec.unit(host)}; pkill -KILL -x etcd; "
            f"mv {lab.data_dir}/server/db/etcd /var/lib/rancher/lost-{host}",
            60,
        )

    run = playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(run) == "recovered"
    assert story.voters(lab) == lab.servers
    assert {host: objects.workload_process(lab, host) for host in lab.servers} == workloads


def test_backup_of_a_healthy_cluster_changes_nothing(lab: Lab) -> None:
    marks = fingerprint.read(lab)
    run = playbook(lab, "playbooks/backup.yml")
    assert run.rc == 0, run.out
    assert run.folder
    backup = json.loads((run.folder / "backup.json").read_text("utf-8"))
    assert all(check["ok"] for check in backup["checks"])
    assert [line for line in story.touched(lab, marks) if " process " in line or " unit " in line] == []


def test_power_is_back_before_the_run_and_nothing_is_reset(rke2: Lab) -> None:
    """One of two dead servers comes back intact: two of three make a quorum, so they are started."""
    lab = rke2
    first, second, third = lab.servers
    for host in (second, third):
        story.stop(lab, host)
    faults.power_off(lab, third)
    faults.replace_disk(lab, third)
    before = lab.endpoint(first)

    run = playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(run) == "recovered"
    assert story.plan(run)["case"] == "quorum_recoverable"
    assert not [verb for verb in story.verbs(run) if verb.endswith("reset")]
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40
    if before:
        assert lab.endpoint(first)["header"]["cluster_id"] == before["header"]["cluster_id"]
