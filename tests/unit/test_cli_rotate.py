# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum rotate-certs`: which playbook, with which variables."""

from __future__ import annotations

from typing import Any

import pytest

from requorum import cli, turns
from requorum.output import Result


@pytest.mark.parametrize(
    ("words", "playbook", "options"),
    [
        ((), "rotate_certs", {}),
        (("--days", "90"), "rotate_certs", {"cert_days": 90}),
        (("--all", "--check"), "rotate_certs", {"cert_all": True}),
        (("--empty-tls", "--only", "s1"), "tls_remove", {}),
        (("--ca",), "rotate_ca", {}),
        (("--ca", "--days", "900"), "rotate_ca", {"ca_days": 900}),
    ],
)
def test_playbook_and_variables(
    words: tuple[str, ...], playbook: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, dict[str, Any]]] = []

    def run(name: str, _arguments: Any, given: dict[str, Any]) -> Result:
        calls.append((name, given))
        return Result([])

    monkeypatch.setattr(turns, "run", run)
    assert cli.main(["rotate-certs", "-i", "inventory", *words]) == 0
    assert calls == [(playbook, options)]


@pytest.mark.parametrize(
    "words", [(), ("--only", "s1", "--all"), ("--only", "s1", "--days", "3"), ("--only", "s1", "--ca")]
)
def test_server_tls_is_emptied_only_on_named_servers(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["rotate-certs", "-i", "inventory", "--empty-tls", *words]) == cli.USAGE
    assert "--only HOST" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--only", "s1"), ("--all",)])
def test_authorities_are_replaced_everywhere(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["rotate-certs", "-i", "inventory", "--ca", *words]) == cli.USAGE
    assert "--ca is for all hosts" in capsys.readouterr().err
