# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: snapshot_summary
short_description: Say what is in an etcd snapshot
version_added: 0.1.0
author: Requorum contributors
description:
  - Reads a snapshot that lies on the controller, without etcd. The result is what C(requorum snapshot info --json)
    prints.
  - Every page and every key is read. A file that is damaged, or is no datastore, is an error.
positional: _input
options:
  _input:
    description: >-
      Path on the controller of a snapshot, of a zip with one, of a C(db) file, or of the datastore directory of a
      server that is stopped.
    type: path
    required: true
  tokens:
    description: Cluster tokens, one of which may open the bootstrap data. They are not part of the result.
    type: list
    elements: str
    default: []
notes:
  - It says what is there, which is no proof that it can be restored. C(requorum snapshot verify) gives one.
seealso:
  - module: requorum.cluster.etcd_snapshot_info
"""

EXAMPLES = r"""
- name: Say how old a snapshot really is
  ansible.builtin.debug:
    msg: "The newest lease in it was renewed at {{ summary.kubernetes.newest_lease }}."
  vars:
    summary: "{{ '/backup/snapshot.db' | requorum.cluster.snapshot_summary }}"

- name: Look at the CAs of the cluster that it is of
  ansible.builtin.debug:
    var: summary.bootstrap.opened.authorities
  vars:
    token: "{{ lookup('ansible.builtin.file', '/backup/token') }}"
    summary: "{{ '/backup/snapshot.db' | requorum.cluster.snapshot_summary(tokens=[token]) }}"
"""

RETURN = r"""
_value:
  description:
    - What is known about the datastore. Times are UTC. What could not be read is V(null), with its reason in
      C(unread).
  type: dict
  sample:
    schema: 1
    kind: db
    trailer: right
    keys: {live: 614, bytes: 1004807, revisions: 2483}
    kubernetes:
      system_uid: ac37934f-15bf-4bd6-9a13-6f84aafbfafd
      newest_lease: "2026-11-24T20:53:13Z"
    bootstrap: {keys: [e2e269d4f6ec], advice: null, opened: null}
    unread: {wal: a snapshot has none}
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils import _bbolt, _describe


def snapshot_summary(path: str, tokens: t.Sequence[str] = ()) -> dict[str, t.Any]:
    """The document of `_describe.describe`."""
    if not isinstance(path, str):
        raise AnsibleFilterError(f"snapshot_summary needs the path of a snapshot, not {type(path).__name__}")
    if isinstance(tokens, str):
        raise AnsibleFilterError("snapshot_summary needs a list of tokens: tokens=[token]")
    try:
        return _describe.describe(path, list(tokens))
    except _bbolt.BadFile as error:
        raise AnsibleFilterError(f"{path}: {error}" if path not in str(error) else str(error)) from error


class FilterModule:
    """For Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """By name."""
        return {"snapshot_summary": snapshot_summary}
