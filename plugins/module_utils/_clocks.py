# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Clocks that differ. To be asked before certificates are judged and before a member is brought back.

By a wrong clock certificates look expired or not yet valid, to Requorum as to etcd: members do not reach each other.
Skews are seconds by which a host's clock is ahead of the controller's.
"""

from __future__ import annotations

import typing as t

SKEW_S = 60
HINT = "Set the clocks (chrony, NTP) first, then run this again."


def odd(skews: t.Mapping[str, float]) -> dict[str, float]:
    """Hosts whose clocks differ from those of the others; none where they agree, whatever the controller's says."""
    if not skews or max(skews.values()) - min(skews.values()) <= SKEW_S:
        return {}
    return {name: skew for name, skew in skews.items() if abs(skew) > SKEW_S} or dict(skews)


def differ(skews: t.Mapping[str, float]) -> str:
    """The sentence about these hosts."""
    return f"The clocks differ: by the controller's {', '.join(f'{name} is {_off(skews[name])}' for name in skews)}."


def cause(skews: t.Mapping[str, float]) -> str:
    """The sentence that says that clocks explain what is seen of certificates; empty when they agree."""
    wrong = odd(skews) or {name: skew for name, skew in skews.items() if abs(skew) > SKEW_S}
    if not wrong:
        return ""
    if len(skews) > 1 and not odd(skews):
        off = _off(min(skews.values(), key=abs))
        return f"All hosts are {off} by the controller's clock, so that one is wrong."
    return differ(wrong)


def _off(skew: float) -> str:
    return f"{abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}"
