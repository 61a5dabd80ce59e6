# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The one exception of the collection; every entry point turns it into a failed result once."""

from __future__ import annotations


class RequorumError(Exception):
    """What is wrong and where, then what to do next."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message} {hint}")
