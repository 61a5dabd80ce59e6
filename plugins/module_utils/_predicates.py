# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What the few rules ask that no expression over the state can say; each by a function of the state, by topic in
`_predicates_<topic>`.

A function yields `Found` for what is wrong and `Unknown` for what it could not look at.
"""

from __future__ import annotations

from . import (
    _predicates_certificates,
    _predicates_harvester,
    _predicates_machines,
    _predicates_servers,
    _predicates_storage,
    _predicates_target,
    _predicates_upgrade,
)
from ._found import Answer, Found, Predicate, Unknown

__all__ = ["NAMED", "Answer", "Found", "Unknown"]

NAMED: dict[str, Predicate] = {
    **_predicates_certificates.NAMED,
    **_predicates_harvester.NAMED,
    **_predicates_machines.NAMED,
    **_predicates_servers.NAMED,
    **_predicates_storage.NAMED,
    **_predicates_target.NAMED,
    **_predicates_upgrade.NAMED,
}
"""Name in a rule -> who answers."""
