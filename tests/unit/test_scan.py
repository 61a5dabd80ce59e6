# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of logs that patterns find: as re finds them line by line, however the bytes come."""

from __future__ import annotations

import re
import typing as t

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _rules, _scan, _scan_sieve, _scan_times

END = "2024-09-02T00:00:00Z"
AT = b"2024-09-01T10:11:12Z "


def scan(
    data: bytes | t.Iterable[bytes], *regexes: str, end: str | None = END
) -> tuple[dict[str, t.Any], list[dict[str, t.Any]]]:
    """All of these patterns over one log; pattern and number have one name."""
    wanted = [_scan.Pattern(str(number), frozenset({"etcd"}), regex) for number, regex in enumerate(regexes)]
    return _scan.scanned(wanted, "n1", "etcd", "etcd.log", [data] if isinstance(data, bytes) else data, end=end)


def lines_of(hits: list[dict[str, t.Any]]) -> dict[str, list[int]]:
    return {hit["pattern"]: [line["line"] for line in hit["lines"]] for hit in hits}


@pytest.mark.parametrize(
    ("line", "time"),
    [
        ('{"level":"warn","ts":"2024-09-01T10:11:12.123456Z","caller":"x","msg":"y"}', "2024-09-01T10:11:12.123Z"),
        ('{"level":"info","ts":"2024-09-01T12:11:12.5+0200","msg":"y"}', "2024-09-01T10:11:12.500Z"),
        ('{"level":"info","ts":1725185472.25,"logger":"setup"}', "2024-09-01T10:11:12.250Z"),
        (
            '{"level":"info","start time":"2023-01-01T00:00:00Z","ts":"2024-09-01T10:11:12Z"}',
            "2024-09-01T10:11:12.000Z",
        ),
        ('time="2024-09-01T10:11:12Z" level=fatal msg="x"', "2024-09-01T10:11:12.000Z"),
        ('time="2024-09-01T10:11:12+02:00" level=info', "2024-09-01T08:11:12.000Z"),
        ("ts=2024-09-01T10:11:12.123Z caller=main.go:1", "2024-09-01T10:11:12.123Z"),
        ("W0901 10:11:12.123456       1 logging.go:59] x", "2024-09-01T10:11:12.123Z"),
        ("Sep 01 10:11:12 n1 rke2[1204]: x", "2024-09-01T10:11:12.000Z"),
        ("Sep  1 10:11:12.654321 n1 kernel: x", "2024-09-01T10:11:12.654Z"),
        ('Sep 01 10:11:11 n1 rke2[1]: time="2023-09-01T10:11:12Z" level=info', "2023-09-01T10:11:12.000Z"),
        ("2024-09-01T10:11:12+0000 n1 rke2[1204]: x", "2024-09-01T10:11:12.000Z"),
        ("2024-09-01T10:11:12-0730 n1 rke2[1204]: x", "2024-09-01T17:41:12.000Z"),
        ("2024-09-01T10:11:12.123456+00:00 n1 rke2[1204]: x", "2024-09-01T10:11:12.123Z"),
        ("2024-09-01T10:11:12.123456789Z stderr F W0831 00:00:00.1 x", "2024-09-01T10:11:12.123Z"),
        ("2024-09-01T10:11:12Z x", "2024-09-01T10:11:12.000Z"),
        ("2024-09-01 10:11:12.123456 W | rafthttp: x", "2024-09-01T10:11:12.123Z"),
        ("2024/09/01 10:11:12 http: TLS handshake error", "2024-09-01T10:11:12.000Z"),
        ("Dec 31 23:59:59 n1 x", "2023-12-31T23:59:59.000Z"),  # later than the end: of the year before
        ("Sep 02 12:00:00 n1 x", "2024-09-02T12:00:00.000Z"),  # clocks differ
        ("E0229 00:00:00.0 x", "2024-02-29T00:00:00.000Z"),
        ("2024-13-45T99:99:99Z x", None),
        ("W1332 10:11:12.1 x", None),
        ("0000-01-01T00:00:00Z x", None),
        ("9999-12-31T23:59:59-01:00 x", None),
        ('{"ts":"yesterday"}', None),
        ("goroutine 1 [running]:", None),
        ("", None),
    ],
)
def test_the_time_of_a_line(line: str, time: str | None) -> None:
    at = _scan_times.moment(line.encode(), _scan_times.parsed("2024-09-03T00:00:00Z"))
    assert (_scan_times.stamp(at) if at else None) == time
    assert list(_scan_times.candidates(b"x\n" + line.encode() + b"\n")) == [line.encode()] or at is None


def test_a_year_is_told_by_the_log_or_by_the_end_or_by_nobody() -> None:
    text = b"W0101 00:00:00.5 boom\n"
    assert scan(text, "boom", end=None)[1][0]["first"] is None
    assert scan(text, "boom", end="2024-06-01T00:00:00Z")[1][0]["first"] == "2024-01-01T00:00:00.500Z"
    old = b"2021-12-31T23:59:00Z begins\n" + text
    assert scan(old, "boom", end="2024-06-01T00:00:00Z")[1][0]["first"] == "2022-01-01T00:00:00.500Z"
    assert scan(text, "boom", end="no time")[1][0]["first"] is None


def test_a_line_without_a_time_has_that_of_the_line_before() -> None:
    log, hits = scan(b"panic: a\n" + AT + b"x\npanic: b\n at c\npanic: d\n2024-09-01T10:11:13Z y\n", "panic")
    assert [line["time"] for line in hits[0]["lines"]] == [None, *["2024-09-01T10:11:12.000Z"] * 2]
    assert hits[0]["count"] == 3 and len(hits[0]["times"]) == 2
    assert (log["first"], log["last"]) == ("2024-09-01T10:11:12.000Z", "2024-09-01T10:11:13.000Z")


def test_a_hit_has_its_first_and_last_lines_and_the_newest_times() -> None:
    text = b"".join(b"2024-09-01T10:%02d:%02dZ boom %d\n" % (n // 60, n % 60, n) for n in range(1500))
    log, (hit,) = scan(text, "boom")
    assert log == {"node": "n1", "source": "etcd", "file": "etcd.log", "lines": 1500, "bytes": len(text),
                   "first": "2024-09-01T10:00:00.000Z", "last": "2024-09-01T10:24:59.000Z"}  # fmt: skip
    assert (hit["node"], hit["source"], hit["file"], hit["count"]) == ("n1", "etcd", "etcd.log", 1500)
    assert (hit["first"], hit["last"]) == (log["first"], log["last"])
    assert len(hit["times"]) == 1000 and hit["times"][0] == "2024-09-01T10:08:20.000Z"
    assert [line["line"] for line in hit["lines"]] == [1, 1497, 1498, 1499, 1500]
    assert hit["lines"][1] == {
        "line": 1497,
        "time": "2024-09-01T10:24:56.000Z",
        "text": "2024-09-01T10:24:56Z boom 1496",
    }


def test_a_match_stays_in_its_line() -> None:
    text = b"lost\nleader\nlost x leader\r\nLOST LEADER\n\xff lost leader"
    patterns = (
        "lost.*leader",
        "^leader$",
        "(?i)lost leader",
        "leader$",
        "^$",
        r"lost\sleader",
        "[^x]*leader$",
        "lost|leader",
    )
    _log, hits = scan(text, *patterns)
    assert {patterns[int(number)]: lines for number, lines in lines_of(hits).items()} == {
        "lost.*leader": [3, 5], "^leader$": [2], "(?i)lost leader": [4, 5], "leader$": [2, 3, 5],
        r"lost\sleader": [5], "[^x]*leader$": [2, 3, 5], "lost|leader": [1, 2, 3, 5],
    }  # fmt: skip


def test_only_patterns_of_the_source_are_asked() -> None:
    wanted = [_scan.Pattern("a", frozenset({"kubelet"}), "x"), _scan.Pattern("b", frozenset({"etcd", "k3s"}), "x")]
    assert [hit["pattern"] for hit in _scan.scanned(wanted, None, "k3s", "f", [b"x"])[1]] == ["b"]
    log, hits = _scan.scanned(wanted, None, "suc", "f", [AT + b"x\n\ny"])
    assert hits == [] and (log["lines"], log["first"]) == (3, "2024-09-01T10:11:12.000Z")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"boom token: K10" + b"a" * 64 + b"::server:s3cr3t", "boom token: <hidden>"),
        (b"boom https://user:s3cr3t@s3.example", "boom https://<hidden>@s3.example"),
        (b"boom \x1b[31mred\x1b[0m\ta\x07b\x00c \xc3\xa4", "boom red abc \u00e4"),
        (b"boom pass\x01word=s3cr3t", "boom password=<hidden>"),
        (b"boom \xff\xfe", "boom \ufffd\ufffd"),
        (b"boom " + b"x" * 400, "boom " + "x" * 295),
        (b"y" * 400 + b" boom " + b"z" * 400, "y" * 100 + " ... " + "y" * 59 + " boom " + "z" * 130),
        (b"y" * 9000 + b" boom", "y" * 300),
        (b"password=" + b"s3cr3t" * 100 + b" boom", "password=<hidden> boom"),
    ],
)
def test_a_line_that_is_shown(line: bytes, text: str) -> None:
    assert scan(line, "boom")[1][0]["lines"][0]["text"] == text


def test_strange_bytes() -> None:
    blind = bytes(range(256)).replace(b"\n", b"")
    text = b"\0" * 700_000 + b"boom 1\n" + blind * 300 + b"boom 2\n\nboom 3" + b"\0" * 9
    log, (hit,) = scan(text, r"boom \d?$")
    assert (log["bytes"], log["lines"]) == (len(text), 4)
    assert hit["count"] == 3 and [line["line"] for line in hit["lines"]] == [1, 2, 4]
    assert scan(b"", "x") == ({**log, "bytes": 0, "lines": 0}, [])


def test_a_line_without_an_end_is_read_in_constant_memory() -> None:
    log, (hit,) = scan((b"boom\n", *(b"x" * 100_000 for _ in range(300)), b" boom ", b"x" * 100_000, b"\nboom"), "boom")
    assert (log["bytes"], log["lines"]) == (30_100_016, 3)
    assert [line["line"] for line in hit["lines"]] == [1, 2, 3]
    assert scan((b"x" * 100_000 for _ in range(10)), "y")[0]["lines"] == 1
    assert max(len(block) for block, _ended in _scan.blocks([b"x" * 10_000_000])) < 2 * _scan.BLOCK


def test_an_expression_that_takes_long_over_a_long_line_is_asked_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scan, "LINE", 1000)
    text = b"rafthttp: " * 24_990 + b"refused\n"
    assert scan(text, "rafthttp: .*refused")[1][0]["count"] == 1
    assert scan(text, "rafthttp: .*(refused x|no route)")[1] == []


def test_shapes_are_forgotten_and_learned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scan_sieve, "LIMIT", 1000)
    monkeypatch.setattr(_scan, "BLOCK", 400)
    text = b"".join(
        b"lost leader %s\nkept %s\n" % (bytes([103 + n % 20]) * (n % 50), b"y" * (n % 70)) for n in range(2000)
    )
    regexes = ("lost leader", "kept y", "er g*$")
    for _again in range(2):
        found = {hit["pattern"]: hit["count"] for hit in scan(text, *regexes)[1]}
        assert found == {name: len(lines) for name, lines in naive(text, regexes).items()}
    assert _scan_sieve.of(tuple(regex.encode() for regex in regexes))._size < 10_000


WORDS = [
    *("lost leader", "Lost  Leader", "x509: expired", "x509", "took 17ms", "tls: bad", "tls: failed to x", "abc"),
    *("\u00e4", "\n", "\n", "\r\n", "\n2024-09-01T10:11:12Z", "\n2024-09-01T10:11:13Z", "\n2024-08-31T00:00:00Z"),
]
REGEXES = (
    *("lost leader", "(?i)lost +leader", "x509: (expired|unknown)", r"took \d+ms", "tls: (bad|failed to .*)", "^abc"),
    *("abc$", "^$", "a.*b", "(lost|took)", "(?:x5)+09", "(abc)?xyz|leader.*took", "[tl]ook", r"\babc\b", "(?i:TOOK) 1"),
    *(".", "lost(?= leader x)"),
)
RULES = [pattern.regex for pattern in _scan.patterns(_rules.load())]


def naive(data: bytes, regexes: t.Sequence[str]) -> dict[str, list[int]]:
    """Numbers of lines that match, by the book."""
    lines = data.removesuffix(b"\n").split(b"\n") if data else []
    found = {str(n): [i for i, line in enumerate(lines, 1) if re.search(regex.encode(), line.removesuffix(b"\r"))]
             for n, regex in enumerate(regexes)}  # fmt: skip
    return {name: numbers for name, numbers in found.items() if numbers}


def times(data: bytes) -> list[str | None]:
    """Of each line, from 1."""
    found: list[str | None] = [None]
    for line in data.split(b"\n"):
        found.append(line[:19].decode() + ".000Z" if line.startswith(b"2024") else found[-1])
    return found


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS) | st.text("abl \n", max_size=5), max_size=40),
    st.lists(st.integers(0, 400), max_size=8).map(sorted),
    st.sampled_from([64, 1 << 18]),
)
def test_hits_are_those_of_re_line_by_line_in_whatever_chunks(words: list[str], cuts: list[int], block: int) -> None:
    data = b"\n".join(line[:60] for line in " ".join(words).encode().split(b"\n"))
    chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_scan, "BLOCK", block)
        whole, parts = scan(data, *REGEXES), scan(chunks, *REGEXES)
    assert parts == whole
    wanted = naive(data, REGEXES)
    assert {hit["pattern"]: hit["count"] for hit in whole[1]} == {name: len(found) for name, found in wanted.items()}
    assert lines_of(whole[1]) == {name: [*found[:1], *found[1:][-4:]] for name, found in wanted.items()}
    at = times(data)
    assert all(line["time"] == at[line["line"]] for hit in whole[1] for line in hit["lines"])
    assert (whole[0]["first"], whole[0]["last"]) == (next(filter(None, at), None), at[-1])


@pytest.mark.parametrize(
    ("regex", "texts"),
    [
        ("lost leader", {b"lost lr"}),
        ("x509: certificate has expired", {b"x: rtiit hs xpir"}),
        ("(?i)NO LEADER$", {b"no lr"}),
        ("tls: (failed to verify|bad certificate)", {b"tls: il to vriy", b"tls:  rtiit"}),
        ("rafthttp: .*(connection refused|no route to host)", {b"onntion rus", b"no rout to host"}),
        ("(wal|snap): crc mismatch", {b"wl: r mismth", b"snp: r mismth"}),
        (r"\[-\]etcd(-readiness)? failed", {b"[-]t il", b"[-]t-rinss il"}),
        ("(request )?cluster ID mismatch", {b"lustr i mismth"}),
        ("level=(fatal|panic) msg=", {b"lvl=tl msg=", b"lvl=pni msg="}),
        ("[Nn]ode (?:password)+ rejected", {b"psswor"}),
        ("[^n]ode rejected|[a-z]lost", {b"o rjt", b"lost"}),
        (r"(x|y+) reason|\w+ found", {b" rson", b" oun"}),
        (r"(x|\w+)(reason|.)", set()),
        ("a|reason", set()),
        (r"\d+", set()),
        ("(reason)*", set()),
        ("dead", set()),
        ("", set()),
    ],
)
def test_what_a_line_needs_to_match(regex: str, texts: set[bytes]) -> None:
    assert set(_scan_sieve.needed(regex.encode())) == texts


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_every_match_has_what_it_needs(data: st.DataObject) -> None:
    regex = data.draw(st.sampled_from([*REGEXES, *RULES])).encode()
    match = re.search(regex, data.draw(st.from_regex(regex)))
    texts = _scan_sieve.needed(regex)
    assert match and (not texts or any(text in _scan_sieve.shape(match[0]) for text in texts))


def test_without_the_parser_every_line_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"x\nlost leader\n" * 10
    found = scan(text, "lost leader", "x")
    _scan_sieve.of.cache_clear()
    monkeypatch.setattr(_scan_sieve, "_parser", None)
    assert scan(text, "lost leader", "x") == found
    _scan_sieve.of.cache_clear()
