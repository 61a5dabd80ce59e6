# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The catalogue of messages: all are said somewhere, with the fields that their words have."""

from __future__ import annotations

import ast
import re
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _messages
from ansible_collections.requorum.cluster.plugins.module_utils._errors import Refusal, RequorumError
from requorum import reference

ROOT = Path(__file__).resolve().parents[2]
CATALOGUE = _messages.CATALOGUE
MESSAGES = {ident: message for messages in CATALOGUE.values() for ident, message in messages.items()}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """(place, call) of everything that asks the catalogue."""
    for path in sorted([*(ROOT / "plugins").rglob("*.py"), *(ROOT / "src").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("_messages.refusal", "_messages.error"):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def fields(message: _messages.Message) -> set[str]:
    text = message.what + message.where + message.next
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(text) if name is not None}


CALLS = list(calls())


@pytest.mark.parametrize(("place", "call"), CALLS, ids=[place for place, _call in CALLS])
def test_it_is_asked_for_what_it_has_with_the_fields_of_its_words(place: str, call: ast.Call) -> None:
    (ident,) = call.args
    assert isinstance(ident, ast.Constant) and ident.value in MESSAGES
    assert {keyword.arg for keyword in call.keywords} == fields(MESSAGES[ident.value])


def test_every_message_is_said_somewhere() -> None:
    said = {ast.literal_eval(call.args[0]) for _place, call in CALLS}
    assert set(MESSAGES) - said == set()


@pytest.mark.parametrize("ident", MESSAGES)
def test_a_message_has_its_three_parts_as_sentences(ident: str) -> None:
    message = MESSAGES[ident]
    assert message.what.endswith((".", ")")) and message.next.endswith((".", ")"))
    assert message.where and not message.where.endswith(".")
    assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", ident)


def test_no_id_stands_in_two_topics() -> None:
    seen = Counter(ident for messages in CATALOGUE.values() for ident in messages)
    assert [ident for ident, times in seen.items() if times > 1] == []


def test_a_refusal_and_an_error_say_the_same() -> None:
    refusal = _messages.refusal("token-file-unread", path="/t", reason="Is a directory")
    assert refusal == Refusal(
        "requorum_token_file /t cannot be read: Is a directory.", "/t", "Name the file with the token."
    )
    error = _messages.error("token-file-unread", path="/t", reason="Is a directory")
    assert isinstance(error, RequorumError) and str(error) == str(refusal)


def test_the_page_shows_fields_as_capitals() -> None:
    assert "| `requorum_token_file PATH cannot be read: REASON.` | PATH | Name the file" in reference.errors()
