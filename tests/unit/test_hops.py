# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one release of Harvester to another."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _hops, _releases, _rules
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

MATRIX = _hops.load()


@pytest.mark.parametrize(
    ("before", "to", "way"),
    [
        ("v1.3.2", "1.4.1", "1.4.0 1.4.1"),
        ("v1.3.1", "v1.3.2", "1.3.2"),
        ("1.2.0", "1.3.2", "1.2.1 1.2.2 1.3.1 1.3.2"),
        ("v1.4.0", "v1.5.2", "1.4.1 1.4.3 1.5.2"),
        ("v1.3.2", "v1.8.1", "1.4.0 1.4.1 1.4.3 1.5.2 1.6.1 1.7.3 1.8.1"),
    ],
)
def test_the_way_is_the_shortest_over_the_newest(before: str, to: str, way: str) -> None:
    found = _hops.path(MATRIX, before, to)
    assert " ".join(release.version.removeprefix("v") for release in found) == way
    assert _hops.why_no_path(MATRIX, before, to) == ""
    for one, other in zip([before, *(r.version for r in found)], found, strict=False):
        assert _hops.refusal(MATRIX, one, other.version) == ""


@pytest.mark.parametrize(
    ("before", "to", "why"),
    [
        ("v1.3.2", "v1.4.1", "v1.4.1 upgrades v1.4.0 and newer, and this is v1.3.2"),
        ("v1.3.2", "v1.3.1", "v1.3.1 is older than v1.3.2, and Harvester cannot go back"),
        ("v1.3.2", "v1.3.2", "v1.3.2 is what runs"),
        ("v1.3.2", "v9.9.9", "v9.9.9 is no release of Harvester that is known: v1.2.0, "),
        ("v1.3.2", "latest", "latest is no release of Harvester"),
        ("v1.3-head", "v1.3.2", "v1.3-head is no release of Harvester"),
        ("", "v1.3.2", "what runs is no release of Harvester"),
    ],
)
def test_hops_that_are_refused(before: str, to: str, why: str) -> None:
    assert _hops.refusal(MATRIX, before, to).startswith(why)


def test_kubernetes_goes_one_minor_at_a_time() -> None:
    far = {**MATRIX, "v1.4.1": _releases.Release("v1.4.1", "v1.30.7+rke2r1", "v2", "v1", "v1", "v1.3.2")}
    assert "v1.28.12 and v1.4.1 v1.30.7: one minor" in _hops.refusal(far, "v1.3.2", "v1.4.1")
    assert [release.version for release in _hops.path(far, "v1.3.2", "v1.4.1")] == ["v1.4.0", "v1.4.1"]


def test_each_hop_of_the_list_is_allowed_from_the_oldest_that_it_names() -> None:
    for release in MATRIX.values():
        if release.oldest in MATRIX:
            assert _hops.refusal(MATRIX, release.oldest, release.version) == ""


def test_what_stands_in_the_way_of_a_hop_is_a_rule() -> None:
    known = {rule.id for rule in _rules.load()}
    assert {issue for release in MATRIX.values() for issue in release.issues} <= known


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("- {version: v1.9.0}", "missing"),
        ("- [v1.9.0]", "list"),
        ("releases: []", "unexpected keyword"),
        ("- {version: new, rke2: v1.36.0, rancher: x, longhorn: x, kubevirt: x, oldest: v1.8.0}", "new is no version"),
        ("- {", "while parsing"),
    ],
)
def test_a_list_of_the_user_is_read_or_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(RequorumError) as error:
        _releases.load(path)
    assert why in str(error.value) and str(path) in str(error.value)
