# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python package that carries the collection requorum.cluster, which brings clusters back that lost etcd quorum."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import Result as Result
    from .api import Run as Run
    from .api import run as run
    from .api import started as started

__version__ = version("requorum")
_API = ("Result", "Run", "run", "started")


def __getattr__(name: str) -> Any:
    """The Python API, imported when it is used: most commands do without."""
    if name not in _API:
        raise AttributeError(f"requorum has no {name}")
    from . import api

    return getattr(api, name)
