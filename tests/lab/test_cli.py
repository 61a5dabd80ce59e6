# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command in a terminal of 80x24 without colour: what it shows, how Ctrl-C ends it, and that it goes on."""

from __future__ import annotations

import json
import os
import re
import signal as signals
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pexpect
import pytest

from lab import drill, objects
from lab.labs import Lab
from lab.progress import wait_for
from tests.lab import story

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # a terminal is all that it is asked for
    from pexpect import ANSI

COMMAND = (sys.executable, "-m", "requorum.cli")
LAST = re.compile(r"Ctrl-C: end after the current action. Twice: at once.")


class Terminal:
    """`requorum` in a terminal of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        env = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80", "LINES": "24"}
        self.child = pexpect.spawn(COMMAND[0], [*COMMAND[1:], *words], dimensions=(24, 80), env=env, cwd=str(folder),
                                   encoding="utf-8", timeout=5)  # fmt: skip
        self.raw = ""
        self._screen = ANSI.ANSI(24, 80)

    def read(self) -> bool:
        """What it has written since then; False at its end."""
        try:
            text = self.child.read_nonblocking(4096, 0.2)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += text
        self._screen.write(text)
        return True

    @property
    def lines(self) -> list[str]:
        """What stands on the screen now."""
        return [line.rstrip() for line in str(self._screen).split("\n")]

    def until(self, words: str, seconds: float = 120) -> list[str]:
        """The screen on which a line holds these words."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            going = self.read()
            if any(words in line for line in self.lines):
                return self.lines
            assert going, f"it ended before {words!r}:\n" + "\n".join(self.lines)
        raise AssertionError(f"not within {seconds} s: {words!r}\n" + "\n".join(self.lines))

    def end(self, seconds: float = 180) -> int:
        """Its exit code."""
        deadline = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < deadline, "it does not end:\n" + "\n".join(self.lines)
        self.child.close()
        return int(self.child.exitstatus if self.child.exitstatus is not None else -self.child.signalstatus)


def playing(lab: Lab) -> list[str]:
    """Processes of ansible-playbook at work on this lab."""
    listed = subprocess.run(["ps", "-e", "-ww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if "ansible-playbook" in line and str(lab.inventory) in line]


def called(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`requorum` without a terminal."""
    return subprocess.run([*COMMAND, *words], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def test_a_recovery_in_a_terminal_is_stopped_between_two_actions_and_goes_on(rke2: Lab, tmp_path: Path) -> None:
    lab = rke2
    before = objects.objects(lab)
    drill.lose_quorum(lab)
    cluster = ("-i", str(lab.inventory))

    # Twice at once: while nothing was changed, once is enough.
    terminal = Terminal(tmp_path, "recover", *cluster, "--check")
    shown = terminal.until("(1/9) INSPECT")
    assert any(LAST.search(line) for line in terminal.until("Ctrl-C")), shown
    terminal.child.sendintr()
    assert terminal.end(30) == 130
    wait_for("nobody to play", lambda: (not playing(lab), str(playing(lab))), 20)

    terminal = Terminal(tmp_path, "recover", *cluster, "--confirm", lab.name)
    shown = terminal.until("(4/9) FENCE")
    assert re.search(r"  \d+:\d\d gone, \d+:\d\d expected, about \d+:\d\d left: done at \d\d:", "\n".join(shown))
    assert playing(lab)
    terminal.until("(5/9) RESET")
    terminal.child.sendintr()
    terminal.until("It ends after the current action.")
    assert terminal.end() == 1
    assert "\x1b[3" not in re.sub(r"\x1b\[3[JK]", "", terminal.raw), "a colour"
    [folder] = (tmp_path / "recoveries" / lab.name).glob("*/actions.jsonl")
    done = [json.loads(line) for line in folder.read_text("utf-8").splitlines()]
    assert "stopped on request before this began" in done[-1]["result"]
    assert {entry["result"].startswith("failed") for entry in done[:-1]} == {False}
    assert not playing(lab)

    status = called(tmp_path, "status", "--json")
    assert status.returncode == 4 and json.loads(status.stdout)["runs"][0]["outcome"] == "failed"
    run = called(tmp_path, "resume", "--json")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["verdict"]["outcome"] == "recovered"
    command, *lines = run.stderr.splitlines()
    assert command.startswith("requorum recover -i ")
    told = [json.loads(line) for line in lines]
    ended = [(event["phase"], event["node"], event["verb"]) for event in told
             if event["event"] == "action" and event["state"] == "done"]  # fmt: skip
    assert sorted(ended) == sorted((a["phase"], a["node"], a["verb"]) for a in report["actions"])
    assert {event["event"] for event in told} >= {"phase", "plan", "action", "wait", "finding", "node"}
    assert story.voters(lab) == lab.servers and objects.objects(lab) == before


def test_plain_lines_of_a_command_that_only_reads_are_none(rke2: Lab, tmp_path: Path) -> None:
    run = called(tmp_path, "inspect", "-i", str(rke2.inventory))
    assert run.returncode in (0, 4) and run.stderr == ""


@pytest.mark.parametrize("signal", ["TERM", "HUP"])
def test_signals(signal: str, rke2: Lab, tmp_path: Path) -> None:
    """SIGTERM ends it at once; a terminal that is gone does not."""
    words = [*COMMAND, "recover", "-i", str(rke2.inventory), "--check"]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        wait_for("it to play", lambda: (bool(playing(rke2)), "not yet"), 20)
        run.send_signal(getattr(signals, f"SIG{signal}"))
        out, _err = run.communicate(timeout=60)
    assert (run.returncode, bool(out)) == ((130, False) if signal == "TERM" else (0, True))
    wait_for("nobody to play", lambda: (not playing(rke2), str(playing(rke2))), 20)


def test_examples_of_the_python_api(
    rke2: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", Path("docs/python-api.md").read_text("utf-8"), re.M | re.S)
    assert len(examples) == 4
    (tmp_path / "prod.yml").symlink_to(rke2.inventory)
    monkeypatch.chdir(tmp_path)
    for example in examples:
        exec(compile(example, "docs/python-api.md", "exec"), {})
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("successful [] {}") and out[-1] == "successful"
    assert len(list((tmp_path / "recoveries" / rke2.name).glob("*/report.json"))) == 2
