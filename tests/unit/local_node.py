# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node that is this machine: the seam of `_node.Node` over a subprocess."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping

from ansible_collections.requorum.cluster.plugins.module_utils import _node


class LocalNode:
    """Runs commands with `shell`; `banner` is printed before the answer, as a login shell may do."""

    def __init__(self, shell: str = "/bin/sh", *, banner: str = "", env: Mapping[str, str] | None = None) -> None:
        self.shell, self.banner, self.env = shell, banner, env

    def run(self, script: str, *, stdin: bytes | None = None, timeout: int = 60) -> _node.Done:
        mark = _node.new_mark()
        command = _node.command(script, mark, timeout).replace("/bin/sh -c", f"{self.shell} -c", 1)
        words = [*shlex.split(self.shell), "-c", command]
        done = subprocess.run(words, input=stdin or b"", capture_output=True, env=self.env, check=False)
        return _node.result(
            mark, self.banner + done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
