# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: Read everything about a node in one call
version_added: 0.1.0
author: Requorum contributors
description:
  - Reads what a recovery has to know of a server or agent with one shell call, and changes nothing.
  - It needs no quorum and no API server. Every question has its own deadline, so that a program that hangs costs
    seconds.
  - Where no etcd answers, the datastore on disk is read instead, in three round trips; a few pages of its file and the
    beginning and the end of its write-ahead log.
  - What could not be read is V(null), with the reason in RV(requorum_node.unread). Nothing is guessed.
extends_documentation_fragment:
  - requorum.cluster._attributes
options:
  patience:
    description:
      - So many seconds a server whose unit is active is read again while its API does not say C(ok).
      - A host of which nothing could be read in time is read once more, where this is not 0.
    type: float
    default: 0
  parts:
    description:
      - What is read besides. V(logs) as M(requorum.cluster.node_logs) reads them, V(tls) as
        M(requorum.cluster.tls_info), V(tokens) as M(requorum.cluster.token_info), all in the same call, side by side;
        V(snapshots) as M(requorum.cluster.etcd_snapshot_info), in a call of its own, since they are hashed.
      - One that cannot be read does not fail the task.
    type: list
    elements: str
    choices: [logs, tls, tokens, snapshots]
    default: []
attributes:
  check_mode:
    support: full
    details:
      - It only reads, so there is no difference.
  diff_mode:
    support: none
  idempotent:
    support: full
notes:
  - The settings C(requorum_distro) and C(requorum_data_dir) of the inventory are taken into account; see
    P(requorum.cluster.inspect#role).
  - Deadlines are 2 to 6 seconds for a question to etcd or to the API server, 60 seconds for the whole call, of
    an agent or with O(parts) 70.
  - A node without C(base64), or that has not answered before the deadline of the whole call, is asked for each part
    alone. A part of which the answer alone is missing is unknown.
  - Values of tokens, of S3 keys and of C(datastore-endpoint) in the configuration and on the unit's command line are
    replaced on the node. Of a token only the first 12 hex digits of the SHA-256 of its password part are read, which is
    also the name of its bootstrap key in etcd. Arguments of processes and lines of logs are masked on the controller.
  - A node that cannot be reached is reported by Ansible as unreachable; M(requorum.cluster.recovery_plan) takes that as
    a result.
seealso:
  - module: requorum.cluster.recovery_plan
  - module: requorum.cluster.node_logs
  - module: requorum.cluster.tls_info
  - module: requorum.cluster.token_info
  - module: requorum.cluster.etcd_snapshot_info
"""

EXAMPLES = r"""
- name: Read every node, the dead ones are a result too
  hosts: servers:agents
  gather_facts: false
  become: true
  ignore_unreachable: true
  tasks:
    - name: Read everything about this node in one call
      requorum.cluster.node_info:
      register: requorum_read
"""

RETURN = r"""
logs:
  description: What M(requorum.cluster.node_logs) returns, or C(msg), why they could not be read.
  returned: with V(logs) in O(parts)
  type: dict
tls:
  description: The same of M(requorum.cluster.tls_info).
  returned: with V(tls) in O(parts)
  type: dict
tokens:
  description: The same of M(requorum.cluster.token_info).
  returned: with V(tokens) in O(parts)
  type: dict
snapshots:
  description: The same of M(requorum.cluster.etcd_snapshot_info).
  returned: with V(snapshots) in O(parts)
  type: dict
requorum_node:
  description: >-
    The node's entry in the cluster state, schema 1. Of a node that could not be read, only the first five keys are
    there; of one without RKE2 and K3s, only those before C(unit). Each of the others may be V(null).
  returned: always
  type: dict
  contains:
    name:
      description: Name in the inventory.
      type: str
      sample: server-1
    host:
      description: C(ansible_host), else the name.
      type: str
      sample: 192.0.2.11
    reachable:
      description: Whether the node answered and its answer could be read.
      type: bool
    error:
      description: Why it could not, else V(null).
      type: str
    unread:
      description: What could not be read, and why. The key V(*) stands for everything that is missing.
      type: dict
      sample: {gateway: no answer before the deadline}
    hostname:
      description: Name that the kernel has.
      type: str
      sample: server-1
    os_image:
      description: C(PRETTY_NAME) of C(/etc/os-release).
      type: str
      sample: SUSE Linux Micro 6.1
    boot_id:
      description: Changes with every boot.
      type: str
    missing:
      description: Programs that our scripts call and that it has not; V([]) when all are there.
      type: list
      elements: str
    root:
      description: Whether the scripts ran as root.
      type: bool
    clock_skew:
      description: Seconds by which the node's clock is ahead of the controller's; negative when it is behind.
      type: float
      sample: 0.2
    lock:
      description: >-
        The lock of a run that works on the cluster, or has left it; C(owner), C(host), C(started), C(run), and C(age),
        the seconds since its last sign of life by the node's clock. V(null) where there is none.
      type: dict
    distro:
      description: V(rke2) or V(k3s).
      type: str
      sample: rke2
    program:
      description: >-
        Distribution, path of the program, data directory, configuration file, node name and address that are
        configured, and the line by which the program tells its version.
      type: dict
    version:
      description: Version of the program on disk.
      type: str
      sample: v1.34.3+rke2r1
    unit:
      description: Properties of the server's systemd unit, as C(systemctl show) has them.
      type: dict
      sample: {LoadState: loaded, ActiveState: activating, SubState: start, UnitFileState: enabled}
    agent:
      description: The same of the agent's unit.
      type: dict
    processes:
      description: >-
        All processes but kernel threads. C(start) is in clock ticks since boot; with C(pid) it identifies a process.
      type: list
      elements: dict
      sample: [{pid: 1204, parent: 1180, state: S, start: 10422, name: etcd, args: "etcd --config-file=/var/lib/..."}]
    listeners:
      description: Those of the ports 2379, 2380, 2381, 2382, 6443, 9345 and 10250 that are listened on.
      type: list
      elements: int
    mounts:
      description: Lines of C(/proc/self/mountinfo) about the data directory.
      type: list
      elements: str
    disk:
      description: Size and free space of the file system below the data directory, in bytes.
      type: dict
      sample: {bytes: 105089261568, free: 61203283968}
    places:
      description: >-
        Where a recovery writes, by path. C(free) bytes, C(mount) point, whether it is C(mounted) there itself, and
        whether that is C(read_only).
      type: dict
      sample:
        /var/lib/rancher/rke2/server/db: {free: 61203283968, mount: /, mounted: false, read_only: false}
    config:
      description: >-
        The merged configuration; later files win, a key that ends with V(+) appends, and the unit's command line wins
        over all files. Secrets read V(hidden).
      type: dict
    token:
      description: >-
        First 12 hex digits of hashes. C(in-force) is the token that a start would use, C(server) the one of
        C(server/token), C(node-password) the node password.
      type: dict
      sample: {in-force: 0b71d4a2c95e, server: 0b71d4a2c95e, node-password: 5c01e7aa9d34}
    files:
      description: Files and folders that matter to a recovery, with C(bytes), C(mtime) (Unix seconds) and C(directory).
      type: dict
    snapshots:
      description: Local snapshots, in the same form.
      type: dict
    datastore:
      description: >-
        What lies in C(db/etcd). C(present), C(path), C(bytes), C(name) of the member, C(member_id) and C(cluster_id)
        (hexadecimal, from the write-ahead log), C(fault) when it is damaged. When it was read from disk, C(summary) has
        C(revision), C(term) and C(index) (the last entry that is applied in it), C(members), C(storage_version),
        C(cluster_version), C(compacted) and C(compacting) (revisions), C(voters) and C(learners) (IDs), C(alarms),
        C(leases) (V(null) when they fill more than one page) and C(auth). C(wal) is what its newest write-ahead log
        ends with, C(term) and C(index) of the last entry, C(commit), C(torn) when the last record is incomplete, and
        C(newer), the number of entries after C(summary.index), which a copy of the file C(db) alone may lose.
      type: dict
    etcd:
      description: >-
        What a running etcd answers. C(health) from port 2381, which is true only after a read through a quorum;
        C(status), C(members) and C(alarms) from its gateway, C(port) 2382 or, in old versions, 2379.
      type: dict
    api:
      description: C(ping) of the supervisor, C(ready) of the API server, C(nodes), C(endpoints), UID of C(kube-system).
      type: dict
    certificates:
      description: Certificates below C(server/tls), with C(path), C(subject), C(ends) (Unix seconds) and C(sha256).
      type: list
      elements: dict
    reset:
      description: Whether a reset that a recovery began goes on here.
      type: bool
    journal:
      description: What earlier recoveries noted on this node.
      type: list
      elements: str
    logs:
      description: The last lines of the units' logs that tell of a fault, at most 12.
      type: list
      elements: str
"""
