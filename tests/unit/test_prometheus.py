# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file for Prometheus, read back strictly; tests/oracle/test_promtool.py asks promtool itself."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _prometheus, _upkeep
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._upkeep import Backups
from tests.unit.test_upkeep import GOOD, HEALTHY, HOUR, JSON, NOW, SLOW, TODAY, dead, hit, kept, look, old_etcd, state

RULES = Path(__file__).resolve().parents[2] / "docs" / "monitoring" / "requorum.rules.yml"
SAMPLE = re.compile(r'([a-z][a-z0-9_]*)\{((?:[a-z]+="(?:[^"\\\n]|\\[\\n"])*",?)*)\} (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)')
LABEL = re.compile(r'([a-z]+)="((?:[^"\\\n]|\\[\\n"])*)"')
Samples = dict[str, dict[frozenset[tuple[str, str]], float]]


def read(text: str) -> Samples:
    """What a strict reader of the format takes: HELP, TYPE, then all samples of one name, none of them twice."""
    assert text.endswith("\n")
    found: Samples = {}
    lines = iter(text.split("\n")[:-1])
    name, ready = "", False
    for line in lines:
        if line.startswith("# HELP "):
            _mark, _help, name, told = line.split(" ", 3)
            assert name not in found and told and "\\" not in told
            assert next(lines) == f"# TYPE {name} gauge"
            # Lints of promtool: base units at the end, `_total` for counters only, parts of other types for nobody.
            assert not re.search(r"_(total|count|sum|bucket|info|ms|minutes|hours|days|kb|mb|percent)$", name)
            assert not re.search(r"(bytes|seconds)_.", name) and "gauge" not in name
            found[name] = {}
            ready = True
            continue
        match = SAMPLE.fullmatch(line)
        assert ready and match and match[1] == name, line
        pairs = [(key, _plain(word)) for key, word in LABEL.findall(match[2])]
        assert len(dict(pairs)) == len(pairs) and pairs[0][0] == "cluster"
        key = frozenset(pairs)
        assert key not in found[name], line
        found[name][key] = float(match[3])
    assert all(found.values())
    return found


def _plain(word: str) -> str:
    return re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], word)


def values(document: JSON, diagnosis: JSON | None = None) -> Samples:
    return read(_prometheus.text(document, diagnosis))


def one(samples: Samples, name: str, /, **labels: str) -> float | None:
    """The value of one sample; None where there is none."""
    return samples.get(name, {}).get(frozenset({"cluster": "prod", **labels}.items()))


def test_a_healthy_cluster() -> None:
    found = values(look(state(hits=[hit(SLOW, *[TODAY] * 2)])))
    assert set(found) == set(_prometheus.HELP) - {"requorum_rules_not_checked", "requorum_unread", "requorum_case"}
    leaf = {"name": "server/tls/serving-kube-apiserver.crt", "authority": "false"}
    for name, labels, value in (
        ("requorum_up", {}, 1),
        ("requorum_collect_timestamp_seconds", {}, NOW),
        ("requorum_node_up", {"node": "r2"}, 1),
        ("requorum_node_clock_skew_seconds", {"node": "r2"}, HEALTHY["nodes"][1]["clock_skew"]),
        ("requorum_certificate_expiry_timestamp_seconds", {"node": "r1", **leaf}, 1827090055),
        ("requorum_etcd_healthy", {"node": "r1"}, 1),
        ("requorum_etcd_leader", {"node": "r1"}, 1),
        ("requorum_etcd_leader", {"node": "r2"}, 0),
        ("requorum_etcd_alarm", {"node": "r1", "alarm": "NOSPACE"}, 0),
        ("requorum_etcd_db_size_bytes", {"node": "r1"}, 1986560),
        ("requorum_etcd_db_in_use_bytes", {"node": "r1"}, 1986560),
        ("requorum_etcd_db_quota_bytes", {"node": "r1"}, 2147483648),
        ("requorum_etcd_slow_fsyncs", {"node": "r1"}, 2),
        ("requorum_etcd_leader_changes", {"node": "r1"}, 0),
        ("requorum_etcd_log_window_seconds", {"node": "r1"}, 6 * HOUR),
        ("requorum_backup_timestamp_seconds", {}, NOW - 3 * HOUR),
        ("requorum_backup_revision", {}, 1400),
        ("requorum_backups", {"proved": "true"}, 1),
        ("requorum_backups", {"proved": "false"}, 0),
        ("requorum_snapshot_timestamp_seconds", {"node": "r3"}, 1795511546),
        ("requorum_findings", {"check": "upkeep", "severity": "error"}, 0),
    ):
        assert one(found, name, **labels) == value, name


def test_an_unknown_gives_no_sample() -> None:
    given = state(*HEALTHY["nodes"][:2], dead("r3"))
    old_etcd(given["nodes"][1])
    given["nodes"][0]["certificates"][0]["ends"] = None
    found = values(look(given))
    silent = {name for name, samples in found.items() if any(("node", "r3") in key for key in samples)}
    logs = {"requorum_etcd_slow_fsyncs", "requorum_etcd_leader_changes", "requorum_etcd_log_window_seconds"}
    assert silent == {"requorum_node_up", "requorum_unread"} | logs
    assert one(found, "requorum_node_up", node="r3") == 0
    assert one(found, "requorum_etcd_db_quota_bytes", node="r2") is None
    assert one(found, "requorum_unread", node="r2", what="etcd.quota", optional="true") == 1
    assert one(found, "requorum_unread", node="r3", what="etcd.health", optional="false") == 1
    assert len(found["requorum_certificate_expiry_timestamp_seconds"]) == 5


@pytest.mark.parametrize(
    ("backups", "made", "proved"),
    [
        (Backups((kept(2 * HOUR),)), NOW - 2 * HOUR, 1),
        (Backups(), None, 0),
        (Backups((kept(HOUR, proved=False),)), None, 0),
        (Backups((kept(HOUR, off=False),)), None, 1),
        (Backups((kept(HOUR),), {"s3": "no answer"}), None, None),
        (None, None, None),
    ],
)
def test_the_newest_backup(backups: Backups | None, made: int | None, proved: int | None) -> None:
    found = values(look(state(), backups))
    assert one(found, "requorum_backup_timestamp_seconds") == made
    assert one(found, "requorum_backups", proved="true") == proved
    assert ("requorum_unread" in found) == (proved is None)


def test_a_part_that_was_not_asked_for_gives_no_sample() -> None:
    found = values(look(state(), parts=["certificates"]))
    assert not [name for name in found if name.startswith(("requorum_etcd", "requorum_backup", "requorum_snapshot"))]


def test_a_cluster_of_which_only_agents_answer_is_not_up() -> None:
    agent = HEALTHY["nodes"][2] | {"role": "agent"}
    assert one(values(look(state(dead("r1"), agent))), "requorum_up") == 0


def test_a_look_that_failed_gives_its_time_only() -> None:
    found = values(_upkeep.failed("prod", "ssh: no route to host"))
    assert set(found) == {"requorum_up", "requorum_collect_timestamp_seconds", "requorum_unread"}
    assert (one(found, "requorum_up"), one(found, "requorum_unread", node="", what="*", optional="false")) == (0, 1)


def test_what_the_rules_of_a_diagnosis_have_found() -> None:
    diagnosis = {
        "findings": [{"severity": "error"}, {"severity": "error"}, {"severity": "blocker"}],
        "not_checked": [{"rule": "a"}, {"rule": "a"}, {"rule": "b"}],
    }
    found = values(look(state(), Backups()), diagnosis)
    assert one(found, "requorum_findings", check="rules", severity="error") == 2
    assert one(found, "requorum_findings", check="rules", severity="info") == 0
    assert one(found, "requorum_findings", check="upkeep", severity="error") == 1
    assert one(found, "requorum_rules_not_checked") == 2


@pytest.mark.parametrize(
    ("word", "escaped"),
    [
        ('a"b', r"a\"b"),
        ("a\\b", r"a\\b"),
        ("a\nb", r"a\nb"),
        ('\\"\n', r"\\\"\n"),
        ("Prüfung {x}, y=", "Prüfung {x}, y="),
    ],
)
def test_words_are_escaped(word: str, escaped: str) -> None:
    given = state() | {"cluster": word}
    given["nodes"][0]["name"] = word
    text = _prometheus.text(look(given))
    assert f'requorum_node_up{{cluster="{escaped}",node="{escaped}"}} 1\n' in text
    assert frozenset({("cluster", word), ("node", word)}) in read(text)["requorum_node_up"]


def test_it_is_the_same_file_each_time() -> None:
    assert _prometheus.text(look(state(*reversed(HEALTHY["nodes"])))) == _prometheus.text(look(state()))


def test_written_for_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "requorum-prod.prom"
    before = os.umask(0o077)
    try:
        _prometheus.write(str(path), "one 1\n")
        _prometheus.write(str(path), "two 2\n")
    finally:
        os.umask(before)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("two 2\n", 0o644)
    assert os.listdir(tmp_path) == [path.name]


def test_no_reader_sees_a_half(tmp_path: Path) -> None:
    path = tmp_path / "requorum.prom"
    contents = {"a" * 200_000, "b" * 200_000}
    _prometheus.write(str(path), "a" * 200_000)
    end, seen = threading.Event(), set[str]()

    def watch() -> None:
        while not end.is_set():
            seen.add(path.read_text())
            assert not [name for name in os.listdir(tmp_path) if name.endswith(".prom") and name != path.name]

    reader = threading.Thread(target=watch)
    reader.start()
    for _turn in range(25):
        for content in sorted(contents):
            _prometheus.write(str(path), content)
    end.set()
    reader.join()
    assert seen and seen <= contents


def test_what_was_there_stays_when_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "requorum.prom"
    path.write_text("old 1\n")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RequorumError, match=r"requorum\.prom cannot be written: No space left on device\. Name a file"):
        _prometheus.write(str(path), "new 1\n")
    assert (path.read_text(), os.listdir(tmp_path)) == ("old 1\n", [path.name])
    with pytest.raises(RequorumError, match="No such file or directory"):
        _prometheus.write(str(tmp_path / "none" / "requorum.prom"), "new 1\n")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def test_alerts_ask_for_what_is_written() -> None:
    """With the labels that it has; and each metric that can be wrong has its alert."""
    nothing: JSON = {"findings": [], "not_checked": []}
    samples = {**values(look(state(dead("r3")), None)), **values(look(state(), GOOD), nothing)}
    labels = {name: {key for pairs in found for key, _word in pairs} for name, found in samples.items()}
    asked = set[str]()
    for rule in rules():
        for name, braces in re.findall(r"(requorum_\w+)(?:\{([^}]*)\})?", rule["expr"]):
            asked.add(name)
            assert set(re.findall(r'(\w+)\s*[=!]~?\s*"', braces)) <= labels[name], rule["alert"]
    only_shown = {"requorum_etcd_leader", "requorum_etcd_log_window_seconds", "requorum_backup_revision",
                  "requorum_snapshot_timestamp_seconds", "requorum_rules_not_checked", "requorum_case"}  # fmt: skip
    assert set(_prometheus.HELP) - asked == only_shown


def test_every_alert_says_what_to_do() -> None:
    manual = (RULES.parent / "README.md").read_text()
    heads = re.findall(r"(?m)^#+ (.+)$", manual)
    anchors = {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}
    for rule in rules():
        notes = rule["annotations"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info"), rule["alert"]
        assert notes["summary"] and notes["description"], rule["alert"]
        page, _hash, anchor = notes["runbook_url"].partition("#")
        assert page.endswith("/docs/monitoring/README.md") and anchor in anchors, notes["runbook_url"]


@pytest.mark.parametrize(
    ("said", "code", "status"),
    [
        ("OK: prod: all is well.\n\nCERTIFICATES", 0, 0),
        ("OK: prod: 2 warnings. Certificates of r1", 0, 1),
        ("OK: prod: all is well. 2 warnings", 0, 0),
        ("WRONG: prod: 1 error", 4, 2),
        ("NOT READ: prod: 1 not read.", 1, 3),
        ("requorum: usage", 2, 3),
        ("", 127, 3),
    ],
)
def test_exit_codes_of_nagios(said: str, code: int, status: int, tmp_path: Path) -> None:
    program = tmp_path / "requorum"
    program.write_text(f"#!/bin/sh\n[ \"$*\" = 'inspect -i a --etcd' ] || exit 99\nprintf '%s' '{said}'\nexit {code}\n")
    program.chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    argv = [str(RULES.parent / "check_requorum.sh"), "-i", "a", "--etcd"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout.strip()) == (status, said or f"requorum said nothing, exit code {code}")
