# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab for each distribution; every test finds it healthy and leaves it healthy."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatch

import pytest

from lab import objects
from lab.labs import Lab
from lab.progress import LabError, say
from tests.lab import kills

ALWAYS = ("test_kills",)
"""Modules of which a sample runs with every commit."""
TURNS = 3
"""CI runs one of so many parts of the modules."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """CI ends in 90 minutes: it runs a third of the modules, another one with each commit.

    The rest is left to `make test-slow`, and so is what a module lists in SLOW, as patterns of names. `-k rke2` finds
    the tests of its fixture too.
    """
    groups: dict[str, dict[str, list[pytest.Item]]] = {}
    for item in items:
        item.extra_keyword_matches |= {"rke2", "k3s"} & set(getattr(item, "fixturenames", ()))
        module = getattr(item, "module", None)
        if any(fnmatch(item.name, pattern) for pattern in getattr(module, "SLOW", ())):
            item.add_marker(pytest.mark.slow)
        elif not item.get_closest_marker("slow") and not item.get_closest_marker("recovery"):
            lane = next((name for name in ("rke2", "k3s") if name in item.keywords or f"[{name}" in item.name), "own")
            groups.setdefault(lane, {}).setdefault(item.path.stem, []).append(item)
    seed = kills.seed_of_commit()
    for lane, modules in groups.items():
        kept = chosen(list(modules), f"{seed}{lane}")
        for name in sorted(set(modules) - set(kept)):
            for item in modules[name]:
                item.add_marker(pytest.mark.slow)


def chosen(modules: list[str], seed: str) -> list[str]:
    """The part of them that goes with a seed, and what always goes."""
    mixed = sorted(modules, key=lambda name: hashlib.sha256(f"{seed}{name}".encode()).hexdigest())
    return sorted({*mixed[: -(-len(mixed) // TURNS)], *(name for name in modules if name in ALWAYS)})


@pytest.fixture(scope="session")
def clusters() -> Iterator[Callable[[str], Lab]]:
    """Build a lab when its distribution is asked for the first time; take all down at the end."""
    made: dict[str, Lab] = {}

    def build(distro: str) -> Lab:
        lab = made[distro] = Lab(f"test-{distro}-{os.getpid()}", distro)
        lab.up()
        objects.write_objects(lab)
        objects.write_workloads(lab)
        return lab

    def cluster(distro: str) -> Lab:
        if distro not in made:
            return build(distro)
        try:
            made[distro].wait_ready(deadline=120)
            for host in made[distro].servers:  # a test may have switched all of them off, which a recovery respects
                made[distro].sh(host, f"systemctl enable --quiet {made[distro].spec.unit(host)}").ok("at boot")
        except LabError as error:
            say(f"{made[distro].name} was left broken, so it is built anew: {error}")
            made[distro].down()
            return build(distro)
        return made[distro]

    yield cluster
    if not os.environ.get("REQUORUM_KEEP_LABS"):
        for lab in made.values():
            lab.down()


@pytest.fixture(params=["rke2", "k3s"])
def lab(request: pytest.FixtureRequest, clusters: Callable[[str], Lab]) -> Lab:
    """A healthy cluster of three servers and an agent with 40 objects and a workload on every host."""
    return clusters(request.param)


@pytest.fixture
def k3s(clusters: Callable[[str], Lab]) -> Lab:
    """The same, only K3s."""
    return clusters("k3s")


@pytest.fixture
def rke2(clusters: Callable[[str], Lab]) -> Lab:
    """The same, only RKE2."""
    return clusters("rke2")
