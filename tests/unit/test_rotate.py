# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans that renew certificates: what is due, in which order, what is refused; and never is a CA renewed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _plan, _rotate, _tls_files, _turns
from ansible_collections.requorum.cluster.plugins.module_utils._classify import UNLED, classify
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from ansible_collections.requorum.cluster.plugins.module_utils._server import Server
from tests.unit import cases, certs
from tests.unit.certs import NOW, Node

NAMES = ("r1", "r2", "r3")
SECRET = "secret/kube-system/rke2-serving"
Change = Callable[[dict[str, Node]], None]


@functools.cache
def ours() -> certs.Authorities:
    return certs.authorities()


@functools.cache
def theirs() -> certs.Authorities:
    return certs.authorities("theirs")


def nodes(*, ends: int = 365) -> dict[str, Node]:
    servers = {name: Node(name, ours(), address=f"10.0.0.1{name[1:]}", ends=ends) for name in NAMES}
    return {**servers, "a1": Node("a1", ours(), address="10.0.0.21", server=False, ends=ends)}


def ask(made: dict[str, Node], *, skew: dict[str, float] | None = None, **more: Any) -> _turns.Ask:
    known = {"key": "k", "revision": 9, "authorities": certs.bootstrap(ours())}
    read = {
        name: node.document(bootstrap=known if node.server else None, clock_skew=(skew or {}).get(name, 0.0))
        for name, node in made.items()
    }
    return _turns.Ask("prod", (), ("a1",), tls=read, now=float(NOW), **more)


def healthy(*, leader: str = "r1") -> tuple[Server, ...]:
    return tuple(cases.voting(name, leader=name == leader) for name in NAMES)


def plan(made: dict[str, Node], servers: tuple[Server, ...] = (), **more: Any) -> _plan.Plan:
    return _rotate.plan(classify(servers or healthy()), DISTROS["rke2"], ask(made, **more))


def turns(found: _plan.Plan) -> list[str]:
    return list(dict.fromkeys(action.turn for action in found.actions if action.turn))


def verbs(found: _plan.Plan, turn: str) -> list[str]:
    return [action.verb for action in found.actions if action.turn == turn]


def test_nothing_is_due() -> None:
    assert plan(nodes()).actions == ()


def test_one_leaf_that_ends_soon_takes_one_turn() -> None:
    made = nodes()
    made["r2"].issue("server/tls/etcd/client.crt", ends=10)
    found = plan(made)
    assert turns(found) == ["r2"]
    assert verbs(found, "r2") == [
        *("margin", "yield", "match", "fence", "renew", "start", "serve", "renewed", "release")
    ]
    assert found.renew["r2"]["services"] == ("etcd",)
    assert found.renew["r2"]["files"] == ("server/tls/etcd/client.crt",)
    assert next(action for action in found.actions if action.verb == "renew").what.endswith("anew: etcd")
    assert [action.phase for action in found.actions if action.turn] == [4] * 9


def test_an_ended_serving_secret_is_dropped_once_before_the_server_stops() -> None:
    made = nodes()
    for name in NAMES:
        made[name].issue(SECRET, ends=-1)
    found = plan(made)
    assert turns(found) == ["r1"]
    assert verbs(found, "r1")[2:6] == ["match", "secret", "fence", "renew"]
    assert found.renew["r1"]["services"] == ("rke2-server",)
    assert [j["path"] for j in found.certificates if j["state"] != "ok"] == [SECRET]


def test_servers_come_first_and_the_leader_last() -> None:
    found = plan(nodes(ends=10), healthy(leader="r2"))
    assert turns(found) == ["r1", "r3", "r2", "a1"]
    assert verbs(found, "a1") == ["refresh", "agent", "renewed"]


def test_a_server_that_a_killed_run_left_stopped_comes_before_all() -> None:
    servers = (cases.voting("r1"), cases.voting("r2"), cases.stopped("r3"))
    found = plan(nodes(ends=10), servers)
    assert turns(found)[0] == "r3"
    assert "start" in verbs(found, "r3")
    assert "start" in verbs(plan(nodes(), servers), "r3")  # also with nothing left to renew


def test_everything_is_renewed_when_asked() -> None:
    found = plan(nodes(), options={"cert_all": True})
    assert turns(found) == ["r2", "r3", "r1", "a1"]
    assert found.renew["r1"]["services"] == (_rotate.ALL,)
    leaves = {file.path for file in _tls_files.files("rke2") if file.kind == "leaf"}
    assert set(found.renew["r1"]["files"]) == {path for path in leaves if path.startswith("server/")}
    assert plan(nodes(), options={"cert_all": "false"}).actions == ()


def test_hosts_that_are_not_named_are_left_alone() -> None:
    assert turns(plan(nodes(ends=10), only=("r3",))) == ["r3"]


def test_a_drifted_authority_is_restored_where_it_drifted() -> None:
    made = nodes()
    made["r3"].files |= certs.shared(theirs(), "theirs")
    found = plan(made)
    assert turns(found) == ["r3"]
    assert verbs(found, "r3")[3:5] == ["fence", "restore"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"skew": {"r2": 900.0}}, "The clocks differ: by the controller's r2 is 900 s ahead"),
        ({"skew": {"r2": -90.0}}, "r2 is 90 s behind"),
    ],
)
def test_clocks_are_the_only_refusal_when_they_differ(more: dict[str, Any], words: str) -> None:
    found = plan(nodes(ends=-3), **more)
    assert found.actions == ()
    assert [words in refusal.what for refusal in found.refusals] == [True]


def test_an_authority_that_has_ended_is_explained() -> None:
    cas = certs.authorities("old", ends=-1)
    made = {name: Node(name, cas, address=f"10.0.0.1{name[1:]}") for name in NAMES}
    read = {name: node.document(bootstrap=None) for name, node in made.items()}
    found = _rotate.plan(classify(healthy()), DISTROS["rke2"], _turns.Ask("prod", (), (), tls=read, now=float(NOW)))
    assert found.actions == ()
    assert len(found.refusals) == len(_tls_files.AUTHORITIES)
    assert all("has expired" in refusal.what for refusal in found.refusals)
    assert all("A CA has ended" in refusal.next for refusal in found.refusals)


def test_what_could_not_be_read_is_not_in_order() -> None:
    made = nodes()
    del made["r2"]
    found = plan(made)
    assert found.actions == ()
    assert [refusal.what for refusal in found.refusals] == [
        "The certificates of r2 could not be read: no file was found."
    ]


def test_without_quorum_nothing_is_rotated() -> None:
    servers = (cases.leaderless("r1"), cases.wiped("r2"), cases.wiped("r3"))
    assert plan(nodes(ends=-3), servers).actions == ()


def test_emptying_matches_before_it_stops_and_takes_only_whom_it_names() -> None:
    found = _rotate.plan_remove(classify(healthy()), DISTROS["k3s"], ask(nodes(), only=("r1",)))
    assert verbs(found, "r1") == [
        *("margin", "yield", "match", "fence", "empty", "start", "serve", "renewed", "release")
    ]
    assert turns(found) == ["r1"]


def test_a_recovery_takes_expired_leaves_away_before_each_start() -> None:
    case = classify((cases.leaderless("r1"), cases.wiped("r2"), cases.wiped("r3")))
    found = _rotate.hindering(ask(nodes(ends=-3)))
    needs = _rotate.needed(found)
    made = _plan.make_plan(case, DISTROS["rke2"], cluster="prod", agents=(), renew=needs)
    made = _rotate.worded(made, needs, found)
    order = [f"{action.node} {action.verb}" for action in made.actions]
    assert order.index("r1 fence") < order.index("r1 renew") < order.index("r1 reset")
    for name in ("r2", "r3"):
        assert order.index(f"{name} fence") < order.index(f"{name} renew") < order.index(f"{name} rejoin")
    assert set(made.renew) == set(NAMES)
    assert _rotate.hindering(ask(nodes(ends=-3), skew={"r1": 4000.0})) == ()


@pytest.mark.parametrize(("distro", "before"), [("rke2", []), ("k3s", ["r1 fence"])])
def test_expired_leaves_explain_members_that_do_not_reach_each_other(distro: str, before: list[str]) -> None:
    """Without a steady gateway, one of them is stopped first and saved from its disk."""
    case = classify(tuple(cases.leaderless(name) for name in NAMES))
    assert [refusal.what for refusal in case.refusals] == [UNLED]
    assert _rotate.explained(case, {}) == case
    needs = _rotate.needed(_rotate.hindering(ask(nodes(ends=-3))))
    case = _rotate.explained(case, needs)
    assert case.refusals == ()
    made = _plan.make_plan(case, DISTROS[distro], cluster="prod", agents=(), renew=needs)
    order = [f"{action.node} {action.verb}" for action in made.actions]
    for name in NAMES:
        assert order.index(f"{name} fence") < order.index(f"{name} renew") < order.index(f"{name} start")
    (saved,) = (order.index(entry) for entry in order if entry.endswith(" snapshot"))
    assert order[:saved] == before
    assert all(order.count(f"{name} fence") == 1 for name in NAMES)


def test_authorities_are_put_back_before_an_intact_member_starts_without_them() -> None:
    """Somebody has emptied server/tls; a start would make new CAs."""
    made = nodes()
    for path in certs.shared(ours()):
        del made["r1"].files[path]
    case = classify((cases.stopped("r1"), cases.stopped("r2"), cases.wiped("r3")))
    needs = _rotate.needed(_rotate.hindering(ask(made)))
    found = _plan.make_plan(
        case, DISTROS["k3s"], cluster="prod", agents=(), restore=[name for name, need in needs.items() if need.restore]
    )
    order = [f"{action.node} {action.verb}" for action in found.actions]
    assert order.index("r1 fence") < order.index("r1 restore") < order.index("r1 start")
    assert "r2 restore" not in order


PATHS = sorted(file.path for file in _tls_files.files("rke2") if file.kind == "leaf" and file.service)
BAD = st.dictionaries(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(PATHS)),
    st.sampled_from(["soon", "expired", "foreign", "lost"]),
    max_size=6,
)


@given(bad=BAD)
def test_no_authority_is_ever_taken_away_and_no_bad_leaf_stays(bad: dict[tuple[str, str], str]) -> None:
    made = nodes()
    for (name, path), how in bad.items():
        if how == "lost":
            made[name].files.pop(path)
        elif how == "foreign":
            made[name].issue(path, cas=theirs())
        else:
            made[name].issue(path, ends=10 if how == "soon" else -10)
    found = plan(made)
    for need in found.renew.values():
        assert not set(need["files"]) & {*_tls_files.AUTHORITIES, *_tls_files.SHARED}
        assert all(not path.endswith("-ca.crt") for path in need["files"])
    optional = {file.path for file in _tls_files.files("rke2") if file.optional}
    for (name, path), how in bad.items():
        if (how == "lost" and path in optional) or (path == SECRET and name != "r1"):
            continue  # the Secret is one for all servers; the first one is asked
        assert "start" in verbs(found, name)
        if how != "lost" and not path.startswith("agent/"):
            assert found.renew[name]["secret"] if path == SECRET else path in found.renew[name]["files"]
