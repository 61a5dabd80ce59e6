# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What README.md and docs/ point to is there: files, headings, commands with their options, playbooks, variables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from requorum import cli, completion

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^( *)```.*?^\1```", re.M | re.S)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def headings(page: Path) -> set[str]:
    """Anchors as GitHub makes them."""
    text = BLOCK.sub("", page.read_text("utf-8"))
    found: list[str] = []
    for heading in re.findall(r"^#+ +(.+?) *$", text, re.M):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        found.append(f"{words}-{found.count(words)}" if words in found else words)
    return set(found)


def links(page: Path) -> list[str]:
    return [link for link in LINK.findall(BLOCK.sub("", page.read_text("utf-8"))) if "://" not in link]


def dead(page: Path) -> Iterator[str]:
    for link in links(page):
        path, _hash, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            yield f"{link}: no such file"
        elif anchor and anchor not in headings(target):
            yield f"{link}: no such heading"


def typed(page: Path, program: str) -> list[str]:
    """Lines of blocks, and code within text, that begin with a program; a backslash goes on on the next line."""
    text = page.read_text("utf-8")
    lines = [line for block in BLOCK.finditer(text) for line in re.sub(r"\\\n\s*", "", block[0]).splitlines()]
    lines += INLINE.findall(BLOCK.sub("", text))
    return [line.strip().removeprefix("$ ") for line in lines if re.match(rf"\s*(\$ )?{program} \S", line)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(dead(page)) == []


def wrong(line: str) -> str | None:
    """Why a command cannot be typed so. What stands in brackets may be left out; `...` is anything."""
    line = re.split(r" [|>;#&] ?| [#;]", line)[0].rstrip()
    words = [word for word in shlex.split(re.sub(r"\[([^]]*)\]", r"\1", line)) if word != "..."][1:]
    parser = cli.parser()
    for number, word in enumerate(words):
        family = completion._family(parser)
        if not family:
            known = parser._option_string_actions
            return next((f"{line}: no {each}" for each in words[number:]
                         if each.startswith("-") and each.partition("=")[0] not in known), None)  # fmt: skip
        if word.startswith("-"):
            return None if word in parser._option_string_actions else f"{line}: no {word}"
        if word.isupper() or "|" in word:
            return next((f"{line}: no {each}" for each in word.split("|")
                         if not each.isupper() and each not in family.choices), None)  # fmt: skip
        if word not in family.choices:
            return f"{line}: no {word}"
        parser = family.choices[word]
    return None


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_can_be_typed(page: Path) -> None:
    assert [fault for line in typed(page, "requorum") if (fault := wrong(line))] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_playbook_is_there(page: Path) -> None:
    named = [word for line in typed(page, "ansible-playbook") for word in line.split()[1:] if word.endswith(".yml")]
    named = [word for word in named if re.match(r"playbooks/|recover\.yml", word)]
    named += re.findall(r"`(playbooks/\w+\.yml)", page.read_text("utf-8"))
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_they_would_be_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    links_ = "[x](#a-b-c) [y](#other) [z](gone.md)"
    page.write_text(f"# A `b`: c\n{links_}\n```\n[not](a-link.md)\n$ requorum verify -i INV\n```\n")
    assert list(dead(page)) == ["#other: no such heading", "gone.md: no such file"]
    assert typed(page, "requorum") == ["requorum verify -i INV"]
    assert wrong("requorum snapshot list|get FILE") is None and wrong("requorum COMMAND --help") is None
    assert wrong("requorum snapshot list|gte FILE") and wrong("requorum verifi") and wrong("requorum verify --chek")


def test_there_is_something_to_look_at() -> None:
    lines = {program: sum(len(typed(page, program)) for page in PAGES) for program in ("requorum", "ansible-playbook")}
    assert lines["requorum"] > 100 and lines["ansible-playbook"] > 50
    assert sum(len(links(page)) for page in PAGES) > 80
