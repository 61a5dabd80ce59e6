# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that gives files away once, asked by real clients."""

from __future__ import annotations

import contextlib
import datetime
import http.client
import os
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from requorum import oneshot

CONFIG, SCRIPT = "token: sekret\n" * 500, "#!ipxe\nboot\n"
Served = tuple[oneshot.OneShot, Callable[[], bool | None]]
TEXTS = {"n4/config.yaml": CONFIG, "n4/join.ipxe": SCRIPT}


def trusting(server: oneshot.OneShot) -> ssl.SSLContext:
    """A client that was given the certificate."""
    port = int(server.base.split(":")[2].split("/")[0])
    return ssl.create_default_context(cadata=ssl.get_server_certificate(("127.0.0.1", port), timeout=5))


def get(url: str, context: ssl.SSLContext | None = None) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=10, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


@contextlib.contextmanager
def serving(*, tls: bool = False, seconds: float = 20, times: int = 1, **more: Any) -> Iterator[Served]:
    """The server while it serves, and its outcome when it has ended."""
    context = oneshot.self_signed("127.0.0.1", seconds) if tls else None
    server, outcome = oneshot.OneShot("127.0.0.1", 0, tls=context, times=times), list[bool]()
    arguments = {"texts": TEXTS, "needed": ["n4/config.yaml"], "seconds": seconds, **more}
    thread = threading.Thread(target=lambda: outcome.append(server.serve(**arguments)), daemon=True)
    thread.start()

    def end() -> bool | None:
        thread.join(30)
        return outcome[0] if outcome else None

    yield server, end
    server._done.set()
    thread.join(30)
    assert not thread.is_alive()


def test_each_file_is_given_away_once_and_then_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as (server, end):
        assert get(f"{server.base}/n4/join.ipxe") == (200, SCRIPT.encode())
        assert get(f"{server.base}/n4/join.ipxe") == (404, b"")
        assert get(f"{server.base}/n4/config.yaml") == (200, CONFIG.encode())
        assert end() is True
        with pytest.raises(urllib.error.URLError, match="refused"):
            get(f"{server.base}/n4/config.yaml")
    said = capsys.readouterr().err
    assert [line.split(" ", 1)[1] for line in said.splitlines()] == [
        "127.0.0.1 fetched n4/join.ipxe",
        "127.0.0.1 asked for what is not, or not any more, here",
        "127.0.0.1 fetched n4/config.yaml",
    ]
    assert server.word not in said and "sekret" not in said


def test_nothing_else_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    with serving() as (server, _end):
        root, word = server.base.rsplit("/", 1)
        near = (f"/{word}/n4/../n4/config.yaml", f"/{word}/n4/config.yaml?x=1", f"/{word[:-1]}/n4/config.yaml")
        for path in ("", "/", f"/{word}", f"/{word}/", f"/{word}/n4", f"/{word}/n4/", "/n4/config.yaml", *near):
            assert get(f"{root}{path}") == (404, b""), path
        for verb in ("HEAD", "POST", "PUT", "OPTIONS"):
            link = http.client.HTTPConnection(root.removeprefix("http://"), timeout=10)
            link.request(verb, f"/{word}/n4/config.yaml")
            answer = link.getresponse()
            assert answer.status == 501 and b"sekret" not in answer.read()
            link.close()
        assert get(f"{server.base}/n4/config.yaml")[0] == 200, "none of these has used it up"
    assert word not in capsys.readouterr().err


def test_words_are_never_the_same() -> None:
    servers = [oneshot.OneShot("127.0.0.1", 0, tls=None) for _each in range(2)]
    assert servers[0].word != servers[1].word and len(servers[0].word) >= 43
    for server in servers:
        server.close()


def test_https_with_a_certificate_of_our_own() -> None:
    with serving(tls=True) as (server, end):
        assert server.base.startswith("https://127.0.0.1:")
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            get(f"{server.base}/n4/config.yaml")  # as the installer's client does
        assert get(f"{server.base}/n4/config.yaml", trusting(server)) == (200, CONFIG.encode())
        assert end() is True


def test_the_certificate_names_the_address_and_ends_soon() -> None:
    with serving(tls=True, seconds=60) as (server, _end):
        link = socket.create_connection(("127.0.0.1", server._server.server_address[1]), timeout=5)
        with trusting(server).wrap_socket(link, server_hostname="127.0.0.1") as tls:
            found = tls.getpeercert()
        assert found and found["subjectAltName"] == (("IP Address", "127.0.0.1"),)
        assert ssl.cert_time_to_seconds(str(found["notAfter"])) - time.time() < 3700


def test_a_certificate_of_ones_own(tmp_path: Path) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "boot")])
    pem = serialization.Encoding.PEM
    builder = x509.CertificateBuilder(name, name, key.public_key(), 5, now, now + datetime.timedelta(1))
    made = builder.sign(key, hashes.SHA256())
    (tmp_path / "c").write_bytes(made.public_bytes(pem))
    plain = serialization.NoEncryption()
    (tmp_path / "k").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    server = oneshot.OneShot("127.0.0.1", 0, tls=oneshot.certified(str(tmp_path / "c"), str(tmp_path / "k")))
    assert server.base.startswith("https")
    server.close()
    with pytest.raises(ssl.SSLError):
        oneshot.certified(str(tmp_path / "c"), str(tmp_path / "c"))


def test_time_runs_out() -> None:
    with serving(seconds=0.3) as (server, end):
        assert end() is False
        with pytest.raises(urllib.error.URLError, match="refused"):
            get(f"{server.base}/n4/config.yaml")


def test_all_that_is_needed_has_to_be_fetched() -> None:
    with serving(needed=list(TEXTS), seconds=1.5) as (server, end):
        assert get(f"{server.base}/n4/config.yaml")[0] == 200
        assert end() is False


def test_twice_where_it_is_read_twice() -> None:
    with serving(times=2) as (server, end):
        assert [get(f"{server.base}/n4/config.yaml")[0] for _each in range(2)] == [200, 200]
        assert end() is True


def test_of_many_at_once_one_gets_it() -> None:
    with serving(needed=list(TEXTS)) as (server, _end), ThreadPoolExecutor(8) as pool:
        got = [code for code, _body in pool.map(get, [f"{server.base}/n4/config.yaml"] * 16)]
    assert sorted(got) == [200] + [404] * 15


def test_one_that_was_cut_off_may_be_had_again() -> None:
    server = oneshot.OneShot("127.0.0.1", 0, tls=None)
    server._left, server._texts = {"/a": 1}, {"/a": b"x"}

    def broken(_body: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        server.give("/a", broken)
    assert server.give("/a", lambda _body: None) == "/a" and server.give("/a", broken) is None
    server.close()


@pytest.mark.parametrize("tls", [False, True])
def test_a_client_that_says_nothing_holds_up_nobody(tls: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oneshot, "SLOW", 1)
    with serving(tls=tls) as (server, end):
        silent = [socket.create_connection(("127.0.0.1", server._server.server_port)) for _each in range(5)]
        context = trusting(server) if tls else None
        began = time.monotonic()
        assert get(f"{server.base}/n4/config.yaml", context)[0] == 200
        assert time.monotonic() - began < 1
        assert end() is True
        for link in silent:
            link.close()


def test_noise_ends_nothing() -> None:
    with serving(tls=True) as (server, end):
        for noise in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(100), b""):
            with socket.create_connection(("127.0.0.1", server._server.server_port)) as link:
                link.sendall(noise)
        assert get(f"{server.base}/n4/config.yaml", trusting(server))[0] == 200
        assert end() is True


def test_an_ipv6_address() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        server = oneshot.OneShot("::1", 0, tls=None)
    except OSError:
        pytest.skip("no IPv6 loopback here")
    assert server.base.startswith("http://[::1]:")
    server.close()
