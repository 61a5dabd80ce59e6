# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world moves while a playbook runs: what happens at which moment, and programs of a host that lie."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple
from unittest import mock

from ansible_collections.requorum.cluster.plugins.module_utils import _events
from lab import drill, faults
from lab.drill import Run, confirm
from lab.labs import Lab
from lab.progress import say, wait_for
from tests.lab import story

SSH_CUT = "iptables -w -{0} INPUT -p tcp --dport 22 -j DROP; iptables -w -{0} OUTPUT -p tcp --sport 22 -j DROP"


REPLACED = (
    "find /var/lib/rancher/*/server/db -maxdepth 1 -name 'etcd-old-*' -cnewer /run/requorum/reset.yaml | grep -q ."
)
"""A script that says whether the reset that goes on has moved the datastore aside."""

ETCD = "pgrep -x etcd || ss -ltn | grep -q :2380"
"""A script that says whether an etcd runs on a host: in K3s it is a part of its process, and bears its name."""


class Moment(NamedTuple):
    """When an action of this verb on this host has begun, or is done."""

    verb: str
    host: str
    act: Callable[[], None]
    state: str = "begun"


def run(lab: Lab, *moments: Moment, arguments: tuple[str, ...] = (), deadline: float = 500) -> Run:
    """recover.yml to its end, and what happens meanwhile. Every moment must have come, and the run must end."""
    before, lines, begun = drill.runs(lab), list[str](), time.monotonic()
    left = list(moments)
    with (
        mock.patch.dict(os.environ, {_events.WANTED: "1"}),
        drill.started(lab, "recover.yml", *confirm(lab), *arguments) as running,
    ):
        clock = threading.Timer(deadline, running.kill)
        clock.start()
        assert running.stdout is not None
        for line in running.stdout:
            lines.append(line)
            event = _events.read(line) or {}
            for each in [m for m in left if (m.verb, m.host, m.state) == _told(event)]:
                left.remove(each)
                say(f"{each.host} {each.verb} {each.state}, {time.monotonic() - begun:.0f} s after the run began")
                each.act()
    clock.cancel()
    seconds, out = time.monotonic() - begun, "".join(lines)
    say(f"recover.yml ended with {running.returncode} after {seconds:.0f} s")
    assert seconds < deadline, f"it does not end: {out[-4000:]}"
    assert not left, f"never came: {left}, {out[-4000:]}"
    return Run(running.returncode, out, seconds, max(drill.runs(lab) - before, default=None))


def _told(event: dict[str, object]) -> tuple[object, ...]:
    return event.get("verb"), event.get("node"), event.get("state")


def failed(run: Run, *words: str) -> None:
    """It ended as one that failed or was refused, and said these words; after what, where and next are all there."""
    said = " ".join(f"{run.out} {json.dumps(run.report.get('verdict', {}))}".split())
    print(run.out[-3000:])
    assert run.rc != 0, run.out[-4000:]
    assert run.report["verdict"]["outcome"] in ("failed", "refused"), run.report["verdict"]
    for each in words:
        assert each in said, (each, run.report["verdict"], run.out[-4000:])


def recovered(lab: Lab, run: Run, *, off: tuple[str, ...] = ()) -> None:
    """One cluster, all its servers are voters, and nothing is lost."""
    assert story.outcome(run) == ("not_redundant" if off else "recovered")
    one_cluster(lab)
    assert story.voters(lab) == [host for host in lab.servers if host not in off]
    assert story.count(lab) == 40


def one_cluster(lab: Lab) -> None:
    """No two servers see different leaders, or the same one in another list of members."""
    seen = {}
    for host in lab.servers:
        said = lab.endpoint(host) if lab.running(host) else {}
        if said.get("leader"):
            seen[host] = (said["header"]["cluster_id"], said["leader"], *sorted(lab.members(host)))
    assert len(set(seen.values())) <= 1, f"two clusters: {seen}"


def lose(lab: Lab, *hosts: str) -> None:
    """Servers that live and have lost their datastores: they join again in the same run."""
    for host in hosts:
        story.stop(lab, host)
        lab.sh(host, f"rm -rf {lab.data_dir}/server/db/etcd").ok(f"datastore of {host}")


def off(*hosts: str) -> tuple[str, str]:
    """The option that says that these are switched off."""
    return "-e", json.dumps({"requorum_powered_off": list(hosts)})


def timeouts(**seconds: float) -> tuple[str, str]:
    return "-e", json.dumps({"requorum_timeouts": seconds})


def until(lab: Lab, host: str, script: str, deadline: float = 120) -> None:
    """Wait until a script on a host ends with 0."""
    wait_for(f"{host}: {script[:60]}", lambda: (lab.sh(host, script).rc == 0, "not yet"), deadline, poll=0.05)


def boot(lab: Lab, *hosts: str) -> None:
    """Servers come back with what they have on their disks, and their etcd listens."""
    for host in hosts:
        faults.power_on(lab, host)
    for host in hosts:
        until(lab, host, "ss -ltn | grep -q :2380")


def cut_ssh(lab: Lab, host: str, *, heal: bool = False) -> None:
    """No packet of SSH reaches it any more, or none that is sent is lost again."""
    lab.sh(host, SSH_CUT.format("D" if heal else "I")).ok(f"ssh of {host}")
    say(f"{host}: SSH is {'back' if heal else 'cut'}")


@contextmanager
def instead(lab: Lab, host: str, program: str, script: str) -> Iterator[None]:
    """A shell script stands in the place of a program of a host; REAL in it is the program itself."""
    path = f"/usr/local/bin/{program}"
    real = lab.sh(host, f"readlink -f $(command -v {program})").ok(program).out.strip()
    hidden = f"/usr/local/lib/lab-real/{program}"  # the stand-in goes by its name
    text = "#!/bin/sh\n" + script.replace("REAL", hidden) + "\n"
    linked = f"mkdir -p {hidden.rpartition('/')[0]}; ln -sf {real} {hidden}"
    kept = f"rm -f {path}.was; [ ! -e {path} ] || mv {path} {path}.was"
    lab.sh(host, f"{linked}; {kept}; umask 022; cat >{path}; chmod 755 {path}", stdin=text).ok(f"wrapper of {program}")
    say(f"{host}: {program} is not what it was")
    try:
        yield
    finally:
        lab.sh(host, f"rm -f {path}; [ ! -e {path}.was ] || mv {path}.was {path}").ok(f"{program} again")


HOLD = "/run/lab-hold"
HELD_RESET = f'case "$*" in *--cluster-reset*) while [ -e {HOLD} ]; do sleep 0.2; done ;; esac; exec REAL "$@"'
HANGING_RESET = 'case "$*" in *--cluster-reset*) exec sleep 3600 ;; esac; exec REAL "$@"'
SUCCESS = "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now. Backup and delete"
PRETENDING_RESET = f'case "$*" in *--cluster-reset*) echo "{SUCCESS}"; exit 0 ;; esac; exec REAL "$@"'
EMPTYING_RESET = f"""\
case "$*" in
*--cluster-reset*)
    cd /var/lib/rancher/*/server/db || exit 1
    mv etcd "etcd-old-$(date +%s)"
    at=http://127.0.0.1:23799 by=http://127.0.0.1:23800
    timeout 5 /opt/lab/bin/etcd --data-dir=etcd --name=new-00000000 --listen-client-urls=$at \\
        --advertise-client-urls=$at --listen-peer-urls=$by --initial-advertise-peer-urls=$by \\
        --initial-cluster=new-00000000=$by 2>/dev/null
    touch reset-flag
    echo "{SUCCESS}"
    exit 0
    ;;
esac
exec REAL "$@"
"""


def member(lab: Lab, host: str, role: str, *names: str) -> str:
    """Wait until one of these is a member of that role, as a host lists it; its name."""
    found: list[str] = []

    def probe() -> tuple[bool, str]:
        listed = lab.members(host)
        found[:] = [name for name in names if listed.get(name) == role]
        return bool(found), str(listed)

    wait_for(f"a {role} among {', '.join(names)}", probe, 240, poll=0.1)
    return found[0]
