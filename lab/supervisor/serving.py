# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's own serving certificate, kept in dynamic-cert.json."""

from __future__ import annotations

import base64
import json

from . import log, pki
from .certificates import API_NAMES, CLUSTER_IP, issuer
from .context import ServerContext


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
        pem = base64.b64decode(json.loads(path.read_text())["data"]["tls.crt"])
        now = pki.utcnow()
        again, reason = pki.stale(pem, authority, name, dynamic_names(ctx), now, ctx.distro.renewal_window)
        if not again:
            return
        if reason:
            log.info(reason)
        expiry = pki.load_cert(pem).not_valid_after_utc
        if expiry < now:
            log.warning("unable to verify existing certificate: x509: certificate has expired or is not yet valid: "
                        f"current time {now:%Y-%m-%dT%H:%M:%SZ} is after {expiry:%Y-%m-%dT%H:%M:%SZ}")
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


def _label(item: str) -> str:
    return "__1-f16284" if item == "::1" else item

