# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens on the controller: the plan, the proof, the reset and the rejoin must find the same one."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _bootstrap
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf

KEYS = [_bootstrap.name("right")]


def kept(folder: Path, token: str) -> str:
    """A backup of an earlier run with the token that was kept beside its snapshot."""
    folder.mkdir(parents=True)
    with tarfile.open(folder / "files.tar", "w") as archive:
        entry = tarfile.TarInfo("var/lib/rancher/requorum/20261125T000000Z/token")
        entry.size = len(token)
        archive.addfile(entry, io.BytesIO(token.encode()))
    (folder / "snapshot.db").write_bytes(b"")
    return str(folder / "snapshot.db")


def test_a_token_kept_beside_any_snapshot_of_the_cluster_opens_one_that_lies_elsewhere(tmp_path: Path) -> None:
    kept(tmp_path / "1/backup/r1", "other")
    kept(tmp_path / "2/backup/r1", "right")
    for named in ("s3://bucket/key", "r2:/snap", str(tmp_path / "elsewhere/kept.zip")):
        assert _shelf.opening({}, str(tmp_path / "now"), KEYS, named) == "right"


def test_a_token_beside_the_named_file_counts_wherever_it_lies(tmp_path: Path) -> None:
    named = kept(tmp_path / "other/cluster", "right")
    assert _shelf.opening({}, str(tmp_path / "shelf" / "now"), KEYS, named) == "right"
    assert _shelf.opening({}, str(tmp_path / "shelf" / "now"), KEYS, "r1:/snap") == ""


def test_the_token_file_counts_where_it_opens_the_snapshot(tmp_path: Path) -> None:
    kept(tmp_path / "1/backup/r1", "right")
    (tmp_path / "token").touch(0o600)
    for content in ("right\n", "wrong\n"):
        (tmp_path / "token").write_text(content)
        settings = {"requorum_token_file": str(tmp_path / "token")}
        assert _shelf.opening(settings, str(tmp_path / "now"), KEYS, "s3://bucket/key") == "right"
        assert _bootstrap.name(content) in _shelf.names_at_hand(settings, str(tmp_path), "")


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (None, 0o600, "cannot be read: No such file or directory. Name the file"),
        (b"", 0o600, "holds no token: it has 0 lines"),
        (b" \n\n", 0o600, "holds no token: it has 0 lines"),
        (b"token: a\nserver: b\n", 0o600, "holds no token: it has 2 lines"),
        (b"\xff\xfe", 0o600, "cannot be read: it is no text"),
        (b"right\n", 0o640, "can be read by others: its mode is 0640. It opens the whole cluster: chmod 600"),
        (b"right\n", 0o604, "its mode is 0604"),
    ],
)
def test_a_bad_token_file_is_said(tmp_path: Path, content: bytes | None, mode: int, words: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(RequorumError, match=rf"requorum_token_file \S+ .*{words}"):
        _shelf.names_at_hand({"requorum_token_file": str(path)}, str(tmp_path), "")


def test_a_folder_as_token_file(tmp_path: Path) -> None:
    with pytest.raises(RequorumError, match="cannot be read: Is a directory"):
        _shelf.token({"requorum_token_file": str(tmp_path)})


def test_a_token_file_on_a_host_comes_with_its_backup(tmp_path: Path) -> None:
    settings = {"requorum_token_file": "r2:/root/old-token"}
    assert (_shelf.token(settings), _shelf.on_host(settings, "r2")) == ("", "/root/old-token")
    assert _shelf.on_host(settings, "r1") == _shelf.on_host({"requorum_token_file": "/root/r2"}, "r2") == ""


def test_tokens_of_other_hosts_of_the_same_run_count_and_strangers_beside_a_file_do_not(tmp_path: Path) -> None:
    kept(tmp_path / "prod/1/backup/r2", "right")
    mine = kept(tmp_path / "prod/1/backup/r1", "other")
    assert _shelf.tokens_here({}, [mine]) == ["other", "right"]
    kept(tmp_path / "files/stranger", "right")
    assert _shelf.tokens_here({}, [kept(tmp_path / "files/mine", "other")]) == ["other"]
