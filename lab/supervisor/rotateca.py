# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`certificate rotate-ca`: the command, and what the server does when it is asked for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from . import bootstrap, log, pki, tokens
from .config import BOOL, SCALAR, UsageError, parse_args
from .context import ServerContext
from .distro import DISTROS
from .remote import RemoteError, Supervisor

_FLAGS = {**dict.fromkeys(("path", "server", "data-dir"), SCALAR), "force": BOOL}
ROTATED = ("ServerCA", "ClientCA", "RequestHeaderCA", "ETCDServerCA", "ETCDPeerCA")
_SINGLE = "new CA bundle contains only a single certificate but should include root or intermediate CA certificates"
_KEY = "new CA cert and key cannot be loaded as X590KeyPair: tls: private key does not match public key"
_CHAIN = "new CA cert cannot be verified using old CA chain: x509: certificate signed by unknown authority"
_SERVICE = "old ServiceAccount signing key not in new ServiceAccount key list"


def _verified(new: bytes, old: bytes) -> bool:
    """Whether the first new certificate leads to a root of the old bundle, also over cross-signed ones beside it."""
    olds, news = pki.load_certs(old), pki.load_certs(new)
    return pki.root_of(news[0], [cert for cert in olds if pki.signed_by(cert, cert)], [*olds, *news[1:]]) is not None


def problems(old: bootstrap.Data, new: bootstrap.Data) -> Iterator[str]:
    """What speaks against new authorities, in the real program's words."""
    for name in ROTATED:
        cert, key = new.get(name), new.get(f"{name}Key")
        if cert and cert.content and cert.content != old[name].content:
            if len(pki.load_certs(cert.content)) == 1:
                yield f"{name}: {_SINGLE}"
            elif not _verified(cert.content, old[name].content):
                yield f"{name}: {_CHAIN}"
            own = (key and key.content) or old[f"{name}Key"].content
            if pki.load_cert(cert.content).public_key() != pki.private_key(own).public_key():
                yield f"{name}Key: {_KEY}"
    service = new.get("ServiceKey")
    if service and service.content and old["ServiceKey"].content.strip() not in service.content:
        yield f"ServiceKey: {_SERVICE}"


def accept(ctx: ServerContext, body: bytes, force: bool) -> None:
    """Put new authorities into the datastore; the files on disk follow at each server's restart."""
    old, given = bootstrap.from_disk(ctx), bootstrap.decode(body)
    kept = [f"{name}{suffix}" for name in ROTATED for suffix in ("", "Key")] + ["ServiceKey"]
    new = {name: entry for name, entry in given.items() if name in kept and entry.content}
    wrong = list(problems(old, new))
    if wrong and not force:
        raise bootstrap.BootstrapError(f"failed to validate new CA certificates and keys: {', '.join(wrong)}")
    if wrong:
        log.warning(f"Save of CA certificates and keys forced, ignoring validation errors: {', '.join(wrong)}")
    bootstrap.replace(ctx, ctx.token, {**old, **new})
    log.info(f"certificate: Cluster Certificate Authority data has been updated, {ctx.distro.name} must be restarted.")


def main(argv: list[str]) -> int:
    """`<program> certificate rotate-ca --path DIR [--force]`; the files are below DIR/tls."""
    distro = DISTROS[Path(argv[0]).name]
    try:
        given = dict(parse_args(argv[3:], _FLAGS)[0])
    except UsageError as exc:
        log.fatal(f"Error: {exc}")
    folder = Path(given.get("data-dir", str(distro.data_dir))) / "server"
    force = "true" if given.get("force", "") in ("true", "1", "t") else "false"
    try:
        supervisor = Supervisor.connect(given.get("server", f"https://127.0.0.1:{distro.supervisor_port}"),
                                        tokens.parse((folder / "token").read_text().strip()))
        body = bootstrap.encode(bootstrap.read_files(bootstrap.tls_paths(Path(given.get("path", str(folder))) / "tls")))
    except (OSError, RemoteError) as exc:
        log.fatal(f"Error: {exc}")
    try:
        supervisor.request("PUT", f"/v1-{distro.name}/cert/cacerts?force={force}", body)
    except RemoteError as exc:
        log.fatal(f"Error: see server log for details: {exc}")
    print("certificates saved to datastore")
    return 0
