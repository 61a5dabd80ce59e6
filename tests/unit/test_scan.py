# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scanner against a slow reader of lines, and the times of all forms of lines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _log_times, _needles, _scan

END = "2026-03-01T12:00:00Z"
REGEXES = {
    "leader": "lost leader|no leader",
    "member": r"member [0-9a-f]+ has already been bootstrapped",
    "any": "a.*z",
    "anchored": "^begin.*end$",
    "folded": "(?i)Handshake Timeout",
    "many": "(?:refused|timed out|reset by peer) +while",
    "optional": "(?:cannot )?reach",
}
PATTERNS = [_scan.Pattern(name, frozenset({"etcd"}), regex) for name, regex in REGEXES.items()]
WORDS = [
    *("lost leader", "no leader", "member 1f has already been bootstrapped", "member  has already been bootstrapped"),
    *("handshake timeout", "HANDSHAKE TIMEOUT", "begin", "end", " ", "refused  while", "timed out while", "timed out"),
    *("a", "z", "\n", "\n\n", "\x00", "reach", "cannot ", "\xff", "time=\"2026-01-02T03:04:05Z\" ", "x" * 40),
]  # fmt: skip


def slow(data: bytes) -> dict[str, list[int]]:
    """Numbers of the lines that match, by pattern."""
    lines = data.split(b"\n")
    return {name: [n for n, line in enumerate(lines, 1) if re.search(regex.encode(), line)]
            for name, regex in REGEXES.items()}  # fmt: skip


def scan(chunks: Iterable[bytes], wanted: list[_scan.Pattern] = PATTERNS) -> tuple[dict[str, Any], dict[str, Any]]:
    log, hits = _scan.scanned(wanted, "r1", "etcd", "etcd.log", chunks, end=END)
    return log, {hit["pattern"]: hit for hit in hits}


@given(st.lists(st.sampled_from(WORDS)), st.lists(st.integers(0, 300), max_size=6))
def test_it_finds_what_a_slow_reader_finds_however_the_bytes_are_cut(words: list[str], cuts: list[int]) -> None:
    data = "".join(words).encode("latin-1")
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    log, hits = scan([data[a:b] for a, b in itertools.pairwise(places)])
    wanted = {name: numbers for name, numbers in slow(data).items() if numbers}
    assert {name: hit["count"] for name, hit in hits.items()} == {name: len(found) for name, found in wanted.items()}
    for name, hit in hits.items():
        numbers = wanted[name]
        assert [line["line"] for line in hit["lines"]] == [*numbers[:1], *numbers[1:][-_scan.LAST :]]
    assert log["bytes"] in (len(data), len(data) + 1) and (log, hits) == scan([data])


def test_a_line_without_an_end_takes_constant_memory_and_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scan, "LONGEST", 1000)
    data = b"x" * 2500 + b" lost leader " + b"y" * 3000 + b"\nno leader\n" + b"z" * 1500
    chunks = [data[at : at + 7] for at in range(0, len(data), 7)]
    assert max(map(len, _scan._blocks(chunks))) <= 1001
    assert max(map(len, _scan._blocks([data]))) <= 1001
    _log, hits = scan(chunks)
    assert hits["leader"]["count"] == 2 and hits == scan([data])[1]
    assert [line["line"] for line in hits["leader"]["lines"]] == [1, 2]


def test_what_is_kept_is_bounded_and_shown_without_secrets() -> None:
    line = 'time="2026-02-01T00:{:02}:{:02}Z" level=error msg="lost leader \x1b[31m token=s3cr3t-s3cr3t" '
    data = "\n".join(line.format(n // 60 % 60, n % 60) + "x" * 500 for n in range(3000)).encode()
    log, hits = scan([data])
    hit = hits["leader"]
    assert (hit["count"], len(hit["times"]), len(hit["lines"])) == (3000, _scan.TIMES, 5)
    assert (hit["first"], hit["last"]) == ("2026-02-01T00:00:00Z", "2026-02-01T00:49:59Z")
    assert [shown["line"] for shown in hit["lines"]] == [1, 2997, 2998, 2999, 3000]
    text = hit["lines"][0]["text"]
    assert len(text) == _scan.SHOWN and text.isprintable() and "s3cr3t" not in text
    assert (log["lines"], log["first"], log["last"]) == (3000, "2026-02-01T00:00:00Z", "2026-02-01T00:49:59Z")


def test_a_pattern_is_for_its_sources() -> None:
    log, hits = _scan.scanned(PATTERNS, None, "kubelet", "kubelet.log", [b"lost leader\n"], end=END)
    assert hits == [] and log["lines"] == 1


@pytest.mark.parametrize(
    ("line", "time"),
    [
        ('{"level":"warn","ts":"2026-02-03T04:05:06.123456Z","caller":"x","msg":"y"}', "2026-02-03T04:05:06Z"),
        ('{"level":"warn","ts":"2026-02-03T04:05:06.123456+0100","msg":"y"}', "2026-02-03T03:05:06Z"),
        ('2026-02-03T04:05:07.1Z stderr F {"ts":"2026-02-03T04:05:06.1Z"}', "2026-02-03T04:05:07Z"),
        ('time="2026-02-03T04:05:06Z" level=info msg="x"', "2026-02-03T04:05:06Z"),
        ('time="2026-02-03T04:05:06+02:00" level=info', "2026-02-03T02:05:06Z"),
        ("2026-02-03T04:05:06+0000 r1 rke2[5]: x", "2026-02-03T04:05:06Z"),
        ("2026-02-03T04:05:06,123456+01:00 r1 rke2[5]: x", "2026-02-03T03:05:06Z"),
        ("2026-02-03 04:05:06 x", "2026-02-03T04:05:06Z"),
        ("W0203 04:05:06.123456       1 x.go:1] y", "2026-02-03T04:05:06Z"),
        ("E1203 04:05:06.123456       1 x.go:1] y", "2025-12-03T04:05:06Z"),
        ("Feb 03 04:05:06 r1 rke2[5]: x", "2026-02-03T04:05:06Z"),
        ("Dec  3 04:05:06 r1 rke2[5]: x", "2025-12-03T04:05:06Z"),
        ("Feb 30 04:05:06 r1 rke2[5]: x", None),
        ("2026-99-03T04:05:06Z x", None),
        ("no time at all", None),
        ("", None),
    ],
)
def test_the_time_of_a_line(line: str, time: str | None) -> None:
    assert _log_times.Clock(END).of(f"{line}\n".encode(), 0) == time


def test_a_line_without_a_time_has_that_of_the_line_before() -> None:
    data = b"2026-02-03T04:05:06Z x\npanic:\n\tlost leader\n"
    _log, hits = scan([data])
    assert hits["leader"]["lines"][0] == {"line": 3, "time": "2026-02-03T04:05:06Z", "text": "lost leader"}


@pytest.mark.parametrize(
    ("regex", "needles"),
    [
        ("lost leader [0-9a-f]+ at", ((b"lost leader ",), False)),
        ("lost leader|no leader", ((b"lost leader", b"no leader"), False)),
        ("(?i)Lost Leader", ((b"lost leader",), True)),
        ("(?:abcd)+", ((b"abcd",), False)),
        ("(?:abcd)*", ((), False)),
        ("abcd|.", ((), False)),
        ("a.b", ((), False)),
        ("(?i)Größe", ((), False)),
    ],
)
def test_words_that_an_expression_cannot_do_without(regex: str, needles: tuple[tuple[bytes, ...], bool]) -> None:
    assert _needles.of(regex) == needles


def test_without_the_parser_every_line_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"x\nlost leader\n" * 10
    found = scan([data])
    _needles.of.cache_clear()
    monkeypatch.setattr(_needles, "_parser", None)
    assert scan([data]) == found
    _needles.of.cache_clear()
