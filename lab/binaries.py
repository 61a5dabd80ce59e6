# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd and Kubernetes programs of the lab: official release files, or built from their Go modules."""

from __future__ import annotations

import hashlib
import os
import platform
import tarfile
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lab import gobuild
from lab.cache import cache_dir, cached, digest
from lab.progress import LabError, say

ANSWER_S = 3.0
"""A download host that has not answered after this time is taken as absent."""
_STALL_S = 30.0
ETCD_BASE = "https://github.com/etcd-io/etcd/releases/download"
KUBERNETES_BASE = "https://dl.k8s.io"
KUBERNETES = "1.34.3"
_HASHES = {64: "sha256", 128: "sha512"}
"""Length of a hex digest -> its name."""


@dataclass(frozen=True)
class Release:
    """One official file."""

    url: str
    pin: str
    """Hex digest that the project publishes: sha256 of etcd's, sha512 of Kubernetes' archives."""
    programs: tuple[str, ...]
    """Their names in the archive, in whichever folder."""

    @property
    def name(self) -> str:
        """Last part of the URL."""
        return self.url.rsplit("/", 1)[1]


@dataclass(frozen=True)
class Part:
    """Programs that come together, in the two ways in which they can be had."""

    name: str
    version: str
    release: Release
    module: gobuild.Module

    @property
    def release_folder(self) -> str:
        """Name in the cache when downloaded."""
        return f"{self.name}-{self.version}-{digest(self.release.name, self.release.pin)}"

    @property
    def built_folder(self) -> str:
        """Name in the cache when built."""
        return f"{self.name}-{self.version}-go-{self.module.key}"


def etcd_part(series: str = "3.6", base: str = ETCD_BASE) -> Part:
    """Etcd, etcdctl and etcdutl of a series ("3.6" or "3.5")."""
    # Pins: SHA256SUMS of the two releases (linux-amd64).
    version, sha256 = {
        "3.6": ("3.6.6", "887afaa4a99f22d802ccdfbe65730a5e79aa5c9ce2c8799c67e9d804c50ecedb"),
        "3.5": ("3.5.21", "adddda4b06718e68671ffabff2f8cee48488ba61ad82900e639d108f2148501c"),
    }[series]
    archive = Release(f"{base}/v{version}/etcd-v{version}-linux-amd64.tar.gz", sha256, ("etcd", "etcdctl", "etcdutl"))
    return Part("etcd", version, archive, gobuild.etcd(series))


def kubernetes_part(base: str = KUBERNETES_BASE) -> Part:
    """kube-apiserver and kubectl."""
    # Pin: CHANGELOG/CHANGELOG-1.34.md of Kubernetes, "Server Binaries" of the release.
    archive = Release(f"{base}/v{KUBERNETES}/kubernetes-server-linux-amd64.tar.gz",
                      "6dacc62cf3def4873c680bd308fa88eb0ee857e4ca4e19723921172f7e6d4f7f"
                      "774ea7742d59fa051807856896affb4fe86e55fc2612e2c3f729e5e10cde3200", ("kube-apiserver", "kubectl"))
    return Part("kubernetes", KUBERNETES, archive, gobuild.kubernetes(KUBERNETES))


def _open(url: str) -> IO[bytes]:
    """Open a URL, or raise OSError after ANSWER_S: name resolution has no time limit of its own, so a thread waits."""
    answer: list[IO[bytes] | Exception] = []

    def call() -> None:
        try:
            answer.append(urllib.request.urlopen(url, timeout=_STALL_S))
        except Exception as error:  # handed to the caller below
            answer.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(ANSWER_S)
    if not answer:
        raise OSError(f"no answer within {ANSWER_S:.0f} s")
    if isinstance(answer[0], Exception):
        raise answer[0] if isinstance(answer[0], OSError) else OSError(str(answer[0]))
    return answer[0]


def download(url: str, pin: str, body: IO[bytes]) -> None:
    """Into an open file; raises OSError when it cannot be had, LabError when it is not the pinned file."""
    seen, size, told = hashlib.new(_HASHES[len(pin)]), 0, time.monotonic()
    with _open(url) as reply:
        while block := reply.read(1 << 18):
            seen.update(block)
            size += body.write(block)
            if time.monotonic() - told > 5:
                told = time.monotonic()
                say(f"downloading {url.rsplit('/', 1)[1]}: {size >> 20} MiB")
    if seen.hexdigest() != pin:
        raise LabError(f"{url}: {seen.name} {seen.hexdigest()} instead of {pin}; refused")
    body.seek(0)


def text(url: str) -> str:
    """A small text; raises OSError when it cannot be had."""
    with _open(url) as reply:
        return reply.read(1 << 20).decode()


def unpack(archive: IO[bytes], url: str, programs: tuple[str, ...], target: Path) -> None:
    """Programs out of an archive, in whichever folder of it they lie; LabError when one is missing."""
    with tarfile.open(fileobj=archive) as tar:
        found = {os.path.basename(member.name): member for member in tar if member.isfile()}
        for name in programs:
            stream = tar.extractfile(found[name]) if name in found else None
            if stream is None:
                raise LabError(f"{url}: no {name} in it")
            (target / name).write_bytes(stream.read())
            (target / name).chmod(0o755)


def fetch(release: Release, target: Path) -> None:
    """Download into folder `target`; raises OSError when it cannot be had, LabError when it is not the pinned file."""
    with tempfile.TemporaryFile() as body:
        download(release.url, release.pin, body)
        unpack(body, release.url, release.programs, target)


def _download(part: Part, target: Path) -> None:
    say(f"{part.name} {part.version}: trying the official release files")
    fetch(part.release, target)


def provide(part: Part, root: Path | None = None,
            build: Callable[[gobuild.Module, Path], None] = gobuild.build) -> Path:
    """Folder with the programs of a part: from the cache, else downloaded, else built."""
    base = root or cache_dir()
    for folder in (part.release_folder, part.built_folder):
        if (base / folder).is_dir():
            return base / folder
    if platform.machine() == "x86_64":
        try:
            return cached(part.release_folder, lambda target: _download(part, target), base)
        except (OSError, tarfile.TarError) as error:
            reason = getattr(error, "reason", error)
            say(f"{part.name} {part.version}: no release files ({reason}); building from Go modules")
        except LabError as error:
            say(f"{error}; building from Go modules, which go.sum pins")
    return cached(part.built_folder, lambda target: build(part.module, target), base)


def oracle(root: Path | None = None, build: Callable[[gobuild.Module, Path], None] = gobuild.build) -> Path:
    """Folder with bbolt and etcd-dump-logs, which nobody releases as files."""
    module = gobuild.oracle()
    return cached(f"oracle-go-{module.key}", lambda target: build(module, target), root)


def promtool(root: Path | None = None, build: Callable[[gobuild.Module, Path], None] = gobuild.build) -> Path:
    """Path of promtool, out of the Go modules: its release brings all of Prometheus."""
    module = gobuild.promtool()
    return cached(f"promtool-go-{module.key}", lambda target: build(module, target), root) / "promtool"


def binaries(etcd: str = "3.6", root: Path | None = None, etcd_base: str = ETCD_BASE,
             kubernetes_base: str = KUBERNETES_BASE,
             build: Callable[[gobuild.Module, Path], None] = gobuild.build) -> Path:
    """One folder with etcd, etcdctl, etcdutl, kube-apiserver and kubectl."""
    base = root or cache_dir()
    folders = [provide(part, base, build) for part in (etcd_part(etcd, etcd_base), kubernetes_part(kubernetes_base))]

    def join(target: Path) -> None:
        for folder in folders:
            for program in folder.iterdir():
                os.link(program, target / program.name)

    return cached(f"bin-{digest(*(folder.name for folder in folders))}", join, base)
