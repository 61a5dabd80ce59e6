# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back from a run: what is put back, in which order, and after which point it is refused."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _distro, _node, _plan, _rollback, _turns
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


def record(case: str = "healthy", *verbs: str, before: list[JSON] | None = None) -> _rollback.Record:
    said = {"reset": "one member (r1-1), revision 5; kept: x"}
    actions = [
        {"verb": verb, "node": "r1", "phase": 4, "started": "2026-11-24T20:15:01.000Z", "result": said.get(verb, "ok")}
        for verb in verbs
    ]
    plan = {"case": case, "survivor": "r1"}
    return _rollback.Record(STAMP, plan, actions, {"nodes": healthy() if before is None else before})


def plan(entries: list[JSON], of: _rollback.Record | None, *, only: tuple[str, ...] = ()) -> _plan.Plan:
    ask = _turns.Ask("prod", entries, (), only, {"record": of})
    return _rollback.plan(judged(entries), _distro.DISTROS["rke2"], ask)


def steps(made: _plan.Plan, *phases: int) -> list[str]:
    return [f"{action.node} {action.verb}" for action in made.actions if action.phase in phases]


def journaled(*lines: str, name: str = "r2") -> list[JSON]:
    entries = healthy()
    next(one for one in entries if one["name"] == name)["journal"] = list(lines)
    return entries


def test_certificates_are_put_back_newest_first_while_the_quorum_stands() -> None:
    entries = journaled(LEAF, CRED)
    [back] = _rollback.backs(record(), entries)
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
    [back] = _rollback.backs(record(), entries)
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
    [back] = _rollback.backs(of, entries)
    assert [item.origin for item in back.moved] == [f"{DATA}/server/tls", f"{DATA}/server/db/etcd"]
    made = plan(entries, of)
    assert not made.refusals
    assert steps(made, 3, 4, 5) == ["r1 fence", "r1 revert", "r1 release"]


def test_after_resets_that_were_killed_the_first_kept_datastore_comes_last() -> None:
    entries = killed_after_the_reset()
    entries[0]["files"][f"{DATA}/server/db/etcd-old-1795511700"] = FILE
    [back] = _rollback.backs(record("quorum_lost", "fence"), entries)
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
    assert copy.deepcopy(_rollback.backs(of, entries))[0].start


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
