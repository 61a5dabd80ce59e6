# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Objects as YAML, and back. Runs on the controller only."""

from __future__ import annotations

import typing as t

import yaml

JSON = dict[str, t.Any]
WIDTH = 1 << 30
"""No line is folded."""
# The classes in C do the same, ten times as fast.
_Base: t.Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_Loader: t.Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(_Base):  # type: ignore[misc]
    """Scripts and certificates as they were written, line by line; nothing by reference."""

    def ignore_aliases(self, _data: t.Any) -> bool:
        return True


def _text(dumper: t.Any, text: str) -> yaml.ScalarNode:
    node: yaml.ScalarNode = dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)
    return node


_Dumper.add_representer(str, _text)


def dump(document: JSON) -> str:
    """One document of a stream, in the order of its fields; RecursionError where it nests too deep."""
    text: str = yaml.dump(
        document, Dumper=_Dumper, explicit_start=True, sort_keys=False, allow_unicode=True, width=WIDTH
    )
    return text


def load(text: str) -> t.Any:
    """One document; ValueError where it is none."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
