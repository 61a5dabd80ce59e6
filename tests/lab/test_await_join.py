# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two dead servers are purged and installed anew, and somebody waits for them: what is seen, and what is named."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _joining
from lab import faults
from lab.drill import ROOT, playbook
from lab.harvester import joining, kinds, objects, parts, play, story
from lab.labs import Lab
from lab.progress import wait_for
from tests.lab import story as words
from tests.lab.test_joining import RELEASE, Alone, written

SLOW = ("*older_host*", "*not_waited_for*", "*after_the_purge*")
JSON = dict[str, Any]
TOKEN_LINE = 'level=error msg=\\"generating plan: insecure cacerts download from https://10.0.0.10:443/cacerts: EOF\\"'


@pytest.fixture(scope="module")
def harvester() -> Iterator[tuple[Lab, _api.Api]]:
    """A survivor; the other two are dead, and everything of them is still there."""
    lab = Alone(f"test-await-{os.getpid()}", "rke2", 3, 0)
    try:
        lab.up()
        api = story.become(lab, lab.servers[:1], release=RELEASE)
        dead = {name: lab.spec.host(name).ip for name in lab.servers[1:]}
        wanted = ("Machine", "RKEBootstrap", "CustomMachine", "Secret", "Lease", "Node")
        objects.write(api, [o for o in objects.cluster(dead, release=RELEASE) if o["kind"] in wanted])
        yield lab, api
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()


@contextlib.contextmanager
def waiting(lab: Lab, *names: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The playbook, with all that it says in a file; killed at the end where it still runs."""
    said = Path(lab.folder) / "await.log"
    variables = json.dumps({"requorum_join_nodes": names})
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "playbooks/await_join.yml",
            "-i", str(lab.inventory), "-e", variables]  # fmt: skip
    with said.open("wb") as file:
        run = subprocess.Popen(argv, cwd=ROOT, stdout=file, stderr=file, start_new_session=True)
        try:
            yield run, said
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            run.wait()


def text(said: Path) -> str:
    return " ".join(said.read_text().split())


def states(host: JSON) -> str:
    """One letter a stage."""
    return "".join(stage["state"][0] for stage in host["stages"])


def of(host: JSON, name: str) -> JSON:
    return next(stage for stage in host["stages"] if stage["stage"] == name)


def test_a_wrong_token_is_named(harvester: tuple[Lab, _api.Api]) -> None:
    """Its logs say it, and that its Machine is not its own: waiting ends long before its deadline."""
    lab, api = harvester
    host = lab.servers[1]
    lab.sh(host, f"echo 'harvester: {RELEASE}' >/etc/harvester-release.yaml; mkdir -p /etc/rancher/agent; "
                 f"echo 5ee5 >/etc/rancher/agent/cattle-id; systemd-run -q --unit=rancherd "
                 f"sh -c 'while :; do echo \"{TOKEN_LINE}\"; sleep 3; done'").ok("rancherd")  # fmt: skip
    code, document, said = words.command(lab, "await-join", host)
    (entry,) = document["hosts"]
    assert code == 1 and entry["waits_for"] == "registered" and states(entry)[0] == "d", said
    assert of(entry, "registered")["cause"] == "token" and f"requorum join-config {host}" in document["errors"][0]
    assert "over SSH" in of(entry, "reachable")["seen"]
    assert {n["metadata"]["name"] for n in api.items(kinds.NODES) or ()} == set(lab.servers)  # nothing was changed


def test_what_is_left_of_an_older_host_is_named(harvester: tuple[Lab, _api.Api]) -> None:
    lab, _api_of = harvester
    host = lab.servers[1]
    lab.sh(host, "systemctl stop rancherd").ok("no rancherd")
    variables = json.dumps({"requorum_timeouts": {"join_registered": 5}, "requorum_join_nodes": [host]})
    run = playbook(lab, "playbooks/await_join.yml", "-e", variables)
    assert run.rc != 0 and f"Machine {objects.machine(host)}" in " ".join(run.out.split()), run.out[-3000:]
    assert "playbooks/purge_orphans.yml" in run.out
    check = playbook(lab, "playbooks/await_join.yml", "--check", "-e", variables)
    assert check.rc == 0 and f"{host} registered: open" in " ".join(check.out.split()), check.out[-3000:]


def test_two_hosts_join_after_the_purge(harvester: tuple[Lab, _api.Api], tmp_path: Path) -> None:
    lab, api = harvester
    first, second, third = lab.servers
    for name in (second, third):
        faults.power_off(lab, name)
    with play.playing(lab, parts.everything(lab)):
        gone = json.dumps({"requorum_dead": [second, third], "requorum_powered_off": [second, third]})
        purge = playbook(lab, "playbooks/purge_orphans.yml", "-e", gone, "-e", f"requorum_confirm={lab.name}")
        assert purge.rc == 0, purge.out[-3000:]
        assert lab.nodes(first) == {first: True}
        configs = written(lab, tmp_path, second, third)

        api.patch(kinds.CLUSTERS, "local", {"spec": {"paused": True}}, objects.FLEET)
        with waiting(lab, second, third) as (run, said):
            joining.install(lab, second, configs[second])
            wait_for(
                "the pause to be named", lambda: ("fleet-local/local is paused" in text(said), text(said)[-300:]), 120
            )
            assert run.poll() is None and f"{second} registered: done" in text(said)
        assert lab.nodes(first) == {first: True}  # killed, and nothing has happened

        alone: list[JSON] = []

        def go_on() -> None:
            """While somebody waits again; the next host is installed when the former is there, as a worker."""
            time.sleep(20)
            api.patch(kinds.CLUSTERS, "local", {"spec": {"paused": False}}, objects.FLEET)
            wait_for("the first to be Ready", lambda: (lab.nodes(first) == {first: True, second: True}, ""), 300)
            alone.append(lab.members(first))
            joining.install(lab, third, configs[third])

        other = threading.Thread(target=go_on)
        other.start()
        code, document, everything = words.command(lab, "await-join", second, third)
        other.join(10)
    assert code == 0, everything[-4000:]
    assert alone == [{first: "voter"}]
    assert [host["host"] for host in document["hosts"]] == [second, third]
    for host in document["hosts"]:
        assert [stage["stage"] for stage in host["stages"]] == [*_joining.ARRIVAL, *_joining.RISE]
        assert host["joined"] and states(host) == "ddddddd", host
        assert all(stage["seconds"] is not None for stage in host["stages"])
        assert f"etcd of {first} lists" in of(host, "voter")["seen"] and "as a voter" in of(host, "voter")["seen"]
    two, three = document["hosts"]
    # It was waited for each of them in turn: the first one to run, the next one to come, then for the promotion.
    assert of(two, "running")["seconds"] + of(two, "ready")["seconds"] > 2
    assert sum(of(three, stage)["seconds"] for stage in _joining.ARRIVAL) > 2
    assert of(two, "promoted")["seconds"] + of(two, "voter")["seconds"] > 2
    assert lab.members(first) == dict.fromkeys(lab.servers, "voter")


def test_what_has_joined_is_not_waited_for(harvester: tuple[Lab, _api.Api], tmp_path: Path) -> None:
    """Neither by a server, nor by a kubeconfig alone, where the condition of the Node stands for etcd."""
    lab, _api_of = harvester
    _first, second, third = lab.servers
    code, document, said = words.command(lab, "await-join", second, third)
    assert code == 0, said
    assert sum(stage["seconds"] for host in document["hosts"] for stage in host["stages"]) < 5
    play.client(lab)
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": {"servers": {}}}}))
    variables = json.dumps({"requorum_kubeconfig": f"{lab.folder}/admin.kubeconfig", "requorum_join_nodes": [third],
                            "requorum_timeouts": {"join": 60}})  # fmt: skip
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "playbooks/await_join.yml",
            "-i", str(tmp_path / "hosts.yml"), "-e", variables]  # fmt: skip
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0 and "EtcdIsVoter" in done.stdout, done.stdout[-3000:]


def test_rejoin_is_not_for_a_harvester(harvester: tuple[Lab, _api.Api]) -> None:
    lab, _api_of = harvester
    run = playbook(lab, "playbooks/rejoin.yml", "--check")
    assert run.rc != 0 and "requorum await-join" in " ".join(run.out.split()), run.out[-3000:]
