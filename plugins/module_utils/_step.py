# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""One kind of step of a plan, one step that is to be planned, and words that several of them share."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

NOTHING = "nothing to undo"


@dataclass(frozen=True)
class Step:
    """One kind of step; texts have placeholders for the nodes and units of a case."""

    phase: int
    verb: str
    what: str
    why: str
    expect_s: int
    undo: str = NOTHING


class Todo(t.NamedTuple):
    """A step that is to be planned: key of STEPS, node that does it, whose turn it is."""

    key: str
    node: str
    turn: str = ""


TAKE_AWAY = "Stop and disable {unit}; take away etcd and kube-apiserver only"
BACK_ON = "systemctl enable --now {unit} on {node}"
