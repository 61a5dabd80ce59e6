# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian packages that the lab needs on the controller."""

from __future__ import annotations

import os
import shutil

from lab.progress import LabError, run, say

_PACKAGES = ("podman", "runc", "iptables", "netavark", "aardvark-dns", "mmdebstrap", "openssh-client", "e2fsprogs",
             "debian-archive-keyring")


def ensure_packages() -> None:
    """Install what is missing when root, else say the one line to type."""
    if os.geteuid() != 0:
        missing = _missing()
        install = f"sudo apt-get update && sudo apt-get install -y {' '.join(missing)} && " if missing else ""
        raise LabError(f"the lab runs systemd in privileged containers and needs root; type: {install}sudo -i")
    missing = _missing()
    if not missing:
        return
    line = f"apt-get update && apt-get install -y --no-install-recommends {' '.join(missing)}"
    if not shutil.which("apt-get"):
        raise LabError(f"missing: {' '.join(missing)}; install them with your package manager (on Debian: {line})")
    say(f"installing Debian packages: {' '.join(missing)}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["sh", "-c", line], timeout=900, env=env).ok(line)


def _missing() -> list[str]:
    done = run(["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *_PACKAGES], timeout=30)
    installed = {line.split()[0] for line in done.out.splitlines() if line.endswith(" installed")}
    return [name for name in _PACKAGES if name not in installed]
