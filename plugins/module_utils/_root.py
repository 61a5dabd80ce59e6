# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Why no script of ours runs as root on a host that SSH reaches: by the words of sudo and of the shell.

Such a host lives, and what runs on it is not known: it is never taken for one that is off.
"""

from __future__ import annotations

import re
import typing as t

from . import _messages
from ._errors import Refusal

BARRED = "SSH answers, but nothing can be read: "
"""How the error of such a host begins in ClusterState."""
PASSWORD = "sudo asks for a password"
REFUSED = "sudo does not take the password that was given"
MISSING = "sudo is not installed"
FORBIDDEN = "sudo does not let this user become root"
TERMINAL = "sudo wants a terminal (requiretty)"
TIMEOUT = "the program timeout is not installed"
LATE = "no answer before the deadline"
_SAID: t.Final = (
    (r"incorrect \w+ password|sorry, try again", REFUSED),
    (r"missing \w+ password|a password is required|no password was provided|duplicate become password", PASSWORD),
    (r"not in the sudoers file|may not run sudo|is not allowed to (run|execute)", FORBIDDEN),
    (r"must have a tty", TERMINAL),
    (r"\bsudo: (command )?not found|/sudo: no such file", MISSING),
    (r"\btimeout: (command )?not found|/timeout: no such file", TIMEOUT),
)


def why(said: str) -> str:
    """What sudo or a shell has said, as a part of a sentence; empty where it is none of what is known."""
    return next((what for words, what in _SAID if re.search(words, said, re.IGNORECASE)), "")


def refusal(host: str, reason: str) -> Refusal:
    """Of a host that was not read for this reason."""
    known = {
        PASSWORD: _messages.refusal("sudo-password", host=host),
        REFUSED: _messages.refusal("sudo-password-wrong", host=host),
        FORBIDDEN: _messages.refusal("sudo-forbidden", host=host),
        MISSING: _messages.refusal("sudo-missing", host=host),
        TERMINAL: _messages.refusal("sudo-terminal", host=host),
        TIMEOUT: _messages.refusal("timeout-missing", host=host),
        LATE: _messages.refusal("host-late", host=host),
    }
    return known.get(reason) or _messages.refusal("host-unread", host=host, reason=reason)
