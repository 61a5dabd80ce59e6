# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Agents that have lost their cluster: dead servers in their lists, another CA, another address, another password."""

from __future__ import annotations

import json
import os
import shlex
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import faults, objects
from lab.drill import Run, confirm, playbook
from lab.labs import Lab
from lab.progress import say
from lab.workload import Workload
from tests.lab import story

SLOW = ("*rke2?", "*dead_server*", "*fifty*")

PLAYBOOK = "playbooks/agents.yml"


def gone(lab: Lab) -> str:
    """An address of the lab's network that no host has."""
    return lab.spec.subnet.replace(".0/24", ".250")


def list_only(lab: Lab, agent: str, address: str, url: str) -> None:
    """Load balancer files as they are when every server has moved."""
    port = lab.spec.supervisor.supervisor_port
    for name, its in (("agent", port), ("api-server-agent", 6443)):
        path = f"{lab.data_dir}/agent/etc/{lab.spec.distro}-{name}-load-balancer.json"
        text = json.dumps({"ServerURL": url, "ServerAddresses": [f"{address}:{its}"]}, indent=2)
        lab.sh(agent, f"[ ! -e {path} ] || printf %s {shlex.quote(text)} >{path}").ok("load balancer file")


def configure(lab: Lab, agent: str, key: str, value: str) -> None:
    """Replace a setting in config.yaml; the value passes through stdin."""
    config = lab.spec.supervisor.config
    script = f"set -e; umask 077; {{ grep -v '^{key}:' {config}; cat; }} >{config}.new; mv {config}.new {config}"
    lab.sh(agent, script, stdin=f"{key}: {value}\n").ok(f"{key} of {agent}")


def restart(lab: Lab, agent: str) -> None:
    lab.sh(agent, f"systemctl restart --no-block {lab.spec.unit(agent)}").ok("restart")
    time.sleep(3)
    assert lab.sh(agent, f"systemctl is-active {lab.spec.unit(agent)}").out.strip() != "active"


def of_agents(run: Run) -> list[str]:
    """`agent verb` of all turns."""
    return [f"{action['turn']} {action['verb']}" for action in story.plan(run)["actions"] if action["turn"]]


def repaired(lab: Lab, wanted: list[str], *more: str) -> None:
    """`--check` shows the turns and does nothing; the run does exactly these; a second one has nothing to do."""
    agents = {line.split()[0] for line in wanted}
    before = {agent: objects.workload_process(lab, agent) for agent in agents}
    check = playbook(lab, PLAYBOOK, "--check", *more)
    assert of_agents(check) == wanted, check.out[-4000:]
    with Workload(lab) as client:
        run = playbook(lab, PLAYBOOK, *confirm(lab), *more)
    assert client.report.missing == [] and client.report.late == []
    assert story.outcome(run) == "done"
    assert run.rc == 0
    assert story.planned(check) == story.planned(run) == story.done(run)
    assert {agent: objects.workload_process(lab, agent) for agent in agents} == before
    nodes = lab.nodes(lab.servers[0])
    assert all(nodes[agent] for agent in agents)
    again = playbook(lab, PLAYBOOK, *confirm(lab))
    assert again.rc == 0 and not story.plan(again)["actions"], again.out[-4000:]
    assert run.folder
    written = (run.folder / "actions.jsonl").read_text() + run.out
    assert not [secret[:4] for secret in story.every_secret(lab) if secret in written]


def test_servers_with_another_address_and_another_ca(lab: Lab) -> None:
    """The first run is cut short by its deadline; the same command ends the work."""
    agent, config = lab.agents[0], lab.spec.supervisor.config
    url = f"https://{gone(lab)}:{lab.spec.supervisor.supervisor_port}"
    configure(lab, agent, "server", url)
    configure(lab, agent, "token", f"K10{'0' * 64}::node:{lab.spec.token}")
    list_only(lab, agent, gone(lab), url)
    restart(lab, agent)

    cut = playbook(lab, PLAYBOOK, *confirm(lab), "-e", json.dumps({"requorum_timeouts": {"restart": 0}}))
    assert of_agents(cut) == [f"{agent} {verb}" for verb in ("point", "pin", "unlist", "restart")]
    assert cut.rc != 0
    assert "its Node to report: not within" in " ".join(cut.out.split())
    lab.sh(agent, f"systemctl stop {lab.spec.unit(agent)}", 60).ok("stop")  # or it may have come back meanwhile
    repaired(lab, [f"{agent} restart"])

    dropins = lab.sh(agent, f"cd {config}.d && stat -c '%n %a' zz-requorum-*").out.split("\n")
    assert dropins[:2] == ["zz-requorum-server.yaml 600", "zz-requorum-token.yaml 600"]
    configure(lab, agent, "server", lab.spec.url(lab.servers[0]))
    configure(lab, agent, "token", lab.spec.token)
    lab.sh(agent, f"mv {config}.d/zz-requorum-* /root/").ok("drop-ins")


def test_a_load_balancer_that_lists_a_dead_server(lab: Lab) -> None:
    agent = lab.agents[0]
    lab.sh(agent, f"systemctl stop {lab.spec.unit(agent)}", 60).ok("stop")
    list_only(lab, agent, gone(lab), lab.spec.url(lab.servers[0]))
    repaired(lab, [f"{agent} unlist", f"{agent} restart"])


def test_another_node_password(lab: Lab) -> None:
    agent = lab.agents[0]
    lab.sh(agent, "echo another >/etc/rancher/node/password").ok("password")
    restart(lab, agent)
    repaired(lab, [f"{agent} password", f"{agent} restart"])


@pytest.mark.slow
def test_fifty_agents_in_one_run() -> None:
    """The CA has changed, so every one of them holds a token with the wrong hash."""
    lab = Lab(f"test-fifty-{os.getpid()}", "k3s", 1, 50)
    begun = time.monotonic()
    try:
        lab.up(1200)
        objects.write_workloads(lab)
        say(f"50 agents are up after {time.monotonic() - begun:.0f} s; {memory()} of memory is taken")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda a: configure(lab, a, "token", f"K10{'0' * 64}::node:{lab.spec.token}"), lab.agents))
        before = {agent: objects.workload_process(lab, agent) for agent in lab.agents}
        faults.power_off(lab, lab.agents[-1])  # one is dead: no reason to stop, and not in the plan

        check = playbook(lab, PLAYBOOK, "--check")
        living = lab.agents[:-1]
        assert of_agents(check) == [f"{agent} {verb}" for agent in living for verb in ("pin", "restart")]
        run = playbook(lab, PLAYBOOK, *confirm(lab), show=True)
        say(f"check {check.seconds:.0f} s, run {run.seconds:.0f} s; {memory()} of memory is taken")
        assert story.planned(check) == story.done(run)
        assert {agent: objects.workload_process(lab, agent) for agent in living} == {a: before[a] for a in living}
        again = playbook(lab, PLAYBOOK, "--check")
        say(f"second check {again.seconds:.0f} s")
        assert not story.plan(again)["actions"]
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()


def memory() -> str:
    """Memory of this machine that is not available now."""
    with open("/proc/meminfo", encoding="ascii") as file:
        found = {line.split(":")[0]: int(line.split()[1]) for line in file}
    return f"{(found['MemTotal'] - found['MemAvailable']) / 1048576:.1f} GiB"
