# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New authorities for `certificate rotate-ca`, laid out as K3s' rotate-default-ca-certs.sh lays them out."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from lab.faults import data
from lab.labs import Lab
from lab.progress import say
from lab.supervisor import pki
from lab.supervisor.bootstrap import tls_paths


def _ca(name: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name,
        signer: ec.EllipticCurvePrivateKey) -> bytes:
    now = pki.utcnow()
    builder = x509.CertificateBuilder(
        issuer_name=issuer, subject_name=name, public_key=key, serial_number=x509.random_serial_number(),
        not_valid_before=now, not_valid_after=now + pki.CA_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = pki.usage(builder, sign=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def bundle(name: str, old: pki.Issuer, cross: bool = True) -> tuple[bytes, bytes]:
    """Certificates and keys of an authority below a new root, which the old one has signed too unless not `cross`."""
    root_key, key = pki.new_key(), pki.new_key()
    root_name, own = pki.subject(f"{name}-root"), pki.subject(name)
    certs = [_ca(own, key.public_key(), root_name, root_key),
             _ca(root_name, root_key.public_key(), root_name, root_key)]
    if cross:
        certs += [_ca(root_name, root_key.public_key(), old.cert.subject, old.key), old.pem]
    return b"".join(certs), pki.ec_key_pem(key) + pki.ec_key_pem(root_key)


def make(tls: Path, target: Path, stamp: str, cross: bool = True) -> None:
    """Write new authorities and a new signing key for service accounts below `target`."""
    paths, made = tls_paths(tls), tls_paths(target)
    for name in [name for name in paths if name.endswith("CA")]:
        pem, key = bundle(f"{name}@{stamp}", pki.load_issuer(paths[name], paths[f"{name}Key"]), cross)
        pki.write(made[name], pem, 0o600)
        pki.write(made[f"{name}Key"], key, 0o600)
    pki.write(made["ServiceKey"], pki.new_rsa_key() + paths["ServiceKey"].read_bytes(), 0o600)


def new_authorities(lab: Lab, host: str, cross: bool = True) -> str:
    """Lay new authorities on a server; the path for `certificate rotate-ca --path`."""
    with data(lab, host) as own:
        server = own / lab.spec.distro / "server"
        make(server / "tls", server / "rotate-ca" / "tls", str(int(pki.utcnow().timestamp())), cross)
    say(f"{host}: new authorities{'' if cross else ', which the old ones have not signed'}")
    return f"{lab.data_dir}/server/rotate-ca"
