# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placeholders for kube-scheduler and kube-controller-manager: they hold the port and give up without an apiserver."""

from __future__ import annotations

import socket
import time
from pathlib import Path

PORTS = {"kube-scheduler": 10259, "kube-controller-manager": 10257}
LEASE = 10.0
"""Seconds without an apiserver after which the real ones lose their leader election and exit."""


def api_answers(host: str, port: int) -> bool:
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def hold(component: str) -> socket.socket:
    """Listen on the component's port for as long as the socket lives; K3s does so in its own process."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", PORTS[component]))
    listener.listen()
    return listener


def main(argv: list[str]) -> int:
    """Run until the apiserver has been away for `LEASE` seconds."""
    with hold(Path(argv[0]).name):
        last = time.monotonic()
        while time.monotonic() - last < LEASE:
            if api_answers("127.0.0.1", 6443):
                last = time.monotonic()
            time.sleep(2)
    return 1
