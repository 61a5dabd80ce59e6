# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of a host lie, or say nothing, while recover.yml runs: nobody believes them, and it comes to an end."""

from __future__ import annotations

from typing import Any

import pytest

from lab.drill import Run, playbook
from lab.labs import Lab
from tests.lab import moves, story
from tests.lab.moves import Moment, failed, recovered

SLOW = ("*replaces_nothing*", "*empty_cluster*", "*api_answers*", "*tool*")


TOUCHING = {"fence", "reset", "rejoin", "remove"}


UNSEEN = "could not look at its peers: its tool gave no answer about any port. See that curl works"
UNREAD = "answers over SSH, but nothing can be read there: no answer before the deadline"


@pytest.mark.parametrize(("says", "why"), [("exit 7", UNSEEN), ("exit 0", UNSEEN), ("sleep 60", UNREAD)])
def test_a_tool_that_fails_or_says_nothing(rke2: Lab, says: str, why: str) -> None:
    """A server with it is unknown, neither healthy nor dead; nobody is fenced, removed or reset because of it."""
    lab, (first, second, third) = rke2, rke2.servers
    with moves.instead(lab, second, "curl", says):
        run = playbook(lab, "recover.yml", "--check")
        assert story.plan(run)["case"] not in ("healthy", "quorum_lost", "datastore_lost"), run.out
        assert seen(run, second)["etcd"] == "unknown"
        assert not TOUCHING & {verb.split()[1] for verb in story.verbs(run)}, run.out

    moves.lose(lab, second, third)
    with moves.instead(lab, first, "curl", says):
        run = moves.run(lab)
        failed(run, f"{first} {why}")
        actions = story.done(run) if run.folder and (run.folder / "actions.jsonl").exists() else []
        assert not {"reset", "start", "rejoin"} & {verb for _id, _host, verb in actions}
    recovered(lab, moves.run(lab))


def seen(run: Run, host: str) -> dict[str, Any]:
    """What the plan holds of a server."""
    return dict(next(server for server in story.plan(run)["servers"] if server["name"] == host))


def test_a_reset_that_replaces_nothing(rke2: Lab) -> None:
    """It prints success, or hangs until its deadline; then a real one is what the same command goes on with."""
    lab, (first, *others) = rke2, rke2.servers
    moves.lose(lab, *others)
    before = lab.sh(first, f"cat {lab.data_dir}/server/db/etcd/name").out

    with moves.instead(lab, first, "rke2", moves.PRETENDING_RESET):
        run = moves.run(lab)
        failed(run, "the reset says success, but it has not replaced the datastore", "run the same command again")
    with moves.instead(lab, first, "rke2", moves.HANGING_RESET):
        run = moves.run(lab, arguments=moves.timeouts(reset=15))
        failed(run, "the reset failed (result timeout", "The old datastore is where it was", "again is safe")
    assert lab.sh(first, f"cat {lab.data_dir}/server/db/etcd/name").out == before
    recovered(lab, moves.run(lab))


def test_a_reset_that_makes_an_empty_cluster(rke2: Lab) -> None:
    """It exits with 0 and says success; neither this run nor the next one starts it, and a proved snapshot helps."""
    lab, (first, *others) = rke2, rke2.servers
    moves.lose(lab, *others)
    with moves.instead(lab, first, "rke2", moves.EMPTYING_RESET):
        run = moves.run(lab)
        failed(run, "instead of", "it has made an empty cluster. Do not start it")
    run = moves.run(lab)
    failed(run, "a reset that failed has left it at revision", "Only a snapshot can help", "requorum_snapshot=newest")
    assert run.folder and not (run.folder / "actions.jsonl").exists()
    run = moves.run(lab, arguments=("-e", "requorum_method=restore", "-e", "requorum_snapshot=newest"))
    recovered(lab, run)


def test_the_api_answers_and_then_stops(rke2: Lab) -> None:
    """That of a server that has joined: it is a voter, and the wait for its /readyz ends."""
    lab, (first, second, third) = rke2, rke2.servers
    moves.lose(lab, second, third)
    manifest = f"{lab.data_dir}/agent/pod-manifests/kube-apiserver.yaml"
    answers = "until curl -sk -m 2 -o /dev/null https://127.0.0.1:6443/livez; do sleep 0.1; done"
    stop = f"systemd-run --quiet sh -c '{answers}; mv {manifest} /root/; pkill -KILL -x kube-apiserver'"

    def arm() -> None:
        lab.sh(second, stop).ok("API")

    run = moves.run(lab, Moment("promote", first, arm), arguments=moves.timeouts(settle=30))
    failed(run, f"{second}: its own /readyz: not within 30 s. Seen last:", "readyz", "run the same command again")
    lab.sh(second, f"mv /root/kube-apiserver.yaml {manifest}").ok("API again")
    recovered(lab, moves.run(lab))
