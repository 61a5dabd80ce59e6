# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CAs are replaced: once, everywhere, finished after a kill, refused where it would cut somebody off."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.action import ca_rotate, node_agent, server_start
from ansible_collections.requorum.cluster.plugins.module_utils import (
    _cas,
    _node,
    _plan,
    _rotate_ca,
    _shared,
    _tls_files,
    _turns,
    _x509,
)
from ansible_collections.requorum.cluster.plugins.module_utils._classify import classify
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._server import Server
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction
from lab.supervisor import pki
from tests.unit import cases, certs
from tests.unit.certs import NOW, Node

SERVERS, HOSTS = ("r1", "r2", "r3"), ("r1", "r2", "r3", "a1")
PIN = "ab" * 32


@dataclass(frozen=True)
class Bundle(certs.Authority):
    """An authority with its roots behind it."""

    file: bytes

    @property
    def pem(self) -> bytes:
        return self.file


@functools.cache
def ending() -> certs.Authorities:
    """They end in 200 days."""
    return certs.authorities("ending", ends=200)


@functools.cache
def following() -> certs.Authorities:
    found = {}
    files = certs.shared(ending())
    for one in _cas.due(certs.bootstrap(ending()), now=NOW, days=365, distro="rke2"):
        crt, key = _cas.issue(one, files[one.path], files[one.key_path])
        found[one.path] = Bundle(pki.load_cert(crt), pki.private_key(key), crt)
    return found


def ask(
    under: Mapping[str, certs.Authorities], held: certs.Authorities, *, links: Mapping[str, Any] | None = None,
    left: tuple[str, ...] = (), **more: Any
) -> _turns.Ask:  # fmt: skip
    """under: the authorities that each host has. held: those in the datastore."""
    known = {"key": "k", "revision": 9, "authorities": certs.bootstrap(held)}
    read = {}
    for number, (name, cas) in enumerate(under.items(), 1):
        node = Node(name, cas, address=f"10.0.0.1{number}", server=name in SERVERS)
        read[name] = node.document(bootstrap=known if node.server else None, clock_skew=0.0)
    journal = {name: ["enabled=enabled"] for name in left}
    entries = [
        {"name": name, "reachable": True, "link": (links or {}).get(name), "journal": journal.get(name, [])}
        for name in HOSTS
    ]
    return _turns.Ask("prod", entries, ("a1",), tls=read, now=float(NOW), **more)


def plan(given: _turns.Ask, *servers: Server, distro: str = "rke2") -> _plan.Plan:
    some = servers or tuple(cases.voting(name, leader=name == "r1") for name in SERVERS)
    return _rotate_ca.plan(classify(some), DISTROS[distro], given)


def everywhere(cas: certs.Authorities) -> dict[str, certs.Authorities]:
    return dict.fromkeys(HOSTS, cas)


def turns(found: _plan.Plan) -> list[str]:
    return list(dict.fromkeys(action.turn for action in found.actions if action.turn))


def verbs(found: _plan.Plan, turn: str) -> list[str]:
    return [action.verb for action in found.actions if action.phase == 4 and action.turn == turn]


def test_nothing_is_done_while_no_authority_ends() -> None:
    assert plan(ask(everywhere(certs.authorities()), certs.authorities())).actions == ()
    assert plan(ask(everywhere(following()), following(), options={"ca_days": "7000"})).actions == ()


def test_all_that_end_are_replaced_once_and_every_host_restarts() -> None:
    found = plan(ask(everywhere(ending()), ending()))
    assert found.refusals == ()
    assert [one["path"] for one in found.successors] == list(_tls_files.AUTHORITIES)
    assert [(action.node, action.verb) for action in found.actions if action.phase == 4 and not action.turn] == [
        ("r1", "issue"),
        ("r1", "swap"),
    ]
    assert turns(found) == ["r2", "r3", "r1", "a1"]
    for name in SERVERS:
        assert verbs(found, name) == ["margin", "yield", "fence", "renew", "start", "serve", "renewed", "release"]
        assert found.renew[name]["services"] == ("rke2-server",)
    assert sum("without `server:`" in action.what for action in found.actions) == 3
    assert verbs(found, "a1") == ["refresh", "agent", "renewed"]
    order = [action.verb for action in found.actions]
    assert order.index("snapshot") < order.index("keep") < order.index("issue") < order.index("fence")
    assert "client-ca, server-ca, request-header-ca, etcd/server-ca, etcd/peer-ca" in str(found.actions)
    assert all(one["name"].startswith("rke2-") and one["signer"] for one in found.successors)


def test_more_days_make_more_of_them_due() -> None:
    assert plan(ask(everywhere(ending()), ending(), options={"ca_days": 100})).actions == ()
    assert plan(ask(everywhere(certs.authorities()), certs.authorities(), options={"ca_days": 4000})).successors


@pytest.mark.parametrize(("own", "steps"), [
    ({"pin": PIN, "token_from": "file"}, ["pin", "restart", "renewed"]),
    ({"pin": "", "token_from": "flag"}, ["refresh", "agent", "renewed"]),
    (None, ["refresh", "agent", "renewed"]),
])  # fmt: skip
def test_an_agent_whose_token_holds_the_hash_of_the_ca_gets_the_new_one(own: Any, steps: list[str]) -> None:
    found = plan(ask(everywhere(ending()), ending(), links={"a1": own}))
    assert found.refusals == ()
    assert verbs(found, "a1") == steps


# --- a run that was killed


@given(st.sets(st.sampled_from(HOSTS)), st.sets(st.sampled_from(SERVERS)))
def test_what_was_saved_is_finished_where_it_is_missing_and_nothing_else_is_made(
    behind: set[str], left: set[str]
) -> None:
    under = {name: ending() if name in behind else following() for name in HOSTS}
    found = plan(ask(under, following(), left=tuple(left)))
    assert found.refusals == () and found.successors == ()
    assert not {action.verb for action in found.actions} & {"issue", "swap"}
    assert set(turns(found)) == behind | left
    for name in behind - {"a1"}:
        done = [verb for verb in verbs(found, name) if verb != "secret"]  # of a listener whose leaf is an old CA's
        assert done[2:6] == ["match", "fence", "restore", "renew"]
        assert verbs(found, name)[-1] == "release"
    for name in left - behind:
        assert verbs(found, name) == ["release"]
    assert verbs(found, "a1") == (["refresh", "agent", "renewed"] if "a1" in behind else [])


def test_a_server_that_it_left_stopped_comes_first() -> None:
    servers = (cases.voting("r1", leader=True), cases.voting("r2"), cases.stopped("r3"))
    found = plan(ask({**everywhere(following()), "r1": ending()}, following()), *servers)
    assert turns(found) == ["r3", "r1"]


def test_the_rest_of_the_agents_get_the_hash_of_what_the_datastore_has() -> None:
    pin = _x509.pin(following()[_rotate_ca.SERVER_CA].pem)
    under = {**everywhere(following()), "a1": ending()}
    for own, steps in ((PIN, ["pin", "restart", "renewed"]), (pin, ["refresh", "agent", "renewed"])):
        found = plan(ask(under, following(), links={"a1": {"pin": own, "token_from": "file"}}))
        assert verbs(found, "a1") == steps


# --- refused


def _one_behind() -> _turns.Ask:
    return ask({**everywhere(ending()), "r2": certs.authorities()}, ending())


def _unread() -> _turns.Ask:
    given = ask(everywhere(ending()), ending())
    for node in given.tls.values():
        node.update(bootstrap=None, bootstrap_unread="no token at hand")  # type: ignore[attr-defined]
    return given


def _of_a_company() -> _turns.Ask:
    given = ask(everywhere(following()), following(), options={"ca_days": 7301})
    known = given.tls["r1"]["bootstrap"]["authorities"][_rotate_ca.SERVER_CA]
    end = "-----END CERTIFICATE-----\n"
    known["text"] = known["text"].split(end)[0] + end
    return given


@pytest.mark.parametrize(("make", "servers", "words"), [
    (_one_behind, (), "r2: not everything there is under the CAs of the datastore"),
    (_of_a_company, (), "is below a root that its file does not hold"),
    (_unread, (), "could not be read. no token at hand"),
    (lambda: ask(everywhere(ending()), ending(), only=("r1",)), (), "New CAs are for all hosts"),
    (lambda: ask(everywhere(ending()), ending(), options={"ca_days": 7300}), (), "each run would make others"),
    (lambda: ask(everywhere(ending()), ending(), links={"a1": {"pin": PIN, "token_from": "flag"}}), (),
     "a1: its token, which holds the hash of the CA, stands on its unit's command line"),
    (lambda: ask(everywhere(ending()), ending()),
     (cases.voting("r1", leader=True), cases.voting("r2"), cases.wiped("r3")), "Not every server works (member_lost)"),
    (lambda: ask(everywhere(certs.authorities("gone", ends=-1)), certs.authorities("gone", ends=-1)), (),
     "has expired: no certificate under it is valid"),
])  # fmt: skip
def test_refusals(make: Callable[[], _turns.Ask], servers: tuple[Server, ...], words: str) -> None:
    found = plan(make(), *servers)
    assert found.actions == ()
    assert any(words in refusal.what for refusal in found.refusals), found.refusals


def test_without_quorum_nothing_is_replaced() -> None:
    servers = (cases.leaderless("r1"), cases.wiped("r2"), cases.wiped("r3"))
    assert plan(ask(everywhere(ending()), ending()), *servers).actions == ()


# --- the actions


def acting(kind: type[PlanAction], folder: Path, answers: list[_node.Done], **fields: Any) -> Any:
    """An action on r1 whose scripts give these answers, and are kept in `calls`."""

    class Acting(kind):  # type: ignore[misc, valid-type]
        settings: ClassVar[dict[str, Any]] = {}

        def __init__(self) -> None:
            self.host, self.turn, self.run_dir, self.vars = "r1", "r1", str(folder), {}
            self._task = SimpleNamespace(check_mode=False, args={})
            self.plan = {"stamp": "s", "servers": [], **fields}
            self.calls: list[dict[str, Any]] = []

        def script(self, name: str, **given: Any) -> _node.Done:
            self.calls.append({"name": name, **given})
            return answers.pop(0)

        def timeout(self, name: str, default: float) -> float:
            return 0.1

        def say(self, text: str) -> None:
            pass

    return Acting()


def shared(cas: certs.Authorities) -> tuple[_shared.File, ...]:
    return tuple(_shared.File(path, content, NOW) for path, content in certs.shared(cas).items())


@pytest.mark.parametrize("wanted", [list(_tls_files.AUTHORITIES), [_rotate_ca.SERVER_CA]])
def test_keys_pass_through_stdin_only(wanted: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ca_rotate._proved, "shared_files", lambda *_: shared(ending()))
    found = plan(ask(everywhere(ending()), ending()))
    new = [one for one in found.successors if one["path"] in wanted]
    action = acting(ca_rotate.ActionModule, tmp_path, [_node.Done(0, "placed=/x\n", "")], successors=new)
    said = action.do_issue()
    (call,) = action.calls
    archive = call.pop("stdin")
    assert archive.count(b"-----BEGIN EC PRIVATE KEY-----") == 2 * len(wanted)
    secrets = [line for line in archive.split(b"\n") if line.startswith(b"MHc")]
    places = [said.encode(), json.dumps(call).encode(), *(path.read_bytes() for path in tmp_path.rglob("*"))]
    assert len(secrets) == 2 * len(wanted) and not [s for s in secrets if any(s in place for place in places)]
    names = {path for one in new for path in (one["path"], one["path"].replace(".crt", ".key"))}
    assert set(json.loads((tmp_path / "successors.json").read_text())) == names


@pytest.mark.parametrize(("purpose", "verbs", "alone"), [
    ("rotate_ca", ["start"], True),
    ("rotate", ["restore", "start"], True),
    ("rotate", ["renew", "start"], False),
])  # fmt: skip
def test_a_server_that_takes_authorities_from_its_datastore_asks_no_other_one(
    purpose: str, verbs: list[str], alone: bool, tmp_path: Path
) -> None:
    """The other one may have the old ones on its disk yet, and would be believed."""
    actions = [{"node": "r1", "verb": verb, "turn": "r1"} for verb in verbs]
    actions.append({"node": "r2", "verb": "restore", "turn": "r2"})
    look = _node.Done(0, "@@ ping 0\n pong\n", "")
    made = acting(server_start.ActionModule, tmp_path, [_node.Done(0, "", ""), look], case="healthy", purpose=purpose,
                  actions=actions)  # fmt: skip
    made.do_start()
    assert made.calls[0]["ROLE"] == ("alone" if alone else "member")


def test_authorities_that_are_not_those_of_the_plan_are_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ca_rotate._proved, "shared_files", lambda *_: shared(certs.authorities()))
    found = plan(ask(everywhere(ending()), ending()))
    action = acting(ca_rotate.ActionModule, tmp_path, [], successors=found.successors)
    with pytest.raises(RequorumError, match="has changed since the plan was made"):
        action.do_issue()
    assert action.calls == []


def looks(folder: Path, monkeypatch: pytest.MonkeyPatch, before: Any, after: Any) -> None:
    """What the datastore holds, first and then; successors.json says what was given to it."""
    given = {
        path: file["sha256"]
        for path, file in certs.bootstrap(following()).items()
        if file != certs.bootstrap(ending())[path]
    }
    (folder / "successors.json").write_text(json.dumps(given))
    answers = iter([{"authorities": before}])
    monkeypatch.setattr(ca_rotate._held, "look", lambda _action: next(answers, {"authorities": after}))


@pytest.mark.parametrize("rc", [0, 1])
def test_the_datastore_says_whether_they_are_in_it(rc: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the program's answer was lost."""
    looks(tmp_path, monkeypatch, certs.bootstrap(ending()), certs.bootstrap(following()))
    action = acting(ca_rotate.ActionModule, tmp_path, [_node.Done(rc, "said=certificates saved to datastore\n", "")])
    said = action.do_swap()
    assert said.startswith("certificates saved to datastore; 10 files of the datastore changed; the CA hash of tokens ")
    assert json.loads((tmp_path / "authorities.json").read_text()) == certs.bootstrap(following())
    agent = acting(node_agent.ActionModule, tmp_path, [])
    assert agent._pin() == _x509.pin(following()[_rotate_ca.SERVER_CA].pem)
    assert agent._pin() in said


def test_a_refusal_of_the_program_is_told_and_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks(tmp_path, monkeypatch, certs.bootstrap(ending()), certs.bootstrap(ending()))
    monkeypatch.setattr(ca_rotate, "LOST_S", 0.1)
    answers = [_node.Done(1, "said=see server log for details\n", ""), _node.Done(0, "x509: unknown authority", "")]
    action = acting(ca_rotate.ActionModule, tmp_path, answers)
    with pytest.raises(RequorumError, match=r"rotate-ca said: see server log for details(.|\n)*unknown authority"):
        action.do_swap()
    assert not (tmp_path / "authorities.json").exists()


def test_another_change_of_the_datastore_is_not_taken_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    after = certs.bootstrap(following()) | {"server/tls/service.key": {"sha256": "0" * 64, "text": None}}
    looks(tmp_path, monkeypatch, certs.bootstrap(ending()), after)
    action = acting(ca_rotate.ActionModule, tmp_path, [_node.Done(0, "said=certificates saved to datastore\n", "")])
    with pytest.raises(RequorumError, match=r"other files than those that were given to it: server/tls/service\.key"):
        action.do_swap()


def test_keys_of_two_certificates_in_one_file(tmp_path: Path) -> None:
    """sh/tls.sh tells the public half of the first key, which belongs to the first certificate."""
    from tests.unit.test_tls_info import read

    node = Node("r1", following(), address="10.0.0.1")
    node.write(tmp_path)
    path = tmp_path / "server/tls/server-ca.key"
    path.write_bytes(path.read_bytes() + certs.private(ec.generate_private_key(ec.SECP256R1())))
    row = next(row for row in read(tmp_path)["files"] if row["path"] == _rotate_ca.SERVER_CA)
    pem = following()[_rotate_ca.SERVER_CA].pem
    assert row["key_id"] == _x509.certificates(pem.decode())[0].key_id
    assert row["sha256"] == hashlib.sha256(pem).hexdigest()


# --- the scripts, on a temporary folder

SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]


def run(shell: str, name: str, root: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    stubs = f"HOME_DIR={root}/home\nfind_distro() {{ DATA=/data PORT=9345 BIN={root}/rke2; }}\n"
    text = (_node.SCRIPTS / "common.sh").read_text() + stubs + (_node.SCRIPTS / f"{name}.sh").read_text()
    return subprocess.run([*shell.split(), "-c", f"STAMP=s\n{text}"], input=stdin, capture_output=True, check=False)


@pytest.mark.parametrize("shell", SHELLS)
def test_they_are_laid_down_for_root_alone(shell: str, tmp_path: Path) -> None:
    files = shared(following())
    done = run(shell, "ca_put", tmp_path, _shared.archive(files))
    folder = tmp_path / "home/s/rotate-ca"
    assert (done.returncode, done.stdout.decode()) == (0, f"placed={folder}\n")
    assert {file.path: (folder / file.path.removeprefix("server/")).read_bytes() for file in files} == {
        file.path: file.content for file in files
    }
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.rglob("*.key"))
    assert run(shell, "ca_put", tmp_path / "other", b"no archive").returncode != 0


@pytest.mark.parametrize("rc", [0, 1])
@pytest.mark.parametrize("shell", SHELLS)
def test_what_the_program_is_asked_and_says(shell: str, rc: int, tmp_path: Path) -> None:
    program = tmp_path / "rke2"
    program.write_text(f'#!/bin/sh\necho "$*" >{tmp_path}/argv\necho one; echo two >&2; exit {rc}\n')
    program.chmod(0o755)
    assert run(shell, "ca_swap", tmp_path).returncode == 1  # nothing was laid down
    run(shell, "ca_put", tmp_path, _shared.archive(shared(following())))
    done = run(shell, "ca_swap", tmp_path)
    assert (done.returncode, done.stdout) == (rc, b"said=two\n")
    words = f"--data-dir /data --server https://127.0.0.1:9345 --path {tmp_path}/home/s/rotate-ca"
    assert (tmp_path / "argv").read_text() == f"certificate rotate-ca {words}\n"
