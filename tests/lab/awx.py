# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job as AWX runs it: a private data directory as awx/main/tasks/jobs.py writes it, ansible-runner in a container.

The container is a mount namespace: a random uid of group 0, an empty home, the project read-only and root's, no
terminal, an environment of its own, the SSH key in an agent, and a folder that is mounted and outlives it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lab.labs import Lab

ROOT = Path(__file__).parents[2]
JSON = dict[str, Any]
UID = 54321
KEPT = "/var/lib/requorum-kept"
"""Where the folder that outlives a job is mounted, as by "Paths to expose to isolated jobs"."""
# What build_env of a job sets, with the defaults of AWX's settings.
ENVIRONMENT = {
    "ANSIBLE_FORCE_COLOR": "True",
    "ANSIBLE_HOST_KEY_CHECKING": "False",
    "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
    "ANSIBLE_PARAMIKO_RECORD_HOST_KEYS": "False",
    "ANSIBLE_RETRY_FILES_ENABLED": "False",
    "ANSIBLE_SSH_CONTROL_PATH_DIR": "/runner/cp",
    "ANSIBLE_COLLECTIONS_PATH": (
        "/runner/requirements_collections:.collections:~/.ansible/collections:/usr/share/ansible/collections"
    ),
    "ANSIBLE_ROLES_PATH": "/runner/requirements_roles:~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles",
    "AWX_HOST": "https://awx.example.org",
    "AWX_PRIVATE_DATA_DIR": "/tmp/awx_1_x",
    "INVENTORY_ID": "1",
    "JOB_ID": "1",
    "MAX_EVENT_RES": "700000",
    "PROJECT_REVISION": "0" * 40,
}
WORKER = """
import json, sys, ansible_runner
runner = ansible_runner.run(
    private_data_dir="/runner", ident="1", playbook=sys.argv[1], inventory="/runner/inventory/hosts",
    envvars=json.load(open("/runner/environment")), ssh_key=open("/runner/key").read(),
    suppress_env_files=True, fact_cache_type="", settings={"suppress_ansible_output": True},
)
stats = [event["event_data"] for event in runner.events if event["event"] == "playbook_on_stats"]
print(json.dumps({
    "rc": runner.rc, "status": runner.status, "out": runner.stdout.read(),
    "events": sorted({event["event"] for event in runner.events}),
    "artifacts": (stats or [{}])[-1].get("artifact_data") or {},
}))
"""


@dataclass(frozen=True)
class Job:
    """One job that has ended. AWX takes all this from events alone."""

    rc: int
    out: str
    events: list[str]
    artifacts: JSON


def job(lab: Lab, kept: Path, playbook: str, variables: JSON, *, check: bool = False) -> Job:
    """Run a playbook as a job of a workflow. variables: answers and artifacts; kept: what outlives the container."""
    with tempfile.TemporaryDirectory(prefix="awx-") as made:
        work = Path(made)
        work.chmod(0o755)
        _private_data(lab, work / "runner", variables, check=check)
        _project(work / "project")
        (work / "home").mkdir()
        users = Path("/etc/passwd").read_text("utf-8")
        (work / "passwd").write_text(f"{users}runner:x:{UID}:0::/home/runner:/bin/sh\n", "utf-8")
        for path in (kept, work / "home", work / "runner", *(work / "runner").rglob("*")):
            os.chown(path, UID, 0)
        (work / "worker.py").write_text(WORKER, "utf-8")
        script = work / "container.sh"
        script.write_text(_container(work, kept, playbook), "utf-8")
        made_here = [path for path in ("/runner", "/home/runner", KEPT) if not os.path.exists(path)]
        done = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "setsid", "--wait", "sh", "-eu", str(script)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, env={},
        )  # fmt: skip
        for path in made_here:  # where the mounts were; they went with the container
            os.rmdir(path)
    assert done.returncode == 0 and done.stdout, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    return Job(told["rc"], told["out"], told["events"], told["artifacts"])


def _private_data(lab: Lab, folder: Path, variables: JSON, *, check: bool) -> None:
    given = yaml.safe_load(lab.inventory.read_text("utf-8"))["all"]
    key = Path(given["vars"]["ansible_ssh_private_key_file"])
    groups = {name: each["hosts"] for name, each in given["children"].items()}
    hosts: JSON = {name: each for group in groups.values() for name, each in group.items()}
    kept = {name: value for name, value in given["vars"].items() if name in ("requorum_cluster", "ansible_become")}
    listed: JSON = {name: {"hosts": list(group)} for name, group in groups.items()}
    listed |= {"all": {"vars": {**kept, "requorum_output": KEPT}}, "_meta": {"hostvars": hosts}}
    meta = {"awx_job_id": 1, "awx_job_launch_type": "workflow", "awx_workflow_job_id": 2, "awx_user_name": "night"}
    files = {
        "inventory/hosts": f"#! /usr/bin/env python3\n# -*- coding: utf-8 -*-\nprint({json.dumps(listed)!r})\n",
        "env/extravars": yaml.safe_dump({**variables, **meta}),
        "env/cmdline": f"{'--check ' if check else ''}-u {given['vars']['ansible_user']} --become-method sudo",
        "environment": json.dumps(ENVIRONMENT),
        "key": key.read_text("utf-8"),
        "cp/.none": "",
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(content, "utf-8")
        path.chmod(0o700 if name == "inventory/hosts" else 0o600)


def _project(target: Path) -> None:
    """What git has, and would have."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
    )
    for name in filter(None, listed.split("\0")):
        if name.split("/")[0] in ("tests", "docs", "lab", "molecule") or not os.path.lexists(ROOT / name):
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def _container(work: Path, kept: Path, playbook: str) -> str:
    """Mounts, then the worker as a uid that nobody knows. Python comes along where only root may read it."""
    private = [path for path in (sys.base_prefix, sys.prefix) if Path(path).resolve().is_relative_to("/root")]
    lines = ["mount --make-rprivate /"]
    for number, path in enumerate(private):
        lines += [f"mkdir {work}/{number}", f"mount --bind {shlex.quote(str(Path(path).resolve()))} {work}/{number}"]
    lines += ["mount -t tmpfs -o mode=0755 none /root"]
    for number, path in enumerate(private):
        there = shlex.quote(str(Path(path).resolve()))
        lines += [f"mkdir -p {there}", f"mount --bind {work}/{number} {there}"]
    binds = {"/runner": work / "runner", "/home/runner": work / "home", KEPT: kept}
    for inside, outside in binds.items():
        lines += [f"mkdir -p {inside}", f"mount --bind {shlex.quote(str(outside))} {inside}"]
    lines += [
        f"mkdir /runner/project; mount --bind {work}/project /runner/project",
        "mount -o remount,bind,ro /runner/project",
        f"mount --bind {work}/passwd /etc/passwd",
        "cd /runner/project",
        f"exec setpriv --reuid {UID} --regid 0 --clear-groups --inh-caps=-all env -i HOME=/home/runner LANG=C.UTF-8 "
        f"PATH={Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin "
        f"{sys.executable} {work}/worker.py {shlex.quote(playbook)}",
    ]
    return "\n".join(lines) + "\n"
