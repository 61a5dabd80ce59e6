# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rotated token that servers do not have, and a node password that is not the stored one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab import spoil
from lab.drill import ROOT, Run, confirm, killed, playbook
from lab.labs import Lab
from lab.progress import wait_for
from tests.lab import story

SLOW = ("*rke2?",)

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
    program = Path(sys.executable).parent / "requorum"
    words = [str(program), "token", "check", "-i", str(lab.inventory), "--json"]
    words += ["-e", f"requorum_output={ROOT / 'recoveries'}"]
    paths = [str(ROOT / ".collections"), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    return done.returncode, json.loads(done.stdout), done.stdout + done.stderr


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
    assert tokens(lab).rc == 0
