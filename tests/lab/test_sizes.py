# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of one, four and five servers; the one has its data in another directory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import faults, objects
from lab.drill import confirm, playbook
from lab.labs import Lab
from lab.progress import wait_for
from tests.lab import story

SLOW = ("*",)


class Elsewhere(Lab):
    """A lab whose servers keep their data where their configuration says."""

    data_dir = Path("/srv/cluster")


@contextmanager
def made(lab: Lab) -> Iterator[Lab]:
    try:
        lab.up()
        yield lab
    finally:
        lab.down()


def gone(lab: Lab, host: str) -> None:
    def probe() -> tuple[bool, str]:
        return lab.kubectl(host, "get", "--raw", "/readyz", timeout=4).rc != 0, "it answers"

    wait_for("the API to be gone", probe, 60)


def test_one_server_with_another_data_directory() -> None:
    """Its datastore is lost, its unit's environment names a server: the newest snapshot on it brings it back."""
    with made(Lab("alone-k3s", "k3s", 1, 0)) as plain:
        lab = Elsewhere.load(plain.name)
        [one] = lab.servers
        unit, usual, config = lab.spec.unit(one), lab.spec.supervisor.data_dir, lab.spec.supervisor.config
        lab.sh(one, f"systemctl stop {unit}; mv {usual} {lab.data_dir}; echo 'data-dir: {lab.data_dir}' >>{config}; "
               f"systemctl start {unit}", 180).ok("data directory")  # fmt: skip
        lab.wait_ready(180)
        objects.write_objects(lab)
        lab.sh(one, "k3s etcd-snapshot save", 60).ok("snapshot")
        dropin, named = f"/etc/systemd/system/{unit}.service.d", f"Environment=K3S_URL={lab.spec.url(one)}"
        lab.sh(one, f"systemctl stop {unit}; mv {lab.data_dir}/server/db/etcd /srv/gone; "
               f"mkdir {dropin}; printf '[Service]\\n{named}\\n' >{dropin}/join.conf; systemctl "
               "daemon-reload").ok("no datastore")  # fmt: skip
        refused = playbook(lab, "recover.yml", *confirm(lab))
        assert refused.rc != 0 and "requorum_snapshot=newest" in refused.out, refused.out
        newest = ("-e", "requorum_method=restore", "-e", "requorum_snapshot=newest")
        run = playbook(lab, "recover.yml", *confirm(lab), *newest)
        assert (run.rc, story.outcome(run)) == (0, "recovered"), run.out
        assert story.voters(lab) == [one]
        assert story.count(lab) == 40
        assert lab.sh(one, f"test -e {usual}/server").rc != 0


@pytest.mark.parametrize("servers", [4, 5])
def test_two_of_four_or_five_servers_stay(servers: int) -> None:
    """Two answer, one is an empty host, the others have lost their datastores; an even number works and warns."""
    with made(Lab(f"many-rke2-{servers}", "rke2", servers, 0)) as lab:
        objects.write_objects(lab)
        first, _second, third, *others = lab.servers
        for host in (third, *others):
            faults.power_off(lab, host)
        gone(lab, first)
        faults.replace_disk(lab, third)
        for host in others:
            faults.destroy_datastore(lab, host)
            faults.power_on(lab, host)
        run = playbook(lab, "recover.yml", *confirm(lab))
        assert (run.rc, story.outcome(run)) == (0, "recovered"), run.out
        assert story.voters(lab) == lab.servers
        assert story.count(lab) == 40
        warned = [finding["id"] for finding in run.report["findings"] if finding["id"] == "members_even"]
        assert warned == (["members_even"] if servers == 4 else [])
