# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects as YAML, on their way into files that only their owner may read."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _yaml
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError


def yaml_of(document: dict[str, Any], key: bytes) -> str:
    """One document of a stream, in the order of its fields."""
    try:
        return _yaml.dump(document)
    except RecursionError as error:
        where = key.decode("utf-8", "replace")
        raise RequorumError(f"{where} nests too deep for YAML.", "Leave it out by --namespace or --name.") from error


def save(path: str, text: str) -> None:
    """Write a new file; its folder is made, a file that is there is left alone."""
    os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise RequorumError(f"{path} is there already.", "Give --output an empty folder.") from error
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
