# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands with their options, as a page (docs/cli.md) and for man (docs/requorum.1), both made of the parser.

In a checkout, `python -m requorum.reference` writes both anew, and docs/errors.md.
"""

from __future__ import annotations

import argparse
import re
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.requorum.cluster.plugins.module_utils import _messages

ENDINGS = (
    (0, "done, healthy, or nothing to do"),
    (1, "failed, or nothing could be read"),
    (2, "what was typed does not go together, or names what is not there"),
    (3, "refused by a gate, or not confirmed: nothing was changed"),
    (4, "something is wrong: a finding of severity error, a check that does not hold"),
    (5, "another run holds the lock of the cluster"),
    (130, "interrupted"),
)
"""Exit codes and what they mean."""


@dataclass(frozen=True)
class Command:
    """One command that can be typed."""

    name: str
    text: str
    synopsis: str
    rows: tuple[tuple[str, str], ...]
    """What can stand behind it, and what that means."""


def commands(parser: argparse.ArgumentParser) -> Iterator[Command]:
    """All that can be typed, in the order of the parser."""
    families = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for family in families:
        for child in family.choices.values():
            yield from commands(child)
    if not families and parser.description:  # what has none is not for people
        actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
        shown = [action for action in actions if not isinstance(action, argparse._HelpAction)]
        yield Command(parser.prog, parser.description, _synopsis(parser.prog, shown), tuple(map(_row, shown)))


def _synopsis(name: str, actions: list[argparse.Action]) -> str:
    """By our own words: those of argparse differ from one Python to the next."""
    needed = [f"{action.option_strings[0]} {_value(action)}" for action in actions if _needed(action)]
    optional = any(action.option_strings and not action.required for action in actions)
    operands = [_value(action) for action in actions if not action.option_strings]
    return " ".join([name, *needed, *(["[OPTIONS]"] if optional else []), *operands])


def _needed(action: argparse.Action) -> bool:
    return bool(action.option_strings) and action.required


def _row(action: argparse.Action) -> tuple[str, str]:
    value = _value(action)
    given = f" {value}" if value else ""
    name = ", ".join(action.option_strings) + given if action.option_strings else value
    # As argparse does it: a literal percent sign stands twice in a help text.
    return name, (action.help or "").replace("%%", "%") + (" (needed)" if _needed(action) else "")


def _value(action: argparse.Action) -> str:
    """What is typed for it: NAME, NAME ..., OLD NEW; nothing for a switch."""
    if action.nargs == 0:
        return ""
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    choices = "|".join(map(str, action.choices)) if action.choices is not None else ""
    name = choices or action.metavar or action.dest.upper()
    return {"?": f"[{name}]", "*": f"[{name} ...]", "+": f"{name} ..."}.get(str(action.nargs), name)


def markdown(parser: argparse.ArgumentParser) -> str:
    """docs/cli.md."""
    lines = [
        *("# Commands", ""),
        "<!-- Made by `python -m requorum.reference` from the parser. Change the help texts in src/requorum/. -->",
        *("", "What `requorum COMMAND --help` says, on one page. `man requorum` has the same; TAB completes all of"),
        'it after `eval "$(requorum completion bash)"`: [completion and man page](init.md#completion-and-man-page).',
        *("", "| exit code | meaning |", "| --- | --- |"),
        *(f"| {code} | {meaning} |" for code, meaning in ENDINGS),
        "",
    ]
    for command in commands(parser):
        lines += [f"## {command.name}", "", f"{_sentence(command.text)}", "", "```", command.synopsis, "```", ""]
        if command.rows:
            lines += ["| option | meaning |", "| --- | --- |"]
            lines += [f"| `{_cell(name)}` | {_cell(text)} |" for name, text in command.rows]
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def roff(parser: argparse.ArgumentParser) -> str:
    """docs/requorum.1."""
    lines = [
        '.\\" Made by `python -m requorum.reference` from the parser.',
        ".TH REQUORUM 1",
        ".SH NAME",
        "requorum \\- bring RKE2, K3s and Harvester clusters back that lost etcd quorum",
        *(".SH SYNOPSIS", ".B requorum", ".I COMMAND", ".RI [ OPTIONS ]"),
        *(".SH DESCRIPTION", _text(_sentence(parser.description or ""))),
        ".SH COMMANDS",
    ]
    for command in commands(parser):
        lines += [f'.SS "{_text(command.synopsis)}"', _text(_sentence(command.text))]
        for name, text in command.rows:
            lines += [".TP", f".B {_text(name)}", _text(text)]
    lines.append(".SH EXIT STATUS")
    for code, meaning in ENDINGS:
        lines += [".TP", f".B {code}", _text(meaning)]
    lines += [".SH FILES", ".TP", ".I recoveries/CLUSTER/TIME/", "What a run has learned, below the folder where it"]
    lines += ["was started, or below", ".BR requorum_output .", "Only its owner can read it."]
    return "\n".join(lines) + "\n"


def _text(text: str) -> str:
    """Text that troff takes as it is."""
    escaped = re.sub(r"[ \n]+", " ", text.replace("\\", "\\e")).replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def errors() -> str:
    """docs/errors.md."""
    lines = [
        *("# Errors", ""),
        "<!-- Made by `python -m requorum.reference`. Change the texts in plugins/module_utils/_messages.py. -->",
        "",
        "What is said of bad input, and by the gates of a recovery; words in CAPITALS stand for names and values.",
        "The exit code is not 0 then, and no node was changed. All other messages: [runbook](runbook.md).",
        "",
        "A snapshot on a node or in S3 is read as a whole in BACKUP only: where it is refused there, the survivor's",
        "etcd may be stopped.",
    ]
    for topic, messages in _messages.CATALOGUE.items():
        lines += ["", f"## {topic}", "", "| message | where | do |", "| --- | --- | --- |"]
        for message in messages.values():
            what, where, next_ = (_cell(_capitals(text)) for text in (message.what, message.where, message.next))
            lines.append(f"| `{what}` | {where} | {next_} |")
    return "\n".join(lines) + "\n"


def _capitals(text: str) -> str:
    """`{path} is empty` as `PATH is empty`."""
    fields = [name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name]
    return text.format(**{name: name.upper() for name in fields})


def pages(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Paths in a checkout -> what they must hold."""
    return {"docs/cli.md": markdown(parser), "docs/requorum.1": roff(parser), "docs/errors.md": errors()}


if __name__ == "__main__":
    from . import cli

    for path, content in pages(cli.parser()).items():
        Path(path).write_text(content, encoding="utf-8")
