# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A support bundle of any size, in seconds and in constant memory: python -m tests.bundles.big FILE [--gib 2]."""

from __future__ import annotations

import argparse
import functools
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.scan import usual
from tests.bundles import story, support

BLOCK, PART = 4 << 20, 64 << 20
PROGRAMS = (
    *("kube-system/etcd-n{n}/etcd", "kube-system/kube-apiserver-n{n}/kube-apiserver"),
    *("cattle-system/rancher-7d9c5d8f6b-{n}/rancher", "longhorn-system/longhorn-manager-{n}/longhorn-manager"),
    *("harvester-system/harvester-7c5d-{n}/apiserver", "cattle-fleet-system/fleet-controller-{n}/fleet-controller"),
)


def write(path: Path, size: int = 2 << 30, *, part: int = PART, top: str = support.TOP) -> Path:
    """The story with logs of that many bytes in all, each of `part` bytes; the archive's path."""
    support.write(story.story(), path, top=top)
    block = usual(min(BLOCK, part))
    with zipfile.ZipFile(path, "a") as archive:
        for name, count in logs(size, part):
            stream(archive, f"{top}/{name}", count, block)
    return path


def logs(size: int, part: int = PART) -> Iterator[tuple[str, int]]:
    """(path below the top folder, bytes) of the logs of pods that are `size` bytes together."""
    for number, start in enumerate(range(0, size, part)):
        name = PROGRAMS[number % len(PROGRAMS)].format(n=number // len(PROGRAMS) + 4)
        yield f"logs/{name}.log", min(part, size - start)


def stream(archive: zipfile.ZipFile, name: str, size: int, block: bytes, end: bytes = b"") -> None:
    """A member of `size` bytes: the same block again and again, and `end`."""
    info = support.member(name)
    info.file_size = size  # for zipfile to see that it needs 64 bits
    with archive.open(info, "w", force_zip64=True) as out:
        out._compressor = _Once()  # type: ignore[attr-defined]  # zipfile has no way to give one
        whole, rest = divmod(size - len(end), len(block))
        for _number in range(whole):
            out.write(block)
        out.write(block[:rest])
        out.write(end)


class _Once:
    """Deflate that compresses what repeats only once: each block stands for itself."""

    def compress(self, data: bytes) -> bytes:
        return _deflated(bytes(data))

    def flush(self) -> bytes:
        return b"\x03\x00"  # the last block, which is empty


@functools.lru_cache(maxsize=4)
def _deflated(data: bytes) -> bytes:
    engine: Any = zlib.compressobj(6, zlib.DEFLATED, -15)
    return bytes(engine.compress(data) + engine.flush(zlib.Z_FULL_FLUSH))


def main() -> None:
    """Write one."""
    parser = argparse.ArgumentParser(prog="python -m tests.bundles.big", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--gib", type=float, default=2)
    options = parser.parse_args()
    print(write(options.file, int(options.gib * (1 << 30))))


if __name__ == "__main__":
    main()
