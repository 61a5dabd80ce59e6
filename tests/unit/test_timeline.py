# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timeline: what is masked, what becomes a bar, and the callback under the ansible-core that is installed."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.requorum.cluster.plugins.module_utils import _timeline

ROOT = Path(__file__).resolve().parents[2]
HASH = "1074936edf087fee40e83659efe2bd5f1850597e5bfdd085c95ecfb022eded63"
KEYS = ["t", "event", "phase", "phase_name", "node", "task", "status", "seconds", "message"]


@pytest.mark.parametrize(("text", "masked"), [
    (f"wrote K10{HASH}::server:sekret123 to disk", "wrote <hidden> to disk"),
    (f"K10{HASH}", "<hidden>"),
    ("token: sekret123\nnode-ip: 10.89.0.21", "token: <hidden>\nnode-ip: 10.89.0.21"),
    ('{"token":"sekret,123","a":1}', '{"token":<hidden>,"a":1}'),
    (r'{\"token\":\"sekret123\",\"a\":1}', r'{\"token\":<hidden>,\"a\":1}'),
    ("--token 'sekret 123' --debug", "--token <hidden> --debug"),
    ("agent-token: 'sekret 123'", "agent-token: <hidden>"),
    ("rke2 server --token sekret123 --cluster-reset", "rke2 server --token <hidden> --cluster-reset"),
    ("RKE2_TOKEN=sekret123 rke2 server", "RKE2_TOKEN=<hidden> rke2 server"),
    ("--etcd-s3-secret-key=sekret123", "--etcd-s3-secret-key=<hidden>"),
    ("etcd-s3-access-key: sekret123", "etcd-s3-access-key: <hidden>"),
    ("    client-key-data: LS0tLS1CRUdJTiBFQw==", "    client-key-data: <hidden>"),
    ("certificate-authority-data: Zm9vYmFy", "certificate-authority-data: <hidden>"),
    ("before -----BEGIN EC PRIVATE KEY-----\nMHcCAQ\n-----END EC PRIVATE KEY----- after", "before <hidden> after"),
    ("-----BEGIN PRIVATE KEY-----\nMHcCAQ torn off", "<hidden>"),
    ("Authorization: Bearer abc.def-123", "Authorization: Bearer <hidden>"),
    ("jwt eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJl.c2ln", "jwt <hidden>"),
    ("https://node:sekret123@10.89.0.21:9345/v1", "https://<hidden>@10.89.0.21:9345/v1"),
    ("LS0tLS1CRUdJTiBFQyBQUklWQVRFIEtFWS0tLS0t", "<hidden>"),
    ('{"accessKeyId":"me","secretAccessKey":"sekret123"}', '{"accessKeyId":<hidden>,"secretAccessKey":<hidden>}'),
    ("Cookie: R_SESS=token-x7k2p:bcdfghjklmnpqrstvwxz2456789bcdfghjk", "Cookie: R_SESS=token-x7k2p:<hidden>"),
    ("requorum_token_file=/root/token", "requorum_token_file=/root/token"),
    ("the token of r1 is another one than r2's", "the token of r1 is another one than r2's"),
    ("AWS_ACCESS_KEY_ID=sekret123 AWS_SECRET_ACCESS_KEY=sekret123",
     "AWS_ACCESS_KEY_ID=<hidden> AWS_SECRET_ACCESS_KEY=<hidden>"),
    ('{"accessKeyId":"sekret123","secretAccessKey":"sekret123"}',
     '{"accessKeyId":<hidden>,"secretAccessKey":<hidden>}'),
    ("key AKIAIOSFODNN7EXAMPLE of", "key <hidden> of"),
    (r'{"password":"sek\"ret\nsekret123","a":1}', '{"password":<hidden>,"a":1}'),
    (r'{\"password\":\"sek\\nsekret123\",\"a\":1}', r'{\"password\":<hidden>,\"a\":1}'),
    ('password := "sekret123"', "password := <hidden>"),
    ("rootPassword: |\n  sekret123\n  sekret\nnext: 1", "rootPassword: <hidden>\nnext: 1"),
    ('{"name":"DB_PASSWORD","value":"sekret123"}', '{"name":"DB_PASSWORD","value":<hidden>}'),
    ("- name: s3-secret-key\n  value: sekret123\n", "- name: s3-secret-key\n  value: <hidden>\n"),
    ("userData: |\n  #cloud-config\n  users: [{name: a, lock: sekret123}]\nnext: 1", "userData: <hidden>\nnext: 1"),
    (r'{"userData":"#cloud-config\nruncmd: [sekret123]\n","a":1}', '{"userData":<hidden>,"a":1}'),
    ("userDataBase64: sekret123=", "userDataBase64: <hidden>"),
    (r'got "#cloud-config\nruncmd: [\"sekret123\"]" there', 'got "#cloud-config <hidden>" there'),
    ("#cloud-config\nruncmd:\n- sekret123\n2024-09-10T08:00:00Z on", "#cloud-config <hidden>\n2024-09-10T08:00:00Z on"),
    ("chpasswd:\n  list: |\n    root:sekret123\nnext: 1", "chpasswd: <hidden>\nnext: 1"),
    ("chpasswd: {list: ['root:sekret123']}", "chpasswd: <hidden>"),
    ("root:$6$rounds=4096$sekretsalt$sekret/hash.:19000", "root:<hidden>:19000"),
    ("authorization: Basic c2VrcmV0", "authorization: Basic <hidden>"),
    ("kubeconfig-user-x7k2p:4bcdfghjklmnpqrstvwxz2456789bcdfghjklm", "kubeconfig-user-x7k2p:<hidden>"),
    ("data YXBpVmVyc2lvbjogdjEKa2luZDogQ29uZmlnCg== end", "data <hidden> end"),
    ("data I2Nsb3VkLWNvbmZpZwpydW5jbWQ6IFtdCg== end", "data <hidden> end"),
    ("password authentication failed for user admin", "password authentication failed for user admin"),
    ('secret "rke2-serving" not found; userData has 3 lines', 'secret "rke2-serving" not found; userData has 3 lines'),
    ("secret fleet-local/custom-n1-machine-plan: not found", "secret fleet-local/custom-n1-machine-plan: not found"),
    ("basic authentication is off, tokenreviews denied", "basic authentication is off, tokenreviews denied"),
    (f"sha256 {HASH} of /var/lib/rancher/rke2/server/db/snapshots/on-demand-r1",
     f"sha256 {HASH} of /var/lib/rancher/rke2/server/db/snapshots/on-demand-r1"),
])
def test_mask(text: str, masked: str) -> None:
    assert _timeline.mask(text) == masked
    assert "sekret" not in masked


def test_mask_all_keeps_the_shape() -> None:
    assert _timeline.mask_all({"a": [1, None, True, "token: x"], "b": ("password=x",)}) == {
        "a": [1, None, True, "token: <hidden>"], "b": ["password=<hidden>"]}


@pytest.mark.parametrize(("play", "phase"), [
    ("(3/9) BACKUP | Save and prove", (3, "BACKUP")),
    ("(9/9) VERIFY", (9, "VERIFY")),
    ("Write the report", (None, None)),
    ("(3/9) backup", (None, None)),
    ("(4/4) KEEP | Let old backups go", (None, None)),
])
def test_phase_of(play: str, phase: tuple[int | None, str | None]) -> None:
    assert _timeline.phase_of(play) == phase


def test_read_leaves_out_a_torn_line() -> None:
    good = _timeline.make("play", "2026-11-24T02:14:07.000Z", 1)
    assert _timeline.read(_timeline.line(good) + "[]\n" + _timeline.line(good)[:30]) == [good]


def test_message_is_cut() -> None:
    assert len(_timeline.make("result", "2026-11-24T02:14:07.000Z", message="x" * 5000)["message"]) == 1000


def at(seconds: float) -> str:
    return f"2026-11-24T02:14:{seconds:06.3f}Z"


def result(seconds: float, node: str, task: str, took: float, status: str = "ok", phase: int = 3) -> dict[str, Any]:
    return _timeline.make("result", at(seconds), phase, node=node, task=task, status=status, seconds=took)


@pytest.mark.parametrize(("data", "number"), [
    ({}, 0), ({"requorum_trips": 3}, 3), ({"requorum_trips": "3"}, 0),
    ({"requorum_trips": 1, "results": [{"requorum_trips": 2}, {}, "skipped"]}, 3)])
def test_calls_to_nodes_are_counted(data: dict[str, Any], number: int) -> None:
    assert _timeline.trips(data) == number


def test_phases_last_until_the_next_play_and_add_up() -> None:
    events = [_timeline.make("run_start", at(0)), _timeline.make("play", at(1), 1), _timeline.make("play", at(3), 2),
              _timeline.make("play", at(4), 1), _timeline.make("play", at(4.5)), _timeline.make("stats", at(6))]
    assert _timeline.phases(events) == [
        {"number": 1, "name": "INSPECT", "started": at(1), "ended": at(4.5), "seconds": 2.5, "trips": 0,
         "waited": 0.0},
        {"number": 2, "name": "PLAN", "started": at(3), "ended": at(4), "seconds": 1.0, "trips": 0, "waited": 0.0}]


def test_the_schema_of_the_report_knows_what_is_told_of_a_phase() -> None:
    schema = json.loads((ROOT / "docs/report.schema.json").read_text("utf-8"))
    [phase] = _timeline.phases([_timeline.make("play", at(1), 5), _timeline.make("stats", at(2))])
    assert set(phase) <= set(schema["properties"]["phases"]["items"]["properties"])


def test_phase_of_a_run_that_was_killed_ends_with_its_last_event() -> None:
    ended = [result(seconds, "r1", "reset", 1.0, phase=5) | {"trips": number} for seconds, number in ((5, 2), (9, 3))]
    assert _timeline.phases([_timeline.make("play", at(1), 5), *ended]) == [
        {"number": 5, "name": "RESET", "started": at(1), "ended": at(9), "seconds": 8.0, "trips": 5, "waited": 0.0}]
    assert _timeline.phases([]) == []


def test_what_hosts_wait_for_side_by_side_counts_once() -> None:
    def wait(began: float, ended: float, phase: int = 7) -> _timeline.Event:
        span = {"started": at(began), "ended": at(ended)}
        return _timeline.make("wait", at(ended), phase, node="r1", status="changed", **span)

    waits = [wait(2, 4), wait(2.5, 3), wait(3.5, 6), wait(7, 8), wait(8, 8.5, phase=8)]
    events = [_timeline.make("play", at(1), 7), *waits[:4], _timeline.make("play", at(8), 8), waits[4],
              _timeline.make("stats", at(9))]
    assert [(phase["number"], phase["waited"]) for phase in _timeline.phases(events)] == [(7, 5.0), (8, 0.5)]


def test_spans_are_actions_waits_and_long_or_failed_tasks() -> None:
    action = {"id": "3.1", "node": "r1", "what": "Save", "started": at(1), "ended": at(4), "result": "done"}
    wait = {"what": "etcd is gone", "last": "pid 12", "started": at(2), "ended": at(3)}
    events = [
        result(0.9, "r1", "short", 0.2), result(1, "r2", "dead", 0.4, "unreachable"),
        *_timeline.reported({"requorum_actions": [action], "requorum_waits": [wait]}, at(4.1), 3, "r1", "save"),
        result(4.1, "r1", "save", 3.5), result(9, "r3", "long", 4.0, "changed"),
        result(9.5, "r3", "not run", 4.0, "skipped")]
    assert [(span["node"], span["started"], span["ended"], span["what"], span["status"])
            for span in _timeline.spans(events)] == [
        ("r2", at(0.6), at(1), "dead", "unreachable"), ("r1", at(1), at(4), "Save", "changed"),
        ("r1", at(2), at(3), "etcd is gone: pid 12", "waited"), ("r3", at(5), at(9), "long", "changed")]


def test_reported_reads_loops_and_ignores_what_is_no_report() -> None:
    data = {"results": [{"requorum_actions": [{"id": "7.1", "phase": 7, "seconds": 2, "result": "failed: late"}, "x"]},
                        "y", {"requorum_waits": None}]}
    events = list(_timeline.reported(data, at(5), 6, "r1", "join"))
    assert [(event["phase"], event["phase_name"], event["node"], event["status"], event["message"], event["result"])
            for event in events] == [(7, "REJOIN", "r1", "failed", "7.1", "failed: late")]
    assert _timeline.spans(events)[0]["started"] == at(3)


def test_what_check_mode_would_do_is_no_bar() -> None:
    planned = {"id": "5.1", "started": None, "ended": None, "seconds": None, "result": "would be done"}
    events = list(_timeline.reported({"requorum_actions": [planned]}, at(5), 5, "r1", "reset"))
    assert [event["status"] for event in events] == ["skipped"]
    assert _timeline.spans(events) == []


@pytest.mark.parametrize(("given", "kept"), [
    ("2026-11-24T03:14:07+01:00", "2026-11-24T02:14:07.000Z"),
    ("2026-11-24T03:14:07", None), ("soon", None), (12, None)])
def test_reported_moments_are_utc_or_left_out(given: Any, kept: str | None) -> None:
    [event] = _timeline.reported({"requorum_actions": [{"id": "7.1", "started": given}]}, at(5), 7, "r1", "join")
    assert event["started"] == kept
    assert _timeline.spans([event])


# --- the callback in a real run ---

PLAYBOOK = """
- name: "(1/9) INSPECT | Read"
  hosts: all
  gather_facts: false
  tasks:
    - name: Read {{ inventory_hostname }}
      ansible.builtin.raw: "true"
      changed_when: false
    - name: Name the folder
      ansible.builtin.set_fact:
        requorum_run_dir: "{{ run_dir }}"
      run_once: true
      delegate_to: localhost
- name: "(5/9) RESET | Act"
  hosts: here
  gather_facts: false
  tasks:
    - name: Act
      act:
        given: sekret-argument
      loop: [1]
    - name: Hide
      act:
        given: sekret-hidden
        fail: sekret-no-log
      no_log: true
      ignore_errors: true
    - name: Skip
      ansible.builtin.raw: "true"
      when: false
    - name: Fail
      ansible.builtin.fail:
        msg: "refused, token: sekret-message"
"""
MODULE = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"given": {"type": "str"}, "fail": {"type": "str"}})
if module.params["fail"]:
    module.fail_json(msg=module.params["fail"])
module.exit_json(changed=True, stdout="sekret-result", requorum_actions=[{
    "id": "5.1", "phase": 5, "node": "here", "verb": "reset", "what": "Reset with token=sekret-what",
    "started": "2026-11-24T02:14:01.000Z", "ended": "2026-11-24T02:14:04.500Z", "seconds": 3.5, "result": "done",
    "secret": "sekret-key"}],
    requorum_waits=[{"what": "the leader", "last": "none yet", "seconds": 1.5}])
"""


def play(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "library").mkdir()
    (folder / "library" / "act.py").write_text(MODULE)
    (folder / "play.yml").write_text(PLAYBOOK)
    (folder / "ansible.cfg").touch()
    (folder / "hosts.ini").write_text("here ansible_connection=local\n"
                                      "gone ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1\n")
    own = {"ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
           "ANSIBLE_CALLBACKS_ENABLED": "requorum.cluster.timeline", "ANSIBLE_HOME": str(folder / "home"),
           "ANSIBLE_PYTHON_INTERPRETER": sys.executable, "ANSIBLE_NOCOLOR": "1", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, "-m", "ansible", "playbook", "-i", "hosts.ini", "play.yml", *options], cwd=folder,
        env={key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "REQUORUM_"))}
        | own | environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("timeline")
    (folder / "run").mkdir()
    done = play(folder, "-e", f"run_dir={folder}/run")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "Callback dispatch" not in done.stderr and "WARNING" not in done.stderr, done.stderr
    return folder / "run" / "timeline.jsonl", done.stdout


def test_callback_writes_every_event_in_order(recorded: tuple[Path, str]) -> None:
    events = [json.loads(row) for row in recorded[0].read_text().splitlines()]
    assert all(list(event)[:len(KEYS)] == KEYS for event in events)
    assert [event["t"] for event in events] == sorted(event["t"] for event in events)
    assert events[0]["event"] == "run_start" and events[0]["message"] == "play.yml"
    seen = [(event["event"], event["phase"], event["node"], event["task"], event["status"])
            for event in events if event["event"] in ("play", "result", "action", "wait", "stats")]
    assert seen[0] == ("play", 1, None, None, None)
    assert {("result", 1, "here", "Read here", "ok"), ("result", 1, "gone", "Read gone", "unreachable")} <= {
        (*entry[:3], "Read here" if entry[2] == "here" else "Read gone", entry[4]) for entry in seen
        if (entry[3] or "").startswith("Read")}
    assert seen[seen.index(("play", 5, None, None, None)) + 1:] == [
        ("action", 5, "here", "Act", "changed"), ("wait", 5, "here", "Act", "changed"),
        ("result", 5, "here", "Act", "changed"), ("result", 5, "here", "Hide", "failed"),
        ("result", 5, "here", "Skip", "skipped"), ("result", 5, "here", "Fail", "failed"),
        ("stats", None, "gone", None, "unreachable"), ("stats", None, "here", None, "failed")]
    assert all(event["seconds"] is not None for event in events if event["event"] == "result")


def test_callback_writes_no_secret_and_for_nobody_else(recorded: tuple[Path, str]) -> None:
    text = recorded[0].read_text()
    assert "sekret" not in text
    assert "refused, token: <hidden>" in text and "Reset with token=<hidden>" in text
    assert stat.S_IMODE(recorded[0].stat().st_mode) == 0o600


def test_report_is_made_from_what_the_callback_wrote(recorded: tuple[Path, str]) -> None:
    events = _timeline.read(recorded[0].read_text())
    assert [(phase["number"], phase["name"]) for phase in _timeline.phases(events)] == [(1, "INSPECT"), (5, "RESET")]
    assert {(span["node"], span["what"], span["status"]) for span in _timeline.spans(events)} >= {
        ("here", "Reset with token=<hidden>", "changed"), ("here", "the leader: none yet", "waited"),
        ("here", "Fail", "failed")}


def test_option_path_is_written_from_the_first_event_on(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    play(tmp_path, "--limit", "here", "-e", f"run_dir={tmp_path}/run", REQUORUM_TIMELINE=str(tmp_path / "mine.jsonl"))
    assert json.loads((tmp_path / "mine.jsonl").read_text().splitlines()[0])["event"] == "run_start"
    assert list((tmp_path / "run").iterdir()) == []


def test_path_that_cannot_be_written_is_a_warning_once(tmp_path: Path) -> None:
    done = play(tmp_path, "--limit", "here", "-e", "run_dir=/nowhere", REQUORUM_TIMELINE="/nowhere/mine.jsonl")
    assert done.stderr.count("The timeline cannot be written to /nowhere/mine.jsonl") == 1
    assert "failed=1" in done.stdout
