# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What begins, stops and nudges an upgrade, on an API in memory; and that nothing deletes one in phase 4."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _progress
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _upgrades
from ansible_collections.requorum.cluster.plugins.plugin_utils._changes import Changes
from lab.harvester.upgrade import STALLS
from lab.harvester.upgrade.films import NAME
from tests.unit import upgrades
from tests.unit.fake_api import FakeApi
from tests.unit.test_upgrade_plan import FOURTH, NOTHING, other, plan

JSON = dict[str, Any]
WISH = {"iso_url": "http://mirror/harvester-v1.4.0-amd64.iso", "iso_checksum": "a" * 128, "named": True, "log": True}
PLAN = plan(NOTHING, "v1.4.1")
ROOT = Path(__file__).parents[2] / "plugins"


def cluster(shown: upgrades.Shown | None = None) -> FakeApi:
    fake = FakeApi()
    for item in (shown or {}).get("upgrades", ()):
        meta = {**item["metadata"], "uid": f"uid-{item['metadata']['name']}", "resourceVersion": "7"}
        fake.objects[fake.key(_upgrades.UPGRADES, meta["name"], _upgrades.WHERE)] = {**item, "metadata": meta}
    return fake


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return Changes(str(tmp_path), "prod")


def test_version_and_upgrade_are_created_as_the_console_does(changes: Changes) -> None:
    fake = cluster()
    name = _upgrades.begin(fake.api, PLAN, WISH, changes)
    assert re.fullmatch(r"hvst-upgrade-[a-z0-9]{5}", name)
    bodies = [request.body or {} for request in fake.changes]
    assert bodies[0]["spec"] == {"isoURL": WISH["iso_url"], "isoChecksum": WISH["iso_checksum"]}
    assert bodies[1]["spec"] == {"version": "v1.4.0", "logEnabled": True}
    assert "annotations" not in bodies[1]["metadata"]
    assert [each["verb"] for each in changes.done] == ["create", "create"]


def test_a_version_that_is_there_is_taken_unless_it_differs(changes: Changes) -> None:
    fake = cluster()
    item = {"metadata": {"name": "v1.4.0", "namespace": _upgrades.WHERE}, "spec": {"isoURL": "http://other/x.iso"}}
    fake.objects[fake.key(_upgrades.VERSIONS, "v1.4.0", _upgrades.WHERE)] = item
    with pytest.raises(RequorumError, match=r"Version v1\.4\.0 is there with isoURL http://other/x.iso, and http://mirror"):
        _upgrades.begin(fake.api, PLAN, WISH, changes)
    _upgrades.begin(fake.api, PLAN, {**WISH, "named": False, "log": False}, changes)
    assert [request.kind.plural for request in fake.changes] == ["upgrades"]


@pytest.mark.parametrize("field", ["iso_url", "iso_checksum"])
def test_without_a_checksum_nothing_is_begun(field: str, changes: Changes) -> None:
    fake = cluster()
    with pytest.raises(RequorumError, match=r"so Harvester could not fetch and prove it\. Mirror version.yaml"):
        _upgrades.begin(fake.api, PLAN, {**WISH, field: None}, changes)
    assert not fake.changes


@pytest.mark.parametrize("number", range(0, 100, 7))
def test_nothing_is_begun_beside_one_that_goes_on(number: int, changes: Changes) -> None:
    film = [each for each in upgrades.film() if _progress.going(_progress.latest(each))]
    fake = cluster(film[number % len(film)])
    with pytest.raises(RequorumError, match=rf"The upgrade {NAME} to v1\.4\.0 goes on, begun .* would break both"):
        _upgrades.begin(fake.api, PLAN, WISH, changes)
    assert not fake.changes


def test_one_that_failed_in_phase_4_is_never_begun_anew(changes: Changes) -> None:
    fake = cluster(upgrades.film(node_failed="n2")[-1])
    with pytest.raises(RequorumError, match="failed in phase 4: its nodes are between two versions"):
        _upgrades.begin(fake.api, PLAN, WISH, changes)
    assert not fake.changes


def stopped(shown: upgrades.Shown, changes: Changes) -> tuple[FakeApi, str]:
    fake = cluster(shown)
    try:
        _upgrades.stop(fake.api, {**shown, "upgrades": list(fake.objects.values())}, changes)
    except RequorumError as error:
        return fake, str(error)
    return fake, ""


@pytest.mark.parametrize("stall", [None, *STALLS])
def test_only_before_phase_4_an_upgrade_is_deleted(stall: str | None, changes: Changes) -> None:
    """At every look at every upgrade that the lab plays."""
    film = upgrades.film(**({stall.replace("-", "_"): "n1"} if stall else {}))
    for shown in film[:: 5 if stall else 1]:
        item = _progress.latest(shown)
        fake, why = stopped(shown, changes)
        at = _progress.look(shown, NAME, now=0)
        assert at
        nodes = set(at.states.values()) - {"Images preloading", "Images preloaded", "", "Failed"}
        fourth = at.phase.number >= 4 or bool(nodes)
        if fourth or not _progress.going(item):
            assert why and not fake.changes, (at.phase, at.states)
        else:
            (request,) = fake.changes
            assert (request.verb, request.name) == ("delete", NAME) and not why
            assert (request.body or {})["preconditions"] == {"uid": f"uid-{NAME}", "resourceVersion": "7"}
    assert all(Path(path).stat().st_mode & 0o077 == 0 for path in changes.saved)


def test_none_is_deleted_while_another_one_is_in_phase_4(changes: Changes) -> None:
    """Whichever goes, Harvester takes the hooks of the drain back."""
    early = next(each for each in upgrades.film() if _progress.going(_progress.latest(each)))
    both = {**early, "upgrades": [*early["upgrades"], other(FOURTH, upgrades.BEGUN)]}
    fake, why = stopped(both, changes)
    assert "hvst-upgrade-other to v1.4.0 is in phase 4" in why and not fake.changes


def test_no_password_of_a_mirror_is_told(changes: Changes) -> None:
    fake = cluster()
    item = {"metadata": {"name": "v1.4.0", "namespace": _upgrades.WHERE}, "spec": {"isoURL": "https://me:hush@m/x.iso"}}
    fake.objects[fake.key(_upgrades.VERSIONS, "v1.4.0", _upgrades.WHERE)] = item
    with pytest.raises(RequorumError) as error:
        _upgrades.begin(fake.api, PLAN, WISH, changes)
    assert "hush" not in str(error.value)
    _upgrades.begin(fake.api, PLAN, {**WISH, "named": False}, changes)


def test_no_other_code_can_delete_or_restart_an_upgrade() -> None:
    """Deletions name their kinds: of Upgrades there is one, behind `may_stop`; nothing sets skipWebhook."""
    texts = {path: path.read_text() for path in ROOT.rglob("*.py")}
    owners = [path.name for path, text in texts.items() if re.search(r"delete\(\s*(_upgrades\.)?UPGRADES", text)]
    assert owners == ["_upgrades.py"]
    assert texts[ROOT / "plugin_utils/_upgrades.py"].count("api.delete(UPGRADES") == 1
    assert [p.name for p, t in texts.items() if re.search(r'["\']harvesterhci\.io/skip', t)] == []
    # Purge deletes by name of kind; Upgrades are none of those.
    from ansible_collections.requorum.cluster.plugins.module_utils import _orphan_parts

    assert not [kind for kind, _where in _orphan_parts.KINDS.values() if kind.plural == "upgrades"]


def lock(fake: FakeApi, moment: float = 0) -> _upgrades.Lock:
    return _upgrades.Lock(fake.api, clock=lambda: moment)


def held(fake: FakeApi) -> JSON:
    return fake.objects[fake.key(_upgrades.CONFIGMAPS, _upgrades.LOCK, _upgrades.WHERE)]


def test_one_run_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, moment = cluster(), 1_780_000_000.0
    monkeypatch.setattr(_upgrades, "now", lambda: upgrades.iso(moment))
    with lock(fake, moment):
        assert held(fake)["data"]["heartbeat"] == upgrades.iso(moment)
        with pytest.raises(RequorumError, match=r"Another run works on an upgrade.* heard 119 s ago \(locked\)"), \
                lock(fake, moment + 119):  # fmt: skip
            pass
    assert not fake.objects


def test_a_lock_without_a_sign_of_life_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, moment = cluster(), 1_780_000_000.0
    monkeypatch.setattr(_upgrades, "now", lambda: upgrades.iso(moment))
    first = lock(fake, moment).__enter__()
    with lock(fake, moment + _upgrades.HELD_S + 1):
        first.__exit__()  # the one that was thought dead leaves the new holder's lock alone
        assert held(fake)["data"]["id"] != first._mine["id"]
    assert not fake.objects


def test_one_that_was_killed_here_is_followed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, moment = cluster(), 1_780_000_000.0
    monkeypatch.setattr(_upgrades, "now", lambda: upgrades.iso(moment))
    first = lock(fake, moment).__enter__()
    held(fake)["data"]["pid"] = "4194305"  # more than there can be
    with lock(fake, moment + 1):
        assert held(fake)["data"]["id"] != first._mine["id"]
    first.__enter__()
    held(fake)["data"] |= {"pid": "4194305", "place": "elsewhere"}
    with pytest.raises(RequorumError, match="locked"), lock(fake, moment + 1):
        pass


def test_two_that_begin_at_one_instant_are_not_both_let_in() -> None:
    fake = cluster()
    rival = _api.Answer("AlreadyExists", 'configmaps "requorum-upgrade" already exists')
    fake.refuse = lambda request: rival._replace(reason="Conflict") if request.verb == "create" else None
    with pytest.raises(RequorumError, match="already exists"), lock(fake):
        pass
