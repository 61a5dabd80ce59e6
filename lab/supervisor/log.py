# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Log lines as the real programs write them: logrus text format on stderr."""

from __future__ import annotations

import json
import os
import random
import re
import sys
import threading
import time
from typing import NoReturn

_PLAIN = re.compile(r"^[A-Za-z0-9\-._/@^+]+$")
_lock = threading.Lock()


def quote(value: str) -> str:
    """A value as logrus prints it: bare when it is one plain word, else quoted."""
    return value if _PLAIN.match(value) else json.dumps(value, ensure_ascii=False)


def line(level: str, msg: str, fields: dict[str, str], now: float | None = None) -> str:
    """One log line without its newline."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
    extra = "".join(f" {key}={quote(value)}" for key, value in sorted(fields.items()))
    return f'time="{stamp}" level={level} msg={quote(msg)}{extra}'


def _write(text: str) -> None:
    with _lock:
        try:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # a reader that went away must not stop a server


def raw(text: str) -> None:
    """Pass on a line of another program."""
    _write(text)


def info(msg: str, **fields: str) -> None:
    """Log at level info."""
    _write(line("info", msg, fields))


def warning(msg: str, **fields: str) -> None:
    """Log at level warning."""
    _write(line("warning", msg, fields))


def error(msg: str, **fields: str) -> None:
    """Log at level error."""
    _write(line("error", msg, fields))


def numbered(kind: str, exc: Exception) -> str:
    """Log a failure under a number; what the client is told of it."""
    number = random.randrange(10000, 99999)
    error(f"{kind} error ID {number}: {exc}")
    return f"Internal error occurred: {kind} error ID {number}"


def fatal(msg: str) -> NoReturn:
    """Log at level fatal and end the process with exit code 1, from whatever thread."""
    _write(line("fatal", msg, {}))
    os._exit(1)
