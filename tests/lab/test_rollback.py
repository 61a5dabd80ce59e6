# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: what a run moved aside is put back, and a datastore only before the new cluster has written."""

from __future__ import annotations

import json

from lab import fingerprint
from lab.drill import confirm, killed, lose_quorum, playbook
from lab.labs import Lab
from tests.lab import story

SLOW = ("*back?k3s?", "*writes?rke2?")

BACK = "playbooks/rollback.yml"


def test_files_that_a_run_moved_aside_are_put_back(lab: Lab) -> None:
    second = lab.servers[1]
    tls, home = f"{lab.data_dir}/server/tls", "/var/lib/rancher/requorum"
    folder = lab.sh(second, f"ls {lab.data_dir}/agent/etc/*load-balancer.json | head -n 1").out.strip()
    named = f'sed -i \'s/"ServerAddresses": *\\[/&"10.9.9.9:9345",/\' {folder}; grep 10.9.9.9 {folder}'
    lab.sh(second, f"{named}; touch {lab.data_dir}/server/db/reset-flag").ok("a file that names a stranger")
    repaired = playbook(lab, "playbooks/repair.yml", "--tags", "leftovers", *confirm(lab))
    assert story.outcome(repaired) == "done", repaired.out
    stamp = story.plan(repaired)["stamp"]

    # As a renewal does it, journaled: a leaf goes aside with its key, and its server makes both anew at its next start.
    leaf, aside = f"{tls}/client-admin.crt", f"{home}/{stamp}/tls/client-admin.crt"
    marked = lab.sh(second, f"sha256sum <{leaf}").out
    key, key_aside = leaf.replace(".crt", ".key"), aside.replace(".crt", ".key")
    noted = f"printf '%s\\n' 'moved={leaf}|{aside}' 'moved={key}|{key_aside}' >>{home}/journal-closed"
    script = f"mkdir -p {home}/{stamp}/tls && mv {leaf} {aside} && mv {key} {key_aside} && {noted}"
    lab.sh(second, f"{script}; systemctl restart {lab.spec.unit(second)}", 120).ok("renewed")
    lab.wait_ready(120)
    assert lab.sh(second, f"sha256sum <{leaf}").out != marked

    before = fingerprint.read(lab)
    check = playbook(lab, BACK, "--check")
    assert check.rc == 0, check.out
    assert story.touched(lab, before, quiet=[]) == []
    run = playbook(lab, BACK, *confirm(lab))
    assert run.rc == 0, run.out
    assert story.outcome(run) == "done"
    assert story.planned(check) == story.planned(run) == story.done(run)
    assert lab.sh(second, f"sha256sum <{leaf}").out == marked
    assert lab.sh(second, f"ls {home}/*/rolled-back{leaf}").rc == 0  # the renewed one is kept
    assert lab.sh(second, f"test -e {lab.data_dir}/server/db/reset-flag").rc != 0  # nobody wants that one back
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40

    again = playbook(lab, BACK, *confirm(lab))
    assert again.rc == 0 and "left nothing aside" in " ".join(again.out.split()), again.out


def test_a_reset_is_undone_until_the_new_cluster_writes(lab: Lab) -> None:
    """The run is killed right after RESET: the old datastore comes back. After START it is refused."""
    first = lab.servers[0]
    store = f"{lab.data_dir}/server/db/etcd"
    lose_quorum(lab)
    folder = killed(lab, "recover.yml", "reset", *confirm(lab))
    kept = json.loads((folder / "reset.json").read_text("utf-8"))["moved"]
    old = next(path for path in kept if "/etcd-old-" in path)
    name = lab.sh(first, f"cat {old}/name").out

    cut = killed(lab, BACK, "revert", *confirm(lab))
    asked = [a["verb"] for a in json.loads((cut / "plan.json").read_text("utf-8"))["actions"] if a["node"] == first]
    assert asked == ["fence", "revert", "release"]
    run = playbook(lab, BACK, *confirm(lab))
    assert run.rc == 0, run.out
    assert story.outcome(run) == "done"
    assert [verb for verb in story.verbs(run) if verb.startswith(f"{first} ")] == [f"{first} release"]
    assert lab.sh(first, f"cat {store}/name").out == name
    assert lab.sh(first, f"test -e {old}").rc != 0

    recovered = playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(recovered) == "recovered"
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40
    refused = playbook(lab, BACK, *confirm(lab))
    assert refused.rc != 0
    assert "has passed its point of no return" in " ".join(refused.out.split()), refused.out
