# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum completion`: TAB in bash, zsh and fish.

A shell knows nothing but to ask `requorum completion words`, which reads the line so far from standard input, one word
a line, and answers one candidate a line. So there is one logic for all shells, and it is always that of the program
which is installed. `:file` and `:dir` leave the rest to the shell.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _errors

from .output import Result

BASH = r"""_requorum() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :file) compopt -o default ;;
      :dir) compopt -o dirnames ;;
      *) line=${line%%$'\t'*}; COMPREPLY+=("$line"); case $line in *=) compopt -o nospace ;; esac ;;
    esac
  done < <(printf '%s\n' "${COMP_WORDS[@]:1:COMP_CWORD}" | "$1" completion words 2>/dev/null)
}
complete -F _requorum requorum
"""
ZSH = r"""#compdef requorum
_requorum() {
  local line
  local -a found open
  for line in "${(@f)$(printf '%s\n' "${(@)words[2,CURRENT]}" | "$words[1]" completion words 2>/dev/null)}"; do
    case $line in
      '') ;;
      :file) _files ;;
      :dir) _files -/ ;;
      *=$'\t'*) open+=("${line/$'\t'/:}") ;;
      *) found+=("${line/$'\t'/:}") ;;
    esac
  done
  (( $#found )) && _describe requorum found
  (( $#open )) && _describe requorum open -S ''
}
if [ "$funcstack[1]" = _requorum ]; then _requorum "$@"; else compdef _requorum requorum; fi
"""
FISH = r"""function __requorum_words
  set -l program (commandline -opc)[1]
  begin; commandline -opc; commandline -ct; end | sed 1d | $program completion words 2>/dev/null | while read -l line
    switch $line
      case :file
        __fish_complete_path (commandline -ct)
      case :dir
        __fish_complete_directories (commandline -ct)
      case '*'
        echo $line
    end
  end
end
complete -c requorum -f -a '(__requorum_words)'
"""
SHELLS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
FILES = ("FILE", "F", "INV", "OLD", "NEW")
"""Metavars that stand for files."""

Candidates = list[tuple[str, str]]
"""What can be typed, and what it means."""


def add(commands: Any) -> None:
    """Put the command into the parser."""
    text = "print what makes a shell complete commands, options, files and variables with TAB"
    made: argparse.ArgumentParser = commands.add_parser("completion", help=text, description=text, allow_abbrev=False)
    made.add_argument("shell", choices=[*SHELLS, "words"], metavar="bash|zsh|fish", help="which shell")
    made.set_defaults(run=completion)


def completion(arguments: argparse.Namespace) -> Result:
    """The shell's part, or what it asks for while somebody types."""
    if arguments.shell in SHELLS:
        return Result([SHELLS[arguments.shell]])
    from .cli import parser  # which imports this module

    words = sys.stdin.read().split("\n")[:-1] or [""]
    return Result(["".join(f"{word}\t{text}\n" if text else f"{word}\n" for word, text in complete(parser(), words))])


def complete(parser: argparse.ArgumentParser, words: Sequence[str]) -> Candidates:
    """What the last of the words can become."""
    *before, current = words
    open_: list[argparse.Action] = []  # an option once for each value that it still lacks
    operands = 0
    for word in before:
        if word == "=" or open_:  # bash makes a word of it
            open_ = open_ if word == "=" else open_[1:]
        elif option := parser._option_string_actions.get(word):
            open_ = [option] * (option.nargs if isinstance(option.nargs, int) else 1)
        elif not word.startswith("-") and (family := _family(parser)):
            if word not in family.choices:
                return []
            parser, operands = family.choices[word], 0
        elif not word.startswith("-"):
            operands += 1
    if open_:
        found = _values(open_[0])
    elif current.startswith("-"):
        found = _options(parser)
    elif family := _family(parser):
        found = [(action.dest, action.help or "") for action in family._choices_actions]
    else:
        found = _operand(parser, operands) or _options(parser)
    return [(word, text) for word, text in found if word.startswith((current, ":"))]


def _family(parser: argparse.ArgumentParser) -> Any:
    return next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)


def _options(parser: argparse.ArgumentParser) -> Candidates:
    return [(action.option_strings[-1], (action.help or "").replace("%%", "%"))
            for action in parser._actions if action.option_strings]  # fmt: skip


def _operand(parser: argparse.ArgumentParser, number: int) -> Candidates:
    operands = [action for action in parser._actions if not action.option_strings]
    if number >= len(operands) and operands and operands[-1].nargs in ("*", "+"):
        number = len(operands) - 1
    return _values(operands[number]) if number < len(operands) else []


def _values(action: argparse.Action) -> Candidates:
    if action.choices is not None:
        return [(str(choice), "") for choice in action.choices if choice != "words"]
    if action.metavar == "VAR=VALUE":
        return [(f"{name}=", text) for name, text in variables(_table()).items()]
    return [(":file", "")] if action.metavar in FILES else [(":dir", "")] if action.metavar == "DIR" else []


def _table() -> str:
    """docs/variables.md, which is part of the collection; its wheel too."""
    path = Path(os.path.abspath(_errors.__file__)).parents[2] / "docs" / "variables.md"
    return path.read_text("utf-8") if path.is_file() else ""


def variables(text: str) -> Mapping[str, str]:
    """Name -> meaning of the variables that a user may set, of docs/variables.md."""
    found: dict[str, str] = {}
    settable = False
    for line in text.splitlines():
        cells = re.split(r"(?<!\\) \| ", line.strip("| "))
        if line.startswith("| variable"):
            settable = len(cells) == 3 and cells[1].startswith("type")
        elif settable and line.startswith("| `requorum_") and len(cells) == 3:
            found |= {name: found.get(name) or _short(cells[2]) for name in re.findall(r"`(requorum_\w+)`", cells[0])}
    return dict(sorted(found.items()))


def _short(text: str) -> str:
    """The first sentence, without marks."""
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return re.split(r"(?<=[^.][a-z`)])[.:;] ", plain)[0].replace("`", "").rstrip(".")
