# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Time that reading and judging all certificates of many nodes takes: python -m bench.certificates [--nodes 50].

The nodes are folders of this machine that Ansible comes to by its local connection: their shells share its cores, and
ssh is not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ansible_collections.requorum.cluster.plugins.module_utils import _tls
from tests.unit import certs

ROOT = Path(__file__).resolve().parents[1]
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - requorum.cluster.tls_info:
      register: read
    - ansible.builtin.copy:
        dest: "{{ out }}"
        mode: "0600"
        content: "{{ ansible_play_hosts | map('extract', hostvars, ['read', 'requorum_tls']) | list | to_json }}"
      run_once: true
"""


def measure(folder: Path, nodes: int, servers: int) -> dict[str, object]:
    """Seconds of reading through Ansible and of judging, and what was judged."""
    hosts = {}
    for number in range(nodes):
        name, data = f"n{number}", folder / f"n{number}"
        certs.Node(name=name, server=number < servers).write(data)
        hosts[name] = {"requorum_data_dir": str(data), "requorum_distro": "rke2"}
    play, out = folder / "play.yml", folder / "out.json"
    play.write_text(PLAYBOOK)
    settings = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": settings}}))
    words = ["ansible-playbook", str(play), "-i", str(folder / "hosts.json"), "-e", f"out={out}"]
    begun = time.monotonic()
    subprocess.run(words, check=True, env=os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, stdout=2)
    read = time.monotonic()
    documents, known = json.loads(out.read_text()), certs.bootstrap(certs.authorities())
    found = [judgement for node in documents for judgement in _tls.judge(node, known, now=certs.NOW, days=30)]
    judged = time.monotonic()
    return {
        "nodes": nodes,
        "servers": servers,
        "files": len(found),
        "certificates": sum(judgement.ends is not None for judgement in found),
        "read_s": round(read - begun, 2),
        "judge_s": round(judged - read, 2),
        "load": os.getloadavg()[0],
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.certificates", description=__doc__)
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--servers", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="requorum-bench-") as folder:
        print(json.dumps(measure(Path(folder), given.nodes, given.servers), indent=1))


if __name__ == "__main__":
    main()
