# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time and memory of `requorum diagnose` over a large support bundle: python -m bench.diagnose [--gib 2] [--keep FILE].

Beside it `grep -E` with the patterns of all rules over the same logs, unpacked: bytes that come from the disk's cache.
The rules alone are asked of 50 nodes too.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _diagnose, _rules
from requorum import bundles
from tests.bundles import big, story, support


def make(path: Path, size: int, folder: Path) -> None:
    """The story with logs of that many bytes in all; the same logs below `folder`."""
    big.write(path, size)
    with zipfile.ZipFile(path) as archive:
        for number, (name, _size) in enumerate(big.logs(size)):
            with archive.open(f"{support.TOP}/{name}") as log, (folder / f"{number}.log").open("wb") as file:
                shutil.copyfileobj(log, file, 1 << 20)


def diagnose(path: Path) -> tuple[float, float]:
    """Seconds and MiB of a process of its own."""
    begun = time.monotonic()
    command = [str(Path(sys.executable).parent / "requorum"), "diagnose", str(path), "--json"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode not in (0, 4):
        raise SystemExit(done.stderr.decode())
    return time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def grep(folder: Path) -> float:
    """Seconds of `grep -E` with the patterns of all rules."""
    patterns = [rule.logs.pattern for rule in _rules.load() if rule.logs]
    plain = [pattern.replace("(?:", "(").replace(r"\d", "[0-9]").replace(r"\S", "[^ ]") for pattern in patterns]
    plain = [pattern for pattern in plain if "(?" not in pattern]  # which grep -E does not have
    words = [argument for pattern in plain for argument in ("-e", pattern)]
    begun = time.monotonic()
    # Into /dev/null GNU grep ends each file at its first match.
    subprocess.run(["grep", "-E", "-r", "-c", *words, str(folder)], capture_output=True, check=False,
                   env={"LC_ALL": "C"})  # fmt: skip
    return time.monotonic() - begun


def rules_of_fifty(path: Path) -> tuple[float, int]:
    """Seconds that all rules take over 50 nodes, and how many rules there are."""
    rules = _rules.load()
    state: dict[str, Any] = bundles.state(bundles.read([path]), rules)
    nodes = [{**state["nodes"][n % 3], "name": f"n{n + 1}"} for n in range(50)]
    begun = time.monotonic()
    _diagnose.diagnose({**state, "nodes": nodes}, rules)
    return time.monotonic() - begun, len(rules)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m bench.diagnose", description=__doc__)
    parser.add_argument("--gib", type=float, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        path, folder = Path(place, "bundle.zip"), Path(place, "logs")
        folder.mkdir()
        small = support.write(story.story(), Path(place, "small.zip"))
        seconds, rules = rules_of_fifty(small)
        print(f"{rules} rules over 50 nodes: {seconds:.2f} s")
        size = int(options.gib * (1 << 30))
        make(path, size, folder)
        print(f"{size / (1 << 30):.2f} GiB of logs in a bundle of {path.stat().st_size / (1 << 20):.0f} MiB")
        seconds, memory = diagnose(path)
        print(f"diagnose: {seconds:.1f} s, {memory:.0f} MiB")
        print(f"grep -E over the unpacked logs: {grep(folder):.1f} s")


if __name__ == "__main__":
    main()
