# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A far host: ProxyCommand of ssh that gives every byte on later, `python -m lab.delay MILLISECONDS HOST PORT`.

Not every kernel can delay packets (netem); rate and loss are the fault `slow_line`.
"""

from __future__ import annotations

import os
import queue
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent


def options(milliseconds: int) -> str:
    """What ssh is given so that an answer takes so much longer: half of it each way."""
    command = [sys.executable, str(Path(__file__)), str(milliseconds / 2), "%h", "%p"]
    return f"-o ProxyCommand={shlex.quote(shlex.join(command))}"


def later(read: Callable[[], bytes], write: Callable[[bytes], object], seconds: float) -> threading.Thread:
    """Give on what is read, each block so much later, until there is no more; the thread ends then."""
    line: queue.Queue[tuple[float, bytes]] = queue.Queue()

    def come() -> None:
        block = b"begin"
        while block:
            try:
                block = read()
            except OSError:
                block = b""
            line.put((time.monotonic() + seconds, block))

    def go() -> None:
        block = b"begin"
        while block:
            due, block = line.get()
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                write(block)
            except OSError:
                return

    threading.Thread(target=come, daemon=True).start()
    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    return thread


def main() -> None:
    seconds, host, port = float(sys.argv[1]) / 1000, sys.argv[2], int(sys.argv[3])
    with socket.create_connection((host, port), timeout=10) as there:
        there.settimeout(None)
        there.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def send(block: bytes) -> None:
            there.sendall(block) if block else there.shutdown(socket.SHUT_WR)

        def show(block: bytes) -> None:
            while block:
                block = block[os.write(1, block) :]

        later(lambda: os.read(0, 1 << 16), send, seconds)
        later(lambda: there.recv(1 << 16), show, seconds).join()


if __name__ == "__main__":
    main()
