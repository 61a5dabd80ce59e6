# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a form gives is what a file of variables would have given."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.plugins.action import ActionBase

from ansible_collections.requorum.cluster.plugins.module_utils import _names
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("", []),
        ("  \n", []),
        (None, []),
        ([], []),
        ("s3", ["s3"]),
        ("s2 s3", ["s2", "s3"]),
        ("s2, s3", ["s2", "s3"]),
        ("s2\ns3\n", ["s2", "s3"]),
        ('["s2", "s3"]', ["s2", "s3"]),
        ("[s2, s3]", ["s2", "s3"]),
        (["s2", "s3"], ["s2", "s3"]),
        ("default/web-1 default/web-2", ["default/web-1", "default/web-2"]),
    ],
)
def test_names(value: Any, wanted: list[str]) -> None:
    assert _names.names(value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("", {}),
        (None, {}),
        ("n2=n5", {"n2": "n5"}),
        ("n2=n5, n3", {"n2": "n5", "n3": "n3"}),
        ('{"n2": "n5"}', {"n2": "n5"}),
        ({"n2": "n5"}, {"n2": "n5"}),
    ],
)
def test_pairs(value: Any, wanted: dict[str, str]) -> None:
    assert _names.pairs(value) == wanted


@pytest.mark.parametrize(
    ("value", "wanted"), [("no", False), ("yes", True), ("", False), ("false", False), (True, True), (0, False)]
)
def test_yes(value: Any, wanted: bool) -> None:
    assert _names.yes(value) is wanted


@pytest.mark.parametrize(("value", "wanted"), [("all", "all"), ("", []), ("a/b", ["a/b"]), (["all"], ["all"])])
def test_accepted(value: Any, wanted: Any) -> None:
    assert _names.accepted(value) == wanted


def test_options_of_a_plan_are_read_too() -> None:
    options = {"replace": "n2=n5", "remove": "", "cert_all": "no", "cert_days": 30, "run": ""}
    assert _names.read({"powered_off": "s2 s3", "cluster": "prod one", "options": options}) == {
        "powered_off": ["s2", "s3"],
        "cluster": "prod one",
        "options": {"replace": {"n2": "n5"}, "remove": [], "cert_all": False, "cert_days": 30, "run": ""},
    }
    assert _names.read({"only": None, "options": {}}) == {"only": None, "options": {}}


def test_every_action_gets_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ActionBase, "run", lambda self, tmp, task_vars: {})

    class Acting(NodeAction):
        VALID = ("powered_off", "cluster")

        def __init__(self) -> None:
            self._connection = self._templar = None
            self._task = type("Task", (), {"args": {"powered_off": "s2 s3", "cluster": "a b"}, "delegate_to": None})()

        def act(self) -> dict[str, Any]:
            return {"args": self._task.args}

    assert Acting().run(None, {})["args"] == {"powered_off": ["s2", "s3"], "cluster": "a b"}
