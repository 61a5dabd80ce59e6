# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wrong clock: it is named before any certificate is judged, and nothing is done until it is right."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lab import faults, fingerprint, spoil
from lab.drill import Run, confirm, playbook
from lab.labs import Lab
from tests.lab import story

ROTATE = "playbooks/rotate_certs.yml"
LEAF = "server/tls/client-scheduler.crt"
DAY = 86400


@contextmanager
def skewed(lab: Lab, host: str, seconds: float) -> Iterator[None]:
    faults.skew_clock(lab, host, seconds)
    try:
        yield
    finally:
        faults.heal(lab, host)


def names_the_clock(run: Run, host: str, days: int) -> bool:
    """Whether what is on the screen says how far off the clock of a host is, and what to do about it."""
    said = " ".join(run.out.split())
    return any(f"{host} is {days * DAY + late} s behind" in said for late in range(-30, 31)) and "Set the clock" in said


def test_a_wrong_clock_is_named_and_nothing_is_touched(k3s: Lab) -> None:
    """By the host's own clock its leaf is good for 25 days; by every other clock it ended 35 days ago."""
    lab, (_first, host, _third) = k3s, k3s.servers
    spoil.expire_certs(lab, host, LEAF)
    before = fingerprint.read(lab)
    with skewed(lab, host, -60 * DAY):
        assert "-60" in f"{(int(lab.sh(host, 'date +%s').out) - int(lab.sh(lab.servers[0], 'date +%s').out)) / DAY:.0f}"
        for words in (("--check",), confirm(lab)):
            run = playbook(lab, ROTATE, *words)
            assert story.outcome(run) == "refused" and run.rc != 0
            assert story.verbs(run) == []
            assert names_the_clock(run, host, 60)
            (refusal,) = story.plan(run)["refusals"]
            assert refusal["what"].startswith(f"The clocks differ: by the controller's {host} is")
        # curl there takes etcd's certificate for one that is not valid yet, so the member looks as if it were lost.
        run = playbook(lab, "recover.yml", *confirm(lab))
        assert story.outcome(run) == "refused" and run.rc != 0
        assert names_the_clock(run, host, 60)
        assert run.folder and not (run.folder / "actions.jsonl").exists()
        look = playbook(lab, "playbooks/inspect.yml")
        assert f"The clock of {host} is" in " ".join(look.out.split()), look.out
    assert story.touched(lab, before, quiet=[]) == []
    assert [line for line in story.touched(lab, before) if f" unit {lab.spec.unit(host)}" in line] == []

    run = playbook(lab, ROTATE, *confirm(lab))
    assert story.outcome(run) == "done"
    assert {verb.split()[0] for verb in story.verbs(run) if verb.endswith(" renew")} == {host}
    assert story.plan(run)["renew"][host]["files"] == [LEAF]
    assert story.voters(lab) == lab.servers
