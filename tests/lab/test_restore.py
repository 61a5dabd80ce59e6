# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No server has a datastore any more: the cluster is made anew from a snapshot."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from lab import faults
from lab.drill import confirm, playbook
from lab.labs import Lab
from tests.lab import story


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """An S3 server on this machine with a bucket; the options that name it."""
    for name, value in (("AWS_ACCESS_KEY_ID", "lab-access"), ("AWS_SECRET_ACCESS_KEY", "lab-secret-key-of-s3")):
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="backups")
    yield "-e", f"requorum_s3_endpoint={url}", "-e", "requorum_s3_bucket=backups"
    server.stop()


NEWEST = ("-e", "requorum_method=restore", "-e", "requorum_snapshot=newest")

SLOW = ("*k3s?", "*snapshot_on_a_server*")


def test_three_new_hosts_become_the_cluster_again_from_the_copy_on_the_controller(lab: Lab) -> None:
    first = lab.servers[0]
    assert story.outcome(playbook(lab, "playbooks/backup.yml")) == "healthy"
    lab.kubectl(first, "create", "configmap", "written-after-the-backup").ok("config map")
    for host in lab.servers:
        faults.power_off(lab, host)
        faults.replace_disk(lab, host)
        lab.sh(host, "rm -r /etc/rancher").ok("a host that only has the program")

    refused = playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(refused) == "refused"
    assert "Only a snapshot can help" in refused.out and "requorum_snapshot=newest" in refused.out

    planned = playbook(lab, "recover.yml", "--check", *NEWEST)
    assert story.outcome(planned) == "planned"
    run = playbook(lab, "recover.yml", *confirm(lab), *NEWEST)
    assert story.outcome(run) == "recovered"
    assert story.plan(run)["plan_id"] == story.plan(planned)["plan_id"]
    assert {f"{host} furnish" for host in lab.servers} <= set(story.verbs(run))
    assert "Everything written after" in story.plan(run)["loss"]
    assert story.done(run) == story.planned(run)
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40
    lost = lab.kubectl(first, "get", "configmap", "written-after-the-backup")
    assert lost.rc != 0 and "NotFound" in lost.err


def test_a_snapshot_on_a_server_is_restored_by_that_server(rke2: Lab) -> None:
    lab = rke2
    second = lab.servers[1]
    lab.sh(second, f"{lab.spec.supervisor.binary} etcd-snapshot save --name by-hand", 120).ok("snapshot")
    for host in lab.servers:
        story.stop(lab, host)
        faults.destroy_datastore(lab, host)

    listed = playbook(lab, "playbooks/snapshots.yml")
    lines = listed.out.splitlines()
    mine = next(index for index, line in enumerate(lines) if line.startswith(f"{second}:") and "by-hand" in line)
    assert lines[mine + 1].startswith("    usable: the token opens it")

    run = playbook(lab, "recover.yml", *confirm(lab), "-e", "requorum_method=restore", "-e",
                   f"requorum_snapshot={lines[mine].strip()}")
    assert story.outcome(run) == "recovered"
    assert story.plan(run)["survivor"] == second
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40


def test_a_backup_in_s3_is_restored_when_nothing_else_is_left(rke2: Lab, bucket: tuple[str, ...]) -> None:
    lab = rke2
    saved = playbook(lab, "playbooks/backup.yml", *bucket)
    assert saved.rc == 0, saved.out
    name = next(word for word in saved.out.split() if word.startswith("s3://"))
    assert saved.folder is not None
    shutil.rmtree(saved.folder)  # the controller's own copy is gone too
    for host in lab.servers:
        story.stop(lab, host)
        faults.destroy_datastore(lab, host, "removed")

    run = playbook(lab, "recover.yml", *confirm(lab), *bucket, "-e", "requorum_method=restore", "-e",
                   f"requorum_snapshot={name}")
    assert story.outcome(run) == "recovered"
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40
    assert run.folder is not None
    assert story.places_of([os.environ["AWS_SECRET_ACCESS_KEY"]], run.folder) == []
