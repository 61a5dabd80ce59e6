# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Virtual machines that a step would stop, and those that a person has said may stop."""

from __future__ import annotations

import typing as t

OPTION = "requorum_accept_vm_stop"


def stopped(would_stop: t.Iterable[str], accepted: object) -> list[str]:
    """Names, "namespace/name", that nobody has accepted. accepted: a list of names, one name, or `all`."""
    names = sorted(set(would_stop))
    if str(accepted).lower() in ("all", "true"):  # -e name=true gives a text
        return []
    given = [accepted] if isinstance(accepted, str) else accepted if isinstance(accepted, (list, tuple, set)) else []
    return [name for name in names if name not in given]
