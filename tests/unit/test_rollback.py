# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back from a run: what is put back, in which order, and after which point it is refused."""

from __future__ import annotations

import copy
import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.action import node_revert
from ansible_collections.requorum.cluster.plugins.module_utils import (
    _distro,
    _names,
    _node,
    _plan,
    _rollback,
    _rollback_beyond,
    _turns,
)
from ansible_collections.requorum.cluster.plugins.module_utils._rollback_parts import Record, backs
from tests.unit.runs import JSON, dead
from tests.unit.test_repair import FILE, healthy, judged, stopped
from tests.unit.test_scripts import COMMON, run, shells

STAMP = "20261124T201500Z"
DATA, OURS = "/var/lib/rancher/rke2", f"/var/lib/rancher/requorum/{STAMP}"
LEAF = f"moved={DATA}/server/tls/client-admin.crt|{OURS}/tls/client-admin.crt"
CRED = f"moved={DATA}/server/cred/admin.kubeconfig|{OURS}/cred/admin.kubeconfig"
STORE = f"moved={DATA}/server/db/etcd|{DATA}/server/db/etcd-requorum-{STAMP}"
LATER = f"moved={DATA}/server/db/etcd|{DATA}/server/db/etcd-requorum-20261124T210000Z"
OLD = f"{DATA}/server/db/etcd-old-1795511600"


def record(case: str = "healthy", *verbs: str, before: list[JSON] | None = None) -> Record:
    said = {"reset": "one member (r1-1), revision 5; kept: x"}
    actions = [
        {"verb": verb, "node": "r1", "phase": 4, "started": "2026-11-24T20:15:01.000Z", "result": said.get(verb, "ok")}
        for verb in verbs
    ]
    plan = {"case": case, "survivor": "r1"}
    return Record(STAMP, plan, actions, {"nodes": healthy() if before is None else before})


def plan(
    entries: list[JSON], of: Record | None, *, only: tuple[str, ...] = (), accept: str = "", now: float = 0.0,
    off: tuple[str, ...] = (),
) -> _plan.Plan:  # fmt: skip
    ask = _turns.Ask("prod", entries, (), only, {"record": of, "accept_loss": accept}, now)
    case = judged(entries)
    servers = tuple(replace(server, powered_off=server.name in off) for server in case.servers)
    return _rollback.plan(replace(case, servers=servers), _distro.DISTROS["rke2"], ask)


def steps(made: _plan.Plan, *phases: int) -> list[str]:
    return [f"{action.node} {action.verb}" for action in made.actions if action.phase in phases]


def journaled(*lines: str, name: str = "r2") -> list[JSON]:
    entries = healthy()
    next(one for one in entries if one["name"] == name)["journal"] = list(lines)
    return entries


def test_certificates_are_put_back_newest_first_while_the_quorum_stands() -> None:
    entries = journaled(LEAF, CRED)
    [back] = backs(record(), entries)
    assert [item.origin.rsplit("/", 1)[1] for item in back.moved] == ["admin.kubeconfig", "client-admin.crt"]
    assert back.start and not back.datastore
    made = plan(entries, record())
    assert steps(made, 4) == ["r2 margin", "r2 yield", "r2 revert", "r2 serve", "r1 settle"]
    assert steps(made, 5)[0] == "r2 release" and made.actions[-1].verb == "verify"
    assert not made.refusals and made.aim


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("enabled=enabled",),
        (LEAF.replace(STAMP, "20260101T000000Z"),),  # of another run
        (LEAF, LEAF.replace("moved=", "undone=")),
        (f"moved={DATA}/agent/pod-manifests/etcd.yaml|{OURS}/pod-manifests/etcd.yaml",),
        (f"moved={DATA}/server/db/etcd/tombstone|{OURS}/leftovers/tombstone",),
    ],
)
def test_nothing_to_put_back(lines: tuple[str, ...]) -> None:
    made = plan(journaled(*lines), record())
    assert made.actions == () and made.refusals == ()
    assert "left nothing aside" in made.reason


def test_no_run() -> None:
    assert plan(healthy(), None).refusals[0].what == "There is no run that could be rolled back."


def test_old_authorities_are_not_put_back_beside_the_new_ones_of_the_datastore() -> None:
    done = record()
    made = plan(journaled(LEAF), replace(done, plan={**done.plan, "purpose": "rotate_ca"}))
    assert made.actions == () and "has replaced CAs" in made.refusals[0].what


def test_the_datastore_of_a_member_that_was_removed_stays_aside() -> None:
    entries = journaled(STORE, LEAF)
    made = plan(entries, record("member_lost", "remove", "rejoin"))
    assert made.actions == () and "of one that was removed" in made.refusals[0].what


@pytest.mark.parametrize(
    ("lines", "later", "wanted"),
    [
        ((LEAF, LEAF.replace("moved=", "undone="), "enabled=enabled"), [], ["r2 release"]),
        (("enabled=enabled",), ["r2"], ["r2 release"]),
        ((LATER, "enabled=enabled"), [], ["r2 release"]),
        (("enabled=enabled",), ["r3"], []),  # the run itself goes on there, or ended so
        ((LEAF, CRED, CRED.replace("moved=", "undone="), "enabled=enabled"), [], ["r2 margin", "r2 yield"]),
    ],
)
def test_a_rollback_that_was_killed_is_finished(lines: tuple[str, ...], later: list[str], wanted: list[str]) -> None:
    of = replace(record(), later=[{"verb": "revert", "node": name} for name in later])
    assert [step for step in steps(plan(journaled(*lines), of), 4, 5) if step.startswith("r2")][: len(wanted)] == wanted


def test_a_unit_that_a_killed_rollback_has_not_started_yet_is_started() -> None:
    entries = journaled(LEAF, LEAF.replace("moved=", "undone="), "enabled=enabled")
    entries[1]["unit"]["ActiveState"] = "inactive"
    [back] = backs(record(), entries)
    assert back.start and not back.done


def killed_after_the_reset(**state: object) -> list[JSON]:
    """The survivor has a new datastore of one member beside its old one; the others do not answer."""
    survivor = stopped("r1")
    survivor["files"] |= {OLD: FILE, f"{DATA}/server/tls-1795511601": FILE}
    survivor["datastore"]["summary"] |= {"revision": 5, **state}
    return [survivor, dead("r2"), dead("r3")]


def test_a_reset_is_undone_before_the_new_cluster_has_written() -> None:
    entries = killed_after_the_reset()
    of = record("quorum_lost", "fence", "reset")
    [back] = backs(of, entries)
    assert [item.origin for item in back.moved] == [f"{DATA}/server/tls", f"{DATA}/server/db/etcd"]
    made = plan(entries, of)
    assert not made.refusals
    assert steps(made, 3, 4, 5) == ["r1 fence", "r1 revert", "r1 release"]


def test_after_resets_that_were_killed_the_first_kept_datastore_comes_last() -> None:
    entries = killed_after_the_reset()
    entries[0]["files"][f"{DATA}/server/db/etcd-old-1795511700"] = FILE
    [back] = backs(record("quorum_lost", "fence"), entries)
    assert [item.kept for item in back.moved if item.datastore][-1] == OLD


@pytest.mark.parametrize("verb", ["start", "rejoin"])
def test_after_the_first_start_the_old_datastore_stays_aside(verb: str) -> None:
    of = record("quorum_lost", "fence", "reset", verb)
    assert "has passed its point of no return: r1 was started" in plan(killed_after_the_reset(), of).refusals[0].what
    later = replace(record("quorum_lost", "fence", "reset"), later=of.actions[-1:])
    assert plan(killed_after_the_reset(), later).refusals


def test_a_datastore_that_has_gone_on_since_the_reset_stays() -> None:
    """The run was killed while it started the server: nothing of it is recorded, but it has written."""
    of = record("quorum_lost", "fence", "reset")
    assert "is at 9 now" in plan(killed_after_the_reset(revision=9), of).refusals[0].what


def test_servers_that_were_only_fenced_are_started_again() -> None:
    entries, of = [stopped("r1"), dead("r2"), dead("r3")], record("quorum_lost", "fence")
    assert steps(plan(entries, of), 4) == ["r1 revert"]
    assert copy.deepcopy(backs(of, entries))[0].start


# --- behind the point of no return

NOW = 1795551300.0
"""2026-11-24T20:15:00Z, when the run began, by the clock of the controller."""
REACHED = "81734"


def recovered(*, lost: tuple[str, ...] = ()) -> tuple[list[JSON], Record]:
    """r1 was the survivor, r2 had a damaged datastore, r3 none. lost: servers that do not answer by now."""
    entries = [dead(entry["name"]) if entry["name"] in lost else entry for entry in healthy()]
    for entry in entries:
        if entry["reachable"]:
            entry["etcd"]["status"]["revision"] = int(REACHED) - (entry["name"] == "r3")
    if "r1" not in lost:
        entries[0]["files"] |= {OLD: FILE}
    if "r2" not in lost:
        entries[1]["journal"] = [STORE, f"store={STAMP} {'a' * 64}"]
        entries[1]["aside"] = [lying(STORE)]
    of = record("quorum_lost", "fence", "reset", "start", "rejoin")
    before = [{**stopped("r1"), "unit": {"ActiveState": "activating"}}, dead("r2"), dead("r3")]
    of = replace(of, actions=[*of.actions, {**of.actions[-1], "node": "r3"}], before={"nodes": before})
    stores = {"r1": "intact", "r2": "damaged", "r3": "absent"}
    servers = [{"name": name, "store": store, "cluster_id": None, "revision": 79000} for name, store in stores.items()]
    return entries, replace(of, plan={**of.plan, "servers": servers, "reason": "Quorum is lost."})


def lying(line: str) -> JSON:
    """What the node says of old data that a line of its journal names."""
    origin, _bar, path = line.removeprefix("moved=").partition("|")
    return {"path": path, "origin": origin, "bytes": 1, "run": STAMP}


def offer(reached: str, stamp: str, *, acted: bool = False, accepted: str = "") -> JSON:
    return {"stamp": stamp, "undoes": STAMP, "reached": int(reached), "acted": acted, "accepted": accepted}


def test_the_refusal_says_what_would_be_lost_and_which_number_allows_it() -> None:
    entries, of = recovered()
    made = plan(entries, of)
    [refusal] = made.refusals
    assert not made.actions and made.lost == int(REACHED) - 5
    for words in (
        "has passed its point of no return: r1 was started at 2026-11-24T20:15:01",
        f"revision 5 to {REACHED}, {int(REACHED) - 5} writes",
        "The old datastore of r1 ends at revision 79000.",
    ):
        assert words in refusal.what
    assert f"requorum_accept_loss={REACHED} allows it" in refusal.next
    assert refusal.what.count("given up") == 1


def test_by_that_number_all_servers_are_fenced_before_any_datastore_comes_back() -> None:
    entries, of = recovered()
    made = plan(entries, of, accept=REACHED)
    assert not made.refusals
    assert steps(made, 3) == ["r1 snapshot", "r1 keep", "r2 keep", "r3 keep"]
    assert steps(made, 4) == [
        *("r1 fence", "r2 fence", "r3 fence", "r1 prove"),
        *("r1 revert", "r2 revert", "r3 revert"),
    ]
    assert steps(made, 5) == ["r1 release", "r2 release", "r3 release"]
    assert "without a quorum: Quorum is lost." in made.aim and "given up" in made.loss
    assert "There is none" not in made.document()["point_of_no_return"]
    back = {one.node: one for one in backs(of, entries, judged(entries).servers)}
    store = f"{DATA}/server/db/etcd"
    assert [(item.origin, item.kept) for item in back["r3"].moved] == [(store, "")]  # only aside: it had none
    assert [item.kept for item in back["r1"].moved] == [OLD] and back["r2"].store == "a" * 64
    assert not back["r1"].off and not back["r3"].off
    assert (back["r1"].start, back["r2"].start, back["r3"].start) == (True, False, False)


@pytest.mark.parametrize("how", ["moved by a later run", "cleaned", "removed by hand"])
@pytest.mark.parametrize("accept", ["", REACHED])
def test_a_server_whose_old_datastore_is_gone_is_never_started_without_it(how: str, accept: str) -> None:
    entries, of = recovered()
    r2 = {"moved by a later run": [LATER], "cleaned": [], "removed by hand": [STORE]}[how]
    entries[1]["journal"], entries[1]["aside"] = r2, [lying(LATER)] if r2 == [LATER] else []
    entries[1]["cluster_id"] = entries[0].get("cluster_id")
    servers = [{**one, "store": "intact"} if one["name"] == "r2" else one for one in of.plan["servers"]]
    rejoin = {**of.actions[-1], "node": "r2"}
    of = replace(of, plan={**of.plan, "servers": servers}, actions=[*of.actions, rejoin])
    made = plan(entries, of, accept=accept)
    assert not made.actions
    assert "The old datastore of r2 is not at hand" in made.refusals[0].what


def test_a_datastore_that_a_killed_rollback_has_just_put_back_is_not_gone() -> None:
    entries, of = recovered()
    entries[1]["aside"] = []
    assert "is gone" in plan(entries, of, accept=REACHED).refusals[0].what
    entries[1]["journal"].append(STORE.replace("moved=", "undoing="))
    assert not plan(entries, of, accept=REACHED).refusals


def test_a_host_without_the_program_is_passed_over() -> None:
    entries, of = recovered()
    entries[2] |= {"program": None, "datastore": None, "etcd": None}
    assert "r3" not in {one.node for one in backs(of, entries, judged(entries).servers) if one.moved}


@pytest.mark.parametrize(("left", "wanted"), [(["enabled=enabled"], ["r2 revert"]), ([], [])])
def test_a_fence_in_which_the_run_was_killed_is_undone(left: list[str], wanted: list[str]) -> None:
    """It recorded nothing, so that only the node tells of it."""
    entries = journaled(*left)
    entries[1]["unit"] = {"ActiveState": "inactive", "UnitFileState": "disabled"}
    of = record()
    of = replace(of, plan={**of.plan, "actions": [{"verb": "fence", "node": "r2"}]})
    assert [f"{one.node} revert" for one in backs(of, entries) if one.start] == wanted


def test_an_empty_host_becomes_one_again() -> None:
    """What its join has made goes aside; what it had before stays."""
    entries, of = recovered()
    for files, more in (({}, ["tls", "cred", "token"]), ({f"{DATA}/server/tls": FILE}, [])):
        bare = {**stopped("r3"), "files": files, "unit": {"UnitFileState": "disabled"}}
        of = replace(of, before={"nodes": [*of.before["nodes"][:2], bare]})
        back = {one.node: one for one in backs(of, entries, judged(entries).servers)}
        assert back["r3"].off
        assert [(item.origin, item.kept) for item in back["r3"].moved] == [
            (f"{DATA}/server/{name}", "") for name in ("db/etcd", *more)
        ]


def test_the_path_of_a_datastore_that_is_not_told() -> None:
    entries, of = recovered()
    entries[2]["datastore"]["path"] = None
    back = {one.node: one for one in backs(of, entries, judged(entries).servers)}
    assert [item.origin for item in back["r3"].moved] == [f"{DATA}/server/db/etcd"]


def test_a_unit_that_a_run_has_disabled_is_enabled_again() -> None:
    entries, of = recovered()
    cut = {**stopped("r1"), "unit": {"UnitFileState": "disabled"}, "journal": ["enabled=enabled"]}
    of = replace(of, before={"nodes": [cut, *of.before["nodes"][1:]]})
    back = {one.node: one for one in backs(of, entries, judged(entries).servers)}
    assert not back["r1"].off


@pytest.mark.parametrize(
    ("accept", "rollbacks", "allowed"),
    [
        ("81000", [], False),
        ("81000", [offer("81000", "20261124T201500Z")], True),
        ("81000", [offer("81001", "20261124T201500Z")], False),
        ("81000", [offer("81000", "20261124T190000Z")], False),  # more than an hour ago
        ("81000", [offer("81000", "20261124T190000Z", acted=True, accepted="81000")], True),  # it has begun with it
        ("81000", [offer("81000", "20261124T190000Z", accepted="81000")], False),
        ("yes", [], False),
        ("0", [], False),
    ],
)
def test_only_a_number_that_was_shown(accept: str, rollbacks: list[JSON], allowed: bool) -> None:
    entries, of = recovered()
    made = plan(entries, replace(of, rollbacks=rollbacks), accept=accept, now=NOW + 60)
    assert bool(made.actions) == allowed
    if not allowed:
        assert (
            f"requorum_accept_loss={accept} is not what a refusal of the last hour has shown" in made.refusals[0].what
        )
        assert f"requorum_accept_loss={REACHED} allows it" in made.refusals[0].next


@pytest.mark.parametrize("given", ["81734", [81734], ["81734"]])
def test_a_number_as_variables_come(given: object) -> None:
    options = _names.read({"options": {"accept_loss": given}})["options"]
    assert _rollback_beyond.accepted(options) == "81734"
    assert _rollback_beyond.accepted({}) == _rollback_beyond.accepted({"accept_loss": []}) == ""


def test_no_number_allows_what_cannot_be_read() -> None:
    entries, of = recovered()
    for entry in entries:
        entry["etcd"]["status"], entry["datastore"]["summary"] = None, None
    made = plan(entries, of, accept="0")
    assert not made.actions and "cannot be read" in made.refusals[0].next


@pytest.mark.parametrize(
    ("lost", "off", "what"),
    [
        (("r3",), (), "r3 does not answer. A member of the new cluster"),
        (("r2", "r3"), ("r2", "r3"), "Most servers are off."),
        (("r3",), ("r3",), ""),
    ],
)
def test_no_member_of_the_new_cluster_may_go_on(lost: tuple[str, ...], off: tuple[str, ...], what: str) -> None:
    entries, of = recovered(lost=lost)
    made = plan(entries, of, accept=REACHED, off=off)
    assert what in " ".join(refusal.what for refusal in made.refusals)
    assert bool(made.actions) != bool(what)
    if not what:
        assert "r3" not in {action.node for action in made.actions}


def test_all_servers_go_back_together() -> None:
    entries, of = recovered()
    made = plan(entries, of, accept=REACHED, only=("r1",))
    assert not made.actions and made.refusals[0].where == "requorum_only"


def test_a_rollback_that_was_killed_behind_the_point_goes_on_with_all_servers() -> None:
    """r1 has its old datastore back and runs, r3's new one is aside; only r2 is left, and nothing may answer it."""
    entries, of = recovered()
    later = "20261124T210000Z"
    del entries[0]["files"][OLD]
    entries[0]["journal"] = [LATER, f"undone={DATA}/server/db/etcd|{OLD}", "enabled=enabled"]
    entries[2]["journal"] = [LATER, "enabled=enabled"]
    of = replace(of, rollbacks=[offer(REACHED, later, acted=True, accepted=REACHED)])
    made = plan(entries, of, accept=REACHED, now=NOW + 90000)
    assert steps(made, 4)[:4] == ["r1 fence", "r2 fence", "r3 fence", "r1 prove"]
    assert steps(made, 3) == []  # the first one has saved it
    back = {one.node: one for one in backs(of, entries, judged(entries).servers)}
    assert not back["r1"].moved and not back["r3"].moved and back["r2"].datastore


def test_a_server_that_gets_nothing_back_is_not_forgotten_by_a_killed_rollback() -> None:
    entries, of = recovered()
    del entries[0]["files"][OLD]
    entries[0]["journal"] = [LATER, f"undone={DATA}/server/db/etcd|{OLD}", "enabled=enabled"]
    entries[1]["journal"] = [STORE, LATER, STORE.replace("moved=", "undone="), "enabled=enabled"]
    of = replace(of, rollbacks=[offer(REACHED, "20261124T210000Z", acted=True, accepted=REACHED)])
    made = plan(entries, of, accept=REACHED)
    assert steps(made, 4)[:4] == ["r1 fence", "r2 fence", "r3 fence", "r1 prove"]
    back = {one.node: one for one in backs(of, entries, judged(entries).servers)}
    assert [item.kept for item in back["r3"].moved] == [""] and not back["r1"].moved and not back["r2"].moved
    anew = replace(of, later=[{"verb": "reset", "node": "r1", "started": "2026-11-24T22:00:00.000Z"}])
    assert not any(one.datastore for one in backs(anew, entries, judged(entries).servers))


def test_what_has_changed_since_the_backup_is_told() -> None:
    kept = {"/a": "1", "/b": "2", "/c": "3"}
    assert _rollback.compared(kept, {"/a": "1", "/b": "x", "/d": "4"}) == (1, ["/b", "/c (gone)", "/d (new)"])
    assert _rollback.compared(kept, dict(kept)) == (3, [])
    store = f"{DATA}/server/db/etcd"
    inside = (f"{DATA}/server/tls/a.crt", f"{DATA}/server/cred/passwd", "/etc/rancher/rke2/config.yaml.d/9.yaml")
    assert all(_rollback.in_scope(path, store) for path in (*inside, "/etc/rancher/node/password"))
    outside = (f"{store}/name", f"{OURS}/token", "/oem/90_custom.yaml", "/etc/rancher/rke2/rke2.yaml")
    assert not any(_rollback.in_scope(path, store) for path in outside)


@pytest.mark.parametrize(
    ("config", "store", "said", "warns"),
    [
        ("token", "store=same\n", "datastore bit by bit as before; 2 certificates, credentials and files", False),
        ("other", "store=same\n", "1 certificates, credentials and files of configuration as before; not as", True),
        ("token", "", "put back: a; 2 certificates", False),
    ],
)
def test_the_proof_is_told_by_hashes(config: str, store: str, said: str, warns: bool, tmp_path: Path) -> None:
    """Of the node before its unit starts, against the backup of the run that is undone."""
    kept = tmp_path / STAMP / "backup/r1/files.tar"
    kept.parent.mkdir(parents=True)
    inside = {f"{DATA}/server/tls/a.crt": b"crt", "/etc/rancher/rke2/config.yaml": b"token", f"{OURS}/token": b"x"}
    with tarfile.open(kept, "w") as tar:
        for name, data in inside.items():
            member = tarfile.TarInfo(name[1:])
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    now = {f"{DATA}/server/tls/a.crt": b"crt", "/etc/rancher/rke2/config.yaml": config.encode()}
    sums = "".join(f"sum={hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in now.items())
    action = object.__new__(node_revert.ActionModule)
    moved = [{"origin": f"{DATA}/server/db/etcd", "kept": OLD}]
    back = {"node": "r1", "moved": moved, "start": True, "store": "a" * 64}
    action.host, action.run_dir = "r1", str(tmp_path / "later")
    action.plan = {"back": [back], "undoes": STAMP, "stamp": "later", "agents": [], "actions": []}
    given: dict[str, object] = {}

    def script(_name: str, **options: object) -> _node.Done:
        given.update(options)
        return _node.Done(0, f"undone=a|b\n{store}{sums}unit=active\n", "")

    action.script = script
    result = action.do_revert()
    assert said in result and result.startswith("warning: ") == warns
    assert (given["STORE"], given["SUMS"]) == ("a" * 64, "yes")


@shells
def test_the_script_puts_back_and_keeps_what_lay_there(shell: str, tmp_path: Path) -> None:
    tls, ours = tmp_path / "tls", tmp_path / "ours"
    (tls / "etcd").mkdir(parents=True)
    (ours / "old").mkdir(parents=True)
    (tls / "a.crt").write_text("new")
    (ours / "old/a.crt").write_text("old")
    (ours / "old/etcd").mkdir()
    (ours / "old/etcd/ca.crt").write_text("old")
    head = f"""{COMMON}
find_distro() {{ UNIT=unit; AGENT=agent; DB={tmp_path}/db; CONFIG={tmp_path}/config; }}
systemctl() {{ echo "$1" >>{tmp_path}/calls; }}
timeout() {{ shift; "$@"; }}
HOME_DIR={ours}
STAMP=now
AGENT_ROLE=no
START=yes
STORE=
SUMS=no
"""
    script = (_node.SCRIPTS / "revert.sh").read_text()
    pairs = f"{tls}/etcd|{ours}/old/etcd\n{tls}/a.crt|{ours}/old/a.crt\n{tls}/b.crt|{ours}/old/b.crt\n"
    out = run(shell, head + script, stdin=pairs.encode())
    assert (tls / "a.crt").read_text() == (tls / "etcd/ca.crt").read_text() == "old"
    assert (ours / f"now/rolled-back{tls}/a.crt").read_text() == "new"
    assert (tls / "etcd-requorum-now").is_dir()
    assert f"gone={ours}/old/b.crt" in out
    journal = (ours / "journal-closed").read_text().splitlines()
    assert [line for line in journal if line.startswith("undone=")] == [f"undone={p}" for p in pairs.split("\n")[:2]]
    assert "start" in (tmp_path / "calls").read_text()
    again = run(shell, head + script, stdin=pairs.encode())
    assert again.count("gone=") == 3 and (tls / "a.crt").read_text() == "old"


@shells
def test_the_script_knows_the_datastore_again(shell: str, tmp_path: Path) -> None:
    """By the hash that was taken when it was stopped; else nothing starts. Of two old ones the first comes last."""
    db, ours = tmp_path / "server/db", tmp_path / "ours"
    for name, text in (("etcd", "new"), ("etcd-old-2", "between"), ("etcd-old-1", "first")):
        (db / name / "member/snap").mkdir(parents=True)
        (db / name / "member/snap/db").write_text(text)
    ours.mkdir()
    (db / "reset-flag").touch()
    (tmp_path / "server/tls").mkdir()
    (tmp_path / "server/tls/ca.crt").write_text("ca")
    head = f"""{COMMON}
find_distro() {{ UNIT=unit; DB={db}; SERVER={tmp_path}/server; TLS=$SERVER/tls; CONFIG={tmp_path}/config; }}
systemctl() {{ echo "$1" >>{tmp_path}/calls; }}
timeout() {{ shift; "$@"; }}
etcd_runs() {{ false; }}
HOME_DIR={ours}
STAMP=now
AGENT_ROLE=no
START=yes
SUMS=yes
"""
    script = (_node.SCRIPTS / "revert.sh").read_text()
    pairs = f"{db}/etcd|{db}/etcd-old-2\n{db}/etcd|{db}/etcd-old-1\n".encode()
    hashed = run(shell, f"{COMMON}\nstore_sum {db}/etcd-old-1").strip()
    refused = head + "STORE=other\n" + script
    lost = f"{db}/etcd|{db}/etcd-old-3\n".encode()
    for _again in range(2):  # what is refused once is refused again
        run(shell, refused, stdin=pairs, rc=1)
        run(shell, head + "STORE=\n" + script, stdin=lost, rc=1)
        assert "start" not in (tmp_path / "calls").read_text().split()
        kept = {path.parents[2].name: path.read_text() for path in db.glob("*/member/snap/db")}
        assert kept == {"etcd": "new", "etcd-old-2": "between", "etcd-old-1": "first"}

    out = run(shell, head + f"STORE={hashed}\n" + script, stdin=pairs)
    kept = {path.parents[2].name: path.read_text() for path in db.glob("*/member/snap/db")}
    assert kept == {"etcd": "first", "etcd-requorum-now": "new", "etcd-requorum-now-1": "between"}
    assert "store=same" in out and "start" in (tmp_path / "calls").read_text().split()
    assert not (db / "reset-flag").exists() and (ours / "now/reset-flag").exists()
    assert f"  {tmp_path}/server/tls/ca.crt" in next(line for line in out.split("\n") if line.startswith("sum="))

    # Killed between the move and its line in the journal.
    journal = ours / "journal-closed"
    journal.write_text("".join(line for line in journal.read_text().splitlines(True) if "undone=" not in line))
    out = run(shell, head + f"STORE={hashed}\n" + script, stdin=f"{db}/etcd|{db}/etcd-old-1\n".encode())
    assert "store=same" in out and f"undone={db}/etcd|{db}/etcd-old-1" in journal.read_text().splitlines()

    out = run(shell, head + "STORE=\n" + script, stdin=f"{db}/etcd|\n".encode())  # one that had none before
    assert not (db / "etcd").exists() and f"moved={db}/etcd|{db}/etcd-requorum-now-2" in out


@shells
def test_the_journal_names_what_resets_have_moved_aside(shell: str, tmp_path: Path) -> None:
    """Also those of a run that was killed beside its reset; never what lay there before."""
    db, tls = tmp_path / "db", tmp_path / "tls"
    for path in (db / "etcd-old-99", db / "etcd-old-100", db / "etcd-old-x", tmp_path / "tls-101", tmp_path / "tls-98"):
        path.mkdir(parents=True)
    text = (
        f"{COMMON}\nHOME_DIR={tmp_path}; DB={db}; SERVER={tmp_path}; TLS={tls}\nnote_resets {STAMP}; note_resets later"
    )
    run(shell, text)
    assert not (tmp_path / "journal").exists()  # no reset was begun
    (tmp_path / "journal").write_text("resetting=100\n")
    run(shell, text)
    old, mine = f"{db}/etcd-old-100", f"{tmp_path}/tls-101"
    assert (tmp_path / "journal").read_text().splitlines()[1:] == [
        *(f"moved={db}/etcd|{old}", f"run={STAMP}|{old}"),
        *(f"moved={tls}|{mine}", f"run={STAMP}|{mine}"),
    ]
