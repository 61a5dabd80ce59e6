# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: run_deliver
short_description: Copy what a run left to places that outlive it
version_added: 0.1.0
author: Requorum contributors
description:
  - Copies documents of a run's folder (reports, plan, states, timeline, diagnosis) and its C(evidence), which are
    masked, to C(<place>/<cluster>/<UTC stamp>). In AWX the folder of a job goes with its container.
  - The backup has the token of the cluster in clear. It goes along only with O(backup).
  - With O(story), it also shows what the jobs of a workflow have told each other, and fails when not all of it is well.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  run_dir:
    description: Folder of the run. Empty takes the newest below O(output) and O(cluster), which are both needed then.
    type: path
    default: ""
  cluster:
    description: Name of the cluster, where O(run_dir) is empty.
    type: str
    default: ""
  output:
    description: Folder of all runs, where O(run_dir) is empty.
    type: path
    default: ""
  targets:
    description:
      - Places, as a list or as words of a text.
      - C(/folder); C(s3://bucket/folder) with the endpoint and keys of C(requorum_s3_*), outside of the folder of
        backups; C(git+URL#branch), which C(git) pushes to; C(https://address), below which each file is put by C(PUT).
    type: raw
    default: []
  backup:
    description: Whether the backup, with the token in clear, goes along.
    type: bool
    default: false
  password_file:
    description: File with C(user:password), or a token, for the address that files are put to.
    type: path
    default: ""
  key_file:
    description: SSH key without a passphrase for the git repository.
    type: path
    default: ""
  known_hosts_file:
    description:
      - File with the host key of the git server, in the form of C(known_hosts). Empty takes what ssh itself knows.
    type: path
    default: ""
  must:
    description: Whether the task fails where a place cannot be reached. Else it is a warning.
    type: bool
    default: true
  story:
    description: Whether to show what earlier jobs have told, and to fail when it did not end well.
    type: bool
    default: false
attributes:
  check_mode:
    support: none
    details:
      - It delivers in check mode too, the plan for example. No node is touched.
  diff_mode:
    support: none
  idempotent:
    support: full
    details:
      - What is there is put there again, with the same content.
notes:
  - Runs on the controller.
seealso:
  - module: requorum.cluster.recovery_report
"""

EXAMPLES = r"""
- name: Deliver
  requorum.cluster.run_deliver:
    run_dir: /var/lib/requorum/prod/20261125T023012Z
    targets: [/mnt/reports, s3://reports/requorum]
"""

RETURN = r"""
delivered:
  description: Where the run now lies.
  returned: always
  type: list
  elements: str
  sample: [/mnt/reports/prod/20261125T023012Z]
story:
  description: A line of each job of the workflow.
  returned: with O(story)
  type: list
  elements: str
"""
