# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`certificate check` and `certificate rotate` of the stand-in, against what was recorded of the real programs."""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from lab.supervisor import certcommand, certfiles, certificates, certreport, pki, serving, startup
from lab.supervisor.config import Config
from lab.supervisor.context import ServerContext
from lab.supervisor.distro import K3S, RKE2, Distro

_LEFT = {"client-ca.crt", "client-ca.key", "client-ca.nochain.crt", "dynamic-cert-regenerate", "dynamic-cert.json",
         "etcd", "kube-controller-manager", "kube-scheduler", "request-header-ca.crt", "request-header-ca.key",
         "server-ca.crt", "server-ca.key", "server-ca.nochain.crt", "service.current.key", "service.key",
         "temporary-certs"}
"""server/tls after a rotation, as recorded."""


@pytest.fixture(params=[RKE2, K3S], ids=["rke2", "k3s"])
def ctx(request: pytest.FixtureRequest, tmp_path: Path) -> ServerContext:
    """A server that has all its certificates."""
    distro: Distro = request.param
    values = {"data-dir": str(tmp_path), "node-name": "r1", "node-ip": "10.89.0.21", "token": "x"}
    made = startup.make_context(Config(distro, "server", values, {}))
    certificates.generate(made)
    certificates.write_agent(made)
    serving.dynamic_certificate(made)
    return made


def call(ctx: ServerContext, *words: str) -> int:
    return certcommand.main([ctx.distro.name, "certificate", *words, "--data-dir", str(ctx.data_dir)])


def test_rotate_leaves_what_was_recorded(ctx: ServerContext, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path.name for path in ctx.tls.iterdir()}
    assert call(ctx, "rotate") == 0
    assert {path.name for path in ctx.tls.iterdir()} == _LEFT
    assert {path.name for path in (ctx.tls / "etcd").iterdir()} == {"peer-ca.crt", "peer-ca.key", "server-ca.crt",
                                                                    "server-ca.key"}
    assert not [path for path in ctx.agent.glob("*.crt") if path.name not in ("client-ca.crt", "server-ca.crt")]
    backup, = ctx.server.glob("tls-*")
    assert before | {"client-kubelet.crt", "serving-kubelet.crt"} <= {path.name for path in backup.iterdir()}
    assert ctx.force_restart.exists() == ctx.distro.static_pods
    said = capsys.readouterr().err
    assert "Server detected, rotating agent and server certificates" in said
    assert "Rotating dynamic listener certificate" in said
    assert said.count("Rotating certificates for ") == 11
    assert (f"Successfully backed up certificates to {backup}, please restart {ctx.distro.name} server or agent to "
            "rotate certificates") in said


def test_start_after_a_rotation_makes_new_leaves_and_keeps_the_authorities(ctx: ServerContext) -> None:
    names = ("client-admin.crt", "client-admin.key", "server-ca.crt", "service.key", "dynamic-cert.json")
    before = {name: (ctx.tls / name).read_bytes() for name in names}
    call(ctx, "rotate")
    certificates.generate(ctx)
    serving.dynamic_certificate(ctx)
    same = {name for name in names if (ctx.tls / name).read_bytes() == before[name]}
    assert same == {"server-ca.crt", "service.key"}
    assert not (ctx.tls / "dynamic-cert-regenerate").exists()


def test_one_service_is_rotated(ctx: ServerContext, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(ctx, "rotate", "--service", "etcd", "-s", "scheduler") == 0
    assert not (ctx.tls / "etcd/client.crt").exists() and not (ctx.tls / "client-scheduler.key").exists()
    assert (ctx.tls / "client-admin.crt").exists() and not (ctx.tls / "dynamic-cert-regenerate").exists()
    assert "detected" not in capsys.readouterr().err


def test_agent_backs_up_below_agent(ctx: ServerContext, tmp_path: Path) -> None:
    agent = tmp_path / "other" / "agent"
    agent.mkdir(parents=True)
    (agent / "client-kubelet.crt").write_bytes((ctx.agent / "client-kubelet.crt").read_bytes())
    assert certcommand.main([ctx.distro.name, "certificate", "rotate", f"--data-dir={tmp_path / 'other'}"]) == 0
    backup, = agent.glob("tls-*")
    assert [path.name for path in backup.iterdir()] == ["client-kubelet.crt"]


def test_check_as_text(ctx: ServerContext, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(ctx, "check") == 0
    said = capsys.readouterr().err
    assert "Server detected, checking agent and server certificates" in said
    assert re.search(r'level=info msg="peer-server-client.crt: certificate etcd-peer \(ServerAuth,ClientAuth\) is ok, '
                     r'expires at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"', said)
    assert re.search(r'msg="client.crt: certificate etcd-server-ca@\d+ \(CertSign\) is ok', said)
    assert said.count(" is ok, ") == 34


def test_check_as_table_and_json(ctx: ServerContext, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(ctx, "check", "-o", "table") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "" and lines[1].split() == ["FILENAME", "SUBJECT", "USAGES", "EXPIRES", "RESIDUAL", "TIME",
                                                   "STATUS"]
    kubelet = next(line for line in lines if line.startswith("client-kubelet.crt"))
    assert re.search(r"system:node:r1 +ClientAuth +\w{3} \d\d, \d{4} \d\d:\d\d UTC   1 year +OK$", kubelet)
    assert any(line.endswith("10 years        OK") for line in lines)
    assert call(ctx, "check", "-o", "json") == 0
    first = json.loads(capsys.readouterr().out)["Certificates"][0]
    assert list(first) == ["Filename", "Subject", "Issuer", "Usages", "ExpiryTime", "ResidualTime", "Status"]


@pytest.mark.parametrize(("days", "status"), [(-400, "NOT YET VALID"), (0, "OK"), (250, "WARNING"), (400, "EXPIRED")])
def test_states_of_a_certificate(ctx: ServerContext, days: int, status: str) -> None:
    path = ctx.tls / "client-admin.crt"
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    row = certreport.judge(path, pki.load_cert(path.read_bytes()), now, ctx.distro.renewal_window)
    assert row.status == status


def test_old_versions_renew_later() -> None:
    assert replace(RKE2, version="v1.28.12+rke2r1").renewal_window.days == 90
    assert RKE2.release == (1, 34, 3, 1) and RKE2.renewal_window.days == 120


def test_every_leaf_belongs_to_a_service(ctx: ServerContext) -> None:
    listed = {path for paths in certfiles.files(ctx.distro, ctx.data_dir, certfiles.services(ctx.distro)).values()
              for path in paths}
    assert {ctx.tls / f"{leaf.path}.crt" for leaf in certificates.leaves(ctx)} <= listed
