# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""When certificates end. PEM text comes from the nodes; keys never do."""

from __future__ import annotations

import typing as t
import warnings

from cryptography import x509


def dates(text: str) -> list[dict[str, t.Any]]:
    """Path, subject and end (Unix seconds, null if unreadable) of every certificate in `# file PATH` lines and PEM.

    The CAs that K3s and RKE2 make have serial number 0: `cryptography` warns about it and will refuse it one day, so an
    unreadable certificate is listed and never an error here.
    """
    found = []
    for part in ("\n" + text).split("\n# file ")[1:]:
        path, _newline, pem = part.partition("\n")
        entry: dict[str, t.Any] = {"path": path, "subject": None, "ends": None}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                certificate = x509.load_pem_x509_certificate(pem.encode())
                entry["subject"] = certificate.subject.rfc4514_string()
                entry["ends"] = int(certificate.not_valid_after_utc.timestamp())
        except ValueError:
            pass
        found.append(entry)
    return found
