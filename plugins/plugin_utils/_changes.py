# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Changes of objects of the API: each object is saved on the controller first, each change is recorded."""

from __future__ import annotations

import os
import time

from ansible_collections.requorum.cluster.plugins.module_utils._api import JSON, Api, Kind
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_action, _run_folder


class Changes:
    """What a run changes. Its folder is made with the first one."""

    def __init__(self, output: str, cluster: str) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self.folder = os.path.join(_run_folder.shelf(os.path.abspath(os.path.expanduser(output)), cluster), stamp)
        self.done: list[JSON] = []
        self.saved: list[str] = []

    def save(self, kind: Kind, item: JSON) -> str:
        """Keep an object as it is, once; only the owner reads the file."""
        meta = item["metadata"]
        name = ".".join(filter(None, (kind.name, meta.get("namespace"), meta["name"], "json")))
        path = os.path.join(self.folder, "objects", name)
        if path not in self.saved:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            os.chmod(self.folder, 0o700)
            _run_folder.write(path, item)
            self.saved.append(path)
        return path

    def record(self, document: JSON) -> None:
        """After it was made."""
        self.done.append(document)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        _run_folder.append(os.path.join(self.folder, "changes.jsonl"), {**document, "time": _node_action.now()})


def let_go(api: Api, kind: Kind, name: str, path: str, namespace: str = "") -> bool:
    """Save an object to a file, then delete exactly this one; False where there is none."""
    item = api.get(kind, name, namespace)
    if item is None:
        return False
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    _run_folder.write(path, item)
    api.delete(kind, name, namespace, uid=item["metadata"]["uid"])
    return True
