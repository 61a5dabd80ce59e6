# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam to a node: frames, deadlines, stdin and ranges of files, in the shells that nodes have."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _datastore, _node
from tests.unit.datastores import unpacked
from tests.unit.local_node import LocalNode

SHELLS = [shell for shell in ("/bin/sh", "dash", "busybox sh") if shutil.which(shell.split()[0])]
shells = pytest.mark.parametrize("shell", SHELLS)


@shells
@pytest.mark.parametrize(
    ("script", "out"),
    [
        ("echo hello", "hello"),
        ("printf hello", "hello"),
        ("printf 'a\\n\\nb\\n\\n'", "a\n\nb\n"),
        ("true", ""),
        ("echo requorum-000000000000 0; echo end", "requorum-000000000000 0\nend"),
        ("echo \"it's\" 'quo\"ted' $((1 + 1)) \\$x", "it's quo\"ted 2 $x"),
        ("echo \u00fcml\u00e4ut", "\u00fcml\u00e4ut"),
    ],
)
def test_output(shell: str, script: str, out: str) -> None:
    assert LocalNode(shell).run(script) == _node.Done(0, out, "")


@shells
def test_banner_before_the_answer_is_no_part_of_it(shell: str) -> None:
    done = LocalNode(shell, banner="Welcome to r1!\nrequorum-is-not-a-mark\nLast login: today ").run("echo hello")
    assert done.rc == -1  # the banner's last line has no end: nobody can tell
    assert LocalNode(shell, banner="Welcome to r1!\r\nLast login: today\r\n").run("echo hello").out == "hello"


@shells
def test_exit_code_and_reason(shell: str) -> None:
    done = LocalNode(shell).run("echo out; echo 'cannot do it' >&2; exit 7")
    assert (done.rc, done.out, done.known, done.why) == (7, "out", True, "cannot do it")
    assert LocalNode(shell).run("exit 3").why == "exit code 3 without a word"
    assert LocalNode(shell).run("echo only this; exit 3").why == "only this"


@shells
def test_deadline(shell: str) -> None:
    done = LocalNode(shell).run("echo begun; sleep 20", timeout=1)
    assert (done.rc, done.out, done.known, done.why) == (124, "begun", False, "no answer before the deadline")


@shells
def test_stdin(shell: str) -> None:
    secret = b"sekret'123 \\ \x00\xff\n"
    assert LocalNode(shell).run("cat | od -An -tx1 | tr -d ' \\n'", stdin=secret).out == secret.hex()
    assert LocalNode(shell).run("cat").out == ""


MARK = "requorum-0123456789ab"
WHOLE = f"Welcome\n{MARK}\nline 1\nline 2\n\n{MARK} 0\n"


def test_result_of_a_terminal() -> None:
    assert _node.result(MARK, WHOLE.replace("\n", "\r\n"), "").out == "line 1\nline 2"


@pytest.mark.parametrize("size", range(len(WHOLE) - 2))
def test_an_answer_that_is_cut_off_is_unknown(size: int) -> None:
    done = _node.result(MARK, WHOLE[:size], "lost")
    assert (done.rc, done.known) == (-1, False)
    assert done.why == "the answer of the node was cut off"


@given(st.text(alphabet="ab \n@'\"\\", max_size=60), st.integers(0, 255))
def test_any_output_comes_back(text: str, rc: int) -> None:
    done = _node.result(MARK, f"{MARK}\n{text}\n{MARK} {rc}\n", "")
    assert (done.rc, done.out) == (rc, text.removesuffix("\n"))


def test_marks_differ() -> None:
    assert len({_node.new_mark() for _round in range(50)}) == 50


@given(st.text(alphabet="a b'\"$`\\;\n", max_size=30))
def test_variables_are_quoted(value: str) -> None:
    head = _node.script("member", CALL=value, ID="1").split("# Shared head")[0]
    done = LocalNode().run(head + 'printf %s "$CALL" | od -An -tx1 | tr -d " \\n"')
    assert bytes.fromhex(done.out).decode() == value


# --- ranges of files


@shells
def test_ranges(shell: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * 40
    path = tmp_path / "it's a file"
    path.write_bytes(data)
    ranges = [(0, 10), (5000, 3000), (10_239, 1), (10_230, 100), (20_000, 5), (7, 0)]
    read = _node.read_many(LocalNode(shell), str(path))
    assert read(ranges) == [data[offset : offset + length] for offset, length in ranges]
    assert read([]) == []


@shells
def test_ranges_of_what_is_no_file(shell: str, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(OSError, match="cannot be read: it is no file"):
            _node.read_many(LocalNode(shell), str(path))([(0, 10)])


class CutOff:
    def run(self, script: str, *, stdin: bytes | None = None, timeout: int = 60) -> _node.Done:
        return _node.Done(-1, "AAAA", "")


def test_ranges_of_a_node_that_is_cut_off() -> None:
    with pytest.raises(OSError, match="was cut off"):
        _node.read_many(CutOff(), "/x")([(0, 3)])


@shells
def test_datastore_through_a_node(shell: str) -> None:
    path = unpacked() / "r1/etcd/member/snap/db"
    found = _bbolt.drive(_datastore.summary(path.stat().st_size), _node.read_many(LocalNode(shell), str(path)))
    assert found.revision == 2508
