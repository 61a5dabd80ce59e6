# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`pytest tests/conformance [--distro k3s|rke2] [--binary FILE|official [--images DIR]]`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from lab.labs import Lab
from lab.official import OFFICIAL
from lab.supervisor.distro import DISTROS
from tests.conformance import k3s, rke2
from tests.conformance.deviations import DEVIATIONS
from tests.conformance.play import Play

TABLE = {"rke2": rke2.SITUATIONS, "k3s": k3s.SITUATIONS}
AGENTS = {"rke2": 0, "k3s": 1}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the conformance tests."""
    group = parser.getgroup("conformance")
    group.addoption("--distro", choices=sorted(DISTROS), help="play only this distribution")
    group.addoption("--binary", default=os.environ.get("REQUORUM_LAB_BINARY"), metavar="FILE|official",
                    help="real rke2 or k3s program, in place of the stand-in")
    group.addoption("--images", metavar="DIR", help="its air-gap images")


def _distros(config: pytest.Config) -> list[str]:
    chosen, binary = config.getoption("--distro", None), config.getoption("--binary", None)
    if chosen is None and binary and binary != OFFICIAL:
        chosen = next((name for name in DISTROS if name in Path(binary).name), None)
        if chosen is None:
            raise pytest.UsageError(f"--binary {binary}: say which it is with --distro")
    return [chosen] if chosen else list(TABLE)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each thing that must be seen."""
    if "row" not in metafunc.fixturenames:
        return
    real = bool(metafunc.config.getoption("--binary", None))
    reasons = {(row.distro, row.check): row.reason for row in DEVIATIONS}
    rows = []
    for distro in _distros(metafunc.config):
        for situation in TABLE[distro]:
            for check in situation.see:
                reason = reasons.get((distro, f"{situation.id}/{check.id}"))
                marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason and not real else []
                rows.append(pytest.param((distro, situation.id, check.id), marks=marks,
                                         id=f"{distro}-{situation.id}-{check.id}"))
    metafunc.parametrize("row", rows)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Against a real program: what is expected of it and not of the stand-in."""
    if not config.getoption("--binary", None):
        return []
    return [f"the stand-in fails {row.check}: {row.reason}" for row in DEVIATIONS
            if row.check and row.distro in _distros(config)]


def _found(given: str | None) -> str:
    return given if given == OFFICIAL else str(Path(given).resolve()) if given else ""


@pytest.fixture(scope="session")
def plays(request: pytest.FixtureRequest) -> Iterator[dict[str, Play]]:
    """A lab for each distribution that is asked for, on which its situations are played."""
    binary, images = (request.config.getoption(name, None) for name in ("--binary", "--images"))
    known = set() if binary else {(row.distro, row.check) for row in DEVIATIONS}
    asked = [cast("tuple[str, str, str]", item.callspec.params["row"]) for item in request.session.items
             if isinstance(item, pytest.Function) and "row" in item.fixturenames]
    playing: dict[str, Play] = {}
    for distro in dict.fromkeys(distro for distro, *_ in asked):
        lab = Lab(f"conf-{distro}-{os.getpid()}", distro, servers=3, agents=AGENTS[distro],
                  binary=_found(binary), images=_found(images))
        playing[distro] = Play(lab, TABLE[distro], {row[1:] for row in asked if row[0] == distro},
                               {check for where, check in known if where == distro})
    for play in playing.values():
        play.start()
    try:
        yield playing
    finally:
        for play in playing.values():
            play.end()
