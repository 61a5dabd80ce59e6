# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab for each distribution; every test finds it healthy and leaves it healthy."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from fnmatch import fnmatch

import pytest

from lab import objects
from lab.labs import Lab
from lab.progress import LabError, say
from tests.lab import kills

FIRST = "test_kills"
"""The module of which a sample runs with every commit."""
BEGUN = time.monotonic()
"""What `--minutes` counts from."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--minutes N`: after so many of them no further test begins."""
    parser.addoption("--minutes", type=float, default=float("inf"), metavar="N", help="begin no test after so many")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """CI ends in 90 minutes: it runs as many modules as there is time for, and begins with another one at each commit.

    What a module lists in SLOW, as patterns of names, is left to `make test-slow`. `-k rke2` finds the tests of its
    fixture too.
    """
    for item in items:
        item.extra_keyword_matches |= {"rke2", "k3s"} & set(getattr(item, "fixturenames", ()))
        if any(fnmatch(item.name, pattern) for pattern in getattr(getattr(item, "module", None), "SLOW", ())):
            item.add_marker(pytest.mark.slow)
    order = turned(sorted({item.path.stem for item in items}), kills.seed_of_commit())
    items.sort(key=lambda item: order.index(item.path.stem))


def turned(modules: list[str], seed: str) -> list[str]:
    """The order that goes with a seed: after what always runs they follow each other as ever, from another one on."""
    first = [name for name in modules if name == FIRST]
    others = [name for name in modules if name != FIRST]
    start = int(hashlib.sha256(seed.encode()).hexdigest(), 16) % max(1, len(others))
    return first + others[start:] + others[:start]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin none that could end too late."""
    minutes: float = item.config.getoption("--minutes")
    if time.monotonic() - BEGUN > 60 * minutes:
        pytest.skip(f"the {minutes:g} minutes of this run are over; make test-slow runs all")


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
