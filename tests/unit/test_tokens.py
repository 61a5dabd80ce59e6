# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens: what of them is the password, and the name of the bootstrap key that it opens."""

from __future__ import annotations

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _tokens

CA = "1074936edf087fee40e83659efe2bd5f1850597e5bfdd085c95ecfb022eded63"


@pytest.mark.parametrize(
    ("token", "password"),
    [
        ("sekret123", "sekret123"),
        ("sekret123\n", "sekret123"),
        (f"K10{CA}::server:sekret123", "sekret123"),
        (f"K10{CA}::server:a:b::c", "a:b::c"),
        (f"K10{CA}::sekret123", "sekret123"),
        ("K10 is no prefix here", "K10 is no prefix here"),
        ("server:sekret123", "server:sekret123"),
        ("a::b", "a::b"),
    ],
)
def test_password(token: str, password: str) -> None:
    assert _tokens.password(token) == password


def test_bootstrap_name() -> None:
    assert _tokens.bootstrap_name(f"K10{CA}::server:sekret123") == _tokens.bootstrap_name("sekret123") == "e2e269d4f6ec"
