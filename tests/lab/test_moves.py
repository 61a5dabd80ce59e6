# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The world moves while recover.yml runs: it ends, says what it saw, and its advice brings the cluster back."""

from __future__ import annotations

from lab import faults
from lab.labs import Lab
from tests.lab import moves, story
from tests.lab.moves import Moment, failed, off, recovered

SLOW = (
    "*[[]k3s]",
    "*come_back_during*",
    "*ssh_is_cut*",
    "*after_the_start*",
    "*loses_its_power[[]*",
    "*never_promoted*",
    "*learner_is_lost*",
)


def test_a_dead_peer_comes_back_before_the_reset(rke2: Lab) -> None:
    """It makes a quorum with the survivor, so that nothing has to be reset at all."""
    lab, (first, second, third) = rke2, rke2.servers
    for host in (second, third):
        faults.power_off(lab, host)
    back = Moment("keep", first, lambda: moves.boot(lab, second))
    run = moves.run(lab, back, arguments=off(second, third))
    failed(
        run,
        f"{second} (",
        "still answers on port 2379, 2380",
        "take it out of requorum_powered_off",
        "This step was not begun",
    )
    assert "reset" not in [verb for _id, _host, verb in story.done(run)]

    run = moves.run(lab, arguments=off(second, third))
    assert (story.outcome(run), story.plan(run)["case"]) == ("not_redundant", "quorum_recoverable")
    moves.one_cluster(lab)
    faults.power_on(lab, third)
    lab.wait_ready(180)
    assert (story.voters(lab), story.count(lab)) == (lab.servers, 40)


def test_dead_peers_come_back_during_the_reset(lab: Lab) -> None:
    """One, and the survivor is not started. Both, and the old quorum stands again under the ID of the new cluster."""
    first, second, third = lab.servers
    for host in (second, third):
        faults.power_off(lab, host)

    def back() -> None:
        moves.until(lab, first, moves.REPLACED)
        faults.power_on(lab, second)

    run = moves.run(lab, Moment("reset", first, back), arguments=off(second, third))
    failed(run, f"{second} ", "take it out of requorum_powered_off if it may stay on", "This step was not begun")
    assert (first, "start") in [(host, verb) for _id, host, verb in story.done(run)]
    assert lab.sh(first, moves.ETCD).rc != 0

    faults.power_on(lab, third)
    moves.until(lab, second, "curl -s 127.0.0.1:2381/health | grep -q '\"true\"'")
    failed(moves.run(lab), "More than one cluster ID is found", "requorum_survivor")
    moves.one_cluster(lab)
    for host in (second, third):
        story.stop(lab, host)
    # By then the ID may be one that the others have replaced before: IDs are made of addresses. So it is named.
    run = moves.run(lab, arguments=("-e", f"requorum_survivor={first}"))
    recovered(lab, run)
    assert story.plan(run)["survivor"] == first


def test_a_dead_peer_comes_back_after_the_start(rke2: Lab) -> None:
    lab, (first, second, third) = rke2, rke2.servers
    for host in (second, third):
        faults.power_off(lab, host)
    back = Moment("settle", first, lambda: moves.boot(lab, second, third))
    run = moves.run(lab, back, arguments=off(second, third))
    failed(run, f"{second} (", "is on again and answers on port", "Stop its unit and its etcd, or cut its power")
    assert run.seconds < 240

    run = moves.run(lab)
    recovered(lab, run)
    assert story.plan(run)["survivor"] == first


def test_the_survivor_loses_its_power(lab: Lab) -> None:
    """In BACKUP, in RESET before the datastore was replaced, in its first start: the same command goes on each time."""
    first, *others = lab.servers
    moves.lose(lab, *others)

    def cut() -> None:
        faults.power_off(lab, first)

    def cut_early() -> None:
        moves.until(lab, first, "systemctl is-active requorum-reset")
        assert lab.sh(first, moves.REPLACED).rc != 0
        cut()

    def cut_late() -> None:
        moves.until(lab, first, moves.ETCD)
        cut()

    run = moves.run(lab, Moment("snapshot", first, cut))
    failed(run, f"{first} does not answer any more")
    faults.power_on(lab, first)

    with moves.instead(lab, first, lab.spec.distro, moves.HELD_RESET):
        lab.sh(first, f"touch {moves.HOLD}").ok("hold")
        run = moves.run(lab, Moment("reset", first, cut_early))
        failed(run, f"{first} does not answer any more")
        faults.power_on(lab, first)

    run = moves.run(lab, Moment("start", first, cut_late))
    failed(run, f"{first} does not answer any more")
    faults.power_on(lab, first)
    run = moves.run(lab)
    assert "reset" not in [verb for _id, _host, verb in story.done(run)]
    recovered(lab, run)


def test_the_survivor_loses_its_power_when_its_datastore_was_replaced(lab: Lab) -> None:
    """What lies there is what was proved: it is started. The survivor is not the server on which the cluster began."""
    first, second, third = lab.servers
    moves.lose(lab, first, third)

    def cut() -> None:
        moves.until(lab, second, f"{moves.REPLACED} && {{ {moves.ETCD}; }}")
        faults.power_off(lab, second)

    run = moves.run(lab, Moment("reset", second, cut))
    failed(run, f"{second} does not answer any more")
    faults.power_on(lab, second)
    run = moves.run(lab)
    assert (story.plan(run)["case"], story.plan(run)["survivor"]) == ("quorum_recoverable", second)
    recovered(lab, run)


def test_ssh_is_cut_during_the_reset(lab: Lab) -> None:
    """The unit goes on alone; as long as it runs, the next run only says so, and then goes on with what it has made."""
    first, *others = lab.servers
    moves.lose(lab, *others)

    def cut() -> None:
        moves.until(lab, first, "systemctl is-active requorum-reset")
        moves.cut_ssh(lab, first)

    with moves.instead(lab, first, lab.spec.distro, moves.HELD_RESET):
        lab.sh(first, f"touch {moves.HOLD}").ok("hold")
        run = moves.run(lab, Moment("reset", first, cut))
        failed(run, f"{first} does not answer any more")
        moves.cut_ssh(lab, first, heal=True)
        run = moves.run(lab)
        failed(run, f"The reset that an earlier run began on {first} still goes on", "Run the same command again")
        lab.sh(first, f"rm {moves.HOLD}").ok("let it go on")
        moves.until(lab, first, '[ "$(systemctl show requorum-reset -p SubState --value)" = exited ]')
    run = moves.run(lab)
    assert "reset" not in [verb for _id, _host, verb in story.done(run)]
    recovered(lab, run)
    assert lab.sh(first, "systemctl is-active requorum-reset || ls /run/requorum/reset.yaml").rc != 0


def test_a_voter_is_lost_as_soon_as_it_is_one(rke2: Lab) -> None:
    """The quorum of two is lost again."""
    lab, (first, second, third) = rke2, rke2.servers
    moves.lose(lab, second, third)

    def cut() -> None:
        moves.member(lab, first, "voter", second, third)
        for host in (second, third):
            faults.power_off(lab, host)

    run = moves.run(lab, Moment("promote", first, cut))
    failed(run, "The quorum is lost again", "Switch r", "nothing is reset", "requorum_powered_off")
    for host in (second, third):
        faults.power_on(lab, host)
    run = moves.run(lab)
    assert story.plan(run)["case"] == "quorum_recoverable"
    recovered(lab, run)


def test_a_learner_is_never_promoted(rke2: Lab) -> None:
    """The survivor does not reach the etcd of the others, though they reach its supervisor."""
    lab, (first, *others) = rke2, rke2.servers
    moves.lose(lab, *others)
    rule = "iptables -w -{} INPUT -p tcp --dport 2380 -j DROP"
    for host in others:
        lab.sh(host, rule.format("I")).ok("port of etcd")
    run = moves.run(lab, arguments=moves.timeouts(rejoin=60))
    failed(
        run,
        f"{len(lab.servers)} voters, a leader and /readyz: not within 60 s",
        "(learner)",
        f"missing {', '.join(others)}",
        "the same command goes on",
    )
    assert story.voters(lab) == [first]
    for host in others:
        lab.sh(host, rule.format("D")).ok("port of etcd")
    recovered(lab, moves.run(lab))


def test_a_learner_is_lost(rke2: Lab) -> None:
    """It makes room for the other one; the run ends with what is left, and says who is missing."""
    lab, (first, second, third) = rke2, rke2.servers
    moves.lose(lab, second, third)
    rule = "iptables -w -{} INPUT -p tcp --dport 2380 -j DROP"
    for host in (second, third):
        lab.sh(host, rule.format("I")).ok("port of etcd")
    gone: list[str] = []

    def cut() -> None:
        gone.append(moves.member(lab, first, "learner", second, third))
        faults.power_off(lab, gone[0])
        [other] = {second, third} - set(gone)
        lab.sh(other, rule.format("D")).ok("port of etcd")

    run = moves.run(lab, Moment("promote", first, cut))
    failed(run, f"{gone[0]} gives no sign of life any more; the other servers are voters", "run the same command")
    assert story.voters(lab) == [host for host in lab.servers if host not in gone]
    faults.power_on(lab, gone[0])
    recovered(lab, moves.run(lab))


def test_the_network_between_two_servers_is_cut(rke2: Lab) -> None:
    """Their power is not: who cannot be reached by the others is not taken for dead while SSH answers."""
    lab, (first, second, third) = rke2, rke2.servers
    moves.lose(lab, second)
    faults.partition(lab, third, first)
    run = moves.run(lab)
    failed(run, "All intact members run and still see no leader: they do not reach each other", "ports 2379 and 2380")
    assert run.folder and not (run.folder / "actions.jsonl").exists()
    faults.heal(lab, third)
    moves.until(lab, first, "curl -s 127.0.0.1:2381/health | grep -q '\"true\"'")
    recovered(lab, moves.run(lab))
