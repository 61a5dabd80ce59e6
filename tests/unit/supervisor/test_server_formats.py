# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootstrap data, tokens and certificates: the formats that K3s and RKE2 have on disk and in etcd."""

from __future__ import annotations

import datetime
import hashlib
import os
from pathlib import Path

import pytest
from cryptography import x509

from lab.supervisor import bootstrap, certificates, credentials, pki, startup, tokens
from lab.supervisor.config import Config
from lab.supervisor.context import ServerContext
from lab.supervisor.distro import K3S, RKE2, Distro

# etcd value of /bootstrap/e2e269d4f6ec in a snapshot of a real RKE2 v1.34.3 cluster
RECORDED = Path(__file__).with_name("rke2-bootstrap.value").read_bytes().strip()


def context(tmp_path: Path, distro: Distro = RKE2, **scalars: str) -> ServerContext:
    values = {"data-dir": str(tmp_path), "node-name": "r1", "node-ip": "10.89.0.21", "token": "sekret123", **scalars}
    return startup.make_context(Config(distro, "server", values, {}))


def test_data_of_a_real_cluster_opens_with_its_token() -> None:
    data = bootstrap.decode(bootstrap.decrypt("sekret123", RECORDED))
    digests = {name: hashlib.sha256(data[name].content).hexdigest() for name in ("ServerCA", "ServiceKey")}
    assert digests == {
        "ServerCA": "e44ed9c71c1e8eed67a598b6db0a0e83dab10de2fa4bd6d51400235d50c3b3c6",
        "ServiceKey": "f500f33590c2556f81c5689532030859ca6353c9fcc72196f7f69d0babb14949"}
    assert data["PasswdFile"].content.decode() == tokens.passwd("rke2", "sekret123", "sekret123")


def test_another_token_is_refused_in_the_real_words() -> None:
    with pytest.raises(bootstrap.BootstrapError, match="already found and encrypted with different token"):
        bootstrap.decrypt("wrong", RECORDED)


def test_what_a_server_writes_has_the_entries_of_a_real_one(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    certificates.generate(ctx)
    real = bootstrap.decode(bootstrap.decrypt("sekret123", RECORDED))
    ours = bootstrap.decode(bootstrap.decrypt("x", bootstrap.encrypt("x", bootstrap.encode(bootstrap.from_disk(ctx)))))
    assert ours == bootstrap.from_disk(ctx)
    assert set(ours) == set(real)


def test_k3s_has_no_encryption_config(tmp_path: Path) -> None:
    ctx = context(tmp_path, K3S)
    certificates.generate(ctx)
    assert not any(name.startswith("Encryption") for name in bootstrap.from_disk(ctx))


def test_files_newer_than_the_datastore_are_fatal_and_older_ones_are_replaced(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    certificates.generate(ctx)
    data = bootstrap.from_disk(ctx)
    passwd, psk = ctx.cred / "passwd", ctx.cred / "ipsec.psk"
    for path, shift in ((passwd, 10), (psk, -10)):
        path.write_text("changed")
        moment = path.stat().st_mtime + shift
        os.utime(path, (moment, moment))
    assert bootstrap.newer_on_disk(ctx, data) == ([passwd], [psk])
    with pytest.raises(bootstrap.BootstrapError, match=r"cred/passwd newer than datastore and could cause"):
        bootstrap.reconcile(ctx, data)
    passwd.unlink()
    bootstrap.reconcile(ctx, data)
    assert bootstrap.from_disk(ctx) == data


@pytest.mark.parametrize(("text", "expected"), [
    ("sekret123", tokens.Token("sekret123")),
    ("node:pw", tokens.Token("pw", "node")),
    (f"K10{'a' * 64}::server:p:w", tokens.Token("p:w", "server", "a" * 64)),
    (f"K10{'a' * 64}::abcdef", tokens.Token("abcdef", "server", "a" * 64)),
    ("K10nonsense", tokens.Token("K10nonsense")),
])
def test_token_forms(text: str, expected: tokens.Token) -> None:
    assert tokens.parse(text) == expected


def test_bootstrap_key_and_token_file_as_recorded(tmp_path: Path) -> None:
    assert tokens.bootstrap_key("sekret123") == "/bootstrap/e2e269d4f6ec"
    ctx = context(tmp_path)
    certificates.generate(ctx)
    credentials.write_tokens(ctx)
    token = (ctx.server / "token").read_text()
    assert (len(token), os.readlink(ctx.server / "node-token")) == (86, str(ctx.server / "token"))
    assert tokens.parse(token.strip()).ca_hash == hashlib.sha256((ctx.tls / "server-ca.crt").read_bytes()).hexdigest()


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_authorities_have_serial_number_zero_and_sign_what_a_server_needs(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    certificates.generate(ctx)
    issuer = certificates.issuer(ctx, "server-ca")
    assert (issuer.cert.serial_number, issuer.cert.subject.rfc4514_string()[:18]) == (0, "CN=rke2-server-ca@")
    issuer.cert.verify_directly_issued_by(issuer.cert)
    leaf = pki.load_cert((ctx.tls / "serving-kube-apiserver.crt").read_bytes())
    leaf.verify_directly_issued_by(issuer.cert)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "10.89.0.21" in [str(value) for value in names.get_values_for_type(x509.IPAddress)]


def test_modes_and_paths_of_the_recorded_listing(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    certificates.generate(ctx)
    modes = {str(path.relative_to(ctx.server)): oct(path.stat().st_mode & 0o777) for path in ctx.server.rglob("*")}
    expected = {"tls": "0o700", "tls/etcd": "0o755", "tls/etcd/client.crt": "0o644", "tls/etcd/client.key": "0o600",
                "tls/service.key": "0o600", "tls/server-ca.nochain.crt": "0o644", "tls/temporary-certs": "0o700",
                "cred/admin.kubeconfig": "0o600", "cred/passwd": "0o600", "cred/encryption-state.json": "0o600"}
    assert {path: modes.get(path) for path in expected} == expected


def test_leaf_is_issued_again_when_its_age_issuer_or_names_ask_for_it(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    certificates.generate(ctx)
    issuer, name = certificates.issuer(ctx, "etcd/server-ca"), pki.subject("etcd-server")
    pem = (ctx.tls / "etcd/server-client.crt").read_bytes()
    now, window = pki.utcnow(), RKE2.renewal_window
    assert pki.stale(pem, issuer, name, certificates.sans(ctx), now, window) == (False, "")
    late, reason = pki.stale(pem, issuer, name, (), now + datetime.timedelta(days=400), window)
    assert late and reason.startswith("certificate CN=etcd-server will expire in -35.0")
    assert pki.stale(pem, issuer, name, ("10.1.2.3",), now, window)[0]
    assert pki.stale(pem, certificates.issuer(ctx, "client-ca"), name, (), now, window)[0]
