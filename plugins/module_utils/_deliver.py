# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Which files of a run leave the controller, and where they go."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass

from ._errors import RequorumError

DOCUMENTS = (".json", ".jsonl", ".html", ".xml", ".txt", ".prom")
EVIDENCE = "evidence"
BACKUP = "backup"
OWN = "command.json"
"""By which command the run was started, as it was typed: for this controller alone."""
FORMS = "It is /folder, s3://bucket/folder, git+URL#branch, or http(s)://address."


@dataclass(frozen=True)
class Target:
    """One place; `where` without what `kind` says, `detail` is the branch of a repository or the folder in a bucket."""

    kind: t.Literal["folder", "s3", "git", "http"]
    where: str
    detail: str = ""


def target(text: str) -> Target:
    """What a word of `requorum_deliver` means."""
    if text.startswith("/"):
        return Target("folder", text)
    kind, _slashes, rest = text.partition("://")
    user, at, _host = rest.partition("/")[0].rpartition("@")
    if at and (":" in user or kind.lower().endswith(("http", "https"))):  # there a user alone may be a token
        raise RequorumError(
            "requorum_deliver has an address with a password in it.",
            "For an upload, name a file in requorum_deliver_password_file; for git, in requorum_deliver_key_file.",
        )
    if text.startswith("s3://"):
        bucket, _slash, folder = text.removeprefix("s3://").partition("/")
        if bucket and folder.strip("/"):
            return Target("s3", bucket, folder.strip("/"))
    if text.startswith("git+"):
        url, _hash, branch = text.removeprefix("git+").partition("#")
        if url and not url.startswith("-"):
            return Target("git", url, branch or "main")
    if text.startswith(("https://", "http://")):
        return Target("http", text.rstrip("/"))
    raise RequorumError(f"requorum_deliver: {text!r} is no place that is known.", FORMS)


def chosen(paths: t.Iterable[str], *, backup: bool) -> list[str]:
    """Of the paths below a run's folder: documents and evidence, which are masked; the backup only where asked for.

    Everything else (kept objects, files for a join) stays.
    """

    def goes(path: str) -> bool:
        top, _slash, below = path.partition("/")
        if not below:
            return path.endswith(DOCUMENTS) and path != OWN
        return top == EVIDENCE or (backup and top == BACKUP)

    return sorted(path for path in paths if goes(path))


def ssh(key: str, hosts: str) -> str:
    """How git calls ssh: it asks nobody, and knows hosts by their file where one is given."""
    words = ["ssh", "-o", "BatchMode=yes"]
    words += ["-o", "IdentitiesOnly=yes", "-i", key] if key else []
    words += ["-o", f'UserKnownHostsFile="{hosts}"'] if hosts else []  # ssh itself splits it at spaces
    return shlex.join(words)


def clash(bucket: str, folder: str, backups: tuple[str, str]) -> bool:
    """Whether reports would lie where snapshots are looked for."""
    theirs = f"{backups[1].strip('/')}/" if backups[1].strip("/") else ""
    return bucket == backups[0] and f"{folder}/".startswith(theirs)


def lasts(path: str, mounts: str, passing: t.Sequence[str] = ("/runner", "/tmp")) -> bool:
    """Whether a folder outlives the container: it lies on a mount of its own, as /proc/self/mountinfo tells."""
    points = {line.split()[4]: line.split(" - ")[1].split()[0] for line in mounts.splitlines() if " - " in line}
    above = [point for point in points if point == "/" or path == point or path.startswith(f"{point}/")]
    point = max(above, key=len, default="/")
    away = point == "/" or any(point == each or point.startswith(f"{each}/") for each in passing)
    return not away and points[point] != "tmpfs"
