# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Our own bundle: a state and the logs that were read with it, in a zip that may be handed to somebody else.

state.json, and logs/<number>.log; `bundle_logs` in the state says whose they are. Everything is masked before it is
written, so the same rules find the same.
"""

from __future__ import annotations

import json
import os
import tempfile
import typing as t
import zipfile

from . import _timeline

JSON = dict[str, t.Any]
STATE, INDEX = "state.json", "bundle_logs"


def write(path: str, state: JSON, logs: t.Iterable[tuple[str | None, str, str, str]]) -> None:
    """logs: node, source, file, text. The file (0600) is there as a whole or not at all."""
    index = list[JSON]()
    handle, part = tempfile.mkstemp(prefix=".requorum-", dir=os.path.dirname(path) or ".")
    try:
        with open(handle, "w+b") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
            for node, source, name, text in logs:
                place = f"logs/{len(index):04}.log"
                index.append({"place": place, "node": node, "source": source, "file": name})
                made.writestr(place, _timeline.mask(text))
            document = {**state, "logs": [], "hits": [], INDEX: index}
            made.writestr(STATE, json.dumps(_timeline.mask_all(document)))
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
