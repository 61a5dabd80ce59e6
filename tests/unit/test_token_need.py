# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which token a recovery needs, who gets it, and whether a newer one is put back."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _classify, _plan, _restore, _token_need
from ansible_collections.requorum.cluster.plugins.module_utils._catalog import Row, Stored
from ansible_collections.requorum.cluster.plugins.module_utils._distro import DISTROS
from tests.unit import cases
from tests.unit.test_tokens import NEW_KEY, OLD_KEY, host, token

JSON = dict[str, Any]
LOST = (cases.leaderless("r1"), cases.wiped("r2"), cases.damaged("r3"))
VERSION = "v1.34.3+k3s1"
KEPT = {"key": OLD_KEY, "form": "full", "authority": "", "place": "/root/prod/1/backup/r1/files.tar"}


def chosen(*keys: str, known: bool = True) -> Row:
    stored = Stored("controller", "", "/kept.db", 100, 1_764_000_000, 90, bootstrap=keys if known else None)
    return Row(stored, "usable", "the token opens it")


def hosts(*found: JSON) -> JSON:
    return {one["name"]: one for one in found}


def agent(key: str) -> JSON:
    return host("a1", key, server=False)


def server(name: str, in_force: str, *held: str, **more: Any) -> JSON:
    """A server whose etcd does not run; `held` are tokens that lie somewhere on it."""
    given = {"tokens": [token(key, f"/on/{name}/token") for key in (in_force, *held) if key], "live": False}
    return host(name, in_force, **{"keys": [NEW_KEY], **given, **more})


def need(found: JSON, row: Row | None = None, kept: tuple[JSON, ...] = (), **more: Any) -> _token_need.Need:
    case = _classify.classify(more.pop("servers", LOST))
    if row:
        case = _restore.with_snapshot(case, row)
    return _token_need.need(case, {"hosts": found, "kept": kept}, chosen=row, version=more.get("version", VERSION))


def plan(found: JSON, row: Row | None = None, kept: tuple[JSON, ...] = (), **more: Any) -> _plan.Plan:
    servers = more.pop("servers", LOST)
    case = _classify.classify(servers)
    if row:
        case = _restore.with_snapshot(case, row)
    wanted = need(found, row, kept, servers=servers, **more)
    given = {"cluster": "prod", "agents": ["a1"], "chosen": row, "tokens": wanted, "refused": ["r2", "r3", "a1"]}
    return _plan.make_plan(case, DISTROS["k3s"], **given)  # type: ignore[arg-type]


def steps(made: _plan.Plan, *verbs: str) -> list[str]:
    return [f"{action.id} {action.node} {action.verb}" for action in made.actions if action.verb in verbs]


@pytest.mark.parametrize(
    ("found", "row"),
    [
        ({}, None),
        (hosts(server("r1", NEW_KEY)), None),
        (hosts(server("r1", "", keys=None)), None),  # nothing was read: BACKUP proves it
        (hosts(server("r1", NEW_KEY)), chosen(NEW_KEY)),
        (hosts(server("r1", NEW_KEY)), chosen(NEW_KEY, OLD_KEY)),  # a rotation that was cut off
    ],
)
def test_nothing_is_needed(found: JSON, row: Row | None) -> None:
    wanted = need(found, row)
    assert (wanted.key, dict(wanted.put), wanted.back, wanted.refusals) == ("", {}, "", ())


LOST_ON_R1 = server("r1", "")


@pytest.mark.parametrize(
    ("found", "kept", "place"),
    [
        (hosts(LOST_ON_R1, server("r2", NEW_KEY)), (), "r2, /on/r2/token"),
        (hosts(LOST_ON_R1, server("r2", "", NEW_KEY), agent(NEW_KEY)), (), "r2, /on/r2/token"),
        (hosts(LOST_ON_R1), ({**KEPT, "key": NEW_KEY},), f"controller, {KEPT['place']}"),
        (hosts(LOST_ON_R1, agent(NEW_KEY)), (), "a1, /etc/rancher/k3s/config.yaml: token"),
        (
            hosts(server("r1", "", tokens=[token(NEW_KEY, "Secret fleet-local/local-rke-state on disk: serverToken")])),
            (),
            "r1, Secret fleet-local/local-rke-state on disk: serverToken",
        ),
        (hosts(server("r1", OLD_KEY), server("r2", NEW_KEY)), (), "r2, /on/r2/token"),  # r1 has the one of before
    ],
)
def test_a_token_that_the_survivor_does_not_have_is_found_elsewhere(
    found: JSON, kept: tuple[JSON, ...], place: str
) -> None:
    wanted = need(found, kept=kept)
    assert (wanted.key, wanted.place, dict(wanted.put), wanted.back) == (NEW_KEY, place, {"r1": "put found token"}, "")
    made = plan(found, kept=kept)
    assert steps(made, "token", "start", "rotate") == ["6.1 r1 token", "6.2 r1 start"]
    assert f"of key {NEW_KEY} ({place})" in next(a.what for a in made.actions if a.verb == "token")
    assert NEW_KEY in made.tokens["at_hand"]
    assert ("a1" in [a.node for a in made.actions if a.verb == "keep"]) == place.startswith("a1")


def test_the_secret_on_the_disk_of_another_server_is_not_copied() -> None:
    place = "Secret fleet-local/local-rke-state on disk: serverToken"
    assert need(hosts(LOST_ON_R1, server("r2", "", tokens=[token(NEW_KEY, place)]))).refusals


def test_the_token_of_agents_opens_nothing() -> None:
    other = host("a1", "x", server=False, tokens=[token(NEW_KEY, "/etc/rancher/k3s/config.yaml: agent-token")])
    (refusal,) = need(hosts(LOST_ON_R1, other)).refusals
    assert refusal.what == f"No token at hand opens the datastore of r1, whose key is {NEW_KEY}."


def test_a_file_may_hold_the_keys_of_a_rotation_that_was_cut_off() -> None:
    assert need(hosts(server("r1", OLD_KEY, seen=[NEW_KEY, OLD_KEY]))).refusals == ()
    assert need(hosts(server("r1", OLD_KEY, seen=[NEW_KEY]))).refusals


def test_a_token_on_the_command_line_overrules_what_would_be_put() -> None:
    (refusal,) = need(hosts(server("r1", OLD_KEY, source="flag"), server("r2", NEW_KEY))).refusals
    assert "command line" in refusal.what


def test_an_older_snapshot_gets_its_token_and_the_new_one_is_put_back() -> None:
    found = hosts(server("r1", NEW_KEY), server("r2", NEW_KEY), agent(NEW_KEY))
    made = plan(found, chosen(OLD_KEY), (KEPT,))
    assert steps(made, "token", "start", "rotate", "rejoin") == [
        "6.1 r1 token", "6.2 r1 start", "6.3 r1 rotate", "7.1 r2 rejoin", "7.2 r3 rejoin",
    ]  # fmt: skip
    lent, back = (a for a in made.actions if a.verb in ("token", "rotate"))
    assert f"the token of key {OLD_KEY} (controller, {KEPT['place']})" in lent.what
    assert "older than a rotation" in lent.why
    assert f"from key {OLD_KEY} to {NEW_KEY}" in back.what
    both = sorted((OLD_KEY, NEW_KEY))  # BACKUP saves r1's own datastore too, which the new one opens
    assert made.tokens == {"key": OLD_KEY, "at_hand": both, "back": NEW_KEY, "refused": ["r2", "r3"]}
    assert not steps(made, "password")  # no API before START; RESYNC asks


def test_a_version_that_cannot_rotate_keeps_the_old_one_and_says_so() -> None:
    made = plan(hosts(server("r1", NEW_KEY)), chosen(OLD_KEY), (KEPT,), version="v1.24.17+k3s1")
    assert steps(made, "token", "rotate") == ["6.1 r1 token"]
    assert "the cluster has this token afterwards" in next(a.why for a in made.actions if a.verb == "token")


def test_a_new_host_has_no_newer_token_that_could_be_put_back() -> None:
    wanted = need(hosts(server("r1", "")), chosen(OLD_KEY), (KEPT,))
    assert (dict(wanted.put), wanted.back) == ({"r1": "put found token"}, "")


def test_a_snapshot_whose_key_is_known_when_it_was_copied() -> None:
    made = plan(hosts(server("r1", NEW_KEY)), chosen(known=False))
    assert steps(made, "token", "rotate") == ["6.1 r1 token"]
    assert "if r1 has another one" in next(a.what for a in made.actions if a.verb == "token")
    assert made.tokens["key"] == ""


def test_a_server_that_only_starts_gets_it_too() -> None:
    servers = (cases.voting("r1"), cases.voting("r2"), cases.stopped("r3"))
    found = hosts(host("r1", NEW_KEY), host("r2", NEW_KEY), server("r3", OLD_KEY))
    made = plan(found, servers=servers)
    assert steps(made, "fence", "token", "start") == ["4.1 r3 fence", "6.1 r3 token", "6.2 r3 start"]
    found["r3"] = server("r3", NEW_KEY)
    assert steps(plan(found, servers=servers), "fence", "token") == []


def test_passwords_are_asked_for_before_a_join_while_an_api_answers() -> None:
    servers = (cases.voting("r1"), cases.voting("r2"), cases.wiped("r3"))
    made = plan(hosts(host("r1", NEW_KEY)), servers=servers)
    assert steps(made, "password", "remove", "rejoin") == ["7.1 r1 password", "7.2 r1 remove", "7.3 r3 rejoin"]
    assert "the node passwords of r3 " in next(a.what for a in made.actions if a.verb == "password")
    assert made.tokens["refused"] == ["r3"]


@pytest.mark.parametrize(
    ("version", "can"),
    [
        ("v1.24.17+k3s1", False), ("v1.25.14+rke2r1", False), ("v1.25.15+rke2r1", True), ("v1.26.9+k3s1", False),
        ("v1.27.7+k3s1", True), ("v1.28.2+k3s1", False), ("v1.28.12+rke2r1", True), ("v1.34.3+k3s1", True), ("", False),
    ],
)  # fmt: skip
def test_versions_that_rotate(version: str, can: bool) -> None:
    assert _token_need.rotates(version) is can
