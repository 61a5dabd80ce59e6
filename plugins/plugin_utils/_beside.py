# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Another host of the inventory, seen from an action that runs on one: by a connection of its own."""

from __future__ import annotations

import copy
import os
import typing as t

from ansible import constants
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.loader import become_loader, connection_loader

from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_action
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction, Other


def beside(action: Other, host: str) -> Other | None:
    """The action as it would be on another host, for its `script`; None for one that the inventory does not know."""
    known: t.Mapping[str, t.Any] = action.vars.get("hostvars") or {}
    if host not in known:
        return None
    other = action.another(type(action), action._task.args)
    other.turn = other.host = host
    other.vars = known[host]  # it templates what is taken out of it, as the variables of that host
    other._task.delegate_to = None
    other._play_context = copy.copy(action._play_context)
    other._connection = _connection(other)
    other.node = _node_action.ConnectionNode(other)
    return other


def _connection(action: NodeAction) -> t.Any:
    """As Ansible's task executor makes one: options are those of the task, then variables of the host."""
    given, context = action.vars, action._play_context
    keys = {**action._task.dump_attrs(), "timeout": context.timeout}
    for secret, name in ((context.password, "password"), (context.become_pass, "become_pass")):
        keys |= {name: secret} if secret else {}
    keys.pop("retries", None)

    def set_options(plugin: t.Any, kind: str) -> None:
        names = constants.config.get_plugin_vars(kind, plugin._load_name)
        plugin.set_options(task_keys=keys, var_options={name: given[name] for name in names if name in given})

    # A play of localhost says `local`, which is not meant for the other host.
    of_task = action._task.connection if action._task.connection != "local" else constants.DEFAULT_TRANSPORT
    name = str(given.get("ansible_connection") or of_task)
    made = connection_loader.get(name, context, task_uuid=action._task._uuid, ansible_playbook_pid=str(os.getppid()))
    # The task itself needs no root on localhost, but the other host does.
    if boolean(given.get("ansible_become", True)):
        become = become_loader.get(str(given.get("ansible_become_method") or action._task.become_method or "sudo"))
        set_options(become, "become")
        made.set_become_plugin(become)
    set_options(made, "connection")
    set_options(made._shell, "shell")
    return made
