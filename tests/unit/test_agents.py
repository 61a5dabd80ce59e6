# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an agent needs, by what was seen of it; and the plan of a cluster's agents."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _agents, _link, _turns
from ansible_collections.requorum.cluster.plugins.module_utils._classify import classify
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from ansible_collections.requorum.cluster.plugins.module_utils._link import Link
from tests.unit.cases import leaderless, off, silent, voting, wiped

LIVING = ("10.0.0.11", "10.0.0.12")
KNOWN = _agents.Servers(
    endpoints=frozenset(LIVING),
    living=frozenset(LIVING),
    all=frozenset({*LIVING, "10.0.0.13"}),
    served=frozenset({"ca"}),
    pins=frozenset({"a" * 64}),
    tokens=frozenset({"token"}),
)
FINE = Link(
    unit="active",
    kill="process",
    node="a1",
    ready=True,
    clock=1000,
    age=4.0,
    server="https://10.0.0.11:9345",
    server_from="file",
    ping=True,
    served="ca",
    pin="a" * 64,
    token="token",
    token_from="file",
    lists={"/lb.json": LIVING},
)
STOPPED = replace(FINE, unit="failed", ready=False, age=None)
LOST = replace(STOPPED, server="https://10.0.0.99:9345", ping=False, served="", lists={"/lb.json": ["10.0.0.99"]})


@pytest.mark.parametrize(
    ("seen", "steps"),
    [
        (FINE, ""),
        (replace(FINE, pin=""), ""),  # a short token
        (replace(FINE, lists={}), ""),
        (replace(FINE, server="https://10.0.0.13:9345", ping=False), ""),  # a server of the cluster that is down now
        (replace(FINE, server="https://lb.example:9345"), ""),  # an address in front of the servers
        (replace(FINE, served=""), ""),  # not answered is not another CA
        (replace(FINE, token=""), ""),
        (STOPPED, "restart"),
        (replace(FINE, unit="activating"), "restart"),
        (replace(FINE, ready=False), "restart"),
        (replace(FINE, age=41.0), "restart"),
        (replace(FINE, age=None), "restart"),
        (replace(FINE, lists={"/lb.json": [*LIVING, "10.0.0.13"]}), "unlist restart"),  # dead: the API left it out
        (replace(FINE, lists={"/lb.json": None}), "unlist restart"),  # cut off in the middle
        (replace(FINE, pin="b" * 64), "pin restart"),
        (replace(FINE, server="https://10.0.0.99:9345", ping=False), "point unlist restart"),
        (replace(FINE, served="other"), "point unlist restart"),
        (LOST, "point unlist restart"),
        (replace(LOST, lists={}), "point restart"),
        (replace(LOST, server=""), "point unlist restart"),
        (replace(STOPPED, server="https://10.0.0.13:9345", ping=False), "point unlist restart"),
        (replace(STOPPED, refused=True), "admit restart"),
        (replace(FINE, refused=True), ""),  # an old line of its log
        (replace(LOST, pin="b" * 64, refused=True), "admit point pin unlist restart"),
    ],
)
def test_needs(seen: Link, steps: str) -> None:
    need = _agents.need("a1", seen, KNOWN)
    assert " ".join(step.removeprefix("agent ") for step in need.steps) == steps
    assert bool(need.why) == bool(steps)
    assert not need.refusals


@pytest.mark.parametrize(
    ("seen", "steps"),
    [
        (FINE, "admit"),  # it goes on until its next start, which would be refused
        (replace(STOPPED), "admit restart"),
        (replace(STOPPED, refused=True), "admit restart"),
        (replace(LOST, pin="b" * 64), "admit point pin unlist restart"),
    ],
)
def test_a_stored_password_that_is_not_its_own(seen: Link, steps: str) -> None:
    need = _agents.need("a1", seen, KNOWN, refused=True)
    assert " ".join(step.removeprefix("agent ") for step in need.steps) == steps
    assert "node password" in need.why[0]


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (replace(STOPPED, kill="control-group"), "a restart would stop its pods"),
        (replace(STOPPED, kill="mixed"), "a restart would stop its pods"),  # SIGKILL for what is left in the cgroup
        (replace(LOST, server_from="flag"), "stands on its unit's command line"),
        (replace(FINE, pin="b" * 64, token_from="flag"), "stands on its unit's command line"),
        (replace(STOPPED, token="other"), "not one of this cluster"),
    ],
)
def test_what_a_person_has_to_do(seen: Link, words: str) -> None:
    (refusal,) = _agents.need("a1", seen, KNOWN).refusals
    assert words in refusal.what and refusal.what.startswith("a1: ")
    assert "requorum_only" in refusal.next


def test_an_agent_that_could_not_ask_in_time_is_not_restarted_where_the_api_sees_it() -> None:
    seen, known = replace(FINE, ready=False, age=None), replace(KNOWN, ready=frozenset({"a1"}))
    assert _agents.need("a1", seen, known).steps == ()
    assert _agents.need("a1", replace(seen, unit="activating"), known).steps == ("agent restart",)
    assert _agents.need("a1", seen, KNOWN).steps == ("agent restart",)


def test_servers_that_disagree_about_their_ca_pin_nothing() -> None:
    known = replace(KNOWN, pins=frozenset({"b" * 64, "c" * 64}))
    assert _agents.need("a1", FINE, known).steps == ()


@given(st.builds(replace, st.just(FINE), unit=st.sampled_from(["active", "failed", ""]), ping=st.booleans(),
                 pin=st.sampled_from(["", "a" * 64, "b" * 64]), refused=st.booleans(), ready=st.booleans(),
                 server=st.sampled_from(["", "https://10.0.0.11:9345", "https://10.0.0.99:9345"]),
                 lists=st.sampled_from([{}, {"/lb": None}, {"/lb": ["10.0.0.99"]}])))  # fmt: skip
def test_every_repair_ends_with_one_restart(seen: Link) -> None:
    steps = _agents.need("a1", seen, KNOWN).steps
    assert not steps or (steps[-1] == "agent restart" and len(set(steps)) == len(steps))
    assert steps or seen.reports


def test_look_of_an_agent() -> None:
    text = json.dumps({"ServerURL": "https://10.0.0.11:9345", "ServerAddresses": ["10.0.0.11:9345", "[fd00::1]:9345"]})
    out = (
        "node=a1\nclock=1764000010\nunit=active\nkill=process\nready=True\nrenewed=2025-11-24T16:00:00.000000Z\n"
        "server=https://10.0.0.11:9345\nserver_from=file\nping=pong\nserved=ca\npin=\ntoken_from=file\ntoken=token\n"
        f"list=/lb.json|{text}\nlist=/cut.json|{text[:30]}\n"
    )
    seen = Link(**_link.read(out))
    assert seen.reports and seen.age == 10.0 and not seen.refused
    assert seen.lists == {"/lb.json": ["10.0.0.11", "fd00::1"], "/cut.json": None}
    assert Link(**json.loads(json.dumps(asdict(seen)))) == seen
    assert not Link(**_link.read("")).reports


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://10.0.0.1:9345", "10.0.0.1"),
        ("https://lb.example", "lb.example"),
        ("https://[fd00::1]:9345/x", "fd00::1"),
        ("[fd00::1]", "fd00::1"),
        ("10.0.0.1:6443", "10.0.0.1"),
    ],
)
def test_host_of(address: str, host: str) -> None:
    assert _link.host_of(address) == host


def entry(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "host": name, "reachable": True, "distro": "rke2", **more}


def ask(links: dict[str, Link], **more: Any) -> _turns.Ask:
    servers = [
        entry(
            f"r{n}",
            api={"endpoints": [f"10.0.0.1{k}" for k in (1, 2, 3)]},
            token={"served": "ca", "pin": "a" * 64, "in-force": "token"},
        )
        for n in (1, 2, 3)
    ]
    agents = [entry(name, link=asdict(link)) for name, link in links.items()]
    return _turns.Ask("prod", [*servers, *agents], list(links), **more)


THREE = classify([voting("r1"), voting("r2"), voting("r3")])


def turns(made: Any) -> list[str]:
    return [f"{action.id} {action.node} {action.verb} {action.turn}".strip() for action in made.actions]


def test_only_agents_that_need_something_are_touched() -> None:
    links = {"a1": FINE, "a2": STOPPED, "a3": replace(STOPPED, refused=True), "a4": FINE}
    made = _agents.plan(THREE, DISTROS["rke2"], ask(links))
    assert turns(made) == [
        "3.1 r1 snapshot",
        "3.2 r1 keep",
        "3.3 r2 keep",
        "3.4 r3 keep",
        "4.1 a2 restart a2",
        "4.2 r1 password a3",
        "4.3 a3 restart a3",
        "5.1 r1 save",
        "5.2 r1 verify",
    ]
    assert made.anchors == {"a3": "r1"} and made.phases[3] == "AGENTS"
    assert made.aim.startswith("Agents report to living servers (2 of 4 needed it).")


def test_nothing_to_do_and_only() -> None:
    assert _agents.plan(THREE, DISTROS["rke2"], ask({"a1": FINE})).actions == ()
    made = _agents.plan(THREE, DISTROS["rke2"], ask({"a1": STOPPED, "a2": STOPPED}, only=["a2"]))
    assert [line for line in turns(made) if line.startswith("4.")] == ["4.1 a2 restart a2"]
    assert _agents.plan(THREE, DISTROS["rke2"], ask({})).actions == ()


def test_without_an_api_server_and_without_quorum_it_is_refused() -> None:
    asked = ask({"a1": STOPPED})
    blind = replace(asked, entries=[{**e, "api": None} for e in asked.entries])
    assert "No API server" in _agents.plan(THREE, DISTROS["rke2"], blind).refusals[0].what
    lost = classify([leaderless("r1"), wiped("r2"), off("r3")])
    made = _agents.plan(lost, DISTROS["rke2"], asked)
    assert made.actions == () and "quorum does not stand" in made.refusals[-1].what


def test_a_server_that_is_silent_is_not_living_but_known() -> None:
    case = classify([voting("r1"), voting("r2"), silent("r3")])
    asked = ask({})
    entries = [{**e, "api": {"endpoints": LIVING}, "reachable": e["name"] != "r3"} for e in asked.entries]
    known = _agents.servers(case, entries)
    assert known.living == set(LIVING) and "10.0.0.13" in known.all
