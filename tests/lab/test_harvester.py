# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Harvester loses its quorum: Rancher stands still, its objects are exported, running machines are looked after."""

from __future__ import annotations

import json
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.requorum.cluster.plugins.module_utils import _export, _harvester
from lab import fingerprint
from lab.drill import Run, confirm, killed, lose_quorum, playbook, runs
from lab.harvester import crds, host, play
from lab.labs import Lab
from tests.lab import story

SLOW = ("*older*",)

PASSPHRASE = "a passphrase of the lab"
IN_SECRET, IN_OEM, OF_RANCHERD = "in-a-secret-4711", "in-oem-4712", "of-rancherd-4713"
FILES = {
    "/oem/90_custom.yaml": f"stages:\n  passwd: {IN_OEM}\n",
    "/etc/rancher/rancherd/config.yaml": f"token: {OF_RANCHERD}\n",
    "/etc/rancher/agent/config.yaml": "workDirectory: /var/lib/rancher/agent\n",
}
HOST_FILES = {path.lstrip("/") for path in FILES} | {"etc/harvester-release.yaml"}


@pytest.fixture
def harvester(rke2: Lab) -> Iterator[Lab]:
    """The RKE2 lab with what a Harvester has besides, a Secret among it."""
    crds.define(rke2)
    host.furnish(rke2)
    for name in [*rke2.servers, *rke2.agents]:
        for path, text in FILES.items():
            rke2.sh(name, f"mkdir -p {Path(path).parent} && cat >{path}", stdin=text).ok(path)
    first, secret = rke2.servers[0], ("secret", "harvester-test")
    rke2.kubectl(first, "delete", *secret, "--ignore-not-found").ok("no secret of an earlier test")
    rke2.kubectl(first, "create", "secret", "generic", secret[1], f"--from-literal=word={IN_SECRET}").ok("secret")
    yield rke2
    host.strip(rke2)
    for name in [*rke2.servers, *rke2.agents]:
        rke2.sh(name, "rm -rf /oem /etc/rancher/rancherd /etc/rancher/agent").ok("what an installer wrote")


@pytest.fixture
def passphrase(tmp_path: Path) -> tuple[str, str]:
    """The option that names a file with it."""
    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\n")
    return "-e", f"requorum_export_passphrase_file={tmp_path / 'passphrase'}"


def machine(lab: Lab, node: str, name: str, *, known: bool = True) -> str:
    """Run one; known: the API has it, and its instance."""
    namespace, _slash, short = name.partition("/")
    for plural, kind in (("virtualmachines", "VirtualMachine"), ("virtualmachineinstances", "VirtualMachineInstance")):
        meta = {"name": short, "namespace": namespace}
        thing = {"apiVersion": "kubevirt.io/v1", "kind": kind, "metadata": meta, "spec": {}}
        if known:
            play.client(lab).create(_export.NAMED[f"{plural}.kubevirt.io"].kinds[0], thing)
    return host.run_machine(lab, node, name)


def end(lab: Lab, node: str, name: str) -> None:
    lab.sh(node, f"systemctl stop lab-machine-{name.replace('/', '-')}").ok(f"stop {name}")


def results(run: Run, verb: str) -> dict[tuple[int, str], str]:
    """What came of the actions of a verb, by phase and node."""
    assert run.folder
    lines = map(json.loads, (run.folder / "actions.jsonl").read_text("utf-8").splitlines())
    return {(action["phase"], action["node"]): action["result"] for action in lines if action["verb"] == verb}


def exported(folder: Path) -> dict[str, Any]:
    manifest = json.loads((folder / "backup" / "export" / "export.json").read_text("utf-8"))
    return dict(manifest)


def leaks(lab: Lab, folder: Path, out: str = "") -> list[str]:
    """Secrets in what a run printed and wrote, but for the snapshot and the archive beside it, which hold them."""
    secrets = [*story.every_secret(lab), IN_SECRET, IN_OEM, OF_RANCHERD, PASSPHRASE]
    found = [place for place in story.places_of(secrets, folder) if not place.startswith(("files.tar", "snapshot.db:"))]
    return found + [f"output: {secret[:4]}" for secret in secrets if secret in out]


def test_a_harvester_that_lost_its_quorum(harvester: Lab, passphrase: tuple[str, str]) -> None:
    lab, first, agent = harvester, harvester.servers[0], harvester.agents[0]
    api = play.client(lab)
    api.create(_harvester.CAPI, {
        "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
        "metadata": {"name": "local", "namespace": "fleet-local"}, "spec": {},
    })  # fmt: skip
    one, two = machine(lab, first, "default/vm1"), machine(lab, agent, "default/vm2")
    lose_quorum(lab)
    check = playbook(lab, "recover.yml", "--check", *passphrase)
    assert {f"{first} brake", f"{first} export", f"{first} watch", f"{agent} watch"} <= set(story.verbs(check))
    assert [(m["node"], m["name"], m["pid"]) for m in story.plan(check)["machines"]] == [
        (first, "default/vm1", int(one)), (agent, "default/vm2", int(two)),
    ]  # fmt: skip
    assert f"default/vm1 (process {one})" in check.out and "VIRTUAL MACHINES THAT RUN" in check.out

    stopped = killed(lab, "recover.yml", "brake", *confirm(lab), *passphrase)
    assert lab.sh(first, "systemctl is-active rancher-system-agent").out.strip() != "active"
    found = _harvester.capi(play.client(lab).get(_harvester.CAPI, "local", "fleet-local"))
    assert found and found["paused"] and found["braked"]

    # The API was down, so the snapshot was read, and its Secrets were opened by the token beside it.
    made = exported(stopped)
    assert made["source"] == f"the snapshot {stopped / 'backup' / first / 'snapshot.db'}" and made["machines"] == 2
    vault = VaultLib([("default", VaultSecret(PASSPHRASE.encode()))])
    sealed = (stopped / "backup/export/default/secrets/harvester-test.yaml").read_bytes()
    assert "word" in yaml.safe_load(vault.decrypt(sealed))["data"]
    with tarfile.open(stopped / "backup" / first / "files.tar") as tar:
        names = tar.getnames()
    assert set(names) >= HOST_FILES and len(names) == len(set(names))
    assert {"os-release", "ip-addr.txt", "lsblk.json"} <= {Path(name).name for name in names if "/host/" in name}
    assert (stopped / "backup" / first / "files.tar").stat().st_mode & 0o777 == 0o600
    assert leaks(lab, stopped) == []

    run = playbook(lab, "recover.yml", *confirm(lab), *passphrase)
    assert story.outcome(run) == "recovered"
    assert run.folder and exported(run.folder)["source"].startswith("the API"), "it was back by then"
    assert f"{first} unbrake" in story.verbs(run) and story.done(run) == story.planned(run)
    assert set(results(run, "watch").values()) == {"1 of 1 run on"}
    acted = {action["phase"] for action in story.plan(run)["actions"]} & set(range(4, 9))
    assert set(results(run, "watch")) == {(phase, node) for phase in acted for node in (first, agent)}
    assert [(m["name"], m["ended"]) for m in run.report["machines"]] == [("default/vm1", None), ("default/vm2", None)]
    checks = {check["name"]: check for check in run.report["checks"]}
    assert checks["virtual machines"]["ok"] and checks["virtual machines"]["observed"] == "2 processes go on"
    assert checks["paused by a run"]["ok"]
    assert (host.machines(lab, first), host.machines(lab, agent)) == ([one], [two])
    assert lab.sh(first, "systemctl is-active rancher-system-agent").out.strip() == "active"
    assert lab.sh(first, "systemctl is-enabled rancher-system-agent").out.strip() == "enabled"
    found = _harvester.capi(play.client(lab).get(_harvester.CAPI, "local", "fleet-local"))
    assert found == {"paused": False, "braked": None}
    assert story.voters(lab) == lab.servers
    assert leaks(lab, run.folder, run.out) == []


def test_a_snapshot_older_than_a_machine(harvester: Lab, passphrase: tuple[str, str]) -> None:
    lab, first, agent = harvester, harvester.servers[0], harvester.agents[0]
    machine(lab, first, "default/old")
    failed = playbook(lab, "playbooks/backup.yml", "-e", "requorum_export_passphrase_file=/none")
    assert failed.rc == 2 and "nothing was exported" not in failed.out
    assert story.outcome(failed) == "failed" and "passphrase file /none cannot be read" in failed.out
    backup = playbook(lab, "playbooks/backup.yml", *passphrase)
    assert story.outcome(backup) == "healthy" and backup.folder
    assert exported(backup.folder)["source"].startswith("the API")
    saver = story.plan(backup)["saver"]
    snapshot = backup.folder / "backup" / saver / "snapshot.db"

    machine(lab, agent, "default/young")
    machine(lab, agent, "default/stray", known=False)
    lose_quorum(lab)
    own = playbook(lab, "recover.yml", *confirm(lab))
    assert own.rc == 2 and f"The datastore of {first} does not know" in own.out and "default/stray" in own.out
    assert {verb for _id, _node, verb in story.done(own)} <= {"snapshot", "keep"}, "nothing was touched"
    end(lab, agent, "default/stray")

    before = fingerprint.read(lab)
    older = ("-e", f"requorum_snapshot={snapshot}")
    for arguments in (("--check",), confirm(lab)):
        refused = playbook(lab, "recover.yml", *arguments, *older)
        assert story.outcome(refused) == "refused" and f"default/young on {agent}" in refused.out
    on_node = ("-e", f"requorum_snapshot={saver}:/var/lib/rancher/requorum/{backup.folder.name}/snapshot.db")
    if saver == first:  # the others have new disks
        late = playbook(lab, "recover.yml", *confirm(lab), *on_node)
        assert late.rc == 2 and f"default/young on {agent}" in late.out
        assert {verb for _id, _node, verb in story.done(late)} <= {"snapshot", "keep", "fetch", "deliver"}
    touched = story.touched(lab, before, quiet=[first, agent])
    # What is ours; a machine of the lab sleeps and sleeps again; etcd writes its file when it gives a snapshot.
    ours = ("/var/lib/rancher/requorum", " sleep: ", "/etcd/member/")
    touched = [line for line in touched if not any(word in line for word in ours)]
    assert touched == [], "\n".join(touched)

    accepted = ("-e", json.dumps({"requorum_accept_vm_stop": ["default/young"]}))
    known = runs(lab)

    def in_the_middle() -> None:
        """One machine that may end and one that must not, as soon as the survivor was reset."""
        while not any('"verb": "reset"' in path.read_text("utf-8")
                      for new in runs(lab) - known for path in new.glob("actions.jsonl")):  # fmt: skip
            time.sleep(0.2)
        end(lab, agent, "default/young")
        end(lab, first, "default/old")

    thread = threading.Thread(target=in_the_middle, daemon=True)
    thread.start()
    run = playbook(lab, "recover.yml", *confirm(lab), *older, *accepted)
    thread.join(30)
    assert run.rc == 2 and story.outcome(run) == "failed"
    said = results(run, "watch")
    assert any("default/young" in text and "as was accepted" in text and not text.startswith("warning")
               for (_phase, node), text in said.items() if node == agent), said  # fmt: skip
    alarms = [text for text in said.values() if text.startswith("warning")]
    assert len(alarms) == 1 and "default/old" in alarms[0], "it is named once, as soon as it is missed"
    assert "LOOK AT THIS" in run.out and "default/old" in run.out.partition("LOOK AT THIS")[2]
    ended = {m["name"]: m["ended"] for m in run.report["machines"]}
    assert set(ended) == {"default/young", "default/old"} and set(ended.values()) <= {"RESET", "START", "REJOIN"}
    check = next(check for check in run.report["checks"] if check["name"] == "virtual machines")
    assert not check["ok"] and check["observed"] == f"{first}:default/old ended"
    assert [check["name"] for check in run.report["checks"] if not check["ok"]] == ["virtual machines"]
    assert story.voters(lab) == lab.servers and story.count(lab) == 40
    assert story.outcome(playbook(lab, "recover.yml", *confirm(lab))) == "healthy"
