# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The wheel carries the collection; an editable install finds the live tree through dev-mode-dirs instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

COLLECTION = "ansible_collections/requorum/cluster"
PARTS = ("galaxy.yml", "README.md", "CHANGELOG.md", "LICENSE", "ansible.cfg", "meta", "plugins", "roles", "playbooks",
         "rules", "docs/variables.md")


class CollectionHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the parts of the collection to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds; `version` is "standard" or "editable"."""
        if version != "editable":
            present = (part for part in PARTS if (Path(self.root) / part).exists())
            build_data["force_include"].update({part: f"{COLLECTION}/{part}" for part in present})
