# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations that change the datastore: of the token and of the authorities."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from cryptography.hazmat.primitives import hashes

from lab import newca
from lab.supervisor import bootstrap, certificates, credentials, pki, rotateca, startup, tokenrotate, tokens
from lab.supervisor.config import Config
from lab.supervisor.context import ServerContext
from lab.supervisor.distro import K3S
from lab.supervisor.etcd import Gateway


@dataclass
class Store:
    """An etcd in memory."""

    keys: dict[str, bytes] = field(default_factory=dict)

    def range(self, key: str, *, prefix: bool = False) -> dict[str, bytes]:
        return {name: value for name, value in self.keys.items() if name == key or (prefix and name.startswith(key))}

    def put(self, key: str, value: bytes) -> None:
        self.keys[key] = value

    def delete(self, key: str) -> None:
        self.keys.pop(key, None)


@pytest.fixture
def ctx(tmp_path: Path) -> ServerContext:
    """A server whose bootstrap data is in the datastore."""
    values = {"data-dir": str(tmp_path), "node-name": "n1", "node-ip": "10.89.0.11", "token": "sekret123"}
    made = startup.make_context(Config(K3S, "server", values, {}))
    certificates.generate(made)
    made.__dict__["gateway"] = cast(Gateway, Store())
    bootstrap.replace(made, "sekret123", bootstrap.from_disk(made))
    return made


def keys(ctx: ServerContext) -> set[str]:
    return set(ctx.gateway.range("/bootstrap/", prefix=True))


def test_rotated_token_opens_the_datastore_and_the_old_one_does_not(ctx: ServerContext) -> None:
    tokenrotate.rotate(ctx, "other456")
    assert keys(ctx) == {"/bootstrap/395cba02d986"}
    assert (ctx.server / "token").read_text().endswith("::server:other456\n")
    assert (ctx.cred / "passwd").read_text() == "other456,server,server,k3s:server\nother456,node,node,k3s:agent\n"
    assert bootstrap.read(ctx.gateway, "other456")
    with pytest.raises(bootstrap.BootstrapError, match="already found and encrypted with different token"):
        bootstrap.save(ctx)


def test_server_restarted_with_the_old_token_has_a_newer_passwd(ctx: ServerContext) -> None:
    tokenrotate.rotate(ctx, "other456")
    data = bootstrap.read(ctx.gateway, "other456")
    assert data
    late = {name: bootstrap.Entry("2026-11-24T20:18:37.0Z", entry.content) for name, entry in data.items()}
    credentials.write_credentials(ctx)  # a start with sekret123 writes it back
    with pytest.raises(bootstrap.BootstrapError, match=r"cred/passwd newer than datastore and could cause"):
        bootstrap.reconcile(ctx, late)


def offer(ctx: ServerContext, target: Path, cross: bool = True) -> bytes:
    newca.make(ctx.tls, target, "1", cross)
    return bootstrap.encode(bootstrap.read_files(bootstrap.tls_paths(target)))


def test_cross_signed_authorities_are_saved(ctx: ServerContext, tmp_path: Path) -> None:
    before = {path.name: path.read_bytes() for path in ctx.tls.glob("*-ca.crt")}
    rotateca.accept(ctx, offer(ctx, tmp_path / "new"), force=False)
    data = bootstrap.read(ctx.gateway, ctx.token)
    assert data and data["ServerCA"].content == (tmp_path / "new/server-ca.crt").read_bytes()
    assert data["PasswdFile"].content == (ctx.cred / "passwd").read_bytes()
    assert before == {path.name: path.read_bytes() for path in ctx.tls.glob("*-ca.crt")}


def test_start_after_it_issues_leaves_of_the_new_authorities(ctx: ServerContext, tmp_path: Path) -> None:
    rotateca.accept(ctx, offer(ctx, tmp_path / "new"), force=False)
    data = bootstrap.read(ctx.gateway, ctx.token)
    assert data
    old = (ctx.tls / "client-admin.crt").read_bytes()
    bootstrap.write_files(ctx, data)
    certificates.generate(ctx)
    new = (ctx.tls / "client-admin.crt").read_bytes()
    assert new != old and new.endswith(data["ClientCA"].content)
    assert (ctx.tls / "server-ca.nochain.crt").read_bytes().count(b"BEGIN CERTIFICATE") == 1


def test_authorities_that_the_old_ones_do_not_vouch_for_need_force(ctx: ServerContext, tmp_path: Path) -> None:
    body, before = offer(ctx, tmp_path / "new", cross=False), bootstrap.read(ctx.gateway, ctx.token)
    with pytest.raises(bootstrap.BootstrapError, match="failed to validate new CA certificates and keys: ServerCA: new "
                       "CA cert cannot be verified using old CA chain"):
        rotateca.accept(ctx, body, force=False)
    assert bootstrap.read(ctx.gateway, ctx.token) == before
    rotateca.accept(ctx, body, force=True)
    assert bootstrap.read(ctx.gateway, ctx.token) != before


def test_key_of_another_authority_is_refused(ctx: ServerContext, tmp_path: Path) -> None:
    data = bootstrap.decode(offer(ctx, tmp_path / "new"))
    data["ServerCAKey"] = data["ClientCAKey"]
    assert list(rotateca.problems(bootstrap.from_disk(ctx), data)) == [
        "ServerCAKey: new CA cert and key cannot be loaded as X590KeyPair: tls: private key does not match public key"]


def test_hash_of_a_chain_is_that_of_its_root(ctx: ServerContext, tmp_path: Path) -> None:
    offer(ctx, tmp_path / "new")
    pem = (tmp_path / "new/server-ca.crt").read_bytes()
    assert tokens.ca_hash(pem) == pki.load_certs(pem)[1].fingerprint(hashes.SHA256()).hex()
