# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libfaketime for the hosts: they share the controller's clock, so only what uses libc can be told another time.

It comes from the hosts' own Debian into the cache and is no part of the image, which most labs can do without.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from lab.cache import cached, digest
from lab.image import SUITE
from lab.progress import run, say

_LIBRARY = "libfaketime.so.1"


def recipe(target: Path) -> list[str]:
    """Command line of mmdebstrap: a root with nothing but the package, which is thrown away."""
    copy = f'cp "$1"/usr/lib/*/faketime/{_LIBRARY} {shlex.quote(str(target))}'
    return ["mmdebstrap", "--variant=extract", "--mode=root", "--include=libfaketime", f"--extract-hook={copy}", SUITE,
            "/dev/null"]


def _make(target: Path) -> None:
    say("libfaketime: fetching the package")
    run(recipe(target), timeout=300).ok("mmdebstrap for libfaketime")


def library() -> Path:
    """The library, for /etc/ld.so.preload of a host."""
    return cached(f"faketime-{digest(*recipe(Path('target')))}", _make) / _LIBRARY
