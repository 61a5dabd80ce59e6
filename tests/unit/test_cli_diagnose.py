# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`requorum diagnose`: from what was read of a bundle to its faces and its exit code."""

from __future__ import annotations

import copy
import io
import json
import stat
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _rules
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from requorum import archive, bundles, cli, output
from tests.bundles import support
from tests.bundles.story import story
from tests.unit import diagnoses, pages, runs
from tests.unit.test_diagnosis import problems

JSON = dict[str, Any]
LOST = (b'{"level":"info","ts":"2026-11-24T20:14:00.000000Z","msg":"raft.node: 91bc3c398fb3c146 lost leader '
        b'8211f1d0f64f3269 at term 3"}\n')  # fmt: skip


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> JSON:
    """What a bundle gives; `paths` is what was asked for."""
    seen: JSON = {"nodes": runs.HEALTHY["nodes"], "logs": [], "error": None}

    def reader(paths: list[Path], cluster: str) -> bundles.Source:
        seen.update(paths=paths, cluster=cluster)
        if seen["error"]:
            raise RequorumError(seen["error"], "Give another one.")
        state = diagnoses.state(*copy.deepcopy(seen["nodes"]))
        state["source"] = {"kind": "support_bundle", "name": "b.zip", "created": diagnoses.NOW, "unread": []}
        logs = [(node, source, file, [text]) for node, source, file, text in seen["logs"]]
        return bundles.Source(state, lambda: logs, archive.Notes(unread={"a.zip/x": "it is cut off"}))

    monkeypatch.setattr(bundles, "read", reader)
    monkeypatch.setattr(_rules, "OURS", diagnoses.FOLDER)
    return seen


def test_a_healthy_one(read: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    read["logs"] = [(name, "etcd", "etcd.log", b"nothing\n") for name in ("r1", "r2", "r3")]
    assert cli.main(["diagnose", "a.zip", "b.zip"]) == 0
    out = capsys.readouterr().out
    assert read["paths"] == [Path("a.zip"), Path("b.zip")] and read["cluster"] == ""
    assert out.startswith("NOTHING IS WRONG: prod (RKE2 v1.34.3+rke2r1)\nb.zip, seen until 2026-11-24T20:15:00Z\n")
    assert "a.zip/x      it is cut off\n" in out and "NEXT" not in out


def test_lines_of_logs_are_evidence(read: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    read["logs"] = [(name, "etcd", "etcd.log", LOST if name == "r2" else b"\n") for name in ("r1", "r2", "r3")]
    assert cli.main(["diagnose", "a.zip", "--json"]) == 0  # a warning
    document = json.loads(capsys.readouterr().out)
    (finding,) = document["findings"]
    assert (finding["id"], finding["node"], document["verdict"]["severity"]) == ("etcd_lost_leader", "r2", "warning")
    assert finding["evidence"][0].startswith("r2 etcd.log:1 2026-11-24T20:14:00")


def test_an_error_ends_with_4_and_writes_its_faces(
    read: JSON, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read["nodes"] = runs.DRILL["nodes"]
    page, junit = tmp_path / "d.html", tmp_path / "d.xml"
    page.write_text("old")
    assert cli.main(["diagnose", "a.zip", "--html", str(page), "--junit", str(junit)]) == 4
    assert "etcd on r1 runs and sees no leader." in page.read_text()
    assert ElementTree.parse(junit).getroot().attrib["failures"] == "2"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600 and sorted(tmp_path.iterdir()) == [page, junit]
    assert capsys.readouterr().out.endswith("NEXT\n  ansible-playbook recover.yml -i INV --check\n")


def test_all_lists_what_could_not_be_checked(read: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diagnose", "a.zip"]) == 0
    assert "etcd_lost_leader" not in capsys.readouterr().out
    assert cli.main(["diagnose", "a.zip", "--all"]) == 0
    assert "etcd_lost_leader" in capsys.readouterr().out


def test_one_in_which_no_rule_has_an_answer(
    read: JSON, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_rules, "load", lambda *_folders: diagnoses.RULES[5:6])
    read["nodes"] = [runs.dead("r1")]
    assert cli.main(["diagnose", "a.zip"]) == 1
    assert capsys.readouterr().out.startswith("NOT KNOWN: prod")


def test_one_that_cannot_be_read(read: JSON, capsys: pytest.CaptureFixture[str]) -> None:
    read["error"] = "a.zip is not a zip"
    assert cli.main(["diagnose", "a.zip"]) == 1
    assert "requorum: a.zip is not a zip" in capsys.readouterr().err


def test_a_face_that_cannot_be_written(read: JSON, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["diagnose", "a.zip", "--html", f"{tmp_path}/no/d.html"]) == 1
    assert f"{tmp_path}/no" in capsys.readouterr().err


def test_rules_of_a_site(read: JSON, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.yaml").write_text("[{id: x}]")
    assert cli.main(["diagnose", "a.zip", "--rules", str(tmp_path)]) == 1
    assert "bad.yaml" in capsys.readouterr().err


def test_on_a_terminal_severity_has_its_colour(read: JSON, monkeypatch: pytest.MonkeyPatch) -> None:
    read["nodes"] = runs.DRILL["nodes"]

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    arguments = cli.parser().parse_args(["diagnose", "a.zip"])
    output.write(arguments.run(arguments), as_json=False, out=screen)
    assert "\x1b[1;31mblocker" in screen.getvalue()


def test_a_terminal_shows_which_log_is_read(
    read: JSON, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    read["logs"] = [("r1", "etcd", "logs/\x1betcd.log", b"nothing\n")]
    assert cli.main(["diagnose", "a.zip"]) == 0
    shown = capsys.readouterr().err
    assert "a.zip ..." in shown and "logs/\\x1betcd.log" in shown and shown.endswith("\r\033[K")


def test_the_story_from_the_bundle_to_its_faces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = support.write(story(), tmp_path / "bundle.zip")
    page, junit = tmp_path / "d.html", tmp_path / "d.xml"
    words = ["diagnose", str(bundle), "--html", str(page), "--junit", str(junit)]
    assert cli.main(words) == 4
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if len(line) > 80 and "/" not in line] == []  # paths stay whole
    assert "NEXT\n  requorum purge-orphans -i INV --leftovers --check\n" in out
    assert cli.main([*words, "--json"]) == 4
    document = json.loads(capsys.readouterr().out)
    assert problems(document) == []
    assert document["findings"][0]["id"] == "upgrade_restarted"
    assert {node["name"]: node["components"]["upgrade"]["words"] for node in document["nodes"]} == {
        "n1": "Succeeded", "n2": "Images preloaded", "n3": "Images preloaded",
    }  # fmt: skip
    assert document["verdict"]["sentence"] in pages.Page(page.read_text()).text
    cases = {case.attrib["name"]: case for case in ElementTree.parse(junit).iter("testcase")}
    assert cases["upgrade_restarted"].find("failure") is not None
    assert cases["etcd_defragments"].find("failure") is None
