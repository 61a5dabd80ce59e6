# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rancher's Secret with the tokens of a cluster: in protobuf and JSON, plain and encrypted at rest."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.action import token_info
from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bbolt,
    _bootstrap,
    _bootstrap_find,
    _secret,
)
from ansible_collections.requorum.cluster.plugins.plugin_utils import _shelf
from tests.unit.datastores import build
from tests.unit.local_node import LocalNode
from tests.unit.test_objects import live, varint
from tests.unit.test_tokens import CA, NEW, NEW_KEY, archive

FULL = f"K10{CA}::server:{NEW}"
KEY = bytes(range(32))


def config(provider: str = "aescbc", key: bytes = KEY, name: str = "aescbckey") -> bytes:
    """As RKE2 writes it."""
    keys = [{"name": name, "secret": base64.b64encode(key).decode()}]
    providers = [{provider: {"keys": keys}}, {"identity": {}}]
    return json.dumps({"kind": "EncryptionConfiguration", "resources": [{"providers": providers}]}).encode()


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def protobuf(**data: str) -> bytes:
    """A Secret as an API server writes it."""
    entries = b"".join(field(2, field(1, name.encode()) + field(2, text.encode())) for name, text in data.items())
    secret = field(1, field(1, b"local-rke-state")) + entries + field(3, b"rke.cattle.io/cluster-state")
    return b"k8s\0" + field(1, field(1, b"v1") + field(2, b"Secret")) + field(2, secret)


def plain_json(**data: str) -> bytes:
    kept = {name: base64.b64encode(text.encode()).decode() for name, text in data.items()}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "data": kept}).encode()


def sealed(plain: bytes, provider: str = "aescbc", name: str = "aescbckey") -> bytes:
    head = f"k8s:enc:{provider}:v1:{name}:".encode()
    if provider == "aesgcm":
        nonce = os.urandom(12)
        return head + nonce + AESGCM(KEY).encrypt(nonce, plain, _secret.STATE.encode())
    iv, pad = os.urandom(16), 16 - len(plain) % 16
    encryptor = Cipher(algorithms.AES(KEY), modes.CBC(iv)).encryptor()
    return head + iv + encryptor.update(plain + bytes([pad]) * pad) + encryptor.finalize()


BOTH = {"serverToken": FULL, "agentToken": "of-agents", "other": "not asked for"}
FOUND = {"serverToken": FULL, "agentToken": "of-agents"}


@pytest.mark.parametrize("value", [protobuf(**BOTH), plain_json(**BOTH)])
def test_tokens_of_both_forms(value: bytes) -> None:
    assert _secret.tokens(value) == FOUND
    assert _secret.tokens(sealed(value), [config()]) == FOUND
    assert _secret.tokens(sealed(value, "aesgcm"), [config(key=b"x" * 32), config("aesgcm")]) == FOUND


@pytest.mark.parametrize(
    "configs",
    [
        *([], [b""], [b"no json"], [b"[]"]),
        *([config(key=b"x" * 32)], [config(name="other")], [config("aesgcm")], [config(key=b"short")]),
    ],
)
def test_without_its_key_it_says_nothing(configs: list[bytes]) -> None:
    assert _secret.tokens(sealed(protobuf(**BOTH)), configs) == {}


def test_secretbox_is_not_read() -> None:
    assert _secret.tokens(b"k8s:enc:secretbox:v1:key1:" + bytes(60), [config("secretbox")]) == {}


@given(st.binary(max_size=200))
def test_nothing_raises(raw: bytes) -> None:
    for value in (raw, b"k8s\0" + raw, b"{" + raw, b"k8s:enc:aescbc:v1:aescbckey:" + raw):
        _secret.tokens(value, [config()])


def test_a_recorded_secret_is_decrypted() -> None:
    """Of RKE2 v1.34.3, with the key in its bootstrap data, which its token opens."""
    (bootstrap,) = (entry for key, entry in live().items() if key.startswith(b"/bootstrap/"))
    keys = _bootstrap._files(_bootstrap._opened(bootstrap.value, "sekret123"))["EncryptionConfig"]
    at = "/registry/secrets/kube-system/r1.node-password.rke2"
    value = live()[at.encode()].value
    assert value.startswith(b"k8s:enc:aescbc:v1:aescbckey:")
    assert _secret._from_protobuf(_secret.opened(value, [keys], at))["hash"].startswith(b"$1:967a55d35073bcd8:15:8:1:")


def entry(key: str, mod: int, value: bytes) -> tuple[bytes, bytes]:
    """A revision of the bucket `key`."""
    numbers = b"".join(varint(number << 3) + varint(mod) for number in (2, 3, 4))
    return mod.to_bytes(8, "big") + b"_" + bytes(8), field(1, key.encode()) + numbers + field(5, value)


def datastore(path: Path, value: bytes) -> str:
    key = dict([entry(_secret.STATE, 7, protobuf(serverToken="older")), entry(_secret.STATE, 9, value)])
    build(path, {b"key": sorted(key.items()), b"meta": []})
    return str(path)


def test_tokens_in_a_snapshot_on_the_controller(tmp_path: Path) -> None:
    """Its key lies in what was kept of any server of that run."""
    path = datastore(tmp_path / "snapshot.db", sealed(protobuf(**BOTH)))
    assert _shelf.in_snapshot(path) == []
    run = tmp_path / "prod" / "1"
    archive(run / "backup" / "r2" / "files.tar", {"d/server/cred/encryption-config.json": config().decode()})
    assert _shelf.in_snapshot(path, str(run)) == list(FOUND.values())
    (run / "restore.json").write_text(json.dumps({"path": path}))
    assert _shelf.opening({}, str(run), [NEW_KEY]) == FULL
    places = _shelf.token_places({}, str(tmp_path / "prod"), datastore(tmp_path / "plain.db", protobuf(**BOTH)))
    assert places[0]["place"] == f"Secret fleet-local/local-rke-state in {tmp_path}/plain.db"
    assert places[0]["key"] == NEW_KEY


def test_it_is_found_in_the_file_of_a_node_by_two_small_reads(tmp_path: Path) -> None:
    path = datastore(tmp_path / "db", sealed(protobuf(**BOTH)))
    data = Path(path).read_bytes()
    at = [index for index in range(len(data)) if data.startswith(_secret.STATE.encode(), index)]
    assert len(at) == 2

    class Reading(token_info.ActionModule):
        def __init__(self) -> None:
            self.host, self.vars, self._task = "r1", {"groups": {"servers": ["r1"]}}, type("Task", (), {"args": {}})()
            self.node: Any = LocalNode()

        def _read(self) -> dict[str, Any]:
            offsets = [(offset, _secret.STATE) for offset in at]
            found = {"tokens": [], "passwords": {}, "keys": None, "offsets": offsets, "said": "", "db": path}
            return {**found, "cred": str(tmp_path)}

    assert Reading().act()["requorum_tokens"]["tokens"] == []  # no key is at hand
    (tmp_path / "encryption-config.json").write_bytes(config())
    kept = Reading().act()["requorum_tokens"]
    first = kept["tokens"][0]
    assert (first["key"], first["form"]) == (NEW_KEY, "full")
    assert first["place"] == "Secret fleet-local/local-rke-state on disk: serverToken"
    assert NEW not in json.dumps(kept)
    newest = _bbolt.drive(
        _bootstrap_find.newest(at, {_secret.STATE}), lambda ranges: [data[r.offset : r.offset + r.size] for r in ranges]
    )
    assert newest is not None and newest.revision == 9
