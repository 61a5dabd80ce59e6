# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Releases of Harvester: what each brings, and from which release it can be installed (rules/matrix/harvester.yaml)."""

from __future__ import annotations

import functools
import re
import typing as t
from dataclasses import dataclass
from pathlib import Path

from . import _yaml
from ._errors import RequorumError

OURS = Path(__file__).parents[2] / "rules/matrix/harvester.yaml"


@dataclass(frozen=True)
class Release:
    """One release."""

    version: str
    rke2: str
    """Without its +rke2r only the first part is known."""
    rancher: str
    longhorn: str
    kubevirt: str
    oldest: str
    """The oldest release that can be upgraded to this one."""
    issues: tuple[str, ...] = ()
    """Rules of the diagnosis that stand in the way of an upgrade to it."""

    @property
    def kubernetes(self) -> str:
        return self.rke2.partition("+")[0]


@functools.cache
def load(path: Path = OURS) -> t.Mapping[str, Release]:
    """Releases by version, oldest first; RequorumError names file, entry and fault."""
    try:
        entries = _yaml.load(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _bad(path, str(error)) from error
    found: dict[str, Release] = {}
    for entry in entries if isinstance(entries, list) else [entries]:
        try:
            release = Release(**{**entry, "issues": tuple(entry.get("issues") or ())})
        except (TypeError, AttributeError) as error:
            raise _bad(path, f"{entry}: {error}") from error
        versions = (release.version, release.rke2, release.oldest)
        if wrong := [word for word in versions if not re.match(r"v\d+\.\d+\.\d+", str(word))]:
            raise _bad(path, f"{release.version}: {wrong[0]} is no version")
        found[release.version] = release
    return dict(sorted(found.items(), key=lambda pair: number(pair[0])))


def number(version: str) -> tuple[int, ...]:
    """For comparison; `v1.4.1` and `1.4.1` -> (1, 4, 1), empty for anything else."""
    found = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()


def named(text: str | None) -> str:
    """`Harvester v1.3.1` -> `v1.3.1`; empty for a development build and for anything else."""
    found = re.search(r"(?:^|Harvester )(v\d+\.\d+\.\d+)$", text or "")
    return found[1] if found else ""


def rke2(os_image: str | None) -> str:
    """The RKE2 that came with an OS; empty where the list does not have it."""
    found = load().get(named(os_image))
    return found.rke2 if found else ""


def same(one: str, other: str) -> bool:
    """Two versions of RKE2, as far as both are known."""
    whole = "+" in one and "+" in other
    return one == other if whole else one.partition("+")[0] == other.partition("+")[0]


def _bad(path: Path, why: str) -> RequorumError:
    return RequorumError(f"{path} is no list of releases: {why}.", "docs/upgrade.md shows what it holds.")
