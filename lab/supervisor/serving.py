# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's own serving certificate, kept in dynamic-cert.json."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

from . import log, pki
from .certificates import API_NAMES, CLUSTER_IP, issuer
from .context import ServerContext

RETRY = 2.0


def dynamic_names(ctx: ServerContext) -> list[str]:
    """Names in the supervisor's own serving certificate."""
    return [CLUSTER_IP, ctx.node_ip, "127.0.0.1", "::1", *API_NAMES, "localhost", ctx.node_name,
            *ctx.config.all("tls-san")]


def dynamic_certificate(ctx: ServerContext) -> None:
    """dynamic-cert.json: issued when it is missing, stale, or asked for by dynamic-cert-regenerate."""
    path, trigger = ctx.tls / "dynamic-cert.json", ctx.tls / "dynamic-cert-regenerate"
    authority, name = issuer(ctx, "server-ca"), pki.subject(ctx.distro.name, ctx.distro.name)
    cached = path.exists()
    if cached and not trigger.exists():
        pem = _cached(path)
        now = pki.utcnow()
        if expired(pem) and not ctx.distro.renews_expired_serving:
            return
        # The real listener does not ask who has signed it, so it outlives its CA until it is told otherwise.
        again, reason = pki.stale(pem, None, name, dynamic_names(ctx), now, ctx.distro.renewal_window)
        if not again:
            return
        if reason:
            log.info(reason)
        if expired(pem):
            log.warning(f"unable to verify existing certificate: {expired(pem)}")
    trigger.unlink(missing_ok=True)
    key = pki.new_key()
    cert, chain, text = pki.issue(authority, name, pki.SERVER, dynamic_names(ctx), key.public_key())
    log.info(text)
    labels = {f"listener.cattle.io/cn-{_label(item)}": item for item in sorted(dynamic_names(ctx))}
    fingerprint = pki.sha1(cert)
    annotations = {**labels, "listener.cattle.io/fingerprint": f"SHA1={fingerprint}"}
    secret = {"kind": "Secret", "apiVersion": "v1", "metadata": {"creationTimestamp": None, "annotations": annotations},
              "data": {"tls.crt": base64.b64encode(chain).decode(),
                       "tls.key": base64.b64encode(pki.ec_key_pem(key)).decode()}, "type": "kubernetes.io/tls"}
    pki.write(path, json.dumps(secret, separators=(",", ":")).encode(), 0o600)
    if not cached:
        log.warning(f"dynamiclistener [::]:{ctx.distro.supervisor_port}: no cached certificate available for preload - "
                    "deferring certificate load until storage initialization or first client request")
    shown = " ".join(f"{key}:{value}" for key, value in labels.items())
    log.info(f"Active TLS secret / (ver=) (count {len(labels)}): map[{shown}]")


def _cached(path: Path) -> bytes:
    return base64.b64decode(json.loads(path.read_text())["data"]["tls.crt"])


def expired(pem: bytes) -> str:
    """What Go says of a certificate that has ended, empty while it is valid."""
    now, end = pki.utcnow(), pki.load_cert(pem).not_valid_after_utc
    if now <= end:
        return ""
    return (f"x509: certificate has expired or is not yet valid: current time {now:%Y-%m-%dT%H:%M:%SZ} is after "
            f"{end:%Y-%m-%dT%H:%M:%SZ}")


def trusted(ctx: ServerContext) -> None:
    """The program's own agent asks its supervisor; with an expired certificate it does so for ever (old versions)."""
    url = f"https://127.0.0.1:{ctx.distro.supervisor_port}"
    while reason := expired(_cached(ctx.tls / "dynamic-cert.json")):
        log.error(f'CA cert validation failed: Get "{url}/cacerts": tls: failed to verify certificate: {reason}')
        time.sleep(RETRY)


def _label(item: str) -> str:
    return "__1-f16284" if item == "::1" else item

