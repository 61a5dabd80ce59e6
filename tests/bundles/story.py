# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story: v1.3.1 to v1.3.2, begun anew while two of three nodes drained; and the same with evidence missing."""

from __future__ import annotations

import copy
import dataclasses
import functools
import random
from collections.abc import Iterable
from pathlib import Path
from string import Template
from typing import Any

import yaml

from lab.harvester import objects as lab
from tests.bundles import said
from tests.bundles.support import Bundle, Key
from tests.unit.harvesters import NODES, Harvester

JSON = dict[str, Any]
OLD, NEW = "hvst-upgrade-aaaaa", "hvst-upgrade-bbbbb"
LATE = ("n2", "n3")
_WORDS = {"old": OLD, "new": NEW, "drain": lab.DRAIN, "kubernetes": lab.RELEASES["v1.3.2"].kubernetes}


def story() -> Bundle:
    """Node 1 is upgraded; 2 and 3 drain by their plans, and wait by the second Upgrade."""
    it = Harvester("1.3")
    it.drop("upgrades.harvesterhci.io", "hvst-upgrade-done")
    for item in _told():
        it.put(item)
    return Bundle(it.objects, said.pods(OLD, NEW), {node: said.host(node) for node in NODES})


@functools.cache
def _told() -> tuple[JSON, ...]:
    """Objects of story.yaml, in the order in which they are merged."""
    text = Template((Path(__file__).parent / "story.yaml").read_text())
    made: list[JSON] = []
    for part, nodes in (("each", tuple(NODES)), ("late", LATE)):
        for node in nodes:
            mine = {**_WORDS, "node": node, "address": NODES[node], "machine": f"custom-{node}"}
            made += yaml.safe_load(text.safe_substitute(mine))[part]
    return tuple(made + yaml.safe_load(text.safe_substitute(_WORDS))["once"])


def variation(seed: int) -> tuple[Bundle, set[str]]:
    """The story of which some of the evidence is missing, as in bundles that people send; and what is missing.

    Words for what is missing: `kind KIND`, `object KIND NAMESPACE/NAME`, `annotation KIND NAMESPACE/NAME WORD`,
    `log NAMESPACE/POD/CONTAINER`, `node NODE`, KIND as in keys of a Bundle.
    """
    whole, chance, gone = story(), random.Random(seed), set[str]()

    def stays(what: str, odds: float) -> bool:
        lost = chance.random() < odds
        gone.update([what] * lost)
        return not lost

    kinds = {kind for kind in _kinds(whole.objects) if kind == "nodes" or stays(f"kind {kind}", 0.25)}
    objects = {
        (kind, space, name): copy.deepcopy(item)
        for (kind, space, name), item in whole.objects.items()
        if kind in kinds and stays(f"object {kind} {space}/{name}", 0.05)
    }
    for (kind, space, name), item in objects.items():
        notes = item["metadata"].get("annotations") or {}
        item["metadata"]["annotations"] = {
            word: value for word, value in notes.items() if stays(f"annotation {kind} {space}/{name} {word}", 0.2)
        }
    logs = {name: text for name, text in whole.logs.items() if stays(f"log {name}", 0.4)}
    hosts = {node: files for node, files in whole.hosts.items() if stays(f"node {node}", 0.4)}
    lost = (kind for kind in _kinds(whole.objects) if kind not in kinds and chance.random() > 0.5)
    errors = tuple(f"failed to get {kind}: context deadline exceeded" for kind in lost)
    return dataclasses.replace(whole, objects=objects, logs=logs, hosts=hosts, errors=errors), gone


def _kinds(keys: Iterable[Key]) -> list[str]:
    return sorted({kind for kind, _space, _name in keys})
