# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: a sentence that says what, where and what next, an exit code that is not 0, and nothing is touched."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.drill import Run, confirm, playbook
from lab.labs import Lab
from tests.lab import story

UNREAD = "answers over SSH, but nothing can be read there:"


@contextmanager
def inventory(lab: Lab, change: Callable[[str], str]) -> Iterator[None]:
    """The inventory as somebody has written it."""
    whole = lab.inventory.read_text("utf-8")
    changed = change(whole)
    assert changed != whole
    lab.inventory.write_text(changed, "utf-8")
    try:
        yield
    finally:
        lab.inventory.write_text(whole, "utf-8")


@contextmanager
def without(lab: Lab, host: str, *programs: str) -> Iterator[None]:
    """Programs of a host lie where nobody looks."""
    away = "".join(f"mv $(command -v {name}) /opt/away-{name};" for name in programs)
    lab.sh(host, f"set -e; {away}").ok(f"without {programs}")
    try:
        yield
    finally:
        lab.sh(host, "".join(f"mv /opt/away-{name} /usr/bin/{name};" for name in programs)).ok(f"with {programs}")


@contextmanager
def sudoers(lab: Lab, host: str, rule: str) -> Iterator[None]:
    """What sudo lets the user of the inventory do."""
    path = "/etc/sudoers.d/rancher"
    lab.sh(host, f"cp -p {path} /root/sudoers; printf '%s\\n' '{rule}' >{path}").ok("sudoers")
    try:
        yield
    finally:
        lab.sh(host, f"mv /root/sudoers {path}").ok("sudoers as they were")


def lines(text: str) -> str:
    return " ".join(text.split())


def is_refused(run: Run, *words: str) -> None:
    """Not 0, nothing was begun, and all of this stands on the screen."""
    assert run.rc != 0, run.out
    assert not run.folder or not (run.folder / "actions.jsonl").exists()
    assert "Traceback" not in run.out
    for said in words:
        assert said in lines(run.out), (said, run.out)


def moved(name: str, group: str) -> Callable[[str], str]:
    """A host in another group."""

    def change(text: str) -> str:
        (row,) = re.findall(rf"(?m)^ +{name}: \{{.*\n", text)
        return text.replace(row, "").replace(f"    {group}:\n      hosts:\n", f"    {group}:\n      hosts:\n{row}")

    return change


def same_plan_for_other_names(lab: Lab, check: Run) -> None:
    """Names that are others than those of the Nodes, one of them the beginning of another."""
    names = dict(zip(lab.servers, ("node1", "node10", "node11"), strict=True))

    def renamed(text: str) -> str:
        for old, new in names.items():
            text = text.replace(f" {old}:", f" {new}:")
        return text

    with inventory(lab, renamed):
        other = playbook(lab, "recover.yml", "--check")
    assert other.rc == 0, other.out
    assert [(names.get(a["node"], a["node"]), a["verb"]) for a in story.plan(check)["actions"]] == [
        (a["node"], a["verb"]) for a in story.plan(other)["actions"]
    ]


def another_plan(lab: Lab, seen: str) -> None:
    """A plan that is not the one that was seen, and one that nobody has seen."""
    chosen = ("-e", f"requorum_plan_id={seen}", "-e", "requorum_method=plain")
    run = playbook(lab, "recover.yml", *confirm(lab), *chosen)
    is_refused(run, f"requorum_plan_id is {seen}", "the method was restore, now plain", "Read the plan above")
    run = playbook(lab, "recover.yml", *confirm(lab), "-e", "requorum_plan_id=0123456789ab")
    is_refused(run, "no plan with that id lies in")


def wrong_inventories(lab: Lab) -> None:
    """A host with two names, a server that is missing, an agent among the servers and the other way round."""
    first, second, third = lab.servers
    (agent,) = lab.agents
    again = f"old: {{ansible_host: {lab.spec.host(second).ip}}}\n        {third}: {{"
    for change, words in (
        (
            lambda text: text.replace(f"{third}: {{", again),
            (f"{second}, old are names of one and the same host. Leave one of them in the inventory",),
        ),
        (
            lambda text: re.sub(rf"(?m)^ +{third}: .*\n", "", text),
            (f"Member {third}-", "is not in the inventory. Add it to the group servers"),
        ),
        (
            lambda text: moved(agent, "servers")(moved(first, "agents")(text)),
            (
                f"{agent} is an agent, and the inventory has it in the group servers",
                f"{first} is a server, and the inventory has it in the group agents",
            ),
        ),
    ):
        with inventory(lab, change):
            is_refused(playbook(lab, "recover.yml", *confirm(lab)), *words)


def unusable_hosts(lab: Lab) -> None:
    """Hosts on which nothing of ours can run; the greeting of the first one harms nothing."""
    _first, second, third = lab.servers
    few = "Defaults:rancher secure_path=/opt/few\nrancher ALL=(ALL) NOPASSWD:ALL"
    lab.sh(third, "mkdir /opt/few && ln -s /usr/bin/* /opt/few && rm /opt/few/timeout").ok("a PATH without timeout")
    with sudoers(lab, second, "rancher ALL=(ALL) ALL"), sudoers(lab, third, few), story.untouched(lab):
        run = playbook(lab, "recover.yml", *confirm(lab), "-e", json.dumps({"requorum_powered_off": [second]}))
        is_refused(run, f"{second} {UNREAD} sudo asks for a password. Give it by -K (--ask-become-pass)",
                   f"{third} {UNREAD} the program timeout is not installed")  # fmt: skip
    with without(lab, second, "sudo"), without(lab, third, "systemd-run", "sha256sum"):
        run = playbook(lab, "recover.yml", *confirm(lab))
        is_refused(run, f"{second} {UNREAD} sudo is not installed. Install it there",
                   f"{third} lacks programs that a recovery calls there: sha256sum, systemd-run")  # fmt: skip
    assert run.folder
    assert json.loads((run.folder / "state-before.json").read_text())["nodes"][0]["reachable"]


def a_peer_that_cannot_be_fenced(lab: Lab) -> None:
    """It answers, and what still listens there is no etcd of ours."""
    first, _second, third = lab.servers
    lab.sh(third, "systemd-run --quiet --unit=squatter /usr/sbin/sshd -D -p 2380").ok("port 2380 is taken")
    store = f"ls {lab.data_dir}/server/db; cat {lab.data_dir}/server/db/etcd/name"
    held = lab.sh(first, store).ok("datastore").out
    run = playbook(lab, "recover.yml", *confirm(lab))
    assert run.rc != 0 and story.outcome(run) == "failed"
    assert f"{third} still runs after fencing: port 2380 listens" in lines(run.out)
    assert not [verb for _id, _node, verb in story.done(run) if verb in ("prove", "reset", "start", "rejoin")]
    assert lab.sh(first, store).ok("datastore").out == held
    lab.sh(third, "systemctl stop squatter").ok("port 2380 is free")


def a_survivor_that_is_told_to_join(lab: Lab) -> None:
    """A server named in a file of its own and in the environment of its unit, and S3: it recovers, and they stay."""
    first, _second, third = lab.servers
    config = lab.spec.supervisor.config
    dropin = f"/etc/systemd/system/{lab.spec.unit(first)}.service.d"
    variable = f"{lab.spec.distro.upper()}_URL"
    lab.sh(first, f"mkdir -p {config}.d {dropin}; echo 'server: \"{lab.spec.url(third)}\"' >{config}.d/50-join.yml; "
           f"printf 'etcd-s3: true\\netcd-s3-bucket: none\\n' >{config}.d/60-s3.yaml; "
           f"printf '[Service]\\nEnvironment={variable}={lab.spec.url(third)}\\n' >{dropin}/join.conf; "
           "systemctl daemon-reload").ok("a server to join")  # fmt: skip
    run = playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(run) == "recovered"
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40
    assert "server:" in lab.sh(first, f"cat {config}.d/50-join.yml").ok("his own file stays").out
    lab.sh(first, f"rm {config}.d/50-join.yml {config}.d/60-s3.yaml {dropin}/join.conf; systemctl daemon-reload")


def test_an_inventory_or_a_host_that_is_wrong_is_refused_and_then_it_works(k3s: Lab) -> None:
    lab = k3s
    first, *others = lab.servers
    for host in lab.servers:
        story.stop(lab, host)
    for host in others:
        lab.sh(host, f"mv {lab.data_dir}/server/db/etcd /var/lib/rancher/gone-{host}").ok("datastore away")
    lab.sh(first, "echo 'echo Welcome; printf \"today is a good day \"' >/tmp/rc; cat /home/rancher/.bashrc >>/tmp/rc; "
           "cat /tmp/rc >/home/rancher/.bashrc; rm /tmp/rc").ok("a shell that greets")  # fmt: skip
    with story.untouched(lab):
        check = playbook(lab, "recover.yml", "--check")
        assert check.rc == 0, check.out
        same_plan_for_other_names(lab, check)
        another_plan(lab, story.plan(check)["plan_id"])
        wrong_inventories(lab)
    unusable_hosts(lab)
    a_peer_that_cannot_be_fenced(lab)
    a_survivor_that_is_told_to_join(lab)
    lab.sh(first, "sed -i 1d /home/rancher/.bashrc").ok("no greeting")
