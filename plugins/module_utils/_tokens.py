# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Cluster tokens, of which only hashes ever leave this module (facts/rke2.md 5)."""

from __future__ import annotations

import hashlib


def password(token: str) -> str:
    """The password part of `K10<CA hash>::<user>:<password>`; a short token is the password itself."""
    token = token.strip()
    if token.startswith("K10") and "::" in token:
        token = token.split("::", 1)[1]
        return token.split(":", 1)[1] if ":" in token else token
    return token


def bootstrap_name(token: str) -> str:
    """Name of the bootstrap key that this token opens: first 12 hex digits of sha256(password)."""
    return hashlib.sha256(password(token).encode()).hexdigest()[:12]
