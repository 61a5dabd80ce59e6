# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Attributes that every module of the collection states."""

from __future__ import annotations


class ModuleDocFragment:
    """What check mode, diff mode and a second run mean."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Says what it would do in C(check_mode) and changes nothing on a node.
  diff_mode:
    description: Shows what has changed, or would change in C(check_mode), in diff mode.
  idempotent:
    description: When it is run again in the same circumstances, the second run changes nothing.
"""
