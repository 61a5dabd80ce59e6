# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS settings of the program as a client."""

from __future__ import annotations

import ssl
from pathlib import Path

_READ: dict[tuple[Path | None, ...], ssl.SSLContext] = {}


def context(ca: Path, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """Read from disk anew; while the files are gone (`certificate rotate`), what was read last."""
    try:
        made = ssl.create_default_context(cafile=str(ca))
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT  # these CAs have serial number 0
        if cert and key:
            made.load_cert_chain(cert, key)
        _READ[ca, cert, key] = made
    except FileNotFoundError:
        if (ca, cert, key) not in _READ:
            raise
    return _READ[ca, cert, key]
