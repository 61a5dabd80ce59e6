# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the programs come from: official files with the right digest, else Go modules."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import socket
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab import binaries
from lab.gobuild import Module
from lab.progress import LabError


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the URL under which it is served."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An empty cache."""
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


def refuse_to_build(module: Module, target: Path) -> None:
    raise AssertionError(f"built {list(module.programs)} although the release files were there")


def pretend_to_build(module: Module, target: Path) -> None:
    for name in module.programs:
        (target / name).write_text("built")


def archive(path: Path, content: dict[str, str]) -> bytes:
    """Write an archive with these files; return its bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    path.parent.mkdir()
    path.write_bytes(buffer.getvalue())
    return buffer.getvalue()


def etcd_archive(folder: Path) -> str:
    """Put an archive like etcd's there; return its sha256."""
    content = archive(folder / "v3.6.6" / "etcd-v3.6.6-linux-amd64.tar.gz",
                      {f"etcd-v3.6.6-linux-amd64/{name}": name for name in ("etcd", "etcdctl", "etcdutl", "README.md")})
    return hashlib.sha256(content).hexdigest()


def etcd_part(base: str, sha256: str) -> binaries.Part:
    part = binaries.etcd_part("3.6", base)
    return replace(part, release=replace(part.release, pin=sha256))


@pytest.fixture(autouse=True)
def amd64(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pins are those of amd64 files, whatever runs the test."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def test_a_release_file_with_the_pinned_sha256_is_taken(site: tuple[Path, str], cache: Path) -> None:
    folder, url = site
    part = etcd_part(url, etcd_archive(folder))
    got = binaries.provide(part, cache, refuse_to_build)
    assert sorted(path.name for path in got.iterdir()) == ["etcd", "etcdctl", "etcdutl"]
    assert all(os.access(path, os.X_OK) and path.read_text() == path.name for path in got.iterdir())


def test_the_cache_is_used_without_asking_the_host_again(site: tuple[Path, str], cache: Path) -> None:
    folder, url = site
    part = etcd_part(url, etcd_archive(folder))
    first = binaries.provide(part, cache, refuse_to_build)
    (folder / "v3.6.6" / "etcd-v3.6.6-linux-amd64.tar.gz").unlink()
    assert binaries.provide(part, cache, refuse_to_build) == first


def test_a_file_with_another_sha256_is_refused_and_nothing_of_it_is_kept(
        site: tuple[Path, str], cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, url = site
    etcd_archive(folder)
    part = etcd_part(url, "0" * 64)
    with pytest.raises(LabError, match=f"instead of {'0' * 64}; refused"):
        binaries.fetch(part.release, cache)
    assert list(cache.iterdir()) == []
    got = binaries.provide(part, cache, pretend_to_build)
    assert (got / "etcd").read_text() == "built"
    assert not (cache / part.release_folder).exists()
    assert "refused; building from Go modules" in capsys.readouterr().err


def test_a_host_that_refuses_connections_means_building(cache: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        got = binaries.provide(etcd_part(url, "0" * 64), cache, pretend_to_build)
    assert got.name == binaries.etcd_part("3.6").built_folder


def test_a_host_that_never_answers_is_given_up_soon(
        cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(binaries, "ANSWER_S", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        got = binaries.provide(etcd_part(f"http://127.0.0.1:{silent.getsockname()[1]}", "0" * 64), cache,
                               pretend_to_build)
    assert (got / "etcdutl").read_text() == "built"
    assert "building from Go modules" in capsys.readouterr().err


def test_kube_apiserver_and_kubectl_come_from_one_archive_checked_by_its_sha512(
        site: tuple[Path, str], cache: Path) -> None:
    folder, url = site
    content = archive(folder / "v1.34.3/kubernetes-server-linux-amd64.tar.gz",
                      {f"kubernetes/server/bin/{name}": name for name in ("kube-apiserver", "kubectl", "kubelet")})
    part = binaries.kubernetes_part(url)
    with pytest.raises(LabError, match=r"sha512 .* refused"):
        binaries.fetch(part.release, cache)
    binaries.fetch(replace(part.release, pin=hashlib.sha512(content).hexdigest()), cache)
    assert sorted(path.name for path in cache.iterdir()) == ["kube-apiserver", "kubectl"]
    assert os.access(cache / "kube-apiserver", os.X_OK)


def test_an_archive_without_the_program_is_refused(site: tuple[Path, str], cache: Path) -> None:
    folder, url = site
    content = archive(folder / "v3.6.6" / "etcd-v3.6.6-linux-amd64.tar.gz", {"etcd-v3.6.6-linux-amd64/etcd": "etcd"})
    with pytest.raises(LabError, match="no etcdctl in it"):
        binaries.fetch(etcd_part(url, hashlib.sha256(content).hexdigest()).release, cache)


def test_all_programs_end_in_one_folder_named_after_what_went_in(cache: Path) -> None:
    dead = "http://127.0.0.1:9"
    new, old = (binaries.binaries(series, cache, dead, dead, pretend_to_build) for series in ("3.6", "3.5"))
    assert sorted(path.name for path in new.iterdir()) == ["etcd", "etcdctl", "etcdutl", "kube-apiserver", "kubectl"]
    assert new != old
    assert len(list(cache.glob("kubernetes-1.34.3-go-*"))) == 1, "kube-apiserver was built twice"


@pytest.mark.parametrize(("series", "version"), [("3.6", "3.6.6"), ("3.5", "3.5.21")])
def test_official_addresses(series: str, version: str) -> None:
    release = binaries.etcd_part(series).release
    assert release.url == (f"https://github.com/etcd-io/etcd/releases/download/v{version}/"
                           f"etcd-v{version}-linux-amd64.tar.gz")
    assert (binaries.kubernetes_part().release.url
            == "https://dl.k8s.io/v1.34.3/kubernetes-server-linux-amd64.tar.gz")


def test_the_modules_pin_the_versions_of_the_releases(root: Path) -> None:
    for part in (binaries.etcd_part("3.6"), binaries.etcd_part("3.5"), binaries.kubernetes_part()):
        assert f" v{part.version}\n" in (part.module.folder / "go.mod").read_text()
