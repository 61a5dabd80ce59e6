# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of objects, written side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import play
from lab.labs import Lab

Named = tuple[_api.Kind, dict[str, Any]]
WRITERS = 8


def create(lab: Lab, objects: Iterable[Named]) -> int:
    """How many; each writer has a connection of its own."""
    todo, apis = list(objects), [play.client(lab, seconds=120) for _writer in range(WRITERS)]

    def write(number: int) -> int:
        return sum(bool(apis[number].create(kind, body)) for kind, body in todo[number::WRITERS])

    with ThreadPoolExecutor(WRITERS) as pool:
        return sum(pool.map(write, range(WRITERS)))


def config_maps(number: int, namespace: str) -> Iterator[Named]:
    kind = _api.Kind("", "v1", "configmaps")
    for each in range(number):
        meta = {"name": f"many-{each:05d}", "namespace": namespace}
        yield kind, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"n": str(each)}}
