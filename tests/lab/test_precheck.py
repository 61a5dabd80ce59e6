# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum precheck` on a Harvester of three servers: ready, with faults, and with an ISO that is another one."""

from __future__ import annotations

import functools
import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _orphans
from ansible_collections.requorum.cluster.plugins.module_utils._fleet import CHARTS
from lab import fingerprint
from lab.drill import playbook
from lab.harvester import fleet, objects, play
from lab.harvester import story as told
from lab.labs import Lab
from tests.lab import story
from tests.lab.test_force_sync import synced

JSON = dict[str, Any]
RELEASE, TO, LIMIT_S = "v1.6.1", "v1.7.1", 15
NODES, CAPI = (_orphans.KINDS[name][0] for name in ("nodes", "clusters"))
WEBHOOKS = _api.Kind("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", namespaced=False)
SIZE = 1 << 30
CHECKSUM = "ab" * 64
RANCHER_LOG = "/var/log/pods/cattle-system_rancher-7f97d9c5b-x2v9k_0f9b/rancher"


@pytest.fixture(scope="module")
def harvester() -> Iterator[tuple[Lab, _api.Api]]:
    """Three servers with a Fleet that works and a proved backup off the nodes."""
    lab = Lab(f"precheck-{os.getpid()}", "rke2", 3, 0)
    try:
        lab.up()
        api = told.become(lab, lab.servers, release=RELEASE)
        for name in lab.servers:
            told.play_version(lab, name, objects.RELEASES[RELEASE].kubernetes)
        prepare(lab, api)
        with play.playing(lab, [fleet.fleet]):
            synced(api)
            assert playbook(lab, "playbooks/backup.yml").rc == 0
            yield lab, api
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()


def prepare(lab: Lab, api: _api.Api) -> None:
    """What a Harvester has besides: its webhook, a log of Rancher, scheduled snapshots."""
    for name in lab.servers:
        interface = "  managementinterface:\\n    method: dhcp"
        lab.sh(name, f"sed -i '/^install:/a\\{interface}' /oem/harvester.config").ok("interface")
    kind, version = "ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1"
    webhook = {"apiVersion": version, "kind": kind, "metadata": {"name": "harvester-validator"}, "webhooks": []}
    api.create(WEBHOOKS, webhook)
    first, folder = lab.servers[0], lab.data_dir / "server/db/snapshots"
    line = "2026-11-28T00:00:00.000000000Z stderr F [INFO] Listening on :443"
    lab.sh(first, f"mkdir -p {RANCHER_LOG} {folder}; echo '{line}' >{RANCHER_LOG}/0.log").ok("log of Rancher")
    name = f"{folder}/etcd-snapshot-{first}-{int(time.time())}"
    lab.sh(first, f"head -c 2015264 /dev/zero >{name}").ok("a snapshot, as far as one that is not opened is seen")


def precheck(lab: Lab, *words: str) -> tuple[int, dict[str, str], JSON, float]:
    """(exit code, items that did not pass -> state, the whole document, seconds)."""
    started = time.monotonic()
    rc, document, said = story.command(lab, "precheck", *words)
    seconds = time.monotonic() - started
    print(said[-3000:], f"precheck took {seconds:.1f} s")
    items = document["precheck"]["items"] if "precheck" in document else []
    return rc, {i["id"]: i["state"] for i in items if i["state"] not in ("passed", "not asked")}, document, seconds


@contextmanager
def mirror(lab: Lab, folder: Path) -> Iterator[str]:
    """A web server on this machine, which the hosts reach by the gateway of their network; its URL."""
    gateway = str(IPv4Network(lab.spec.subnet)[1])
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer((gateway, 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{gateway}:{server.server_port}"
    finally:
        server.shutdown()


def release(folder: Path, url: str, checksum: str = CHECKSUM) -> str:
    """An ISO, of zeros, with its version.yaml; the URL of the ISO."""
    with (folder / "harvester.iso").open("wb") as file:
        file.truncate(SIZE)
    spec = f"  isoURL: {url}/harvester.iso\n  isoChecksum: '{checksum}'\n  minUpgradableVersion: v1.6.0\n"
    head = f"apiVersion: harvesterhci.io/v1beta1\nkind: Version\nmetadata:\n  name: {TO}\nspec:\n"
    (folder / "version.yaml").write_text(head + spec)
    return f"{url}/harvester.iso"


def test_ready_within_15_s_and_nothing_is_touched(harvester: tuple[Lab, _api.Api], tmp_path: Path) -> None:
    lab, _api_of = harvester
    before = fingerprint.read(lab)
    with mirror(lab, tmp_path) as url:
        iso = release(tmp_path, url)
        shares = [story.stretch()]
        for _turn in range(3):
            rc, wrong, document, seconds = precheck(lab, "--to", TO, "-e", f"requorum_iso_url={iso}")
            shares.append(story.stretch())
            assert (rc, document["precheck"]["verdict"]) == (0, "ready"), wrong
            assert set(wrong.values()) <= {"warning"}, wrong
            limit = LIMIT_S * max(1.0, sum(shares[-2:]) / 2)  # other labs take their share of the processor
            print(f"limit {limit:.1f} s")
            if seconds <= limit:
                break
    assert seconds <= limit
    assert story.touched(lab, before, quiet=[]) == []
    rc, seen, _said = story.command(lab, "inspect")
    wrong = {each["id"]: each["summary"] for each in seen["findings"] if each["severity"] in ("blocker", "error")}
    late = wrong.pop("peer_refused", "")  # of restarts while the lab was made: such lines count for half an hour
    assert (rc, seen["verdict"]["case"], wrong) == (4 if late else 0, "healthy", {}) and seen["version"] == RELEASE


def test_what_stands_in_the_way_is_named(harvester: tuple[Lab, _api.Api], tmp_path: Path) -> None:
    lab, api = harvester
    second, inventory = lab.servers[1], str(lab.inventory)
    api.patch(NODES, second, {"spec": {"unschedulable": True}})
    api.patch(CHARTS, "harvester", {"spec": {"paused": True}}, "fleet-local")
    api.patch(CAPI, "local", {"spec": {"paused": True}}, objects.FLEET)
    try:
        with mirror(lab, tmp_path) as url:
            iso = release(tmp_path, url)
            words = ("--to", TO, "-e", f"requorum_iso_url={iso}", "-e", "requorum_iso_hash=true")
            rc, wrong, document, _seconds = precheck(lab, *words, "--junit", str(tmp_path / "junit.xml"))
        _rc, seen, _said = story.command(lab, "inspect")
    finally:
        api.patch(NODES, second, {"spec": {"unschedulable": None}})
        api.patch(CHARTS, "harvester", {"spec": {"paused": False}}, "fleet-local")
        api.patch(CAPI, "local", {"spec": {"paused": False}}, objects.FLEET)
    assert (rc, document["precheck"]["verdict"]) == (4, "failed")
    assert {"node_cordoned", "chart_paused", "capi_paused", "target_checksum"} <= set(wrong), wrong
    assert {"node_cordoned", "chart_paused", "capi_paused"} <= {each["id"] for each in seen["findings"]}
    assert seen["verdict"]["case"] == "healthy" and "upgrade" in {each["operation"] for each in seen["refused"]}
    found = {finding["id"]: finding for finding in document["findings"]}
    assert found["node_cordoned"]["node"] == second
    assert found["node_cordoned"]["action"].startswith(f"kubectl uncordon {second}")
    assert inventory in found["chart_paused"]["action"]
    assert CHECKSUM in " ".join(found["target_checksum"]["evidence"])
    junit = (tmp_path / "junit.xml").read_text()
    assert junit.count("<testcase ") == len(document["precheck"]["items"]) and 'failures="0"' not in junit


@pytest.mark.parametrize(
    ("words", "item"),
    [
        (("--to", "v1.8.1"), "target_hop"),
        (("--to", "v1.5.2"), "target_not_newer"),
        (("--to", "v1.6.77"), "target_unknown"),
    ],
)
def test_a_release_that_cannot_be_gone_to(harvester: tuple[Lab, _api.Api], words: tuple[str, ...], item: str) -> None:
    lab, _api_of = harvester
    rc, wrong, document, _seconds = precheck(lab, *words, "-e", "requorum_iso_url=http://127.0.0.1:9/a/b.iso")
    assert rc == 4 and wrong[item] == "failed"
    assert {"target_release", "target_iso"} <= set(wrong)
    assert document["verdict"]["next"]


def test_a_host_that_makes_nobody_root(harvester: tuple[Lab, _api.Api]) -> None:
    lab, _api_of = harvester
    third = lab.servers[2]
    lab.sh(third, "mv /etc/sudoers.d/rancher /root/sudoers").ok("lock")
    try:
        rc, wrong, document, _seconds = precheck(lab)
    finally:
        lab.sh(third, "mv /root/sudoers /etc/sudoers.d/rancher").ok("unlock")
    assert rc == 4 and wrong["host_unread"] == "failed"
    found = next(finding for finding in document["findings"] if finding["id"] == "host_unread")
    assert found["node"] == third and found["evidence"]
