# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Harvesters of the versions 1.2 to 1.8, as `tests/fixtures/harvester` has them, on an API server in memory."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from string import Template
from typing import Any

import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester.fleet import helm_secret
from tests.unit.fake_api import FakeApi, merged

JSON = dict[str, Any]
FIXTURES = Path(__file__).parents[1] / "fixtures" / "harvester"
VERSIONS = sorted(path.name for path in FIXTURES.iterdir() if path.is_dir())
NODES = {"n1": "10.0.0.1", "n2": "10.0.0.2", "n3": "10.0.0.3"}


def release(version: str) -> dict[str, str]:
    """/etc/harvester-release.yaml of each host."""
    return dict(yaml.safe_load((FIXTURES / version / "release.yaml").read_text()))


class Harvester(FakeApi):
    """One that is as it should be; a version of a kind that it does not serve is not found."""

    def __init__(self, version: str) -> None:
        super().__init__()
        self.release = release(version)
        self._served, items = _documents(version)
        for item in items:
            self.put(item)
        self.refuse = self._unserved

    def put(self, item: JSON) -> None:
        """Make an object, or merge into the one that is there (RFC 7386)."""
        group = item["apiVersion"].rpartition("/")[0]
        plural = f"{item['kind'].lower()}s"
        meta = item["metadata"]
        key = (f"{plural}.{group}" if group else plural, meta.get("namespace", ""), meta["name"])
        made = merged(self.objects.get(key, {"metadata": {"uid": ":".join(key)}}), copy.deepcopy(item))
        self.objects[key] = made

    def change(self, kind: str, name: str, what: JSON) -> None:
        """Merge into the only object of this kind and name, `nodes.longhorn.io`."""
        (key,) = [key for key in self.objects if (key[0], key[2]) == (kind, name)]
        self.objects[key] = merged(self.objects[key], what)

    def drop(self, kind: str, name: str) -> None:
        (key,) = [key for key in self.objects if (key[0], key[2]) == (kind, name)]
        del self.objects[key]

    def _unserved(self, request: _api.Request) -> _api.Answer | None:
        served = self._served.get(request.kind.group)
        if served is not None and request.kind.version not in served:
            return _api.Answer("NotFound", "the server could not find the requested resource")
        return None


@functools.cache
def _documents(version: str) -> tuple[dict[str, list[str]], list[JSON]]:
    """(which versions of a group are served, objects in the order in which they are merged)."""
    texts = [path.read_text() for path in (FIXTURES / "common.yaml", FIXTURES / version / "objects.yaml")]
    more, known = yaml.safe_load(texts[1]), release(version)
    words, items = {**known, **more["words"]}, list[JSON]()
    for text in texts:
        items += yaml.safe_load(Template(text).safe_substitute(words))["once"]
        for name, address in NODES.items():
            mine = {**words, "node": name, "address": address, "machine": f"custom-{name}"}
            items += yaml.safe_load(Template(text).safe_substitute(mine))["each"]
    items.append(helm_secret("harvester-system", "harvester", 7, "deployed", known["harvesterChart"]))
    return more["serves"], items
