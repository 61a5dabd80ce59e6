# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Placeholder until its owner has written it."""

from __future__ import annotations

from . import _turns
from ._classify import Case
from ._distro import Distro
from ._plan import Plan


def plan(case: Case, distro: Distro, ask: _turns.Ask) -> Plan:
    """The plan."""
    return _turns.make(case, distro, ask, work="ROTATE", todo=(), aim="")
