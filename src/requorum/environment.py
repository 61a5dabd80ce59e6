# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of an ansible-playbook that a program starts: what it needs, and nothing that is secret.

It is written into a file by the runner, so keys of S3 go through files that only their owner reads.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.requorum.cluster.plugins.module_utils import _errors, _s3_settings, _timeline

COLLECTION = Path(os.path.abspath(_errors.__file__)).parents[2]
"""The checkout through its link in .collections, or what the wheel has installed."""
_KEPT = re.compile(
    r"HOME|USER|LOGNAME|SHELL|PATH|PWD|LANG|LANGUAGE|TZ|TMPDIR|TERM|DISPLAY|KRB5CCNAME|LD_LIBRARY_PATH"
    r"|NO_PROXY|no_proxy|(?:https?|HTTPS?|all|ALL)_(?:proxy|PROXY)|SSL_CERT_(?:FILE|DIR)|REQUESTS_CA_BUNDLE"
    r"|(?:LC|SSH|GNUPG|XDG|PYTHON|ANSIBLE|REQUORUM|COV)_?\w*"
)
_PASSWORD = re.compile(r"://[^/@]*:[^/@]*@")


def of(given: Mapping[str, str], cwd: str, folder: Path) -> dict[str, str]:
    """What ansible-playbook gets of the caller's environment; what the caller has set stays.

    folder: private, for keys of S3 that stand in the environment.
    """
    kept = {name: value for name, value in given.items() if _harmless(name, value)}
    needed = {
        "ANSIBLE_HOST_KEY_CHECKING": "True",  # the runner would switch it off
        # It has a terminal of its own, so a question of ssh would be seen by nobody and wait for ever.
        "SSH_ASKPASS": "/bin/false",
        "SSH_ASKPASS_REQUIRE": "force",
    }
    if (COLLECTION / "ansible.cfg").is_file() and not os.path.exists(os.path.join(cwd, "ansible.cfg")):
        needed["ANSIBLE_CONFIG"] = str(COLLECTION / "ansible.cfg")
    paths = [str(COLLECTION.parents[2]), given.get("ANSIBLE_COLLECTIONS_PATH", "")]
    return {
        **needed,
        **kept,
        **keys(given, folder),
        "ANSIBLE_COLLECTIONS_PATH": ":".join(filter(None, paths)),
        # ansible-playbook of the environment that this command is installed in
        "PATH": f"{os.path.dirname(sys.executable)}:{given.get('PATH', os.defpath)}",
        "ANSIBLE_NOCOLOR": "1",
        "PWD": cwd,  # where recoveries/ lies
    }


def without_strangers(made: Mapping[str, str], caller: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """What the runner has made of it, without what it has taken from the caller by itself."""
    return {name: value for name, value in made.items() if name in given or caller.get(name) != value}


def _harmless(name: str, value: str) -> bool:
    return bool(_KEPT.fullmatch(name)) and not _timeline.is_secret(name) and not _PASSWORD.search(value)


def keys(given: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Keys of S3 in a file of their own, which the environment names."""
    lines = [f"{name}={given[name]}\n" for name in _s3_settings.IN_ENVIRONMENT if given.get(name)]
    if not lines:
        return {}
    path = folder / "s3-keys"
    path.touch(0o600)
    path.write_text("".join(lines), encoding="utf-8")
    return {_s3_settings.KEYS_FILE: str(path)}
