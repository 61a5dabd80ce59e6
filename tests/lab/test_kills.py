# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A controller that is killed in the middle of a recovery, at other moments with each commit.

`make test-kills` has all of them.
"""

from __future__ import annotations

from lab import saved
from lab.labs import Lab
from lab.progress import say
from tests.lab import kills

COUNT = 1


def test_the_same_command_ends_what_a_killed_run_began(lab: Lab) -> None:
    seed = kills.seed_of_commit()
    place = kills.Range(lab)
    chosen = kills.sample(kills.every(place.actions), COUNT, seed)
    words = " ".join(f"--kill {kill.name}" for kill in chosen)
    say(f"seed {seed}; again: python -m tests.lab.kills --distro {lab.spec.distro} {words}")
    # What is kept of a lab is all of it: without these no recovery ends well, and with that one none looks the same.
    second = lab.servers[1]
    lab.sh(second, f"rm -r /etc/rancher/{lab.spec.distro}; echo >/etc/systemd/system/more.conf").ok("changes")
    saved.put_back(lab, kills.STATE)
    trials = [place.trial(kill) for kill in chosen]
    print(kills.summary(trials))
    assert [line for trial in trials for line in trial.wrong] == []
