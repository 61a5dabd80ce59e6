# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_export
short_description: Write the objects of a Harvester beside its proved snapshot
version_added: 0.1.0
author: Requorum contributors
description:
  - Verb V(export). Writes virtual machines, volumes, networks, images, settings and more as files into C(backup/export)
    in O(run_dir), as M(requorum.cluster.cluster_export) does it.
  - They come from the API where C(/readyz) of this host is ok, else from the snapshot that this run has proved. What is
    encrypted at rest in it is opened by the token that was kept with it; it never leaves the controller.
  - Secrets are encrypted by ansible-vault with the passphrase in the file C(requorum_export_passphrase_file), or left
    out and counted.
  - In a recovery, an export that fails is a warning in the report, and the recovery goes on. In the run of a backup it
    fails the run; the snapshot is there and proved all the same.
  - C(backup/export.part) is one that was stopped on the way.
extends_documentation_fragment:
  - requorum.cluster._attributes
  - requorum.cluster._plan_action
seealso:
  - module: requorum.cluster.cluster_export
  - module: requorum.cluster.etcd_snapshot
"""

EXAMPLES = r"""
- name: Write the objects of a Harvester as files
  requorum.cluster.backup_export:
    plan: "{{ requorum_plan }}"
    phase: 3
    run_dir: "{{ requorum_run_dir }}"
"""

RETURN = r"""
requorum_actions:
  description:
    - The actions of this host and phase, with the keys of the plan, C(started) and C(ended) (UTC), C(seconds) and
      C(result). The result begins with C(warning:) where nothing was exported and the run goes on.
    - In check mode, C(started), C(ended) and C(seconds) are V(null).
  returned: success
  type: list
  elements: dict
  sample:
    - id: "3.5"
      phase: 3
      node: server-1
      verb: export
      what: >-
        Write virtual machines, volumes, networks and settings as files: from the API if it answers, else from the
        proved snapshot
      started: "2026-11-24T09:30:07.120Z"
      ended: "2026-11-24T09:30:09.420Z"
      seconds: 2.3
      result: >-
        backup/export: 5012 objects, 500 virtual machines, 9.8 MB from the snapshot
        /root/recoveries/prod/20261124T093007Z/backup/server-1/snapshot.db; 212 objects encrypted; 41 left out: every
        namespace gets it from its cluster
"""
