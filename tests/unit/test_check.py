# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A check holds, is wrong, could not be made, or is of a part that is not there."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _check
from ansible_collections.requorum.cluster.plugins.module_utils._check import Fault, Seen, Topic, Verdict


def topic(*faults: Fault, said: str = "") -> Topic:
    return Topic("x", "good", lambda _seen: Verdict(said, faults), ("a",), ("b",))


def check(made: Topic, **read: Any) -> _check.Check:
    return _check.judged(made, {"a": [], "b": [], **read}, Seen({}))


@pytest.mark.parametrize(
    ("made", "read", "state", "observed"),
    [
        (topic(said="3 of them"), {}, "holds", "3 of them"),
        (topic(said="3 of them"), {"b": None}, "holds", "3 of them"),
        (topic(said="3 of them"), {"a": None}, "absent", "this cluster has no a"),
        (topic(said="3 of them"), {"a": "403"}, "unknown", "403"),
        (topic(said="3 of them"), {"b": "403"}, "unknown", "403"),
        (topic(said="3 of them"), {"a": None, "b": "403"}, "unknown", "403"),
        (topic(Fault("it burns", "water")), {}, "wrong", "it burns"),
        (topic(*(Fault(f"no {n}", "water") for n in range(5))), {}, "wrong", "no 0; no 1; no 2; and 2 more"),
    ],
)  # fmt: skip
def test_states(made: Topic, read: dict[str, Any], state: str, observed: str) -> None:
    found = check(made, **read)
    assert (found.state, found.observed) == (state, observed)
    assert found.ok == (state in ("holds", "absent"))
    assert bool(found.next) == (not found.ok)


def test_what_to_do_stands_there_once() -> None:
    assert check(topic(Fault("a", "water"), Fault("b", "water"), Fault("c", "sand"))).next == "water sand"


@pytest.mark.parametrize("item", [{}, {"metadata": None}, {"metadata": {"name": "n"}, "spec": []}, 7])
def test_an_object_of_an_unknown_form_is_not_checked(item: Any) -> None:
    def judge(seen: Seen) -> Verdict:
        return Verdict(seen["a"][0]["metadata"]["name"] + seen["a"][0]["spec"]["x"])

    made = Topic("x", "good", judge, ("a",))
    found = _check.judged(made, {"a": [item]}, Seen({"a": [item]}))
    assert found.state == "unknown" and not found.ok
