# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose stored node password counts, and who is refused."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.action import password_info


def stored(password: str) -> str:
    """As K3s stores it; a small cost, so that the test is quick."""
    made = hashlib.scrypt(password.encode(), salt=bytes(8), n=2, r=8, p=1, dklen=64)
    return f"$1:{bytes(8).hex()}:1:8:1:{base64.b64encode(made).decode().rstrip('=')}"


def asked(own: str, *read: tuple[str, dict[str, str]], server: str = "") -> Any:
    """password_info on a1, whose Node is n-a1; `read` is what token_info registered, by server."""

    class Asking(password_info.ActionModule):
        def __init__(self) -> None:
            found = {name: {"requorum_tokens": {"passwords": kept}} for name, kept in read}
            known = {
                name: {"requorum_token_after": kept} if name == server else {"requorum_read": {"tokens": kept}}
                for name, kept in found.items()
            }
            mine = {"requorum_read": {"tokens": {"requorum_tokens": {"node": "n-a1", "passwords": {}}}}}
            self.host, self.vars = "a1", {"groups": {"servers": list(known)}, "hostvars": {**known, "a1": mine}}
            self._task = type("Task", (), {"args": {"server": server} if server else {}})()

        def small(self, path: str) -> bytes:
            assert path == "/etc/rancher/node/password"
            return own.encode()

    result = Asking().act()
    return result["accepted"], result["refused"]


@pytest.mark.parametrize(
    ("own", "read", "server", "answer"),
    [
        ("right\n", [("r1", {"n-a1": stored("right")})], "", (True, "")),
        ("wrong\n", [("r1", {"n-a1": stored("right")})], "", (False, "n-a1")),
        ("wrong\n", [("r1", {}), ("r2", {"n-a1": stored("right")})], "", (False, "n-a1")),
        ("", [("r1", {"n-a1": stored("right")})], "", (None, "")),  # a new host makes its own
        ("wrong\n", [("r1", {"another": stored("right")})], "", (None, "")),
        ("wrong\n", [("r1", {"n-a1": "$2:unknown"})], "", (None, "")),
        ("wrong\n", [("r1", {})], "", (None, "")),
        # r1 has read it before the join, r2 after it.
        ("new\n", [("r1", {"n-a1": stored("old")}), ("r2", {"n-a1": stored("new")})], "r2", (True, "")),
    ],
)
def test_who_is_refused(own: str, read: list[tuple[str, dict[str, str]]], server: str, answer: tuple[Any, str]) -> None:
    assert asked(own, *read, server=server) == answer
