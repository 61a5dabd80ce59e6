# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum upgrade` on a Harvester of three servers: two hops, each begun, watched to its end and verified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import upgrade
from lab.harvester.upgrade.seen import kind_of
from lab.harvester.upgrade.work import sha512
from lab.labs import Lab
from lab.progress import say
from tests.lab import story
from tests.lab.test_force_sync import synced
from tests.lab.test_precheck import SIZE, mirror, prepare

JSON = dict[str, Any]
BEFORE, HOPS = "v1.3.2", ("v1.4.0", "v1.4.1")


@pytest.fixture(scope="module")
def harvester(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, _api.Api, list[Any], str]]:
    """Three servers whose upgrades are played, with both releases on a mirror; the record of all writes; its ISOs."""
    lab, folder = Lab(f"upgrade-{os.getpid()}", "rke2", 3, 0), tmp_path_factory.mktemp("mirror")
    try:
        lab.up()
        api = upgrade.become_ready(lab, BEFORE, pace=0.5)
        prepare(lab, api)
        with ExitStack() as stack:
            asked = stack.enter_context(upgrade.playing(lab))
            url = stack.enter_context(mirror(lab, folder))
            for version in HOPS:
                release(folder / version, f"{url}/{version}", version)
            synced(api)
            yield lab, api, asked, f"{url}/VERSION/harvester.iso"
    finally:
        if not os.environ.get("REQUORUM_KEEP_LABS"):
            lab.down()


def release(folder: Path, url: str, version: str) -> None:
    """An ISO, of zeros, with its version.yaml."""
    folder.mkdir()
    with (folder / "harvester.iso").open("wb") as file:
        file.truncate(SIZE)
    spec = f"  isoURL: {url}/harvester.iso\n  isoChecksum: '{sha512(version)}'\n"
    head = f"apiVersion: harvesterhci.io/v1beta1\nkind: Version\nmetadata:\n  name: {version}\nspec:\n"
    (folder / "version.yaml").write_text(head + spec)


def test_two_hops_through_all_phases(harvester: tuple[Lab, _api.Api, list[Any], str]) -> None:
    lab, api, asked, iso = harvester
    to = ("--to", HOPS[-1], "-e", f"requorum_iso_url={iso}", "-e", "requorum_pace=2")
    rc, document, said = story.command(lab, "upgrade", "--plan", *to)
    assert rc == 0, said[-5000:]
    assert [hop["version"] for hop in document["hops"][0]["plan"]["hops"]] == list(HOPS)
    assert not asked
    rc, document, said = story.command(lab, "upgrade", *to, "--confirm", lab.name)
    say(said[-3000:])
    assert rc == 0, said[-8000:]
    assert [hop["progress"]["ended"] for hop in document["hops"]] == ["succeeded", "succeeded"]
    made = [each for each in upgrade.requests(lab) if each.kind == "upgrades" and each.verb in ("create", "delete")]
    assert [each.verb for each in made] == ["create", "create"]
    for node in api.items(kind_of("nodes")) or ():
        assert node["status"]["nodeInfo"]["osImage"] == f"Harvester {HOPS[-1]}"
    page = Path(document["hops"][0]["report"]).read_text()
    assert all(name in page for name in lab.servers)
