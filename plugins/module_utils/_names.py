# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What forms can give: lists and pairs as text, yes and no as words. One reading for all plugins."""

from __future__ import annotations

import json
import re
import typing as t

LISTS = (
    *("accept_loss", "agents", "bundles", "dead", "only", "parts", "powered_off", "remove", "servers", "upkeep", "vms"),
)
"""Options of action plugins that are lists of names."""
YES = ("1", "on", "t", "true", "y", "yes")


def names(value: t.Any) -> list[str]:
    """A list; of a text, its words between commas, spaces and line ends, or what it says as JSON."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("["):
            try:
                return [str(name) for name in json.loads(text)]
            except ValueError:
                pass  # then it is words
        return [word for word in re.split(r"[\s,;]+", text.strip("[]")) if word]
    return [str(name) for name in value or ()]


def accepted(value: t.Any) -> t.Any:
    """A list of names, or the word `all`."""
    found = names(value)
    return "all" if found == ["all"] and isinstance(value, str) else found


def pairs(value: t.Any) -> dict[str, str]:
    """A dictionary; of a text, `OLD=NEW` of each of its words, or what it says as JSON."""
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("{"):
            return {str(old): str(new) for old, new in json.loads(text).items()}
        return {old: new or old for old, _equals, new in (word.partition("=") for word in names(text))}
    return {str(old): str(new) for old, new in (value or {}).items()}


def yes(value: t.Any) -> bool:
    """Whether a word or a value says yes."""
    return value.strip().lower() in YES if isinstance(value, str) else bool(value)


def read(options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The options of an action plugin, with lists of names as lists; the options of a plan are one level below."""
    told = {name: names(value) if name in LISTS and value is not None else value for name, value in options.items()}
    if isinstance(more := told.get("options"), t.Mapping):
        told["options"] = {
            **read(more),
            **({"replace": pairs(more["replace"])} if "replace" in more else {}),
            **({"cert_all": yes(more["cert_all"])} if "cert_all" in more else {}),
        }
    return told
