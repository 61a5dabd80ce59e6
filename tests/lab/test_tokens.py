# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A token that servers do not have, or of before a rotation; node passwords that are not the stored ones."""

from __future__ import annotations

import hashlib
import json
import shlex
from typing import Any

from lab import faults, spoil
from lab.drill import Run, confirm, killed, playbook
from lab.labs import Lab
from lab.progress import wait_for
from lab.supervisor import bootstrap
from tests.lab import story

SLOW = ("*rke2?", "*stored_one*", "*cut_off*", "*any_more*", "*joins_again*", "*next_start*")

NEW = "another-secret-of-the-lab"


def tokens(lab: Lab, *arguments: str) -> Run:
    return playbook(lab, "playbooks/tokens.yml", *confirm(lab), *arguments)


def told_and_done(lab: Lab) -> Run:
    check, run = tokens(lab, "--check"), tokens(lab)
    assert story.outcome(run) == "done"
    assert story.outcome(check) == "planned"
    assert story.planned(check) == story.planned(run) == story.done(run)
    print(f"tokens.yml took {run.seconds:.1f} s")
    return run


def checked(lab: Lab) -> tuple[int, dict[str, Any], str]:
    """`requorum token check`: exit code, its document, everything that it printed."""
    return story.command(lab, "token", "check")


def password(lab: Lab) -> str:
    """The password part of the token that the cluster has now."""
    path = lab.data_dir / "server" / "token"
    return lab.sh(lab.servers[0], f"sed 's/.*:://; s/^[a-z]*://' {path}").ok("token").out.strip()


def key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:12]


def lose_peers(lab: Lab) -> None:
    for host in lab.servers[1:]:
        story.stop(lab, host)
        faults.destroy_datastore(lab, host)


def recovered(lab: Lab, *arguments: str) -> Run:
    """`--check` shows what the run does; the cluster is whole afterwards, and no token was said."""
    check = playbook(lab, "recover.yml", "--check", *arguments)
    assert story.outcome(check) == "planned"
    run = playbook(lab, "recover.yml", *confirm(lab), *arguments)
    assert story.outcome(run) == "recovered"
    assert story.plan(check)["plan_id"] == story.plan(run)["plan_id"]
    assert story.planned(check) == story.planned(run) == story.done(run)
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40
    assert all(lab.nodes(lab.servers[0]).values())
    print(f"recover.yml took {run.seconds:.1f} s")
    return run


def dropins(lab: Lab) -> list[str]:
    """What of ours lies in the configuration of servers."""
    look = f"ls {lab.spec.supervisor.config}.d 2>/dev/null | grep requorum || true"
    return [f"{host}: {name}" for host in lab.servers for name in lab.sh(host, look).out.split()]


def test_a_node_password_that_is_not_the_stored_one(lab: Lab) -> None:
    (agent,), unit = lab.agents, lab.spec.unit(lab.agents[0])
    assert checked(lab)[0] == 0
    spoil.wrong_node_password(lab, agent)
    lab.sh(agent, f"systemctl restart --no-block {unit}").ok("restart")
    wait_for("the refusal", lambda: (lab.sh(agent, f"systemctl is-active {unit}").out.strip() == "activating", ""), 60)
    rc, found, _out = checked(lab)
    assert rc == 4
    assert any(agent in line and "node password" in line for line in found["problems"])
    run = told_and_done(lab)
    assert {verb for _id, _node, verb in story.done(run)} >= {"password", "admit"}
    assert run.folder
    saved = json.loads((run.folder / "passwords" / f"{agent}.json").read_text())
    assert saved["metadata"]["name"] == f"{agent}.node-password.{lab.spec.distro}"
    lab.wait_ready(60)
    assert checked(lab)[0] == 0


def test_a_server_that_restarted_with_the_old_token(lab: Lab) -> None:
    first, _second, third = lab.servers
    unit, old = lab.spec.unit(third), lab.spec.token
    at_boot = lab.sh(third, f"systemctl is-enabled {unit}").out.strip()
    rotate = f"{lab.spec.distro} token rotate --token {old} --new-token {NEW}"
    lab.sh(first, rotate, 60).ok("rotate")
    lab.sh(third, f"systemctl restart --no-block {unit}").ok("restart")
    log = f"journalctl -u {unit} -o cat --no-pager | grep -c 'newer than datastore'"
    wait_for("the stuck server", lambda: (lab.sh(third, log).out.strip() not in ("", "0"), "not stuck yet"), 180)
    rc, found, out = checked(lab)
    assert rc == 4
    assert any(third in line and "the next start fails" in line for line in found["problems"]), found["problems"]
    assert old not in out
    assert NEW not in out
    killed(lab, "playbooks/tokens.yml", "token", *confirm(lab))
    run = told_and_done(lab)
    assert old not in run.out
    assert NEW not in run.out
    assert story.voters(lab) == sorted(lab.servers)
    assert story.count(lab) == 40
    assert lab.sh(third, f"systemctl is-active {unit}").out.strip() == "active"
    assert lab.sh(third, f"systemctl is-enabled {unit}").out.strip() == at_boot
    found = checked(lab)[1]
    assert not [line for line in found["problems"] if "the next start fails" in line]
    assert dropins(lab) == [f"{host}: zz-requorum-token.yaml" for host in lab.servers]
    for host in [*lab.servers, *lab.agents]:
        story.configure(lab, host, NEW)
    done = told_and_done(lab)
    assert [(a["node"], a["verb"]) for a in story.plan(done)["actions"] if a["verb"] == "clear"] == [
        (host, "clear") for host in lab.servers
    ]
    assert dropins(lab) == []
    assert checked(lab)[0] == 0


def test_a_rotation_that_was_cut_off(lab: Lab) -> None:
    """Between its two writes: the new key is there, the old one is not gone."""
    first = lab.servers[0]
    old, new = password(lab), "a-second-secret-of-the-lab"
    value = lab.etcdctl(first, "get", f"/bootstrap/{key(old)}", "--print-value-only").ok("get").out.strip()
    again = bootstrap.encrypt(new, bootstrap.decrypt(old, value.encode())).decode()
    lab.etcdctl(first, "put", f"/bootstrap/{key(new)}", again).ok("put")
    rc, found, _out = checked(lab)
    assert rc == 4
    assert any("2 bootstrap keys" in line for line in found["problems"])
    assert not any(host in line for host in lab.servers for line in found["problems"])  # each starts with the old one
    spoil.wrong_node_password(lab, lab.agents[0])  # there would be something to do
    refused = tokens(lab)
    assert refused.rc != 0
    assert "An interrupted token rotation" in " ".join(refused.out.split())
    # What it says helps, on a server that has the old token.
    lab.sh(first, f"{lab.spec.distro} token rotate --token {old} --new-token {new}", 60).ok("rotate")
    for host in [*lab.servers, *lab.agents]:
        story.configure(lab, host, new)
    for host in lab.servers:  # until then a server authorises only the old one, for etcd-snapshot save too
        lab.sh(host, f"systemctl restart {lab.spec.unit(host)}", 120).ok("restart")
    lab.wait_ready(120)
    assert checked(lab)[1]["keys"] == [key(new)]
    told_and_done(lab)  # the node password
    assert checked(lab)[0] == 0


def test_a_server_with_another_node_password_joins_again(lab: Lab) -> None:
    third = lab.servers[2]
    story.stop(lab, third)
    faults.destroy_datastore(lab, third)
    spoil.wrong_node_password(lab, third)
    check = playbook(lab, "playbooks/rejoin.yml", *confirm(lab), "--check")
    run = playbook(lab, "playbooks/rejoin.yml", *confirm(lab))
    assert story.outcome(run) == "done"
    assert story.planned(check) == story.planned(run) == story.done(run)
    verbs = [action["verb"] for action in story.plan(run)["actions"]]
    assert verbs.index("password") < verbs.index("rejoin")
    assert run.folder
    saved = json.loads((run.folder / "passwords" / f"{third}.json").read_text())
    assert saved["metadata"]["name"] == f"{third}.node-password.{lab.spec.distro}"
    assert story.voters(lab) == lab.servers
    assert checked(lab)[0] == 0


def test_an_agent_whose_next_start_would_be_refused(lab: Lab) -> None:
    (agent,), unit = lab.agents, lab.spec.unit(lab.agents[0])
    lab.sh(agent, f"systemctl restart {unit}", 60).ok("restart")  # its password is stored again, if it was not
    lab.wait_ready(60)
    spoil.wrong_node_password(lab, agent)
    run = playbook(lab, "playbooks/agents.yml", *confirm(lab))
    assert story.outcome(run) == "done"
    assert [action["verb"] for action in story.plan(run)["actions"] if action["turn"]] == ["password"]
    lab.sh(agent, f"systemctl restart {unit}", 60).ok("restart")
    lab.wait_ready(60)
    assert checked(lab)[0] == 0


def test_a_snapshot_from_before_a_rotation(lab: Lab) -> None:
    first, (agent,) = lab.servers[0], lab.agents
    old, new = password(lab), "a-third-secret-of-the-lab"
    saved = playbook(lab, "playbooks/backup.yml")
    assert saved.folder, saved.out[-4000:]
    snapshot = next(iter(saved.folder.glob("backup/*/snapshot.db")))
    lab.sh(first, f"{lab.spec.distro} token rotate --token {old} --new-token {new}", 60).ok("rotate")
    for host in [*lab.servers, agent]:
        story.configure(lab, host, new)
    spoil.wrong_node_password(lab, agent)
    lab.kubectl(first, "create", "configmap", "written-after-the-backup").ok("config map")
    lose_peers(lab)

    run = recovered(lab, "-e", "requorum_method=restore", "-e", f"requorum_snapshot={snapshot}")
    lent, back = (a for a in story.plan(run)["actions"] if a["verb"] in ("token", "rotate"))
    # server/token of a server that was not restarted, or the backup
    assert f"the token of key {key(old)} (" in lent["what"]
    assert f"from key {key(old)} to {key(new)}" in back["what"]
    assert lab.kubectl(first, "get", "configmap", "written-after-the-backup").rc != 0
    assert (old in run.out, new in run.out) == (False, False)
    assert run.folder
    assert (run.folder / "passwords" / f"{agent}.json").exists()
    assert dropins(lab) == []
    rc, found, _out = checked(lab)
    assert (rc, found["keys"]) == (0, [key(new)]), found["problems"]
    for host in lab.servers:  # each starts with what its own configuration says
        lab.sh(host, f"systemctl restart {lab.spec.unit(host)}", 120).ok("restart")
    lab.wait_ready(120)


def test_a_token_that_no_server_has_any_more(lab: Lab) -> None:
    """K3s: only the agent has it. RKE2: only Rancher's Secret in the datastore, encrypted at rest."""
    first, (agent,) = lab.servers[0], lab.agents
    token, server = password(lab), lab.data_dir / "server"
    if lab.spec.distro == "rke2":
        lab.kubectl(first, "create", "namespace", "fleet-local").ok("namespace")
        full = lab.sh(first, f"cat {server}/token").out.strip()
        make = ("-n", "fleet-local", "create", "secret", "generic", "local-rke-state")
        lab.kubectl(first, *make, f"--from-literal=serverToken={full}").ok("Secret")
        story.configure(lab, agent, "")
    lose_peers(lab)
    story.stop(lab, first)
    for host in lab.servers:
        story.configure(lab, host, "")
        gone = " ".join(shlex.quote(f"{server}/{name}") for name in ("token", "cred/passwd"))
        lab.sh(host, f"rm -f {gone} {server}/node-token {server}/agent-token").ok("no token")

    with story.no_earlier_backups(lab):
        _rc, found, _out = checked(lab)
        places = [(row["node"], row["place"]) for row in found["rows"] if row["opens"]]
        run = recovered(lab)
        (put,) = (a for a in story.plan(run)["actions"] if a["verb"] == "token")
        verbs = story.verbs(run)
    if lab.spec.distro == "rke2":
        assert {place for _host, place in places} == {"Secret fleet-local/local-rke-state on disk: serverToken"}
        assert places[0][0] == first
    else:
        assert [node for node, _place in places] == [agent]
        assert f"{agent} keep" in verbs
    assert f"the token of key {key(token)} ({places[0][0]}, {places[0][1]})" in put["what"]
    assert token not in run.out
    assert dropins(lab) == []  # each has written its server/token again, which is enough
    for host in lab.servers:
        lab.sh(host, f"systemctl restart {lab.spec.unit(host)}", 120).ok("restart")
    for host in [*lab.servers, agent]:
        story.configure(lab, host, token)
    lab.wait_ready(120)
    assert checked(lab)[0] == 0
