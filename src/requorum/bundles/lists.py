# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of objects as YAML, one object after the other, so that memory does not depend on how many there are.

The collector of Harvester writes each number through floating point (`1.048576e+06`, `1e+11`), and replaces text
blindly: `""` and null come out as "null", and a text that ends in a quote has null behind it (facts/harvester.md 6;
support-bundle-kit pkg/manager/collectors/common.go, pkg/manager/cluster.go).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, ClassVar, TypeGuard

import yaml

from .. import archive

JSON = dict[str, Any]
LARGEST = 16 << 20
"""Bytes of one object, or of a file that is no list line by line."""
MOST = 1_000_000
"""Values in one object; YAML can make more of a few lines by reference."""
STRANGE = (AttributeError, KeyError, TypeError, ValueError)
"""What a reader raises of an object whose parts are of other types than those of Kubernetes."""
_CONTROL = bytes(number for number in range(32) if number not in (9, 10)) + b"\x7f"
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Base):  # type: ignore[misc]
    """Times stay texts, and only what JSON knows is anything else than a text."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


def _number(loader: Any, node: Any) -> Any:
    text = loader.construct_scalar(node)
    found = float(text)
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    return int(found) if found.is_integer() else found if math.isfinite(found) else text


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|)$"), ["~", "n", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver(
    "tag:requorum,number", re.compile(r"^-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?$"), list("-0123456789")
)
_Loader.add_constructor("tag:requorum,number", _number)


def objects(member: archive.Member) -> Iterator[JSON]:
    """The objects of a list, or the one object of a file; what cannot be read of them is noted."""
    for number, text in enumerate(_parts(member)):
        try:
            found = _mended(_load(text), [MOST])
        except (ValueError, RecursionError) as error:
            member.notes.add(member.path, f"object {number + 1}: {error}")
            continue
        listed = found.get("items") if isinstance(found, dict) and "items" in found else found
        for item in listed if isinstance(listed, list) else [listed]:
            if is_object(item):
                yield item
            elif item:
                member.notes.add(member.path, f"object {number + 1} is no object of Kubernetes")


def is_object(item: Any) -> TypeGuard[JSON]:
    """Whether it has a name, and a namespace where it says one."""
    meta = item.get("metadata") if isinstance(item, dict) else None
    if not isinstance(meta, dict) or not isinstance(meta.get("namespace", ""), (str, type(None))):
        return False
    return isinstance(meta.get("name"), str) and bool(meta["name"])


def document(text: bytes) -> Any:
    """One document of YAML; ValueError where it is none."""
    return _mended(_load(text), [MOST])


def _parts(member: archive.Member) -> Iterator[bytes]:
    """Each item of `items:`, as a list of one; a file of another form as a whole.

    Nothing but the next item begins with the dash of the first one: what belongs to an item stands further right.
    """
    held, dash, size, large = list[bytes](), b"", 0, False
    for line in member.lines():
        line = line.translate(None, _CONTROL) if line.translate(None, _CONTROL) != line else line
        if not dash and (found := re.match(rb" *- ", line)) and held and held[-1].rstrip() == b"items:":
            dash, held, size = found[0], [], 0
        elif dash and (line.startswith(dash) or (line[:1] not in (b" ", b"-", b"#", b""))):
            if held and not large:
                yield b"\n".join(held)
            held, size, large = [], 0, False
            if not line.startswith(dash):
                return
        size += len(line)
        if size > LARGEST:
            if not large:
                what = "an object of it" if dash else "it is no list, line by line, and"
                member.notes.add(member.path, f"{what} is larger than {LARGEST >> 20} MiB")
            held, large = [], True
            if not dash:
                return
        else:
            held.append(line)
    if any(line.strip() for line in held) and not large:
        yield b"\n".join(held)


def _load(text: bytes) -> Any:
    try:
        return yaml.load(text.decode("utf-8", "replace"), Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error


def _mended(value: Any, left: list[int]) -> Any:
    """With what the collector's replacements have made of it set right. left: how many values there may be."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"it has more than {MOST} values")
    if isinstance(value, dict):
        return {str(key): _mended(each, left) for key, each in value.items()}
    if isinstance(value, list):
        return [_mended(each, left) for each in value]
    if isinstance(value, str):
        return "" if value == "null" else value.removesuffix("null") if value.endswith('"null') else value
    return value
