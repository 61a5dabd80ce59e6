# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How `certificate check` judges and prints certificates."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from . import log, pki
from .distro import Distro

_EXTENDED = {ExtendedKeyUsageOID.SERVER_AUTH: "ServerAuth", ExtendedKeyUsageOID.CLIENT_AUTH: "ClientAuth"}
_HEAD = ("FILENAME", "SUBJECT", "USAGES", "EXPIRES", "RESIDUAL TIME", "STATUS")
_DAY = 86400
_UNITS = ((360 * _DAY, "year"), (30 * _DAY, "month"), (7 * _DAY, "week"), (_DAY, "day"), (3600, "hour"), (60, "minute"),
          (1, "second"))


@dataclass(frozen=True)
class Row:
    """One certificate of a file: a leaf's file holds its authority too."""

    filename: str
    subject: str
    issuer: str
    usages: tuple[str, ...]
    expires: datetime.datetime
    left: datetime.timedelta
    status: str


def usages(cert: x509.Certificate) -> tuple[str, ...]:
    """What the certificate may be used for, as the program calls it."""
    found: list[str] = []
    for extension in cert.extensions:
        if isinstance(extension.value, x509.KeyUsage) and extension.value.key_cert_sign:
            found.insert(0, "CertSign")
        elif isinstance(extension.value, x509.ExtendedKeyUsage):
            found += [_EXTENDED[oid] for oid in extension.value if oid in _EXTENDED]
    return tuple(found) or ("Unknown",)


def _common(name: x509.Name) -> str:
    return next((str(attribute.value) for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME)), "")


def judge(path: Path, cert: x509.Certificate, now: datetime.datetime, window: datetime.timedelta) -> Row:
    """A certificate as it stands now."""
    start, end = cert.not_valid_before_utc, cert.not_valid_after_utc
    status = ("NOT YET VALID" if now < start else "EXPIRED" if now > end
              else "WARNING" if now + window > end else "OK")
    return Row(path.name, _common(cert.subject), _common(cert.issuer), usages(cert),
               start if status == "NOT YET VALID" else end, end - now, status)


def read(paths: Sequence[Path], distro: Distro) -> list[Row]:
    """Certificates of those files that are there."""
    now = datetime.datetime.now(datetime.UTC)
    return [judge(path, cert, now, distro.renewal_window) for path in paths if path.suffix == ".crt" and path.exists()
            for cert in pki.load_certs(path.read_bytes())]


def lines(rows: Sequence[Row], distro: Distro) -> list[tuple[Callable[[str], None], str]]:
    """Log lines with the function that writes each."""
    result: list[tuple[Callable[[str], None], str]] = []
    for row in rows:
        shown = f"{row.expires:%Y-%m-%dT%H:%M:%SZ}"
        severity, text = {
            "OK": (log.info, f"is ok, expires at {shown}"),
            "WARNING": (log.warning, f"will expire within {distro.renewal_window.days} days at {shown}"),
            "EXPIRED": (log.error, f"expired at {shown}"),
            "NOT YET VALID": (log.error, f"is not valid before {shown}"),
        }[row.status]
        result.append((severity, f"{row.filename}: certificate {row.subject} ({','.join(row.usages)}) {text}"))
    return result


def span(left: datetime.timedelta) -> str:
    """A time span in its largest unit; the program counts years of 360 days and rounds only the second one up."""
    seconds = abs(int(left.total_seconds()))
    if 540 * _DAY <= seconds < 720 * _DAY:
        return "2 years"
    for size, name in _UNITS:
        if seconds >= size:
            count = seconds // size
            return f"{count} {name}{'s' if count > 1 else ''}"
    return "now"


def table(rows: Sequence[Row]) -> str:
    """The table on stdout."""
    cells = [_HEAD, tuple("-" * len(word) for word in _HEAD), *(
        (row.filename, row.subject, ",".join(row.usages), f"{row.expires:%b %d, %Y %H:%M} UTC", span(row.left),
         row.status) for row in rows)]
    widths = [max(len(line[column]) for line in cells) + 3 for column in range(len(_HEAD) - 1)]
    body = ("".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)) + line[-1] for line in cells)
    return "\n" + "\n".join(body) + "\n"


def document(rows: Sequence[Row], form: str) -> str:
    """json or yaml on stdout."""
    items = [{"Filename": row.filename, "Subject": row.subject, "Issuer": row.issuer, "Usages": list(row.usages),
              "ExpiryTime": f"{row.expires:%Y-%m-%dT%H:%M:%SZ}",
              "ResidualTime": int(row.left.total_seconds() * 1e9), "Status": row.status} for row in rows]
    if form == "json":
        return json.dumps({"Certificates": items}, separators=(",", ":")) + "\n"
    return str(yaml.safe_dump({"certificates": [{key.lower(): value for key, value in item.items()}
                                                for item in items]}, sort_keys=False))
