# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The stored node password of a host, removed in the one way there is: its manifest is saved first."""

from __future__ import annotations

import json
import os

from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import PlanAction, write


def stored(action: PlanAction, node: str) -> str:
    """Manifest of the Secret of a Node, read on the host of the action; empty where there is none."""
    done = action.script("node_password", timeout=30, NODE=node, GO="show")
    if done.rc != 0:
        raise RequorumError(f"{action.host}: its API does not answer: {done.why}.", "Run the same command again.")
    return done.out.strip()


def remove(action: PlanAction, node: str, name: str) -> str:
    """Save exactly this Secret to `passwords/<name>.json` in the folder of the run, then delete it."""
    manifest = stored(action, node)
    if not manifest:
        return f"no node password of {node} is stored any more"
    path = os.path.join(action.run_dir, "passwords", f"{name}.json")
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    write(path, json.loads(manifest))
    action.must(
        "node_password",
        f"the node password of {node} could not be deleted",
        "See whether its API answers, then run the same command again.",
        NODE=node,
        GO="drop",
    )
    return f"Secret of {node} deleted; kept: {path}"
