# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command found, and how it is written: JSON, tables on a terminal, plain columns everywhere else.

Plain output is for programs: one row begins one line, columns are two spaces apart, the last one is wrapped between
words at 80 columns. What was read from a file is never sent to a terminal as control characters.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

WIDTH = 80
LOCKED = 5
"""Exit code where another run works on the cluster."""
STYLES = {
    "ok": "green", "FAILED": "bold red", "WRONG": "bold red", "not checked": "yellow",
    "new": "bold red", "gone": "green", "changed": "yellow",
    "blocker": "bold red", "error": "red", "warning": "yellow", "info": "blue",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Rows of words; without a header it is a list of names with their values."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    right: frozenset[int] = frozenset()
    """Columns of numbers."""


@dataclass(frozen=True)
class Result:
    """Outcome of a command."""

    blocks: Sequence[str | Table]
    """For people; an empty line stands between two."""
    document: Any = None
    """For --json."""
    notes: Sequence[str] = ()
    """For stderr: they are no part of the result."""
    code: int = 0


def write(result: Result, *, as_json: bool, out: IO[str] | None = None) -> None:
    """Write a result to standard output, its notes to standard error."""
    out = out or sys.stdout
    for note in result.notes:
        sys.stderr.write(f"requorum: {printable(note)}\n")
    if as_json:
        out.write(json.dumps(result.document, indent=2) + "\n")
        return
    for number, block in enumerate(result.blocks):
        out.write("\n" if number else "")
        if isinstance(block, str):
            out.write(block if block.endswith("\n") else "\n".join(wrapped(block)) + "\n")
        elif out.isatty():
            _rich(block, out)
        else:
            out.writelines(f"{line}\n" for line in plain(block))


class Line:
    """One line of progress on a terminal that is written over and gone at the end; nothing where stderr is none."""

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty()

    def say(self, text: str) -> None:
        """In place of what stood there."""
        if self.shown and text:
            sys.stderr.write(f"\r\033[K{printable(text)[: WIDTH - 1]}")
            sys.stderr.flush()

    def end(self) -> None:
        """Gone."""
        if self.shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


def printable(text: str) -> str:
    """Without characters that a terminal would obey."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def wrapped(text: str, indent: int = 0) -> list[str]:
    """Lines of at most 80 columns; words, which may be paths and keys, stay whole."""
    width = max(WIDTH - indent, 24)
    return textwrap.wrap(printable(text), width, break_long_words=False, break_on_hyphens=False) or [""]


def plain(table: Table) -> Iterator[str]:
    """Lines of a table."""
    rows = [tuple(map(printable, row)) for row in ([table.header] if table.header else []) + list(table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for row in rows:
        cells = [
            cell.rjust(width) if number in table.right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=False))
        ]
        start = "".join(f"{cell}  " for cell in cells)
        first, *more = wrapped(row[-1], len(start))
        yield (start + first).rstrip()
        yield from (" " * len(start) + line for line in more)


def _rich(table: Table, out: IO[str]) -> None:
    from rich import box, console, text  # a pipe does without: it is a third of the time that a command takes to start
    from rich import table as tables

    drawn = tables.Table(box=box.SIMPLE_HEAD, show_header=bool(table.header), pad_edge=False)
    for number in range(len(table.rows[0]) if table.rows else len(table.header)):
        name = table.header[number] if table.header else ""
        drawn.add_column(name, justify="right" if number in table.right else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(text.Text(printable(cell), style=STYLES.get(cell, "")) for cell in row))
    console.Console(file=out, highlight=False).print(drawn)
