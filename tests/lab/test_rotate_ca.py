# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAs are replaced before they end; what a killed run has begun is finished, and no other CA is made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from lab import newca
from lab.drill import Run, confirm, playbook
from lab.labs import Lab
from lab.progress import say
from tests.lab import story
from tests.lab.test_agents import configure
from tests.lab.test_certificates import common, killed, leaves

SLOW = ("*k3s?", "*killed*")

PLAYBOOK = "playbooks/rotate_ca.yml"
DUE = ("-e", "requorum_ca_days=4000")
"""The lab's own last ten years, new ones twenty."""


@contextlib.contextmanager
def full_token(lab: Lab) -> Iterator[None]:
    """The agent's token holds the hash of the CA, with which it is refused under another one."""
    (agent,) = lab.agents
    unit, drop = lab.spec.unit(agent), f"{lab.spec.supervisor.config}.d/zz-requorum-token.yaml"
    configure(lab, agent, "token", lab.sh(lab.servers[0], f"cat {lab.data_dir}/server/token").out.strip())
    try:
        yield
    finally:
        configure(lab, agent, "token", lab.spec.token)
        lab.sh(agent, f"rm -f {drop}; systemctl restart --no-block {unit}").ok("short token")
        lab.wait_ready(120)


def keys(lab: Lab, host: str) -> list[str]:
    """Lines of the private keys of all CAs that lie on a host, their roots' too."""
    files = f"{lab.data_dir}/server/tls/*-ca.key {lab.data_dir}/server/tls/etcd/*-ca.key"
    found = lab.sh(host, f"cat {files} /var/lib/rancher/requorum/*/rotate-ca/tls/*.key 2>/dev/null").out.split("\n")
    return [line for line in found if len(line) > 40 and not line.startswith("-----")]


def served(lab: Lab, host: str) -> bool:
    """Whether the supervisor of a server proves itself under the CAs on its disk, and serves them."""
    url, ca = f"https://127.0.0.1:{lab.spec.supervisor.supervisor_port}", f"{lab.data_dir}/server/tls/server-ca.crt"
    said = lab.sh(host, f"curl -sS -m 5 --cacert {ca} {url}/ping && curl -sS -m 5 -k {url}/cacerts | cmp - {ca}")
    return said.rc == 0 and said.out.strip() == "pong"


def working(lab: Lab) -> None:
    lab.wait_ready(60)
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40
    first = common(lab, lab.servers[0])
    for host in lab.servers:
        assert served(lab, host)
        assert common(lab, host) == first
        assert lab.sh(host, f"systemctl is-enabled {lab.spec.unit(host)}").out.strip() == "enabled"
    (agent,) = lab.agents
    assert common(lab, agent)["agent/server-ca.crt"] == first["server/tls/server-ca.crt"]


def verbs(run: Run) -> list[str]:
    return [verb.split()[1] for verb in story.verbs(run)]


def test_successors_are_made_and_every_host_is_under_them(lab: Lab) -> None:
    before, old, were = common(lab, lab.servers[0]), keys(lab, lab.servers[0]), leaves(lab, lab.agents[0])
    secrets = story.every_secret(lab)
    with full_token(lab):
        check = playbook(lab, PLAYBOOK, "--check", *DUE)
        assert story.outcome(check) == "planned"
        assert check.out.count("signs too.") == 5
        assert common(lab, lab.servers[0]) == before
        run = playbook(lab, PLAYBOOK, *DUE, *confirm(lab))
        say(f"rotate_ca.yml took {run.seconds:.0f} s")
        assert story.outcome(run) == "done"
        assert story.planned(check) == story.planned(run) == story.done(run)
        working(lab)
        again = playbook(lab, PLAYBOOK, *DUE, *confirm(lab))
        assert story.outcome(again) == "healthy"
        assert story.verbs(again) == []
    assert [verb for verb in verbs(run) if verb == "pin"] == ["pin"]
    now = common(lab, lab.servers[0])
    assert [path for path in now if now[path] == before[path]] == ["server/tls/service.key"]
    assert not set(leaves(lab, lab.agents[0]).values()) & set(were.values())
    new = [line for line in keys(lab, lab.servers[0]) if line not in old]
    assert len(new) >= 20  # two keys of each CA
    assert run.folder
    assert story.places_of(new, run.folder) == []
    backup = run.folder / "backup"
    backup.rename(run.folder.parent / f"{run.folder.name}-backup")  # the only place where a secret belongs
    assert story.places_of([*old, *secrets], run.folder) == []
    assert not [line[:4] for line in [*new, *old, *secrets] if line in run.out]


def test_what_a_killed_run_has_saved_is_finished_and_no_other_ca_is_made(lab: Lab) -> None:
    """As after a kill between swap and the first restart; then one in the middle of the restarts."""
    first = lab.servers[0]
    path = newca.new_authorities(lab, first)
    lab.sh(first, f"{lab.spec.distro} certificate rotate-ca --path {path}", 60).ok("rotate-ca")
    wanted = lab.sh(first, f"sha256sum <{path}/tls/server-ca.crt").out.split()[0]
    check = playbook(lab, PLAYBOOK, "--check")
    folder = killed(lab, PLAYBOOK, "renewed", *confirm(lab))
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    assert plan["plan_id"] == story.plan(check)["plan_id"]
    finished = plan["actions"][[action["verb"] for action in plan["actions"]].index("renewed")]["node"]
    run = playbook(lab, PLAYBOOK, *confirm(lab))
    assert story.outcome(run) == "done"
    assert not {"issue", "swap"} & {*verbs(check), *verbs(run)}
    assert f"{finished} fence" in story.verbs(check)
    assert f"{finished} fence" not in story.verbs(run)
    working(lab)
    assert common(lab, first)["server/tls/server-ca.crt"] == wanted
    assert story.verbs(playbook(lab, PLAYBOOK, *confirm(lab))) == []
