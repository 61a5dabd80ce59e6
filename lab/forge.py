# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Issue a host's certificates again with other ends or other names."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from lab.progress import LabError
from lab.supervisor import pki

_YEAR = timedelta(days=365)


def authorities(folder: Path) -> list[pki.Issuer]:
    """Authorities of a server whose data directory this is; none on an agent."""
    tls = folder / "server/tls"
    return [pki.load_issuer(path, path.with_suffix(".key")) for where in (tls, tls / "etcd")
            for path in sorted(where.glob("*-ca.crt")) if path.with_suffix(".key").exists()]


def leaves(folder: Path) -> list[Path]:
    """Every file with a leaf certificate below a data directory."""
    tls = folder / "server/tls"
    found = [path for where in (tls, tls / "etcd", tls / "kube-scheduler", tls / "kube-controller-manager",
                                folder / "agent") for path in sorted(where.glob("*.crt"))]
    return [path for path in found if not path.name.endswith(("-ca.crt", ".nochain.crt"))] + \
        [path for path in (tls / "dynamic-cert.json",) if path.exists()]


def _again(pem: bytes, signers: Sequence[pki.Issuer], left: timedelta, names: Sequence[str] | None) -> bytes:
    old = pki.load_cert(pem)
    signer = next((signer for signer in signers if pki.signed_by(old, signer.cert)), None)
    if signer is None:
        raise LabError(f"{pki.show(old.subject)}: none of the host's authorities has signed it")
    end = pki.utcnow() + left
    builder = x509.CertificateBuilder(
        issuer_name=old.issuer, subject_name=old.subject, public_key=old.public_key(),
        serial_number=x509.random_serial_number(), not_valid_before=min(old.not_valid_before_utc, end - _YEAR),
        not_valid_after=end)
    for extension in old.extensions:
        value = extension.value
        if names is not None and isinstance(value, x509.SubjectAlternativeName):
            value = x509.SubjectAlternativeName(pki.alt_names(names))
        builder = builder.add_extension(value, extension.critical)
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + signer.pem


def reissue(path: Path, signers: Sequence[pki.Issuer], left: timedelta, names: Sequence[str] | None = None) -> None:
    """Replace a certificate by one that ends in `left` (negative: has ended), for other names if they are given."""
    mode = path.stat().st_mode & 0o777
    if path.suffix == ".json":
        secret = json.loads(path.read_text())
        pem = base64.b64decode(secret["data"]["tls.crt"])
        secret["data"]["tls.crt"] = base64.b64encode(_again(pem, signers, left, names)).decode()
        pki.write(path, json.dumps(secret, separators=(",", ":")).encode(), mode)
    else:
        pki.write(path, _again(path.read_bytes(), signers, left, names), mode)
