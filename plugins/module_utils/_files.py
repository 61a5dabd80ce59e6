# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Files of the controller that are there as a whole or not at all, wherever the process that writes them is killed."""

from __future__ import annotations

import os
import tempfile


def put(path: str, text: str, mode: int = 0o600) -> None:
    """Beside it first, then in its place; OSError where it cannot be written, and what was there stays then."""
    path = os.path.abspath(path)
    # Hidden, and named like no kind of file that anybody looks for in a folder.
    handle, beside = tempfile.mkstemp(".part", f".{os.path.basename(path)}.", os.path.dirname(path))
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
