# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection to a host that is not there: it answers what a real one has answered, for benchmarks and tests only.

How a host is stands in its variable `simulated`: well, lost (its cluster has no quorum), dead, garbage, slow.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import time
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: simulated
short_description: A host that is not there
description: Answers what a real one has answered.
author: Requorum contributors
options:
  how:
    description: How the host is.
    default: well
    vars: [{name: simulated}]
  name:
    description: Which of the three servers it is, and the name that it says.
    vars: [{name: inventory_hostname}]
"""
DATA = Path(__file__).resolve().parents[2] / "tests" / "unit" / "data"
IDS = ("234c43afee9063f9", "ffbbfb231af65097", "77c97c7d5f0ed9c")
"""Of the members in the recordings."""
UID = "ac37934f-15bf-4bd6-9a13-6f84aafbfafd"
LINE = '2026-11-24T09:{:02d}:{:02d}+0000 {} etcd[259]: {{"level":"info","msg":"compacted","revision":{}}}\n'


class Connection(ConnectionBase):
    """Answers scripts by what they are; nothing is run anywhere."""

    transport = "simulated"
    has_pipelining = True

    def _connect(self):
        return self

    def exec_command(self, cmd, in_data=None, sudoable=True):
        how, name = self.get_option("how"), self.get_option("name")
        if how == "dead":
            raise AnsibleConnectionFailure(f"ssh: connect to host {name} port 22: Connection timed out")
        if how == "slow":
            time.sleep(3600)
        if how == "garbage":
            return 0, b"Welcome to the appliance.\n\xff\xfe\x00 > ", b""
        mark = re.search(r"requorum-[0-9a-f]{12}", cmd)[0]
        rc, body = answer(cmd, in_data or b"", how, name)
        return 0, f"{mark}\n{body}\n\n{mark} {rc}\n".encode(), b""

    def put_file(self, in_path, out_path):
        raise AnsibleConnectionFailure("nothing is written to a host that is not there")

    fetch_file = put_file

    def close(self):
        self._connected = False


def answer(cmd, given, how, name):
    """Exit code and output of a script."""
    if "Several scripts in one call" in cmd:
        return 0, together(cmd, given, how, name)
    if "Reads everything about this node" in cmd:
        return 0, info(how, name)
    if "The ends of the logs of this node" in cmd:
        return 0, logs(word(cmd, "MARK"), name)
    if "Requests to the API server of this node" in cmd:
        return 0, api(word(cmd, "MARK"), given.decode())
    return 1, ""


def together(cmd, given, how, name):
    """The answer to each of several scripts."""
    mark, said = word(cmd, "MARK"), []
    for script, text in re.findall(r"(\w+) \d+ ([\w+/=]+)", cmd.rpartition("\nall ")[2].partition("\n")[0]):
        rc, body = answer(base64.b64decode(text).decode(), given, how, name)
        said.append(f"\n{mark} {script}\n{body}\n\n{mark}! {script} {rc} {time.time():.3f}\n\n")
    return "".join(said)


def word(cmd, name):
    """A variable of the script."""
    return re.search(rf"^{name}=(\S+)$", cmd, re.M)[1].strip("'\"")


def info(how, name):
    """As the recording, by this name and now."""
    text = (DATA / f"info-rke2-{'quorum-lost' if how == 'lost' else 'healthy'}.txt").read_text()
    prefix, number, now = name.rstrip("0123456789"), int(re.search(r"\d+$", name)[0]), time.time()
    text = text.replace("hostname=r1", f"hostname={name}")
    text = re.sub(r"\br([1-3])\b", rf"{prefix}\1", text)
    text = text.replace("1795511600.25", f"{now:.2f}").replace("1795511546", str(int(now) - 54))
    return text.replace(f'"member_id":"{int(IDS[0], 16)}"', f'"member_id":"{int(IDS[number - 1], 16)}"')


def logs(mark, name):
    """512 lines of etcd and of the service."""
    parts = []
    for source, file in (("etcd", "/var/log/pods/etcd.log"), ("rke2-server", "journalctl -u rke2-server")):
        lines = "".join(LINE.format(n // 60 % 60, n % 60, name, n) for n in range(512))
        parts.append(f"\n{mark} {source} {file}\n{lines}")
    return base64.b64encode(gzip.compress("".join([*parts, f"\n{mark}.\n"]).encode(), 1)).decode()


def api(mark, paths):
    """A cluster with nothing in it."""
    parts = []
    for path in paths.split():
        body = json.dumps({"kind": "List", "metadata": {}, "items": []})
        if path.endswith("/namespaces/kube-system"):
            body = json.dumps({"kind": "Namespace", "metadata": {"name": "kube-system", "uid": UID}})
        parts.append(f"{body}\n{mark} 200 \n")
    return base64.b64encode(gzip.compress("".join(parts).encode(), 1)).decode()
