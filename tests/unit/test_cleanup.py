# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What removes old data: when it may, what it may, and that nothing else is ever touched."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.action import node_clean
from ansible_collections.requorum.cluster.plugins.module_utils import (
    _aside,
    _cleanup,
    _distro,
    _node,
    _plan,
    _rollback_parts,
    _turns,
)
from ansible_collections.requorum.cluster.plugins.module_utils._cleanup import Proof
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _earlier_runs, _upkept
from requorum import cli, output, turns
from tests.unit.runs import JSON, dead
from tests.unit.test_repair import healthy, judged
from tests.unit.test_scripts import COMMON, part, run, shells

RUN, OTHER = "20261124T201500Z", "20261125T080000Z"
HOME, DATA = "/var/lib/rancher/requorum", "/var/lib/rancher/rke2"
STORE = f"{DATA}/server/db/etcd-requorum-{RUN}"
RESET = f"{DATA}/server/db/etcd-old-1795511600"
FLAG = f"{HOME}/{OTHER}/leftovers/reset-flag"
GOOD = Proof("/shelf/prod/20261126T000000Z/backup/r1/snapshot.db", 81734)


def item(path: str, run: str = RUN, size: int | None = 2048) -> JSON:
    return {"path": path, "origin": f"{DATA}/server/db/etcd", "bytes": size, "run": run}


def entries(**aside: list[JSON]) -> list[JSON]:
    found = healthy()
    for entry in found:
        entry["aside"] = aside.get(entry["name"], [])
    return found


def plan(
    of: list[JSON], *, proof: Proof | None = GOOD, only: tuple[str, ...] = (), wanted: str = ""
) -> tuple[_plan.Plan, dict[str, str]]:
    ask = _turns.Ask("prod", of, (), only, {"proof": proof, "run": wanted})
    return _cleanup.plan(judged(of), _distro.DISTROS["rke2"], ask), _cleanup.paths(ask)


LYING = {"r1": [item(RESET)], "r2": [item(STORE), item(FLAG, OTHER, 0)]}


def test_every_path_is_an_action_that_cannot_be_taken_back() -> None:
    made, paths = plan(entries(**LYING))
    assert [(a.id, a.node, a.verb, a.destructive) for a in made.actions] == [
        ("3.1", "r1", "clean", True),
        ("3.2", "r2", "clean", True),
        ("3.3", "r2", "clean", True),
        ("4.1", "r1", "verify", False),
    ]
    assert paths == {"3.1": RESET, "3.2": STORE, "3.3": FLAG}
    assert all(paths[a.id] in a.what for a in made.actions[:3]) and "2.0 kB" in made.actions[0].what
    assert "4.1 kB: 3 paths are removed for good" in made.loss and GOOD.name in made.loss
    assert made.document()["point_of_no_return"] == "The first removal." and made.phases == _cleanup.PHASES


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"wanted": RUN}, [RESET, STORE]),
        ({"wanted": OTHER}, [FLAG]),
        ({"only": ("r2",)}, [STORE, FLAG]),
        ({"wanted": RUN, "only": ("r1",)}, [RESET]),
        ({"wanted": "20250101T000000Z"}, []),
    ],
)
def test_one_run_or_one_host(options: JSON, left: list[str]) -> None:
    made, paths = plan(entries(**LYING), **options)
    assert list(paths.values()) == left
    assert [a.verb for a in made.actions] == ["clean"] * len(left) + ["verify"] * bool(left)
    assert not made.refusals


@pytest.mark.parametrize(
    ("proof", "what"),
    [
        (None, "No proved snapshot of this cluster lies off its nodes."),
        (Proof("/shelf/x.db", fault="it has changed"), "The newest snapshot off the nodes does not count"),
    ],
)
def test_nothing_goes_without_a_proved_snapshot_off_the_nodes(proof: Proof | None, what: str) -> None:
    made, _paths = plan(entries(**LYING), proof=proof)
    assert not made.actions and what in made.refusals[0].what and "backup.yml" in made.refusals[0].next
    assert not plan(entries(), proof=proof)[0].refusals  # there is nothing that could go


def test_nothing_goes_while_the_cluster_is_not_healthy() -> None:
    of = entries(**LYING)
    made, _paths = plan([*of[:2], dead("r3")])
    assert not made.actions and "The cluster is not healthy" in made.refusals[0].what


def test_nothing_goes_beside_a_run_that_was_cut() -> None:
    of = entries(**LYING)
    of[1]["journal"] = ["enabled=enabled"]
    made, _paths = plan(of)
    assert not made.actions and made.refusals[0].what == "A run has not come to its end on r2."


def test_what_no_run_names_so_stays_and_is_told() -> None:
    made, paths = plan(entries(r1=[item(RESET), item(f"{DATA}/server/db/etcd")]))
    assert list(paths.values()) == [RESET]
    assert f"Left as they are, since no run gives such names: r1:{DATA}/server/db/etcd." in made.loss
    made, paths = plan(entries(r1=[item("/etc")]))
    assert not paths and not made.actions and "r1:/etc" in made.reason


OURS = (
    STORE,
    f"{STORE}-1",
    f"{STORE}.cleaning",
    RESET,
    f"{DATA}/server/tls-1795511600",
    f"{DATA}/agent/tls-1795511600",
    f"{DATA}/server/cred-requorum-{RUN}",
    f"{DATA}/server/tls/etcd-requorum-{RUN}",
    FLAG,
    f"{HOME}/{RUN}/pod-manifests/etcd.yaml",
)
HOSTILE = (
    "/",
    "/etc",
    DATA,
    f"{DATA}/",
    f"{DATA}/server",
    f"{DATA}/server/db/etcd",
    f"{DATA}/server/tls",
    f"{DATA}/server/db/snapshots",
    f"{DATA}/server/db/etcd-old-",
    f"{DATA}/server/db/etcd-old-1x",
    f"{DATA}/server/db/etcd-old-1795511600/member",
    f"{DATA}/agent/containerd",
    f"{DATA}/agent/containerd-requorum-latest",
    HOME,
    f"{HOME}/journal-closed",
    f"{HOME}/{RUN}",
    f"{HOME}/{RUN}/",
    f"{HOME}/{RUN}/../../rke2",
    f"{HOME}/{RUN}/./x",
    f"{HOME}/{RUN}//x",
    f"{DATA}/server/db/etcd-old-1795511600/../etcd",
    f"{DATA}/server/../../../../home/x-requorum-{RUN}",
    f"{STORE} /etc",
    f"{STORE}\n/etc",
    f"{HOME}/{RUN}/*",
    f"{HOME}/{RUN}/$(reboot)",
    f"/home/etcd-requorum-{RUN}",
    f"relative/etcd-requorum-{RUN}",
)


@pytest.mark.parametrize("path", OURS)
def test_names_that_runs_give(path: str) -> None:
    assert _aside.removable(path, DATA)


@pytest.mark.parametrize("path", HOSTILE)
def test_names_that_no_run_gives(path: str) -> None:
    assert not _aside.removable(path, DATA)


def test_what_a_node_says_of_it() -> None:
    journal = [f"moved={DATA}/server/db/etcd|{RESET}", f"run={RUN}|{RESET}"]
    text = f"4096\t{DATA}/server/db/etcd|{RESET}\n\t{DATA}/server/db/etcd|{STORE}\n7\t{DATA}/x|{RESET}.cleaning\nnoise"
    assert _aside.read(text, journal) == [
        item(RESET, size=4096),
        {"path": f"{RESET}.cleaning", "origin": f"{DATA}/x", "bytes": 7, "run": RUN},
        item(STORE, size=None),
    ]
    assert _aside.read(f"1\ta|{RESET}", [])[0]["run"] == ""
    [one] = _aside.found(
        [{"name": "r1", "reachable": True, "aside": [item(STORE)]}, {"name": "r2", "reachable": False}]
    )
    assert (asdict(one)["node"], one.command) == ("r1", f"rm -rf {STORE}")


def test_a_rollback_knows_nothing_of_what_is_being_removed() -> None:
    """The name of a datastore that a killed cleanup has half removed is none that a reset gives."""
    assert _rollback_parts.RESET_KEPT.fullmatch(RESET) and not _rollback_parts.RESET_KEPT.fullmatch(f"{RESET}.cleaning")


# --- the newest snapshot off the nodes


def shelf(tmp_path: Path, stamp: str = "20261126T000000Z", *, uid: str = "u1", proved: bool = True) -> Path:
    folder = tmp_path / "prod" / stamp
    snapshot = folder / "backup/r1/snapshot.db"
    snapshot.parent.mkdir(parents=True)
    snapshot.write_bytes(b"snapshot")
    plan = {"cluster": "prod", "stamp": stamp, "saver": "r1", "system_uid": uid, "purpose": "backup"}
    digest = hashlib.sha256(b"snapshot").hexdigest()
    proof = {"checks": [{"name": "x", "ok": proved}], "bytes": 8, "sha256": digest, "revision": 7}
    (folder / "plan.json").write_text(json.dumps(plan))
    (folder / "backup.json").write_text(json.dumps(proof))
    return snapshot


def newest(tmp_path: Path) -> Proof | None:
    state = {"cluster": "prod", "nodes": [], "kubernetes": {"system_uid": "u1"}}
    return _earlier_runs.proof(str(tmp_path / "prod"), state)


def test_the_newest_snapshot_off_the_nodes_is_hashed_again(tmp_path: Path) -> None:
    assert newest(tmp_path) is None
    shelf(tmp_path, "20261125T000000Z")
    snapshot = shelf(tmp_path)
    shelf(tmp_path, "20261127T000000Z", uid="u2")  # of another cluster that had the name
    assert newest(tmp_path) == Proof(str(snapshot), 7)
    snapshot.write_bytes(b"snapshoT")
    found = newest(tmp_path)
    assert found and "no longer has the SHA-256" in found.fault
    snapshot.write_bytes(b"snap")
    found = newest(tmp_path)
    assert found and "was not proved, or has changed" in found.fault


def test_one_on_a_node_of_the_cluster_itself_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf(tmp_path)
    monkeypatch.setattr(_upkept, "_is_node", lambda state: True)
    found = newest(tmp_path)
    assert found and "lies on a node of the cluster itself" in found.fault


# --- the action


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (_node.Done(0, f"cleaned={RESET}\n", ""), f"removed: {RESET}"),
        (_node.Done(0, f"gone={RESET}\n", ""), "unchanged: it was gone"),
        (_node.Done(1, "", "it is a link"), ""),
    ],
)
def test_an_action_removes_its_own_path(done: _node.Done, said: str) -> None:
    action = object.__new__(node_clean.ActionModule)
    action.host, action.plan, action.action = "r1", {"clean": {"3.1": RESET, "3.2": STORE}, "agents": []}, {"id": "3.1"}
    asked: list[bytes] = []

    def script(_name: str, *, stdin: bytes, **_more: object) -> _node.Done:
        asked.append(stdin)
        return done

    action.script = script
    if said:
        assert action.do_clean() == said
    else:
        with pytest.raises(RequorumError, match="it is a link"):
            action.do_clean()
    assert asked == [f"{RESET}\n".encode()]


# --- the commands


@pytest.mark.parametrize(
    ("words", "playbook", "options"),
    [
        ("cleanup -i x", "cleanup", {}),
        (f"cleanup -i x --of {RUN} --only r2 --confirm prod", "cleanup", {"run": RUN}),
        ("rollback -i x", "rollback", {}),
        (f"rollback -i x --undo {RUN} --accept-loss 81734", "rollback", {"run": RUN, "accept_loss": "81734"}),
        ("rollback -i x --powered-off r3", "rollback", {"powered_off": ["r3"]}),
    ],
)
def test_commands(words: str, playbook: str, options: JSON, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, JSON]] = []

    def play(name: str, _arguments: object, given: JSON) -> output.Result:
        seen.append((name, given))
        return output.Result([], {}, [], 0)

    monkeypatch.setattr(turns, "run", play)
    assert cli.main(words.split()) == 0
    assert seen == [(playbook, options)]
    assert cli.main(["rollback", "-i", "x", "--accept-loss", "all"]) == 2


# --- the script


class Host:
    """Folders of a host below a temporary one."""

    def __init__(self, root: Path) -> None:
        self.home, self.data = root / "requorum", root / "rke2"
        self.store = self.data / f"server/db/etcd-requorum-{RUN}"
        self.live = self.data / "server/db/etcd/member/snap/db"
        for path in (self.live, self.store / "member/snap/db", self.home / RUN / "leftovers/reset-flag"):
            path.parent.mkdir(parents=True)
            path.write_text("data")
        self.flag = self.home / RUN / "leftovers/reset-flag"
        self.journal("moved", self.store, self.flag)

    def journal(self, key: str, *paths: Path | str, name: str = "journal-closed") -> None:
        with (self.home / name).open("a") as file:
            file.writelines(f"{key}=/from|{path}\n" for path in paths)

    def clean(self, shell: str, *paths: Path | str, rc: int = 0, more: str = "") -> str:
        head = f"{COMMON}\nHOME_DIR={self.home}\nfind_distro() {{ DATA={self.data}; }}\n{more}\n"
        text = head + (_node.SCRIPTS / "clean.sh").read_text()
        return run(shell, text, stdin="".join(f"{path}\n" for path in paths).encode(), rc=rc)

    def files(self) -> dict[str, str]:
        """Everything but the journals."""
        return {
            str(path): path.read_text()
            for folder in (self.home, self.data)
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not path.name.startswith("journal")
        }


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@shells
def test_what_stands_in_the_journal_goes_and_nothing_else(shell: str, host: Host) -> None:
    (host.data / "agent").mkdir()
    (host.store / "link").symlink_to(host.live.parent)  # what a link leads to stays
    assert host.clean(shell, host.store, host.flag) == f"cleaned={host.store}\ncleaned={host.flag}\n"
    assert not host.store.exists() and not host.flag.parent.exists() and (host.home / RUN).is_dir()
    assert list(host.files()) == [str(host.live)]
    assert (host.home / "journal-closed").read_text() == ""
    assert f"cleaned={host.store}\n" in (host.home / "journal-cleaned").read_text()
    assert host.clean(shell, f"{host.store}.cleaning") == f"gone={host.store}.cleaning\n"
    host.clean(shell, host.store, rc=1)  # it stands in no journal any more


@shells
def test_a_cleanup_that_was_killed_goes_on(shell: str, host: Host) -> None:
    """It was renamed, and stands in both journals; a rollback finds no half of it under its own name."""
    doomed = host.store.rename(f"{host.store}.cleaning")
    host.journal("moved", doomed, name="journal-cleaned")
    assert host.clean(shell, doomed) == f"cleaned={doomed}\n"
    assert not doomed.exists()

    host.store.mkdir()  # killed before the rename, beside the rest of another one
    Path(f"{host.store}.cleaning").mkdir()
    assert host.clean(shell, host.store) == f"cleaned={host.store}\n"
    assert not host.store.exists() and not doomed.exists()


@shells
@pytest.mark.parametrize("path", HOSTILE)
def test_the_node_itself_refuses_what_no_run_gives(shell: str, host: Host, path: str) -> None:
    """Also when it stands in the journal, as somebody may have written it there."""
    here = path.replace(HOME, str(host.home)).replace(DATA, str(host.data))
    host.journal("moved", *here.split("\n"))
    before = host.files()
    done = host.clean(shell, here, rc=1)
    before = {name: text for name, text in before.items() if "\n" not in path or not name.startswith(str(host.store))}
    assert {name: text for name, text in host.files().items() if name in before} == before
    assert "\n" in path or "cleaned" not in done


@shells
def test_what_no_journal_names_stays(shell: str, host: Host) -> None:
    stranger = host.data / "server/db/etcd-old-1795511600"
    shutil.copytree(host.store, stranger)
    before = host.files()
    host.clean(shell, stranger, rc=1)
    (host.home / "journal").write_text(f"moved=/from|{stranger}\n")  # of a run that has not ended
    host.clean(shell, stranger, rc=1)
    assert host.files() == before


@shells
def test_links_are_not_followed(shell: str, host: Host, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(host.store, other)
    shutil.rmtree(host.store)
    host.store.symlink_to(other)
    host.clean(shell, host.store, rc=1)
    host.store.unlink()

    shutil.move(host.flag.parent, tmp_path / "elsewhere")
    host.flag.parent.symlink_to(tmp_path / "elsewhere")
    host.clean(shell, host.flag, rc=1)
    assert (other / "member/snap/db").exists() and (tmp_path / "elsewhere/reset-flag").exists()


@shells
def test_a_data_directory_behind_a_link_is_one(shell: str, host: Host, tmp_path: Path) -> None:
    host.data.rename(tmp_path / "disk")
    host.data.symlink_to(tmp_path / "disk")
    assert host.clean(shell, host.store) == f"cleaned={host.store}\n"
    assert host.live.exists()


@shells
def test_mounts_and_open_datastores_stay(shell: str, host: Host) -> None:
    before = host.files()
    for where in (host.store, host.store / "member"):
        host.clean(
            shell,
            host.store,
            rc=1,
            more=part("common", "mounted").replace("/proc/self/mountinfo", str(_mounts(host, where))),
        )
    with (host.store / "member/snap/db").open():
        host.clean(shell, host.store, rc=1)
    assert host.files() == before
    host.clean(shell, host.store)


def _mounts(host: Host, where: Path) -> Path:
    path = host.home.parent / "mountinfo"
    path.write_text(f"36 35 98:0 / {where} rw,noatime master:1 - ext4 /dev/sdb rw\n")
    return path
