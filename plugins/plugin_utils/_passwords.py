# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The stored node password of a host, removed in the one way there is: its manifest is saved first."""

from __future__ import annotations

import os

from ansible_collections.requorum.cluster.plugins.plugin_utils import _changes, _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._plan_action import PlanAction


def _secret(action: PlanAction, node: str) -> str:
    return f"{node}.node-password.{action.plan['distro']}"


def stored(action: PlanAction, node: str) -> bool:
    """Whether the server of the action has one of a Node."""
    return _node_api.on_host(action).get(_node_api.SECRET, _secret(action, node), "kube-system") is not None


def remove(action: PlanAction, node: str, name: str) -> str:
    """Save exactly this Secret to `passwords/<name>.json` in the folder of the run, then delete it."""
    path, api = os.path.join(action.run_dir, "passwords", f"{name}.json"), _node_api.on_host(action)
    if not _changes.let_go(api, _node_api.SECRET, _secret(action, node), path, "kube-system"):
        return f"no node password of {node} is stored any more"
    return f"Secret of {node} deleted; kept: {path}"
