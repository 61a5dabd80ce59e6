# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""JMESPath as rules use it: an expression over one item, the whole state beside it as `state`, and functions of ours.

`now()`: the end of what was seen, Unix seconds. `time(text)`: an ISO time as Unix seconds. `version(text)`: a version
of Kubernetes, RKE2 or Harvester as a number that can be compared. `matches(text, regex)`, `plus(a, b)`, `minus(a, b)`,
`multiply(a, b)`, `ratio(a, b)`, `distinct(list)`, `condition(object, type)` (its status), `addresses(network)` (how
many hosts it has). For texts: `size(bytes)`, `span(seconds)`, `day(Unix s)`. Of what is null all but `matches` make
null, and `matches` makes false.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import typing as t
from datetime import UTC, datetime

import jmespath
from jmespath import exceptions, functions

JSON = dict[str, t.Any]
Item = t.Any
_BRACES = re.compile(r"(\{\{|\}\})|\{([^{}]+)\}")


class BadExpression(ValueError):
    """An expression that cannot be read, or that does not suit what it is asked of."""


@functools.cache
def compiled(expression: str) -> t.Any:
    """BadExpression names what is wrong with it."""
    try:
        return jmespath.compile(expression)
    except exceptions.JMESPathError as error:
        raise BadExpression(f"{expression}: {str(error).splitlines()[0]}") from error


def search(expression: str, item: Item, state: JSON) -> t.Any:
    """What an expression finds in an item; one that is no object is called `it`."""
    context = item if item is state else {**(item if isinstance(item, dict) else {"it": item}), "state": state}
    try:
        return compiled(expression).search(context, _options(state.get("time")))
    except exceptions.JMESPathError as error:
        raise BadExpression(f"{expression}: {str(error).splitlines()[0]}") from error


def filled(template: str, item: Item, state: JSON) -> str:
    """A text in which each {expression} is replaced by what it finds; {{ and }} are braces.

    One that does not suit the item finds nothing: a finding is not lost for its words.
    """

    def word(found: re.Match[str]) -> str:
        try:
            return found[1][0] if found[1] else _word(search(found[2], item, state))
        except BadExpression:
            return _word(None)

    return _BRACES.sub(word, template)


def expressions(template: str) -> list[str]:
    """Those of a text."""
    return [expression for _brace, expression in _BRACES.findall(template) if expression]


def seconds(text: str | None) -> float | None:
    """An ISO time in Unix seconds; None where it is none."""
    try:
        return datetime.fromisoformat(text).timestamp() if text else None
    except ValueError:
        return None


def number(text: str | None) -> float | None:
    """v1.28.12+rke2r1 -> 1028012.001: later versions are greater."""
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?(?:.*?r(\d+)$)?", text or "")
    if not found:
        return None
    major, minor, patch, release = (int(part or 0) for part in found.groups())
    return major * 1e6 + minor * 1e3 + patch + release / 1e3


def _word(value: t.Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_word, value)) or "none"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "unknown"}[value]
    return f"{value:.0f}" if isinstance(value, float) else str(value)


@functools.lru_cache(maxsize=8)
def _options(now: str | None) -> jmespath.Options:
    return jmespath.Options(custom_functions=_Functions(seconds(now)))


_UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))
_TEXT: t.Any = {"types": ["string", "null"]}
_NUMBER: t.Any = {"types": ["number", "null"]}


class _Functions(functions.Functions):
    def __init__(self, now: float | None) -> None:
        self._now = now

    @functions.signature()
    def _func_now(self) -> float | None:
        return self._now

    @functions.signature(_TEXT)
    def _func_time(self, text: str | None) -> float | None:
        return seconds(text)

    @functions.signature(_TEXT)
    def _func_version(self, text: str | None) -> float | None:
        return number(text)

    @functions.signature(_TEXT, {"types": ["string"]})
    def _func_matches(self, text: str | None, regex: str) -> bool:
        return text is not None and re.search(regex, text) is not None

    @functions.signature({"types": ["object", "null"]}, {"types": ["string"]})
    def _func_condition(self, item: t.Any, kind: str) -> str | None:
        found = ((item or {}).get("status") or {}).get("conditions") or ()
        return next((each.get("status") for each in found if each.get("type") == kind), None)

    @functions.signature(_NUMBER, _NUMBER)
    def _func_plus(self, one: float | None, other: float | None) -> float | None:
        return None if one is None or other is None else one + other

    @functions.signature(_NUMBER, _NUMBER)
    def _func_minus(self, one: float | None, other: float | None) -> float | None:
        return None if one is None or other is None else one - other

    @functions.signature(_NUMBER, _NUMBER)
    def _func_ratio(self, one: float | None, other: float | None) -> float | None:
        return None if one is None or not other else one / other

    @functions.signature(_NUMBER)
    def _func_size(self, count: float | None) -> str | None:
        return None if count is None else f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"

    @functions.signature(_NUMBER)
    def _func_span(self, count: float | None) -> str | None:
        if count is None:
            return None
        unit, word = next((u, w) for u, w in _UNITS if abs(count) >= 2 * u or u == 1)
        return f"{abs(count) / unit:.0f} {word}"

    @functions.signature(_NUMBER)
    def _func_day(self, moment: float | None) -> str | None:
        return None if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")

    @functions.signature(_NUMBER, _NUMBER)
    def _func_multiply(self, one: float | None, other: float | None) -> float | None:
        return None if one is None or other is None else one * other

    @functions.signature(_TEXT)
    def _func_addresses(self, network: str | None) -> int | None:
        try:
            return ipaddress.ip_network(network or "", strict=False).num_addresses - 2
        except ValueError:
            return None

    @functions.signature({"types": ["array", "null"]})
    def _func_distinct(self, words: list[t.Any] | None) -> list[t.Any] | None:
        return None if words is None else list(dict.fromkeys(words))
