# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: what a run moved aside is put back, and a datastore only before the new cluster has written."""

from __future__ import annotations

import json
import re
from pathlib import Path

from lab import fingerprint
from lab.drill import Run, confirm, killed, lose_quorum, playbook, runs
from lab.labs import Lab
from tests.lab import story

SLOW = ("*back?k3s?", "*writes?rke2?")

BACK, CLEAN = "playbooks/rollback.yml", "playbooks/cleanup.yml"


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

    with story.untouched(lab, quiet=[]):
        check = playbook(lab, BACK, "--check")
        assert check.rc == 0, check.out
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


def marks(lab: Lab) -> dict[str, str]:
    """`server what` -> hash or state of all that a rollback brings back, but for a datastore in use."""
    unit, server = lab.spec.unit(lab.servers[0]), f"{lab.data_dir}/server"
    script = (
        f"find {server}/tls {server}/cred {server}/token {server}/db/reset-flag "
        f"{lab.spec.supervisor.config}* /etc/rancher/node -type f -exec sha256sum {{}} + 2>/dev/null; "
        f"for p in UnitFileState ActiveState; do systemctl show {unit} -p $p --value | sed s/^/$p=/; done; true"
    )
    found = {}
    for name in lab.servers:
        for line in lab.sh(name, script).ok(f"marks of {name}").out.splitlines():
            mark, _, path = line.partition("  ")
            # K3s without a quorum starts again and again; one that is stopped in its start ends with an error.
            mark = mark.replace("=activating", "=active").replace("=failed", "=inactive")
            found[f"{name} {path or mark.split('=')[0]}"] = mark
    return found


def test_a_reset_is_undone_before_and_after_the_new_cluster_writes(lab: Lab) -> None:
    """The run is killed right after RESET: everything comes back as it was, by its hashes. After START it is refused,
    until somebody gives up what the new cluster has written. Each rollback is killed once and run again.
    """
    first = lab.servers[0]
    store = f"{lab.data_dir}/server/db/etcd"
    lose_quorum(lab)
    before = marks(lab)
    folder = killed(lab, "recover.yml", "reset", *confirm(lab))
    kept = json.loads((folder / "reset.json").read_text("utf-8"))["moved"]
    old = next(path for path in kept if "/etcd-old-" in path)
    name = lab.sh(first, f"cat {old}/name").out

    cut = killed(lab, BACK, "fence", *confirm(lab))
    asked = [a["verb"] for a in json.loads((cut / "plan.json").read_text("utf-8"))["actions"] if a["node"] == first]
    assert asked == ["fence", "revert", "release"]
    sums = f"cd {old} && find . -type f -exec sha256sum {{}} + | LC_ALL=C sort | sha256sum | cut -c 1-64"
    journal = lab.sh(first, "cat /var/lib/rancher/requorum/journal").out
    assert f"store={folder.name} {lab.sh(first, sums).out.strip()}" in journal
    run = playbook(lab, BACK, *confirm(lab))
    assert run.rc == 0, run.out
    assert story.outcome(run) == "done"
    [proof] = [a["result"] for a in run.report["actions"] if (a["node"], a["verb"]) == (first, "revert")]
    assert "datastore bit by bit as before" in proof and "not as before" not in proof, proof
    assert lab.sh(first, f"cat {store}/name").out == name
    assert lab.sh(first, f"test -e {old}").rc != 0
    assert fingerprint.difference(before, marks(lab)) == []

    recovered = playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(recovered) == "recovered"
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40
    lab.kubectl(first, "create", "configmap", "late", "-n", "default").ok("what the new cluster alone has")
    refused = playbook(lab, BACK, *confirm(lab))
    said = " ".join(refused.out.split())
    assert refused.rc != 0 and "has passed its point of no return" in said, refused.out
    number = re.search(r"requorum_accept_loss=(\d+) allows it", said)
    assert number and "writes, those of Leases too" in said, refused.out
    wrong = playbook(lab, BACK, "-e", f"requorum_accept_loss={int(number[1]) - 1}", *confirm(lab))
    assert wrong.rc != 0 and "is not what a refusal of the last hour has shown" in " ".join(wrong.out.split())

    accepted = ["-e", f"requorum_accept_loss={number[1]}", *confirm(lab)]
    killed(lab, BACK, "revert", *accepted)
    run = playbook(lab, BACK, *accepted)
    assert run.rc == 0, run.out
    assert story.outcome(run) == "done"
    assert fingerprint.difference(before, marks(lab)) == []
    again = playbook(lab, BACK, *accepted)
    assert "left nothing aside" in " ".join(again.out.split()), again.out
    last = playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(last) == "recovered"
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40
    assert "late" not in lab.kubectl(first, "get", "configmaps", "-n", "default").out
    old_data_goes(lab, last)


def old_data_goes(lab: Lab, last: Run) -> None:
    """What all runs have moved aside is listed by the last one, and goes by cleanup.yml alone."""
    listed = {(e["node"], e["path"]): e for e in last.report["kept"] if e["remove"]}
    html = (last.folder or Path()).joinpath("report.html").read_text("utf-8")
    for name in lab.servers:
        assert any(node == name and "/server/db/etcd-" in path for node, path in listed), sorted(listed)
    for (_node, path), entry in listed.items():
        assert path in html and entry["bytes"] is not None and entry["origin"] and "cleanup.yml" in entry["cleanup"]
    assert all(lab.sh(node, f"test -e {path}").rc == 0 for node, path in listed)

    with story.untouched(lab, quiet=[]):
        check = playbook(lab, CLEAN, "--check")
        assert story.outcome(check) == "planned"
        said = {(action["node"], action["what"].split()[1]) for action in story.plan(check)["actions"][:-1]}
        assert said == set(listed)

    newest = max(path for run in runs(lab) for path in run.glob("backup/*/snapshot.db"))
    sound = newest.read_bytes()
    newest.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    damaged = playbook(lab, CLEAN, *confirm(lab))
    assert damaged.rc != 0 and "no longer has the SHA-256" in " ".join(damaged.out.split()), damaged.out
    newest.write_bytes(sound)
    story.stop(lab, lab.servers[2])
    ill = playbook(lab, CLEAN, *confirm(lab))
    assert ill.rc != 0 and "The cluster is not healthy" in " ".join(ill.out.split()), ill.out
    lab.sh(lab.servers[2], f"systemctl enable --now {lab.spec.unit(lab.servers[2])}", 120).ok("back")
    lab.wait_ready(120)
    assert all(lab.sh(node, f"test -e {path}").rc == 0 for node, path in listed)

    before = fingerprint.read(lab)
    run = playbook(lab, CLEAN, *confirm(lab))
    assert story.outcome(run) == "done"
    assert story.planned(run) == story.done(run)
    assert all(lab.sh(node, f"test -e {path}").rc != 0 for node, path in listed)
    journals = tuple(f"/var/lib/rancher/requorum/journal-{name}" for name in ("closed", "cleaned"))
    kinds, alive = ("mode ", "sha256 "), (f"{lab.data_dir}/server/db/etcd/", f"{lab.data_dir}/server/db/snapshots")
    for line in fingerprint.difference(before, fingerprint.read(lab)):
        node, what = line.split(" ", 1)
        path = what.split(" ", 1)[1].rsplit(": ", 1)[0] if what.startswith(kinds) else ""
        if not path.startswith(("/etc/", f"{lab.data_dir}/server/", "/var/lib/rancher/requorum")):
            continue
        gone = any(node == where and path.startswith(old) for where, old in listed)
        parent = any(node == where and old.startswith(f"{path}/") for where, old in listed)
        assert gone or parent or path.startswith((*journals, *alive)) or "-load-balancer.json" in path, line
    assert story.voters(lab) == lab.servers and story.count(lab) == 40
    assert [entry for entry in run.report["kept"] if entry["remove"]] == []
    again = playbook(lab, CLEAN, *confirm(lab))
    assert again.rc == 0 and "There is no old data" in " ".join(again.out.split()), again.out
