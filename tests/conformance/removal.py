# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A member that is removed by annotation while it runs, and comes back."""

from __future__ import annotations

from tests.conformance.common import jsonpath
from tests.conformance.table import Situation, Stage, fact, output, ready, says, unit, voters

_REMOVED = r'{.metadata.annotations.etcd\.k3s\.cattle\.io/removed-node-name}'


def _annotate(stage: Stage) -> None:
    stage.notes["removed"] = stage.sh("n3", "cat $D/server/db/etcd/name").out
    stage.lab.kubectl("n1", "annotate", "node", "n3", "etcd.k3s.cattle.io/remove=true").ok("annotate")


def _restart(stage: Stage) -> None:
    stage.sh("n3", "systemctl stop k3s; systemctl start --no-block k3s", 120).ok("restart n3")


def _marked(stage: Stage) -> tuple[bool, str]:
    seen = stage.lab.kubectl("n1", "get", "node", "n3", "-o", f"jsonpath={_REMOVED}").out
    return seen == stage.notes["removed"], seen


REMOVAL = (
    Situation("removed", "k3s-remove-annotation-n3.txt", "the Node of n3 is annotated with remove=true", _annotate, (
        voters("n1", "n1", "n2", within=15),
        fact("removed-node-name", _marked),
        jsonpath("not-named-any-more", "n1", "node n3", "{.metadata.name}{.metadata.annotations}", "n3"),
        output("tombstone", "n3", "stat -c '%A %s' $D/server/db/etcd/tombstone; ls $D/server/db/etcd", "-rw------- 0",
               "config\nmember\nname\ntombstone"),
        unit("n3", "active", holds=3),
        ready("n1", "n1", "n2", "n3", "a1"),
    )),
    Situation("removed-returns", "k3s-remove-annotation-n3.txt", "n3 is restarted, its server still set", _restart, (
        says("messages", "n3", "Managed etcd cluster bootstrap already complete and initialized",
             "Successfully reconciled with remote datastore",
             "tombstone file has been detected, removing data dir to rejoin the cluster", "Adding member n3-",
             within=90),
        unit("n3", "active", within=120),
        voters("n1", "n1", "n2", "n3", within=90),
        output("kept", "n3", "ls -d $D/server/db/etcd-backup-*"),
    )),
)
