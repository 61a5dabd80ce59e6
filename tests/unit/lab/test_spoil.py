# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of certificates, on a server's files without a host; the workload's client without a cluster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from lab import forge, spoil
from lab.labs import Lab
from lab.supervisor import certfiles, certificates, certreport, pki, serving, startup
from lab.supervisor.api import Api, ApiError
from lab.supervisor.config import Config
from lab.supervisor.context import ServerContext
from lab.supervisor.distro import RKE2
from lab.workload import Workload, _create, _read

_LAB = Lab("lab", "rke2")


@pytest.fixture
def ctx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServerContext:
    """Files of r1, which the faults take for those of every host."""
    values = {"data-dir": str(tmp_path / "rke2"), "node-name": "r1", "node-ip": "10.89.0.21", "token": "x"}
    made = startup.make_context(Config(RKE2, "server", values, {}))
    certificates.generate(made)
    certificates.write_agent(made)
    serving.dynamic_certificate(made)

    @contextmanager
    def data(_lab: Lab, _host: str) -> Iterator[Path]:
        yield tmp_path

    monkeypatch.setattr(spoil, "data", data)
    return made


def states(ctx: ServerContext) -> dict[str, str]:
    paths = certfiles.files(RKE2, ctx.data_dir, certfiles.services(RKE2)).values()
    rows = certreport.read([path for group in paths for path in group], RKE2)
    return {row.filename: row.status for row in rows if "CertSign" not in row.usages}


def test_all_leaves_expire_and_keep_key_and_authority(ctx: ServerContext) -> None:
    before = pki.load_cert((ctx.tls / "etcd/client.crt").read_bytes())
    spoil.expire_certs(_LAB, "r1")
    assert set(states(ctx).values()) == {"EXPIRED"} and len(states(ctx)) == 17
    after = pki.load_cert((ctx.tls / "etcd/client.crt").read_bytes())
    assert (after.public_key(), after.subject) == (before.public_key(), before.subject)
    assert pki.signed_by(after, certificates.issuer(ctx, "etcd/server-ca").cert)
    assert serving.expired(serving._cached(ctx.tls / "dynamic-cert.json"))


def test_one_leaf_ends_soon(ctx: ServerContext) -> None:
    spoil.expire_certs(_LAB, "r1", "server/tls/client-admin.crt", days=30)
    assert {name for name, state in states(ctx).items() if state != "OK"} == {"client-admin.crt"}
    assert states(ctx)["client-admin.crt"] == "WARNING"


def test_start_repairs_wrong_names(ctx: ServerContext) -> None:
    path = ctx.tls / "serving-kube-apiserver.crt"
    spoil.wrong_names(_LAB, "r1")
    assert b"other" not in path.read_bytes() and pki.load_cert(path.read_bytes()).subject
    spoiled = path.read_bytes()
    certificates.generate(ctx)
    assert path.read_bytes() != spoiled


def test_drifted_authorities_sign_none_of_the_leaves(ctx: ServerContext) -> None:
    spoil.drift_ca(_LAB, "r1", age=1000)
    leaf = pki.load_cert((ctx.tls / "client-admin.crt").read_bytes())
    assert not pki.signed_by(leaf, certificates.issuer(ctx, "client-ca").cert)
    assert (ctx.tls / "server-ca.key").stat().st_mtime == pytest.approx(time.time() - 1000, abs=60)


def test_lost_and_emptied(ctx: ServerContext) -> None:
    spoil.lose_file(_LAB, "r1")
    assert not (ctx.tls / "service.key").exists()
    spoil.empty_tls(_LAB, "r1")
    assert list(ctx.tls.iterdir()) == [] and forge.authorities(ctx.data_dir) == []


class _Answers:
    """An API that answers every request alike."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def get(self, _path: str, *_rest: object) -> Any:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    post = get


def test_write_that_was_carried_out_without_an_answer_counts() -> None:
    api = cast(Api, _Answers(ApiError(409, "already exists")))
    assert _create("load-1-1", "1", api, 1)
    with pytest.raises(ApiError):
        _create("load-1-1", "1", api, 0)


def test_read_of_a_lost_write_is_an_answer() -> None:
    assert _read("load-1-1", cast(Api, _Answers(ApiError(404, "not found"))), 0) == ""
    with pytest.raises(ApiError):
        _read("load-1-1", cast(Api, _Answers(ApiError(500, "etcdserver: leader changed"))), 0)


def test_server_that_failed_is_left_alone_unless_all_have() -> None:
    load, now = Workload(_LAB), time.monotonic()
    load._apis = dict.fromkeys(("r1", "r2", "r3"), cast(Api, _Answers({})))
    load._sick = {"r2": now}
    assert {load._choose() for _ in range(6)} == {"r1", "r3"}
    load._sick = {"r1": now - 1, "r2": now - 2, "r3": now}
    assert load._choose() == "r2"
