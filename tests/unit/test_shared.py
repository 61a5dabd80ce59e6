# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files out of bootstrap data, and the scripts that put them in their places or take leaves away."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _bootstrap, _node, _shared
from tests.unit import certs
from tests.unit.local_node import LocalNode
from tests.unit.test_bootstrap import TOKEN, sealed, value

TIME = "2026-11-24T20:40:41.359395261Z"
SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]


def entries(contents: dict[str, bytes]) -> dict[str, dict[str, str]]:
    places = {path: name for name, path in _bootstrap.FILES.items()}
    return {
        places[path]: {"Timestamp": TIME, "Content": base64.b64encode(content).decode()}
        for path, content in contents.items()
    }


def test_a_real_cluster() -> None:
    found = {file.path: file for file in _shared.files(value(), TOKEN)}
    assert set(_shared.NEEDED) <= set(found)
    assert found["server/tls/service.key"].content.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert {path: file.sha256 for path, file in found.items()} == {
        path: row["sha256"] for path, row in _bootstrap.authorities(value(), TOKEN).items()
    }
    assert all(1_700_000_000 < file.time < 1_900_000_000 for file in found.values())
    assert "PRIVATE" not in repr(found)


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [(TIME, 1_795_552_841), ("2026-11-24T21:40:41+01:00", 1_795_552_841), ("2026-11-24T20:40:41Z", 1_795_552_841)],
)
def test_times_as_go_writes_them(timestamp: str, seconds: int) -> None:
    assert _shared._seconds(timestamp) == seconds


def test_bootstrap_data_that_lack_a_key_are_refused() -> None:
    contents = certs.shared(certs.authorities())
    del contents["server/tls/service.key"]
    with pytest.raises(_bbolt.BadFile, match=r"do not hold server/tls/service\.key"):
        _shared.files(sealed(json.dumps(entries(contents)).encode()), TOKEN)


def test_the_archive_keeps_times_and_modes() -> None:
    archive = _shared.archive(_shared.files(value(), TOKEN))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        about = {member.name: (member.mode, member.mtime) for member in tar}
    assert about["tls/server-ca.key"][0] == 0o600 and about["tls/server-ca.crt"][0] == 0o644
    assert (
        about["tls/etcd/peer-ca.crt"][1]
        == {f.path: f.time for f in _shared.files(value(), TOKEN)}["server/tls/etcd/peer-ca.crt"]
    )


def test_what_differs_and_what_only_lacks() -> None:
    found = _shared.files(value(), TOKEN)
    seen = {file.path: file.sha256 for file in found}
    assert _shared.differing(found, seen) == _shared.differing(found, {}) == []
    assert _shared.differing(found, seen | {"server/tls/server-ca.crt": "0" * 64}) == ["server/tls/server-ca.crt"]
    assert _shared.differing(found, seen | {"server/cred/passwd": "0" * 64}) == []  # the token's, not the CAs'


def run(shell: str, name: str, root: Path, stdin: bytes = b"", **variables: str) -> _node.Done:
    """A script on a server below a folder, no etcd running; our own folder lies there too."""
    text = _node.script(name, DISTRO="k3s", DATA=str(root / "k3s"), STAMP="S", **variables)
    text = text.replace("HOME_DIR=/var/lib/rancher/requorum", f"HOME_DIR={root}/requorum")
    head = "etcd_runs() { false; }\n"
    mark = "find_distro ||"
    return LocalNode(shell).run(text.replace(mark, head + mark, 1), stdin=stdin)


@pytest.fixture
def server(tmp_path: Path) -> Path:
    (tmp_path / "requorum").mkdir()
    certs.Node("r1", distro="k3s").write(tmp_path / "k3s")
    return tmp_path


def lines(done: _node.Done, key: str) -> list[str]:
    return [line.split("=", 1)[1] for line in done.out.splitlines() if line.startswith(f"{key}=")]


@pytest.mark.parametrize("shell", SHELLS)
def test_leaves_are_moved_aside_where_the_program_cannot_rotate(shell: str, server: Path) -> None:
    tls = server / "k3s/server/tls"
    before = {path: path.read_bytes() for path in tls.rglob("*") if path.is_file()}
    done = run(shell, "tls_renew", server, SERVICES="etcd", FILES="server/tls/etcd/client.crt server/tls/gone.crt")
    assert done.rc == 0, done.err
    assert lines(done, "how") == ["aside"]
    gone = {tls / "etcd/client.crt", tls / "etcd/client.key"}
    assert {path for path in before if not path.exists()} == gone
    moved = dict(entry.split("|") for entry in lines(done, "moved"))
    assert {Path(path) for path in moved} == gone
    assert all(Path(to).read_bytes() == before[Path(path)] for path, to in moved.items())
    assert (server / "requorum/journal").read_text().count("moved=") == 2


@pytest.mark.parametrize("shell", SHELLS)
def test_server_tls_is_emptied_and_has_the_authorities_again(shell: str, server: Path) -> None:
    found = _shared.files(value(), TOKEN)
    data = server / "k3s/server"
    old = (data / "tls/server-ca.crt").read_bytes()
    done = run(shell, "tls_restore", server, _shared.archive(found), EMPTY="yes")
    assert done.rc == 0, done.err
    assert (data / "tls-requorum-S/server-ca.crt").read_bytes() == old
    files = {str(path.relative_to(data.parent)) for path in (data / "tls").rglob("*") if path.is_file()}
    assert files == set(_shared.NEEDED)
    for file in found:
        path = data.parent / file.path
        assert path.read_bytes() == file.content
        assert int(path.stat().st_mtime) == file.time
        assert path.stat().st_mode & 0o777 == (0o644 if file.path.endswith(".crt") else 0o600)
    assert not (data / "requorum-S").exists()
    assert TOKEN not in done.out and "PRIVATE" not in done.out


@pytest.mark.parametrize("shell", SHELLS)
def test_only_what_differs_is_replaced(shell: str, server: Path) -> None:
    found = _shared.files(value(), TOKEN)
    for file in found:
        path = server / "k3s" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
    peer, key = (server / f"k3s/server/tls/etcd/peer-ca.{end}" for end in ("crt", "key"))
    peer.write_bytes(b"another\n")
    key.unlink()
    inode = os.stat(server / "k3s/server/tls/server-ca.crt").st_ino
    done = run(shell, "tls_restore", server, _shared.archive(found), EMPTY="no")
    assert done.rc == 0, done.err
    assert sorted(lines(done, "placed")) == [str(peer), str(key)]
    assert (server / "requorum/S/replaced/tls/etcd/peer-ca.crt").read_bytes() == b"another\n"
    assert os.stat(server / "k3s/server/tls/server-ca.crt").st_ino == inode
    assert (server / "k3s/server/tls/etcd/client.crt").exists()


def test_an_archive_without_authorities_touches_nothing(server: Path) -> None:
    before = sorted(path for path in (server / "k3s").rglob("*") if path.is_file())
    done = run("dash", "tls_restore", server, _shared.archive(()), EMPTY="yes")
    assert done.rc != 0 and "holds no CAs" in done.err
    assert before == sorted(path for path in (server / "k3s").rglob("*") if path.is_file())
