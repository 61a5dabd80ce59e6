# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The release that an upgrade of Harvester shall go to: where its files stand, and what its version.yaml says.

version.yaml is the Version that Harvester creates; it and the ISO lie in one folder of the server of the releases
(setting release-download-url). Where they lie elsewhere, as without Internet, version.yaml is beside the ISO.
"""

from __future__ import annotations

import json
import re
import typing as t
from dataclasses import dataclass

from . import _yaml
from ._errors import RequorumError

JSON = dict[str, t.Any]
OFFICIAL = "https://releases.rancher.com/harvester"
FIELDS = ("isoURL", "isoChecksum", "releaseDate", "minUpgradableVersion")
AMD, ARM = "amd64", "arm64"
_RELEASE = re.compile(r"v?(\d+\.\d+\.\d+(?:-[\w.]+)?)")
_URL = re.compile(r"https?://[^\s'\"@]+/[^\s'\"/@]+")


@dataclass(frozen=True)
class Wish:
    """What was asked for."""

    version: str
    iso_url: str = ""
    checksum: str = ""
    hash: bool = False
    """Whether the whole ISO is read, for its checksum."""
    releases: str = ""
    """File with the list of releases, where it is not ours."""

    @classmethod
    def of(cls, to: str, iso_url: str = "", checksum: str = "", *, hash: bool = False) -> t.Self:
        """RequorumError for what is no release, or no URL."""
        found = _RELEASE.fullmatch(to.strip())
        if not found:
            raise RequorumError(f"{to} is no release of Harvester.", "Name one such as v1.4.1.")
        if iso_url and not _URL.fullmatch(iso_url):
            raise RequorumError(
                "requorum_iso_url is no URL of a file.",
                "It is of the form https://HOST/FOLDER/FILE.iso, without a user.",
            )
        return cls(f"v{found[1]}", iso_url, checksum.strip().lower(), hash)


def release_url(wish: Wish, base: str, arch: str) -> str:
    """Of its version.yaml."""
    folder = wish.iso_url.rpartition("/")[0] if wish.iso_url else f"{base.rstrip('/')}/{wish.version}"
    return f"{folder}/version{'-arm64' if arch == ARM else ''}.yaml"


def iso_url(wish: Wish, base: str, arch: str, told: str | None) -> str:
    """Of its ISO: as wished, else as version.yaml tells, else where the official one stands."""
    official = f"{base.rstrip('/')}/{wish.version}/harvester-{wish.version}-{arch}.iso"
    return wish.iso_url or (told if told and _URL.fullmatch(told) else official)


def release(text: str) -> JSON | None:
    """What version.yaml says; None where it is none."""
    try:
        return _release(_yaml.load(text))
    except ValueError:
        return None


def stored(versions: t.Iterable[JSON], wish: Wish) -> JSON | None:
    """The Version of this name that the cluster has already, which Harvester takes then; None where it has none."""
    found = next((each for each in versions if each["metadata"].get("name") == wish.version), None)
    return _release({"kind": "Version", **found}) if found and not wish.iso_url else None


def _release(found: t.Any) -> JSON | None:
    spec = found.get("spec") if isinstance(found, dict) and found.get("kind") == "Version" else None
    if not isinstance(spec, dict):
        return None
    name = (found.get("metadata") or {}).get("name")
    return {"name": _word(name), **{field: _word(spec.get(field)) for field in FIELDS}}


def _word(value: t.Any) -> str | None:
    return str(value) if value else None


def arch(nodes: t.Iterable[JSON]) -> str:
    """Of the cluster, as its Nodes say; Harvester asks for the files of its own one."""
    told = (((node.get("status") or {}).get("nodeInfo") or {}).get("architecture") for node in nodes)
    return ARM if ARM in told else AMD


def base(settings: t.Iterable[JSON]) -> str:
    """The server of the releases, by the settings of Harvester."""
    return _setting(settings, "release-download-url") or OFFICIAL


def proxies(settings: t.Iterable[JSON]) -> tuple[str, str, str]:
    """For http, for https, and what needs none, by the settings of Harvester."""
    try:
        told = json.loads(_setting(settings, "http-proxy") or "{}")
    except ValueError:
        told = {}
    given = told if isinstance(told, dict) else {}
    http, https, none = (given.get(key) for key in ("httpProxy", "httpsProxy", "noProxy"))
    return str(http or ""), str(https or ""), str(none or "")


def _setting(settings: t.Iterable[JSON], name: str) -> str:
    found = next((each for each in settings if each["metadata"]["name"] == name), {})
    return str(found.get("value") or found.get("default") or "")
