# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The twelve resets of k3s-reset-cases-n1.txt, each on the same datastore of three members, of which n1 is left."""

from __future__ import annotations

from dataclasses import dataclass

from tests.conformance.common import SUCCESS, run_reset
from tests.conformance.table import Check, Situation, Stage, database, noted

_SAVED = "/var/lib/rancher/saved"
_TAKEN = "$(echo $D/server/db/snapshots/taken-*)"
_DATABASE = "Error: starting kubernetes: failed to start cluster: start managed database: "
_DIFFERENT = "bootstrap data already found and encrypted with different token"
_WHOLE = ("db/etcd", "db/etcd/config", "db/etcd/member", "db/etcd/name")
_REFUSED = ("db/etcd", "db/etcd-old-*", "db/etcd/member")


@dataclass(frozen=True)
class Case:
    """What is done to a good server, how the reset is called, and how it ends."""

    id: str
    prepare: str
    arguments: str
    rc: int
    messages: tuple[str, ...]
    after: tuple[str, ...]
    """Names below server/ beside db/snapshots, tls and token."""


CASES = (
    Case("server-set", "mkdir -p /etc/rancher/k3s/config.yaml.d; "
         "echo 'server: https://10.89.0.12:6443' > /etc/rancher/k3s/config.yaml.d/x.yaml", "--cluster-reset",
         1, ("Error: cannot perform cluster-reset while server URL is set - remove server from configuration before "
             "resetting",), _WHOLE),
    Case("no-such-path", "rm -r /etc/rancher/k3s/config.yaml.d",
         "--cluster-reset --cluster-reset-restore-path=/nope.db",
         1, ("Managed etcd cluster bootstrap already complete and initialized", "failed to list etcd members: context "
             "canceled", f"{_DATABASE}etcd: snapshot path does not exist: /nope.db"), _WHOLE),
    Case("path-is-a-directory", ":", "--cluster-reset --cluster-reset-restore-path=/etc",
         1, (f"{_DATABASE}etcd: snapshot path must be a file, not a directory: /etc",), _WHOLE),
    Case("truncated", f"head -c -1000 {_TAKEN} > /tmp/t.db", "--cluster-reset --cluster-reset-restore-path=/tmp/t.db",
         1, ("Pre-restore etcd database moved to /var/lib/rancher/k3s/server/db/etcd-old-",
             f"{_DATABASE}snapshot missing hash but --skip-hash-check=false"), _REFUSED),
    Case("flipped-byte", f"cp {_TAKEN} /tmp/f.db; printf x | dd of=/tmp/f.db bs=1 seek=300000 conv=notrunc 2>/dev/null",
         "--cluster-reset --cluster-reset-restore-path=/tmp/f.db",
         1, ("Pre-restore etcd database moved to", f"{_DATABASE}expected sha256 [", "], got ["), _REFUSED),
    Case("no-trailer", "cp $D/server/db/etcd/member/snap/db /tmp/n.db",
         "--cluster-reset --cluster-reset-restore-path=/tmp/n.db",
         1, ("Pre-restore etcd database moved to", f"{_DATABASE}snapshot missing hash but --skip-hash-check=false"),
         _REFUSED),
    Case("zero-bytes", ": > /tmp/z.db", "--cluster-reset --cluster-reset-restore-path=/tmp/z.db",
         1, ("Pre-restore etcd database moved to", f"{_DATABASE}seek /tmp/z.db: invalid argument"), ("db/etcd-old-*",)),
    Case("wrong-token-restore", ":", f"--token wrongtoken --cluster-reset --cluster-reset-restore-path={_TAKEN}",
         1, ("Starting etcd for new cluster, cluster-reset=true", "Connection to etcd is ready",
             "ETCD server is now running", "k3s is up and running", "Saving cluster bootstrap data to datastore",
             f'level=fatal msg="{_DIFFERENT}"'), (*_WHOLE, "db/etcd-old-*", "db/reset-flag")),
    Case("wrong-token", ":", "--token wrongtoken --cluster-reset",
         1, ("Connection to etcd is ready", f"Shutdown request received: failed to save bootstrap data: {_DIFFERENT}",
             f'level=fatal msg="{_DIFFERENT}"'), (*_WHOLE, "db/reset-flag")),
    Case("reset-flag", "touch $D/server/db/reset-flag", "--cluster-reset",
         1, (f"{_DATABASE}Managed etcd cluster membership was previously reset, please remove the cluster-reset flag "
             "and start k3s normally. If you need to perform another cluster reset, you must first manually delete the "
             "file at /var/lib/rancher/k3s/server/db/reset-flag",), (*_WHOLE, "db/reset-flag")),
    Case("no-datastore", "rm -r $D/server/db/etcd", "--cluster-reset",
         0, ("Starting etcd for new cluster, cluster-reset=true", "Connection to etcd is ready",
             "Saving cluster bootstrap data to datastore", "Cluster reset: backing up certificates directory to",
             "Updating bootstrap data on disk from datastore", f'Shutdown request received: \\"{SUCCESS}',
             "Stopping etcd server...", "etcd server stopped"), (*_WHOLE, "db/reset-flag", "tls-*")),
    Case("good", ":", f"--cluster-reset --cluster-reset-restore-path={_TAKEN}",
         0, ("Starting etcd for new cluster, cluster-reset=true", "Connected to etcd v3.",
             "Defragmenting etcd database",
             "Connection to etcd is ready", "k3s is up and running", "Saving cluster bootstrap data to datastore",
             "Bootstrap key already exists", "Reconciling bootstrap data between datastore and disk",
             "Cluster reset: backing up certificates directory to /var/lib/rancher/k3s/server/tls-",
             "Updating bootstrap data on disk from datastore",
             f'level=error msg="Shutdown request received: \\"{SUCCESS}',
             "Stopping etcd server...", "etcd server stopped"), (*_WHOLE, "db/etcd-old-*", "db/reset-flag", "tls-*")),
)


def first_case(stage: Stage) -> None:
    """Stop the server and keep a copy that every case starts from."""
    stage.sh("n1", f"systemctl stop k3s; rm -rf {_SAVED}; cp -a --sparse=always $D/server {_SAVED}; "
             f"rm -rf {_SAVED}/db/etcd-tmp", 120).ok("copy n1")


def _play(case: Case, stage: Stage) -> None:
    stage.sh("n1", "systemctl stop k3s; rm -rf $D/server && "
                   f"cp -a --sparse=always {_SAVED} $D/server && {case.prepare}", 120).ok(f"case {case.id}")
    run_reset(stage, case.arguments)


def case_situation(case: Case) -> Situation:
    """The row of a case."""
    see: tuple[Check, ...] = (
        noted("ends", "reset", f"rc={case.rc}\n", *case.messages),
        database("files", "n1", *case.after, "db/snapshots", "tls", "token"),
    )
    return Situation(f"reset-{case.id}", "k3s-reset-cases-n1.txt",
                     f"{case.prepare}; k3s server {case.arguments}".removeprefix(":; "),
                     lambda stage: _play(case, stage), see)
