# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam to a node: frames, deadlines, stdin and ranges of files, in the shells that nodes have."""

from __future__ import annotations

import itertools
import os
import shutil
import struct
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import connection_loader
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _datastore, _node, _root, _wal
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import ConnectionNode
from tests.unit.datastores import PAGE, branch, build, leaf, meta, unpacked
from tests.unit.local_node import LocalNode
from tests.unit.test_bbolt import BROKEN

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
    for banner in (
        "Welcome to r1!\nrequorum-is-not-a-mark\nLast login: today ",  # its last line has no end
        "Welcome to r1!\r\nLast login: today\r\n",
        f"{_node.new_mark()}\n{_node.new_mark()} 0\n",
    ):
        assert LocalNode(shell, banner=banner).run("echo hello") == _node.Done(0, "hello", "")


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


@shells
def test_stdin_is_read_to_its_end_whatever_the_script_reads_of_it(shell: str) -> None:
    done = LocalNode(shell).run("head -c 3; exit 7", stdin=b"abc" + b"x" * (1 << 20))
    assert (done.rc, done.out) == (7, "abc")


@shells
def test_a_stdin_without_an_end_is_given_up(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_node, "DRAIN", 1)
    with subprocess.Popen([*shell.split(), "-c", _node.command("exit 7", MARK, 60)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:  # fmt: skip
        assert process.stdout and _node.result(MARK, process.stdout.read(), "") == _node.Done(7, "", "")


SSH = """\
#!/bin/sh
# Runs the command here. When that is over its channel is closed; it takes a moment until ssh itself is gone.
for last; do :; done
/bin/sh -c "$last"
exec <&-
sleep 0.5
"""


def test_an_ssh_that_writes_for_longer_than_the_script_runs(tmp_path: Path) -> None:
    """What Ansible's connection says of a broken pipe makes a host unreachable."""
    program = tmp_path / "ssh"
    program.write_text(SSH)
    program.chmod(0o755)
    connection = connection_loader.get("ssh", PlayContext())
    connection.set_options(direct={"host": "h1", "ssh_executable": str(program)})
    mark = _node.new_mark()
    _rc, out, err = connection.exec_command(_node.command("exit 7", mark, 60), in_data=b"x" * (1 << 20))
    assert _node.result(mark, out.decode(), err.decode()).rc == 7


MARK = "requorum-0123456789ab"
WHOLE = f"Welcome\n{MARK}\nline 1\nline 2\n\n{MARK} 0\n"


def test_a_reason_is_text_that_a_terminal_and_a_page_can_show() -> None:
    assert _node.Done(1, "", "bad \udcff\x1b[2J end").why == "bad ??[2J end"


def test_result_of_a_terminal() -> None:
    assert _node.result(MARK, WHOLE.replace("\n", "\r\n"), "").out == "line 1\nline 2"


@pytest.mark.parametrize("size", range(len(WHOLE) - 2))
def test_an_answer_that_is_cut_off_is_unknown(size: int) -> None:
    done = _node.result(MARK, WHOLE[:size], "lost")
    assert (done.rc, done.known) == (-1, False)
    begun = f"{MARK}\n" in WHOLE[:size] + "\n"
    assert done.why == ("the answer of the node was cut off" if begun else "lost")


@pytest.mark.parametrize(
    ("rc", "err", "why"),
    [
        (1, "sudo: a password is required", _root.PASSWORD),
        (-1, "Missing sudo password", _root.PASSWORD),
        (-1, "Task failed: Incorrect sudo password", _root.REFUSED),
        (-1, "/bin/sh: 1: sudo: not found", _root.MISSING),
        (-1, "bash: line 1: sudo: command not found", _root.MISSING),
        (-1, "rancher is not in the sudoers file.  This incident will be reported.", _root.FORBIDDEN),
        (-1, "Sorry, user rancher is not allowed to execute '/bin/sh' as root on r1.", _root.FORBIDDEN),
        (-1, "sudo: sorry, you must have a tty to run sudo", _root.TERMINAL),
        (127, "/bin/sh: 1: timeout: not found", _root.TIMEOUT),
        (127, "sh: timeout: command not found", _root.TIMEOUT),
        (-1, "sudo: Ein Passwort ist notwendig", "sudo: Ein Passwort ist notwendig"),
        (-1, "", "the answer of the node was cut off"),
        (3, "incorrect sudo password", "incorrect sudo password"),  # what a script says is not what sudo says
    ],
)
def test_why_nothing_runs_as_root(rc: int, err: str, why: str) -> None:
    if rc == 1:  # as ssh gives it: no frame, for nothing was begun
        assert _node.result(MARK, "Welcome\n", err).why == why
    else:
        assert _node.Done(rc, "", err).why == why


def test_what_ansible_reads_of_sudo_is_the_reason_and_a_lost_connection_stays_one() -> None:
    def raising(error: Exception) -> ConnectionNode:
        def execute(*_words: object, **_options: object) -> None:
            raise error

        return ConnectionNode(SimpleNamespace(_low_level_execute_command=execute, lock=""))

    assert raising(AnsibleError("Task failed: Missing sudo password")).run("true").why == _root.PASSWORD
    with pytest.raises(AnsibleConnectionFailure):
        raising(AnsibleConnectionFailure("timed out")).run("true")


def test_a_node_without_timeout_says_so(tmp_path: Path) -> None:
    """Every script needs it: the frame stays whole, and the reason is that of the shell."""
    for name in ("sh", "cat", "echo"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    done = LocalNode("/bin/sh", env={"PATH": str(tmp_path)}).run("echo hello")
    assert (done.rc, done.why) == (127, _root.TIMEOUT)
    refusal = _root.refusal("r1", done.why)
    assert refusal.what == "r1 answers over SSH, but nothing can be read there: the program timeout is not installed."
    assert "coreutils" in refusal.next


@pytest.mark.parametrize("reason", [*(what for _words, what in _root._SAID), "Bad gateway"])
def test_every_reason_is_said_with_its_own_next_step(reason: str) -> None:
    refusal = _root.refusal("r1", reason)
    assert refusal.what == f"r1 answers over SSH, but nothing can be read there: {reason}."
    others = [_root.refusal("r1", what).next for _words, what in _root._SAID if what != reason]
    assert refusal.next not in others


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


# --- requests about files

Range = _bbolt.Range


@shells
def test_ranges(shell: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * 400
    path = tmp_path / "it's a file"
    path.write_bytes(data)
    ranges = [Range(0, 10), Range(5000, 70_000), Range(102_399, 1), Range(102_390, 100), Range(200_000, 5), Range(7, 0)]
    read = _node.read_many(LocalNode(shell), str(path))
    assert read(ranges) == [data[offset : offset + length] for offset, length in ranges]
    assert read([]) == []


@shells
def test_ranges_of_what_is_no_file(shell: str, tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(OSError, match="cannot be read: it is no file"):
            _node.read_many(LocalNode(shell), str(path))([Range(0, 10)])


@shells
def test_a_disk_that_fails_is_no_damaged_file(shell: str, tmp_path: Path) -> None:
    """dd is told to fail as it does on a read error: whatever came before, nothing may be concluded."""
    path = unpacked() / "r1/etcd/member/snap/db"
    (tmp_path / "dd").write_text(
        '#!/bin/sh\n/bin/dd "$@"\necho "dd: error reading \'$1\': Input/output error" >&2\nexit 1\n'
    )
    (tmp_path / "dd").chmod(0o755)
    node = LocalNode(shell, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    for request in (Range(0, 80), _bbolt.Tree(1416, 4096, False), _bbolt.Tail(str(path), 4096)):
        with pytest.raises(OSError, match="Input/output error"):
            _node.read_many(node, str(path))([request])


class CutOff:
    def run(self, script: str, *, stdin: bytes | None = None, timeout: int = 60) -> _node.Done:
        return _node.Done(-1, "AAAA", "")


def test_ranges_of_a_node_that_is_cut_off() -> None:
    with pytest.raises(OSError, match="was cut off"):
        _node.read_many(CutOff(), "/x")([Range(0, 3)])


def trees(path: Path) -> list[_bbolt.Request]:
    """A key bucket of three levels whose last leaf overflows, and whole small trees."""
    entries = [(b"%08d" % number, b"v" * 100) for number in range(60_000)]
    few = [(b"%08d" % number, b"v" * 900) for number in range(30)]
    build(path, {b"key": [*entries, (b"99999999", b"v" * 30_000)], b"few": few, b"one": few[:1]})
    data = path.read_bytes()
    local = _bbolt.local(lambda offset, size: data[offset : offset + size])
    meta = _bbolt.drive(_bbolt.metas(len(data)), local)
    top = _bbolt.drive(_bbolt.buckets(meta), local)
    roots = {name: int.from_bytes(item.value[:8], "little") for name, item in top.items()}
    assert not roots["one"]
    wanted = [(meta.root, False), (roots["key"], True), (roots["few"], False), (roots["few"], True)]
    return [_bbolt.Tree(root, 4096, last) for root, last in wanted]


@shells
def test_a_way_down_a_tree_is_one_request(shell: str, tmp_path: Path) -> None:
    requests = trees(tmp_path / "db")
    data = (tmp_path / "db").read_bytes()
    wanted = _bbolt.local(lambda offset, size: data[offset : offset + size])(requests)
    assert [len(answer) // 4096 for answer in wanted] == [1, 3 + 7, 9, 2]
    assert _node.read_many(LocalNode(shell), str(tmp_path / "db"))(requests) == wanted


@shells
def test_survey_of_a_real_datastore_through_a_node(shell: str) -> None:
    path = unpacked() / "r1/etcd/member/snap/db"
    found = _bbolt.drive(_datastore.summary(path.stat().st_size), _node.read_many(LocalNode(shell), str(path)))
    assert (found.revision, found.leases, len(found.members)) == (2508, 19, 3)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_through_a_node(name: str, tmp_path: Path) -> None:
    (tmp_path / "db").write_bytes(BROKEN[name])
    with pytest.raises(_bbolt.BadFile):
        _bbolt.drive(_datastore.summary(len(BROKEN[name])), _node.read_many(LocalNode("dash"), str(tmp_path / "db")))


class Counting(LocalNode):
    """Counts the round trips, and every read that `dd` does; `od` only looks into pages that `dd` reads as well."""

    def __init__(self, shell: str, folder: Path) -> None:
        self.log, self.trips = folder / "reads", 0
        (folder / "dd").write_text(f'#!/bin/sh\necho "$*" >>{self.log}\nexec /bin/dd "$@"\n')
        (folder / "dd").chmod(0o755)
        super().__init__(shell, env={"PATH": f"{folder}:{os.environ['PATH']}"})

    def run(self, script: str, *, stdin: bytes | None = None, timeout: int = 60) -> _node.Done:
        self.trips += 1
        return super().run(script, stdin=stdin, timeout=timeout)


def two_gib(path: Path) -> None:
    """A sparse datastore of 2 GiB: of its trees only the ways that a survey goes are there, five levels deep."""
    pages, head = 1 << 19, struct.pack
    revision = head(">QcQ", 7_654_321, b"_", 0)
    keys = [head(">QcQ", number, b"_", 0) for number in range(120)]
    key = [400_000, 9_000, 523_000, 17, 300_000]
    made = {2: leaf(2, [(name, head("<QQ", root, 0), True) for name, root in
                        ((b"key", key[0]), (b"lease", 40), (b"members", 30), (b"meta", 31))])}  # fmt: skip
    for number, below in itertools.pairwise(key):
        made[number] = branch(number, [*range(1000, 1119), below], keys)
    made[key[-1]] = leaf(key[-1], [(revision, b"v" * 9000, False)])
    made[30] = leaf(30, [(b"a1", b'{"name":"r1-00000001","peerURLs":["https://10.0.0.11:2380"]}', False)])
    made[31] = leaf(31, [(b"consistent_index", head(">Q", 9_999_999), False), (b"term", head(">Q", 7), False)])
    made[40] = branch(40, [999, 41], keys[:2])
    made[41] = leaf(41, [(keys[0], b"", False)])
    with open(path, "wb") as file:
        file.truncate(pages * PAGE)
        for number, raw in {0: meta(2, pages), 1: meta(2, pages, txid=3), **made}.items():
            file.seek(number * PAGE)
            file.write(raw)


@shells
def test_survey_of_two_gib_takes_three_round_trips_and_forty_page_reads(shell: str, tmp_path: Path) -> None:
    two_gib(tmp_path / "db")
    wal = unpacked() / "r1/etcd/member/wal/0000000000000000-0000000000000000.wal"
    node = Counting(shell, tmp_path)
    reader = _bbolt.both(_datastore.summary(2 << 30), _wal.tail(str(wal)))
    db, log = _bbolt.drive(reader, _node.read_many(node, str(tmp_path / "db")))
    assert isinstance(db, _datastore.Datastore) and isinstance(log, _wal.Wal)
    assert (db.revision, db.index, db.term, db.leases) == (7_654_321, 9_999_999, 7, None)
    assert db.members[0].name == "r1-00000001"
    assert (log.index, log.commit) == (1099, 1098)
    assert node.trips == 3
    assert len(node.log.read_text().splitlines()) <= 40
