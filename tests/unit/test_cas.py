# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Successors of CAs: who trusts whom before, between and after, and that nothing is made that was not asked for."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _cas, _shared, _tls_files, _x509
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from lab.supervisor import bootstrap, pki, rotateca, tokens
from tests.unit import certs
from tests.unit.certs import DAY, NOW

SERVER_CA = "server/tls/server-ca.crt"
Pair = tuple[bytes, bytes]


def due(cas: certs.Authorities, days: int = 4000) -> tuple[_cas.Successor, ...]:
    return tuple(_cas.due(certs.bootstrap(cas), now=NOW, days=days, distro="rke2"))


@functools.cache
def generations() -> tuple[Pair, ...]:
    """Files of server-ca: as K3s made them, their successors, and those of these."""
    (made,) = (one for one in due(certs.authorities()) if one.path == SERVER_CA)
    files = certs.shared(certs.authorities())
    found = [(files[SERVER_CA], files[made.key_path])]
    for _time in range(2):
        found.append(_cas.issue(made, *found[-1]))
    return tuple(found)


def leaf(ca: Pair, folder: Path, name: str) -> Path:
    """A certificate as a start makes it: its own, and behind it the whole file of its CA."""
    cert = pki.load_cert(ca[0])
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = certs.Authority(cert, pki.private_key(ca[1]))
    made = certs.make(name, key, signer=issuer, starts=NOW - 10, ends=NOW + 300 * DAY)
    path = folder / f"{name}.crt"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + ca[0])
    return path


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not installed")
@pytest.mark.parametrize(("trusts", "signs", "accepted"), [
    (0, 1, True),  # a server that has not restarted yet, of one that has
    (1, 0, True),
    (1, 1, True),
    (1, 2, True),
    (2, 1, True),
    (2, 2, True),
    (0, 2, False),  # a host has to restart once in each
])  # fmt: skip
def test_each_generation_trusts_the_next_and_the_last(
    trusts: int, signs: int, accepted: bool, tmp_path: Path
) -> None:
    """By openssl, which is not ours, and stricter than Go: it does not try every way."""
    made = leaf(generations()[signs], tmp_path, "leaf")
    (tmp_path / "trusted.pem").write_bytes(generations()[trusts][0])
    argv = ["openssl", "verify", "-attime", str(NOW), "-CAfile", "trusted.pem", "-untrusted", str(made), str(made)]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is accepted, done.stderr


@pytest.mark.parametrize("number", [1, 2])
def test_layout_and_what_the_program_checks(number: int) -> None:
    (old, old_key), (new, new_key) = generations()[number - 1 : number + 1]
    ca, cross, root, before = _x509.certificates(new.decode())
    assert (ca.subject, root.subject, cross.subject) == (
        f"CN=rke2-server-ca@{NOW}",
        f"CN=rke2-server-root@{NOW}",
        root.subject,
    )
    assert ca.signed_by(root) and root.signed_by(root) and cross.key_id == root.key_id
    assert before == _x509.root(_x509.certificates(old.decode())) and cross.signed_by(before)
    assert not ca.signed_by(before) and not root.signed_by(before)
    blocks = [b"-----BEGIN" + block for block in new_key.split(b"-----BEGIN")[1:]]
    keys = [_x509.key_id(pki.private_key(block).public_key()) for block in blocks]
    assert keys == [ca.key_id, root.key_id]
    assert {(cert.starts, cert.ends) for cert in (ca, root, cross)} == {(NOW - 60, NOW + 7300 * DAY)}
    entry = functools.partial(bootstrap.Entry, "2026-11-24T09:30:00Z")
    olds = {name: entry(b"x") for name in ("ClientCA", "RequestHeaderCA", "ETCDServerCA", "ETCDPeerCA")}
    olds |= {"ServerCA": entry(old), "ServerCAKey": entry(old_key)}
    assert list(rotateca.problems(olds, {"ServerCA": entry(new), "ServerCAKey": entry(new_key)})) == []
    assert list(rotateca.problems(olds, {"ServerCA": entry(new), "ServerCAKey": entry(old_key)})) != []


@pytest.mark.parametrize("number", [0, 1, 2])
def test_hash_in_full_tokens(number: int) -> None:
    pem = generations()[number][0]
    assert _x509.pin(pem) == tokens.ca_hash(pem)
    root = _x509.certificates(pem.decode())[2].sha256 if number else hashlib.sha256(pem).hexdigest()
    assert _x509.pin(pem) == root


def test_a_root_whose_key_is_not_held_is_not_replaced() -> None:
    (crt, key), made = generations()[1], due(certs.authorities())[1]
    only = key[: key.index(b"-----END") + 30]
    with pytest.raises(RequorumError, match="does not hold the key of its root"):
        _cas.issue(made, crt, only)
    below = _x509.certificates(crt.decode())[0]
    assert _x509.root((below,)) is None
    text = crt[: crt.index(b"-----END CERTIFICATE-----") + 26].decode()
    (lost,) = _cas.due({SERVER_CA: {"sha256": "0", "text": text}}, now=NOW, days=8000, distro="k3s")
    assert lost.signer == ""


def test_an_rsa_root_signs_too() -> None:
    """K3s' own script for CAs of a company makes RSA keys."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    old = certs.make("company", key, starts=NOW - DAY, ends=NOW + 9 * DAY)  # type: ignore[arg-type]
    pem = old.public_bytes(serialization.Encoding.PEM)
    made = due(certs.authorities())[1]
    new, _key = _cas.issue(made, pem, certs.private(key))  # type: ignore[arg-type]
    _ca, cross, _root, last = _x509.certificates(new.decode())
    assert cross.signed_by(last) and last.subject == "CN=company"


@given(st.dictionaries(st.sampled_from(_tls_files.AUTHORITIES), st.integers(-20, 800)), st.integers(1, 700))
def test_never_more_than_what_ends_soon(ends: Mapping[str, int], days: int) -> None:
    """Each authority ends in its own time; those that are not named last ten years."""
    cas = {path: certs.authorities(f"of {ends.get(path)}", ends=ends.get(path, 3620))[path]
           for path in _tls_files.AUTHORITIES}  # fmt: skip
    assert {one.path for one in due(cas, days)} == {path for path, left in ends.items() if left < days}


def test_a_successor_is_not_due_itself() -> None:
    known = {SERVER_CA: {"sha256": "0", "text": generations()[1][0].decode()}}
    assert list(_cas.due(known, now=NOW, days=_cas.LIFE - 1, distro="rke2")) == []


def test_they_travel_as_the_program_wants_them(tmp_path: Path) -> None:
    crt, key = generations()[1]
    both = ((SERVER_CA, crt), ("server/tls/server-ca.key", key))
    files = [_shared.File(path, content, NOW) for path, content in both]
    subprocess.run(["tar", "-xpf", "-", "-C", str(tmp_path)], input=_shared.archive(files), check=True)
    read = bootstrap.read_files(bootstrap.tls_paths(tmp_path / "tls"))
    assert {name: entry.content for name, entry in read.items()} == {"ServerCA": crt, "ServerCAKey": key}
