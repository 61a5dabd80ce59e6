# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One recovery at a time: a lock that is alive is obeyed, a stale one is taken over, and of two runs one goes on."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab import objects
from lab.drill import lose_quorum
from lab.labs import Lab
from tests.lab import story

LOCK = "/var/lib/rancher/requorum/lock"
OTHER = "id=0123456789abcdef\nowner=anna\nhost=desk\nplace=there\nstarted=2026-11-29T01:00:00.000Z\nrun=recover.yml\n"


def test_one_recovery_at_a_time(k3s: Lab) -> None:
    lab = k3s
    hosts = [*lab.servers, *lab.agents]
    before = objects.objects(lab)
    lose_quorum(lab)
    for host in hosts:
        script = f"mkdir -p -m 700 {Path(LOCK).parent} && cat >{LOCK}"
        lab.sh(host, script, stdin=OTHER).ok(f"lock on {host}")

    with story.untouched(lab, quiet=story.quiet(lab)):
        for words in (("--check",), ("--confirm", lab.name)):
            code, report, out = story.command(lab, "recover", *words)
            assert code == 5, out
            assert report["verdict"]["outcome"] == "refused"
            told = report["refusals"][0]["what"]
            assert "Another run works on this cluster: anna on desk since 2026-11-29T01:00:00.000Z, heard " in told
            assert told.endswith(" recover.yml (locked).") and "end it on desk" in report["refusals"][0]["next"]

    for host in hosts:
        lab.sh(host, f"touch -d '-20 minutes' {LOCK}").ok(f"old lock on {host}")
    with ThreadPoolExecutor() as pool:
        runs = list(pool.map(lambda _number: story.command(lab, "recover", "--confirm", lab.name), range(2)))
    [(done, won, told), (code, lost, refused)] = sorted(runs, key=lambda run: run[0])
    assert (done, code) == (0, 5), told + refused
    assert (won["verdict"]["outcome"], lost["verdict"]["outcome"]) == ("recovered", "refused")
    assert "gives no sign of life any more: anna on desk since 2026-11-29T01:00:00.000Z" in " ".join(told.split())
    one = r"Another run works on this cluster: \S+ on \S+ since 20\S+Z, heard \d+ s ago on \S+: .*recover.* \(locked\)"
    assert re.search(one, refused) and "on desk" not in refused.partition("Another run")[2].partition("(locked)")[0]

    assert story.voters(lab) == lab.servers and objects.objects(lab) == before
    assert [host for host in hosts if lab.sh(host, f"test -e {LOCK}").rc == 0] == []
    for host in hosts:
        assert lab.sh(host, f"cat {Path(LOCK).parent}/{won['run']['id']}/lock").out == OTHER, "nothing is thrown away"
