# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum snapshot`, run in this process on the datastores of a real RKE2 cluster; and the filter beside it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError

import requorum
from ansible_collections.requorum.cluster.plugins.filter.snapshot_summary import FilterModule
from ansible_collections.requorum.cluster.plugins.module_utils import _describe
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from requorum import cli, documents, output, snapshot, snapshot_text
from tests.unit import datastores

TOKEN, KEY, UID = "sekret123", "e2e269d4f6ec", "ac37934f-15bf-4bd6-9a13-6f84aafbfafd"
MEMBER = "234c43afee9063f9"


@pytest.fixture(scope="module")
def db() -> str:
    return str(datastores.unpacked() / "snapshot.db")


@pytest.fixture(scope="module")
def later() -> str:
    """Of the same cluster, 24 revisions on."""
    return str(datastores.unpacked() / "r1" / "etcd")


@pytest.fixture
def token(tmp_path: Path) -> str:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    return str(tmp_path / "token")


class Run:
    """One command: its exit code and what it wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *argv: str) -> None:
        capsys.readouterr()
        self.code = cli.main(["snapshot", *argv])
        self.out, self.err = capsys.readouterr()

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def test_info_tells_what_is_in_a_snapshot(capsys: pytest.CaptureFixture[str], db: str) -> None:
    run = Run(capsys, "info", db)
    assert run.code == 0 and run.err == ""
    text = " ".join(run.out.split())
    for fact in ("revision 2484 (term 3, raft index 1073)", f"member r1-cbc1d285 {MEMBER} https://10.89.0.21:2380",
                 "keys 614 live", "trailer right", f"kube-system {UID}", f"bootstrap {KEY}", "2 5274 kubevirt.io/",
                 "newest lease 2026-11-24T20:53:13Z"):
        assert fact in text


def test_info_opens_the_bootstrap_data_with_the_token_and_keeps_it_secret(
    capsys: pytest.CaptureFixture[str], db: str, token: str
) -> None:
    run = Run(capsys, "info", db, "--token-file", token)
    assert f"opens {KEY}" in run.out
    assert re.search(r"^2036-11-21  server-ca.crt +e44ed9c71c1e8eed67a598b6db0a0e83$", run.out, re.MULTILINE)
    assert TOKEN not in run.out + Run(capsys, "info", db, "--token-file", token, "--json").out


def test_info_says_that_a_token_opens_nothing(
    capsys: pytest.CaptureFixture[str], db: str, tmp_path: Path
) -> None:
    (tmp_path / "other").write_text("wrong")
    run = Run(capsys, "info", db, "--token-file", str(tmp_path / "other"))
    assert run.code == 0
    assert re.search(r"^token +opens none: its key would be [0-9a-f]{12}$", run.out, re.MULTILINE)


def test_info_reads_the_log_of_a_datastore_directory(capsys: pytest.CaptureFixture[str], later: str) -> None:
    run = Run(capsys, "info", later)
    assert run.code == 0
    assert "revision       2508" in run.out
    assert re.search(r"^(wal|unread) ", run.out, re.MULTILINE)


@pytest.mark.parametrize("command", [("info",), ("verify", "--member", MEMBER), ("verify", "--member", "1")])
def test_plain_output_fits_80_columns(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...], token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(datastores.unpacked())
    run = Run(capsys, command[0], "snapshot.db", *command[1:], "--token-file", token)
    assert [line for line in run.out.splitlines() if len(line) > 80] == []


def test_verify_proves_a_sound_snapshot_and_says_what_it_did_not_check(
    capsys: pytest.CaptureFixture[str], db: str
) -> None:
    run = Run(capsys, "verify", db)
    assert run.code == 0
    assert run.out.startswith("PROVED (full): ")
    assert "Not checked: whether a token opens it (--token-file)" in " ".join(run.out.split())


def test_verify_has_nothing_left_to_check_when_all_is_given(
    capsys: pytest.CaptureFixture[str], db: str, token: str
) -> None:
    run = Run(capsys, "verify", db, "--token-file", token, "--member", MEMBER.upper(), "--system-uid", UID,
              "--version", "v1.34.3+rke2r1", "--quota", str(2 << 30))
    assert run.code == 0
    assert "Not checked" not in run.out


@pytest.mark.parametrize(
    ("wanted", "check", "step"),
    [
        (("--member", "12ab"), "cluster", "It is of another cluster"),
        (("--system-uid", "other"), "kube-system", "It is of another cluster."),
        (("--version", "v1.30.1+rke2r1"), "etcd", "Restore it with the release that wrote it."),
        (("--quota", "4096"), "size", "Raise quota-backend-bytes"),
    ],
)
def test_verify_refuses_what_does_not_fit_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], db: str, wanted: tuple[str, ...], check: str, step: str
) -> None:
    run = Run(capsys, "verify", db, *wanted)
    assert run.code == 1
    assert run.out.startswith("NOT PROVED (full): ")
    assert re.search(rf"^FAILED +{check} ", run.out, re.MULTILINE)
    assert f"next  {step}" in run.out
    document = Run(capsys, "verify", db, *wanted, "--json").document
    assert document["ok"] is False
    assert [entry["name"] for entry in document["checks"] if not entry["ok"]] == [check]


def test_verify_reads_the_token_from_standard_input(
    capsys: pytest.CaptureFixture[str], db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for word, code in ((TOKEN, 0), ("wrong", 1)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(word.encode())))
        assert Run(capsys, "verify", db, "--token-file", "-").code == code


def test_verify_accepts_one_right_token_of_several(
    capsys: pytest.CaptureFixture[str], db: str, token: str, tmp_path: Path
) -> None:
    (tmp_path / "old").write_text("wrong")
    run = Run(capsys, "verify", db, "--token-file", str(tmp_path / "old"), "--token-file", token)
    assert run.code == 0


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("verify", "{db}", "--quick", "--system-uid", UID), "Leave it out"),
        (("verify", "{db}", "--quick", "--token-file", "{token}"), "Leave it out"),
        (("verify", "{db}", "--token", TOKEN), "unrecognized arguments"),
        (("verify", "{db}", "--token-file", "/nowhere"), "server/token"),
        (("verify", "{db}", "--token-file", "{db}"), "holds no token"),
        (("verify", "{db}", "--token-file", "-", "--token-file", "-"), "holds one token"),
        (("verify", "{db}", "--member", "r1"), "not hexadecimal"),
        (("verify", "{db}", "--version", "latest"), "no version"),
        (("verify", "{db}", "--quota", "2GiB"), "no number of bytes"),
        (("diff", "{db}", "{db}", "--since", "yesterday"), "no time"),
        (("extract", "{db}"), "--resource"),
        (("info",), "FILE"),
        ((), "COMMAND"),
    ],
)
def test_usage_is_exit_code_2(
    capsys: pytest.CaptureFixture[str], db: str, token: str, argv: tuple[str, ...], words: str
) -> None:
    run = Run(capsys, *(word.format(db=db, token=token) for word in argv))
    assert run.code == 2
    assert words in run.err and run.out == ""


def test_show_lists_the_keys_below_a_prefix(capsys: pytest.CaptureFixture[str], db: str) -> None:
    run = Run(capsys, "show", db, "/registry/kubevirt.io/")
    assert [line.split() for line in run.out.splitlines()] == [
        ["REVISION", "BYTES", "RESOURCE", "NAMESPACE", "NAME"],
        ["2443", "2577", "kubevirt.io/virtualmachines", "vms", "web-1"],
        ["2444", "2577", "kubevirt.io/virtualmachines", "vms", "web-2"],
    ]


def test_show_lists_live_keys_only(capsys: pytest.CaptureFixture[str], db: str) -> None:
    found = Run(capsys, "show", db, "--json").document["keys"]
    assert len(found) == 614
    drills = {entry["name"] for entry in found if entry["name"].startswith("drill-")}
    assert drills == {f"drill-{number}" for number in range(3, 41)}


def test_show_of_a_prefix_without_keys_says_so_beside_the_output(capsys: pytest.CaptureFixture[str], db: str) -> None:
    run = Run(capsys, "show", db, "/nothing")
    assert (run.code, run.out) == (0, "")
    assert "begins with /nothing" in run.err


@pytest.mark.parametrize("resource", ["virtualmachines", "virtualmachines.kubevirt.io", "kubevirt.io/virtualmachines"])
def test_extract_writes_custom_resources_whole(capsys: pytest.CaptureFixture[str], db: str, resource: str) -> None:
    run = Run(capsys, "extract", db, "--resource", resource)
    assert run.code == 0 and run.err == ""
    first, second = yaml.safe_load_all(run.out)
    assert first["metadata"] | {"annotations": None} == {"annotations": None, "name": "web-1", "namespace": "vms"}
    assert second["metadata"]["name"] == "web-2"
    assert first["spec"]["template"]["spec"]["domain"]["cpu"] == {"cores": 2}


def test_extract_writes_a_private_file_per_object(
    capsys: pytest.CaptureFixture[str], db: str, tmp_path: Path
) -> None:
    folder = tmp_path / "vms"
    argv = ("extract", db, "--resource", "virtualmachines", "--name", "web-2", "--output", str(folder), "--raw")
    assert Run(capsys, *argv).code == 0
    [file] = folder.iterdir()
    assert file.name == "virtualmachines.kubevirt.io_vms_web-2.yaml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert yaml.safe_load(file.read_text())["metadata"]["uid"]
    again = Run(capsys, *argv)
    assert again.code == 1
    assert "is there already. Give --output an empty folder." in again.err


def test_extract_says_that_built_in_kinds_are_not_whole(capsys: pytest.CaptureFixture[str], db: str) -> None:
    run = Run(capsys, "extract", db, "--resource", "deployments")
    assert run.code == 0
    assert "1 of 1 stored as protobuf: only metadata are written" in run.err
    assert yaml.safe_load(run.out)["kind"] == "Deployment"


@pytest.mark.parametrize(
    ("argv", "advice"),
    [
        (("--resource", "virtualmachine"), "Did you mean virtualmachines"),
        (("--resource", "zebras"), "requorum snapshot show"),
        (("--resource", "virtualmachines", "--namespace", "default"), "Leave --namespace or --name out"),
    ],
)
def test_extract_of_nothing_helps_on(
    capsys: pytest.CaptureFixture[str], db: str, argv: tuple[str, ...], advice: str
) -> None:
    run = Run(capsys, "extract", db, *argv)
    assert run.code == 1
    assert advice in run.err and run.out == ""


def test_extract_writes_scripts_line_by_line() -> None:
    assert documents.yaml_of({"userdata": "#cloud-config\nusers: []\n"}, b"") == (
        "---\nuserdata: |\n  #cloud-config\n  users: []\n"
    )


def test_extract_refuses_what_nests_too_deep() -> None:
    deep: dict[str, Any] = {}
    for _level in range(900):
        deep = {"a": deep}
    with pytest.raises(RequorumError, match="/registry/deep nests too deep"):
        documents.yaml_of(deep, b"/registry/deep")


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/b", "system:node"])
def test_extract_stays_in_its_folder_whatever_a_key_says(name: str) -> None:
    entry = _describe.Entry(b"", "kubevirt.io/virtualmachines", "vms", name, 1, 1, b"")
    file = snapshot._file_name(entry)
    assert "/" not in file
    assert file.startswith("virtualmachines.kubevirt.io_vms_")


def test_diff_says_first_what_restoring_the_old_one_loses(
    capsys: pytest.CaptureFixture[str], db: str, later: str
) -> None:
    run = Run(capsys, "diff", db, later)
    assert run.code == 0
    sentence = " ".join(run.out.split("\n\n")[0].split())
    assert sentence == (
        f"Restoring {db} loses 24 revisions written since 2026-11-24T20:53:13Z, up to {later}: configmaps (6 added), "
        "etcdsnapshotfiles (2 added), nodes (1 changed), events (2 added), leases (8 changed)."
    )
    assert re.search(r"^ +6 +0 +0  configmaps$", run.out, re.MULTILINE)
    assert "late-1" not in run.out


def test_diff_lists_every_key_on_demand(capsys: pytest.CaptureFixture[str], db: str, later: str) -> None:
    run = Run(capsys, "diff", db, later, "--all")
    assert "added    2026-11-24T20:53:15Z  /registry/configmaps/default/late-1" in run.out
    assert run.out.count("\nchanged ") == 9


def test_diff_since_a_time_leaves_older_objects_out(capsys: pytest.CaptureFixture[str], db: str, later: str) -> None:
    document = Run(capsys, "diff", db, later, "--since", "2026-11-24T20:53:15Z", "--json").document
    assert document["kinds"] == [{"resource": "configmaps", "added": 5, "changed": 0, "removed": 0}]
    assert document["revisions"] == 24
    run = Run(capsys, "diff", db, later, "--since", "2026-11-25")
    assert "no object created since 2026-11-25T00:00:00Z." in " ".join(run.out.split())


def test_diff_the_wrong_way_round_is_said(capsys: pytest.CaptureFixture[str], db: str, later: str) -> None:
    run = Run(capsys, "diff", later, db)
    assert "24 revisions ahead of" in " ".join(run.out.split())


def test_diff_of_two_clusters_is_said() -> None:
    side = {"path": "a", "revision": 1, "system_uid": "x", "newest_lease": None}
    document = {"old": side, "new": {**side, "path": "b", "system_uid": "y"}, "revisions": 0, "kinds": [],
                "changes": [], "since": None}
    assert "of two clusters" in str(snapshot_text.difference(document, every=False)[0])


def damaged(folder: Path, kind: str) -> str:
    """A file that holds no sound datastore."""
    raw = bytearray(datastores.snapshot())
    path = folder / "bad"
    if kind == "empty":
        path.touch()
    elif kind == "truncated":
        path.write_bytes(raw[: len(raw) // 3])
    elif kind == "text":
        path.write_text("root:x:0:0\n" * 400)
    elif kind == "zip of two":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a", b"")
            archive.writestr("b", b"")
    elif kind == "part":
        path = folder / "bad.part"
        path.write_bytes(raw)
    return str(path)


@pytest.mark.parametrize("kind", ["missing", "empty", "truncated", "text", "zip of two", "part"])
@pytest.mark.parametrize(
    "argv",
    [("info", "{}"), ("verify", "{}"), ("verify", "{}", "--quick"), ("show", "{}"),
     ("extract", "{}", "--resource", "pods"), ("diff", "{}", "{db}"), ("diff", "{db}", "{}")],
)
def test_bad_input_is_exit_code_1_and_names_the_file(
    capsys: pytest.CaptureFixture[str], db: str, tmp_path: Path, argv: tuple[str, ...], kind: str
) -> None:
    bad = damaged(tmp_path, kind)
    run = Run(capsys, *(word.format(bad, db=db) for word in argv))
    assert run.code == 1
    assert bad in "".join((run.out + run.err).split("\n"))
    assert "Traceback" not in run.err


def test_info_warns_beside_its_output_of_a_file_that_was_damaged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    raw = bytearray(datastores.snapshot())
    raw[-1] ^= 1
    (tmp_path / "flipped").write_bytes(raw)
    run = Run(capsys, "info", str(tmp_path / "flipped"))
    assert run.code == 0
    assert re.search(r"^trailer +wrong$", run.out, re.MULTILINE)
    assert "any of this may be wrong" in run.err


def test_a_flipped_bit_is_not_proved(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    raw = bytearray(datastores.snapshot())
    raw[len(raw) // 2] ^= 4
    (tmp_path / "flipped").write_bytes(raw)
    run = Run(capsys, "verify", str(tmp_path / "flipped"), "--quick")
    assert run.code == 1
    assert re.search(r"^FAILED +sha256 trailer", run.out, re.MULTILINE)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (PermissionError(13, "Permission denied", "/out"), 1, "/out: Permission denied"),
        (OSError(28, "No space left on device"), 1, "No space left on device"),
    ],
)
def test_what_interrupts_a_command_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(_describe, "entries", fail)
    run = Run(capsys, "show", "file")
    assert run.code == code
    assert words in run.err and run.err.count("\n") == 1


def test_control_characters_of_a_key_never_reach_a_terminal() -> None:
    table = output.Table(("KEY",), [("a\x1b]0;owned\x07\n",)])
    assert list(output.plain(table)) == ["KEY", r"a\x1b]0;owned\x07\n"]


def test_a_long_cell_is_wrapped_between_words_and_a_long_word_is_not() -> None:
    table = output.Table((), [("name", "word " * 20), ("key", "x" * 100)])
    first, second, third = output.plain(table)
    assert len(first) <= 80 and second.startswith("      word")
    assert third == "key   " + "x" * 100


def test_a_terminal_gets_a_table_whose_words_say_all(db: str) -> None:
    """Through a real pseudo-terminal, in a real process."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "requorum.cli", "snapshot", "verify", db, "--member", "1"]
    with subprocess.Popen(command, stdout=follower, env=os.environ | {"COLUMNS": "90", "TERM": "xterm"}) as process:
        os.close(follower)
        shown = b""
        while True:
            try:
                shown += os.read(leader, 4096)
            except OSError:  # the other end is closed
                break
    os.close(leader)
    assert process.returncode == 1
    text = re.sub(r"\x1b\[[0-9;]*m", "", shown.decode())
    assert "VERDICT" in text and "FAILED" in text and "\u2500" in text
    assert text != shown.decode()


def test_the_installed_command_ends_quietly_when_its_reader_is_gone(db: str) -> None:
    command = Path(sys.executable).with_name("requorum")
    with subprocess.Popen([command, "snapshot", "show", db], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_the_installed_command_knows_its_version() -> None:
    command = Path(sys.executable).with_name("requorum")
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, cwd="/")
    assert done.stdout == f"requorum {requorum.__version__}\n"


def test_the_filter_gives_the_document_of_info(capsys: pytest.CaptureFixture[str], db: str, token: str) -> None:
    summary = FilterModule().filters()["snapshot_summary"]
    assert json.loads(json.dumps(summary(db, tokens=[TOKEN]))) == Run(
        capsys, "info", db, "--token-file", token, "--json"
    ).document


@pytest.mark.parametrize(("path", "tokens"), [("/nowhere", []), (3, []), ("/nowhere", TOKEN)])
def test_the_filter_refuses_what_it_cannot_read(path: Any, tokens: Any) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        FilterModule().filters()["snapshot_summary"](path, tokens)
    assert TOKEN not in str(caught.value)
