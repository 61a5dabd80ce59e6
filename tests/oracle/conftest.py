# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each datastore is made once, when a test asks for it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.oracle.datastores import RECIPES, Datastore

Made = Callable[[str], Datastore]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Datastore by the name of its recipe; pytest itself would keep those of the last three runs, a GiB each."""
    ready: dict[str, Datastore] = {}
    folders: list[Path] = []

    def make(name: str) -> Datastore:
        if name not in ready:
            recipe, series = RECIPES[name]
            folders.append(tmp_path_factory.mktemp(name))
            ready[name] = recipe(folders[-1], series)
        return ready[name]

    yield make
    for folder in folders:
        shutil.rmtree(folder)
