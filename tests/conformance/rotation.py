# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens: rotated, and a server that is started with the old one."""

from __future__ import annotations

import shlex

from tests.conformance.table import Situation, Stage, fact, noted, output, says, unit, voters

_NEW = "other456"
_RECORD = ("Recommended to keep a record of the old token. If restoring from a snapshot, you must use the token "
           "associated with that snapshot.")
_UNTRUSTED = ("Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. "
              "Use the full token from the server's node-token file to enable Cluster CA validation.")
_NEWER = ("/var/lib/rancher/k3s/server/cred/passwd newer than datastore and could cause a cluster outage. Remove the "
          "file(s) from disk and restart to be recreated from datastore.")


def _configure(stage: Stage, host: str, token: str) -> None:
    stage.sh(host, f"sed -i 's/^token: .*/token: {token}/' /etc/rancher/k3s/config.yaml").ok(f"token of {host}")


def _restart(stage: Stage, host: str) -> None:
    stage.sh(host, "systemctl stop k3s; systemctl start --no-block k3s", 120).ok(f"restart {host}")


def _rotate(stage: Stage, note: str, old: str, new: str) -> None:
    done = stage.sh("n1", f"k3s token rotate --token {shlex.quote(old)} --new-token {shlex.quote(new)} 2>&1")
    stage.notes[note] = f"rc={done.rc}\n{done.out}"


def _keys(stage: Stage) -> str:
    return stage.lab.etcdctl("n1", "get", "/bootstrap/", "--prefix", "--keys-only").out.strip()


def _turn(stage: Stage) -> None:
    stage.notes["old key"] = _keys(stage)
    _rotate(stage, "wrong", "wrong", _NEW)
    _rotate(stage, "rotate", stage.lab.spec.token, _NEW)


def _old(stage: Stage) -> None:
    _restart(stage, "n2")


def _repair(stage: Stage) -> None:
    _configure(stage, "n2", _NEW)
    stage.sh("n2", "systemctl stop k3s; mv $D/server/cred/passwd /root/passwd.aside; systemctl start --no-block k3s",
             120).ok("passwd aside")
    _rotate(stage, "again", _NEW, stage.lab.spec.token)


def _back(stage: Stage) -> None:
    _configure(stage, "n1", _NEW)
    _restart(stage, "n1")
    _check_active(stage, "n1")
    _rotate(stage, "back", _NEW, stage.lab.spec.token)
    for host in ("n1", "n2"):
        _configure(stage, host, stage.lab.spec.token)
        _restart(stage, host)
        _check_active(stage, host)


def _check_active(stage: Stage, host: str) -> None:
    script = "for i in $(seq 120); do systemctl is-active -q k3s && exit; sleep 1; done; exit 1"
    stage.sh(host, script, 150).ok(f"{host} up")


TOKENS = (
    Situation("token-rotate", "k3s-token-rotate.txt", "the token is rotated on n1, with a wrong one first", _turn, (
        noted("wrong-token", "wrong", "rc=1\n", _RECORD, _UNTRUSTED, 'level=fatal msg="Error: not authorized"'),
        noted("messages", "rotate", "rc=0\n", _RECORD, "Token rotated, restart k3s nodes with new token"),
        fact("other-key", lambda stage: (
            _keys(stage) == "/bootstrap/395cba02d986" != stage.notes["old key"], _keys(stage))),
        output("token-file-n1", "n1", "sed 's/.*:://' $D/server/token; stat -c %A $D/server/token",
               f"server:{_NEW}\n-rw-------"),
        fact("token-file-n2", lambda stage: (
            stage.sh("n2", "cat $D/server/token").out.endswith(f"::server:{stage.lab.spec.token}\n"), "another token")),
    )),
    Situation("token-old", "k3s-token-rotate.txt", "n2 is restarted with the old token", _old, (
        says("updated-then-refused", "n2",
             "/var/lib/rancher/k3s/server/cred/passwd will be updated from the datastore.",
             "Updating bootstrap data on disk from datastore", "Successfully reconciled with remote datastore",
             "Shutdown request received: failed to save bootstrap data: bootstrap data already found and encrypted "
             "with different token", "k3s.service: Failed with result 'protocol'.", within=120),
        says("passwd-newer", "n2", f'level=fatal msg="{_NEWER}"', within=120),
    )),
    Situation("token-repaired", "k3s-token-rotate.txt", "n2 gets the new token, its cred/passwd is moved aside",
              _repair, (
        unit("n2", "active", within=120),
        says("not-authorized-by-n1", "n2", "Unable to reconcile with remote datastore: not authorized"),
        output("token-file", "n2", "sed 's/.*:://' $D/server/token", f"server:{_NEW}\n"),
        output("passwd", "n2", "stat -c %A $D/server/cred/passwd", "-rw-------"),
        noted("second-rotation-refused", "again", "rc=1\n", 'level=fatal msg="Error: not authorized"'),
    )),
    Situation("token-back", "k3s-token-rotate.txt", "n1 is restarted with the new token, which is then rotated back; "
              "n1 and n2 are restarted with it", _back, (
        noted("messages", "back", "rc=0\n", "Token rotated, restart k3s nodes with new token"),
        fact("old-key-again", lambda stage: (_keys(stage) == stage.notes["old key"], _keys(stage))),
        unit("n1", "active", within=120),
        unit("n2", "active", within=120),
        voters("n1", "n1", "n2", "n3"),
    )),
)
