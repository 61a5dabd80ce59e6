# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's cache and state directories, and folders that are built once and then never changed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.progress import say


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    # The specification says that a relative path there is to be ignored.
    return (Path(value) if value.startswith("/") else Path.home() / default) / "requorum"


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/requorum`, shared by all clones."""
    path = _xdg("XDG_CACHE_HOME", ".cache")
    path.mkdir(parents=True, exist_ok=True)
    return path


def state_dir() -> Path:
    """`$XDG_STATE_HOME/requorum`: the labs of this machine, whichever clone made them."""
    path = _xdg("XDG_STATE_HOME", ".local/state")
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def digest(*parts: str | bytes) -> str:
    """First 16 hex digits of the sha256 over the parts and their borders."""
    whole = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        whole.update(len(data).to_bytes(8, "big") + data)
    return whole.hexdigest()[:16]


def tree_digest(root: Path, pattern: str = "**/*") -> str:
    """Digest over names, modes and contents of the files below `root` (compiled Python left out)."""
    files = sorted(path for path in root.glob(pattern) if path.is_file() and "__pycache__" not in path.parts)
    return digest(*(part for path in files for part in (
        str(path.relative_to(root)), oct(path.stat().st_mode), path.read_bytes())))


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock on `path`; say so when another process has it."""
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is busy with {what}: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def cached(name: str, build: Callable[[Path], None], root: Path | None = None) -> Path:
    """Folder `name` of the cache; where it is missing, `build` fills a temporary folder that is then renamed."""
    base = root or cache_dir()
    final = base / name
    if final.is_dir():
        return final
    with locked(base / f".{name}.lock", name):
        if final.is_dir():
            return final
        work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=base))
        try:
            build(work)
            work.chmod(0o755)
            work.rename(final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return final
