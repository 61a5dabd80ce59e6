# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens and the bootstrap data of a real cluster: known answers, no secret in any of them, no damage that raises."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from dataclasses import asdict
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _bbolt, _bootstrap, _x509
from tests.unit.test_objects import live

CA = "1074936edf087fee40e83659efe2bd5f1850597e5bfdd085c95ecfb022eded63"
TOKEN, KEY = "sekret123", "e2e269d4f6ec"
SALT = "0123456789abcdef"


@pytest.mark.parametrize(
    ("token", "password"),
    [
        ("sekret123", "sekret123"),
        ("sekret123\n", "sekret123"),
        (f"K10{CA}::server:sekret123", "sekret123"),
        (f"K10{CA}::server:a:b::c", "a:b::c"),
        (f"K10{CA}::sekret123", "sekret123"),
        ("K10 is no prefix here", "K10 is no prefix here"),
        ("server:sekret123", "server:sekret123"),
        ("a::b", "a::b"),
    ],
)
def test_password(token: str, password: str) -> None:
    assert _bootstrap.password(token) == password


def test_a_token_names_its_key() -> None:
    assert _bootstrap.name(f"K10{CA}::server:sekret123") == _bootstrap.name(TOKEN) == KEY
    assert _bootstrap.opens(KEY, TOKEN) and _bootstrap.opens(f"/bootstrap/{KEY}", f"K10{CA}::server:sekret123")
    assert not _bootstrap.opens(KEY, "sekret1234")
    assert _bootstrap.name("\udcff") == hashlib.sha256(b"\xff").hexdigest()[:12]


def test_advice_is_given_for_none_and_for_several_keys() -> None:
    assert _bootstrap.advice([KEY]) is None
    assert "no bootstrap key" in (_bootstrap.advice([]) or "")
    several = _bootstrap.advice({KEY, "aaaaaaaaaaaa"}) or ""
    assert several.startswith(f"2 bootstrap keys (aaaaaaaaaaaa, {KEY}): a token rotation did not end.")
    assert "token rotate" in several


@functools.cache
def value() -> bytes:
    return live()[f"/bootstrap/{KEY}".encode()].value


def plain() -> dict[str, bytes]:
    """Files of the real bootstrap data, decrypted here and not by the code under test."""
    salt, _colon, text = value().decode().partition(":")
    key = hashlib.pbkdf2_hmac("sha1", TOKEN.encode(), salt.encode(), 4096, 32)
    sealed = base64.b64decode(text)
    entries = json.loads(AESGCM(key).decrypt(sealed[:12], sealed[12:], None))
    return {name: base64.b64decode(entry["Content"]) for name, entry in entries.items()}


@functools.cache
def _key() -> bytes:
    return hashlib.pbkdf2_hmac("sha1", TOKEN.encode(), SALT.encode(), 4096, 32)


def sealed(text: bytes) -> bytes:
    return f"{SALT}:{base64.b64encode(bytes(12) + AESGCM(_key()).encrypt(bytes(12), text, None)).decode()}".encode()


def encrypted(**files: bytes) -> bytes:
    entries = {
        name: {"Timestamp": "", "Content": base64.b64encode(content).decode()} for name, content in files.items()
    }
    return sealed(json.dumps(entries).encode())


@pytest.mark.parametrize("token", [TOKEN, f"K10{CA}::server:{TOKEN}\n"])
def test_bootstrap_data_of_a_real_cluster(token: str, recwarn: pytest.WarningsRecorder) -> None:
    found = _bootstrap.decrypt(value(), token)
    assert {authority.path: authority.sha256 for authority in found.authorities} == {
        "client-ca.crt": "b9af5998e9a7248197f28e4a121492750ad5e41c2ef08fd6389d82a5e199232a",
        "etcd/peer-ca.crt": "f494baf65e74f94882f27851eb9a8425c9fbbcbf1f974ef5eb760570d2c21b41",
        "etcd/server-ca.crt": "027d96a063488d327c4461d4eb1c1b77a83bb5f6611ad245218d9021a0e2e764",
        "request-header-ca.crt": "4accf1f9340d4fdb2a64a7d58e918b10dc27228db9cb64c738424747bc6c45a2",
        "server-ca.crt": "e44ed9c71c1e8eed67a598b6db0a0e83dab10de2fa4bd6d51400235d50c3b3c6",
    }
    assert [authority.subject for authority in found.authorities] == [
        f"CN={name}-ca@1795552841"
        for name in ("rke2-client", "etcd-peer", "etcd-server", "rke2-request-header", "rke2-server")
    ]
    assert {authority.ends for authority in found.authorities} == {2110912841}
    assert found.service_key_sha256 == "f500f33590c2556f81c5689532030859ca6353c9fcc72196f7f69d0babb14949"
    assert found.encryption_providers == ("aescbc", "identity")
    assert found.encryption_hash == f"start-{hashlib.sha256(plain()['EncryptionConfig']).hexdigest()}"
    assert not recwarn.list, "the serial number 0 of these CAs must not be mentioned"


def test_nothing_secret_is_in_the_answer() -> None:
    found = _bootstrap.decrypt(value(), TOKEN)
    shown = repr(found) + str(found) + json.dumps(asdict(found))
    files = plain()
    config = json.loads(files["EncryptionConfig"])
    secrets = [config["resources"][0]["providers"][0]["aescbc"]["keys"][0]["secret"], TOKEN]
    for name in ("ServerCAKey", "ServiceKey", "IPSECKey", "PasswdFile"):
        secrets += [line for line in files[name].decode().splitlines() if not line.startswith("-----")]
    assert len(secrets) > 20
    assert not [secret for secret in secrets if secret in shown]


def refusal(damaged: bytes, token: str = TOKEN) -> str:
    with pytest.raises(_bbolt.BadFile) as caught:
        _bootstrap.decrypt(damaged, token)
    assert caught.value.__context__ is None, "a cause would show what was decrypted"
    assert token not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("token", ["another", "", f"K10{CA}::server:another"])
def test_a_wrong_token_is_said(token: str) -> None:
    with pytest.raises(_bbolt.BadFile, match="the token does not open the bootstrap data"):
        _bootstrap.decrypt(value(), token)


def test_an_empty_key_is_the_lock_of_a_first_start() -> None:
    assert "start did not end" in refusal(b"")


@pytest.mark.parametrize(
    "damaged",
    [b":", b"\xff", b"no colon", b"0123456789abcdef:", b"0123456789abcdef:!!!!", b"0123456789abcdef:AAAAA", b"xy:AAAA"],
)
def test_what_is_no_salt_and_base64_is_damaged(damaged: bytes) -> None:
    assert refusal(damaged) == "the bootstrap data are damaged: they are not a salt and base64"


def test_data_that_are_cut_off_at_any_place_are_refused() -> None:
    assert refusal(b"0123456789abcdef:" + base64.b64encode(bytes(28))) == "the bootstrap data are cut off"
    for size in (1, 16, 17, 18, 21, 40, 57, 61, 1000, len(value()) - 4, len(value()) - 1):
        refusal(value()[:size])


def test_a_flipped_bit_is_refused() -> None:
    data = bytearray(value())
    data[5000] ^= 1
    refusal(bytes(data))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff",
        b"[]",
        b"{",
        b'"secret"',
        b'{"ServerCA": "secret"}',
        b'{"ServerCA": {}}',
        b'{"ServerCA": null}',
        b'{"ServerCA": {"Content": 7}}',
        b'{"ServerCA": {"Content": "\xc3\xa4"}}',
        b'{"ServerCA": {"Content": "secret!"}}',
        b"[" * 100_000,
    ],
)
def test_what_is_not_the_json_of_a_server_is_refused_without_being_shown(text: bytes) -> None:
    message = refusal(sealed(text))
    assert message == "the bootstrap data were decrypted, but are not the JSON that K3s and RKE2 write"


def test_data_of_a_k3s_without_encryption() -> None:
    found = _bootstrap.decrypt(encrypted(ServiceKey=b"a key", EncryptionConfig=b"", ServerCA=b""), TOKEN)
    assert found == _bootstrap.Bootstrap((), hashlib.sha256(b"a key").hexdigest(), (), "")
    assert _bootstrap.decrypt(sealed(b"{}"), TOKEN) == _bootstrap.Bootstrap((), "", (), "")


def test_a_certificate_that_cannot_be_read_still_has_its_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    garbled = b"# file no certificate\n\xff"
    found = _bootstrap.decrypt(encrypted(ServerCA=garbled), TOKEN).authorities
    assert found == (_bootstrap.Authority("server-ca.crt", hashlib.sha256(garbled).hexdigest(), None, None),)

    def refuse(pem: bytes) -> x509.Certificate:
        raise ValueError("not a certificate")

    monkeypatch.setattr(x509, "load_der_x509_certificate", refuse)
    _x509.certificates.cache_clear()
    found = _bootstrap.decrypt(value(), TOKEN).authorities
    _x509.certificates.cache_clear()
    assert len(found) == 5 and all(authority.sha256 and authority.subject is None for authority in found)


@pytest.mark.parametrize(
    ("config", "providers"),
    [
        ({"resources": [{"providers": [{"identity": {}}, {"secretbox": {"keys": []}}]}]}, ("identity", "secretbox")),
        (
            {"resources": [{"providers": [{"kms": {}}]}, {"providers": [{"kms": {}}, {"identity": {}}]}]},
            ("kms", "identity"),
        ),
        ({"resources": [{"providers": ["secret"]}]}, ()),
        ({"resources": "secret"}, ()),
        (["secret"], ()),
    ],
)
def test_only_names_of_providers_are_given(config: Any, providers: tuple[str, ...]) -> None:
    data = encrypted(EncryptionConfig=json.dumps(config).encode(), EncryptionHash=b"secret")
    found = _bootstrap.decrypt(data, TOKEN)
    assert (found.encryption_providers, found.encryption_hash) == (providers, "")


@given(st.binary(max_size=80) | st.binary(max_size=80).map(lambda data: SALT.encode() + b":" + base64.b64encode(data)))
def test_any_value_is_refused(data: bytes) -> None:
    refusal(data)
