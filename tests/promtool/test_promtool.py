# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""promtool itself on the file for Prometheus and on the alert rules."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _prometheus, _upkeep
from lab import binaries
from tests.unit.runs import HEALTHY, JSON, dead
from tests.unit.test_prometheus import RULES
from tests.unit.test_upkeep import GOOD, look, state

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def promtool() -> Path:
    return binaries.promtool()


def ask(promtool: Path, *argv: str, cwd: Path | None = None, given: str = "") -> tuple[int, str]:
    done = subprocess.run([promtool, *argv], cwd=cwd, input=given, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def odd() -> JSON:
    """Words that must be escaped."""
    given = state() | {"cluster": 'a "b" \\ c\nd'}
    given["nodes"][0]["certificates"][0]["path"] = '/x/server/tls/"\\\n.crt'
    return given


@pytest.mark.parametrize(
    "document",
    [
        look(state()),
        look(state(*HEALTHY["nodes"][:2], dead("r3")), None),
        look(odd()),
        _upkeep.failed("prod", "no way"),
    ],
    ids=["healthy", "unread", "odd", "failed"],
)
def test_metrics(promtool: Path, document: JSON) -> None:
    diagnosis = {"findings": [{"severity": "error"}], "not_checked": [{"rule": "a"}]}
    assert ask(promtool, "check", "metrics", given=_prometheus.text(document, diagnosis)) == (0, "")


def test_it_would_complain(promtool: Path) -> None:
    text = _prometheus.text(look(state(), GOOD))
    for old, new in (
        ("_db_size_bytes", "_db_size_mb"),
        ("# HELP requorum_up Whether the last look at the cluster has reached a server.\n", ""),
        ('requorum_up{cluster="prod"} 1', 'requorum_up{cluster="prod} 1'),
    ):
        assert old in text and ask(promtool, "check", "metrics", given=text.replace(old, new))[0] != 0


def test_rules(promtool: Path) -> None:
    code, said = ask(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert (code, "SUCCESS" in said) == (0, True), said


def test_what_alerts_say(promtool: Path, tmp_path: Path) -> None:
    shutil.copy(RULES, tmp_path)
    shutil.copy(HERE / "alerts.test.yml", tmp_path)
    code, said = ask(promtool, "test", "rules", "alerts.test.yml", cwd=tmp_path)
    assert code == 0, said
    broken = (tmp_path / RULES.name).read_text().replace("requorum_etcd_leader_changes >= 4", "requorum_up == 9")
    (tmp_path / RULES.name).write_text(broken)
    assert ask(promtool, "test", "rules", "alerts.test.yml", cwd=tmp_path)[0] != 0
