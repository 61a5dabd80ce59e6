# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Old data: what runs have moved aside on the nodes, as their journals name it, and what may be removed of it."""

from __future__ import annotations

import re
import shlex
import typing as t
from dataclasses import dataclass

JSON = t.Mapping[str, t.Any]
HOME = "/var/lib/rancher/requorum"
STAMP = re.compile(r"\d{8}T\d{6}Z")
CLEANING = ".cleaning"
"""End of the name of what a cleanup that was killed has begun to remove."""


@dataclass(frozen=True)
class Aside:
    """One file or folder that was moved aside and is still there."""

    node: str
    path: str
    origin: str
    bytes: int | None
    """As far as it was read."""
    run: str
    """Stamp of the run that has moved it; empty where the journal does not tell."""

    @property
    def command(self) -> str:
        """What removes it by hand, on its node."""
        return f"rm -rf {shlex.quote(self.path)}"


def found(entries: t.Iterable[JSON]) -> tuple[Aside, ...]:
    """All of it, on the hosts that answer."""
    return tuple(
        Aside(entry["name"], item["path"], item["origin"], item["bytes"], item["run"])
        for entry in entries
        if entry["reachable"]
        for item in entry.get("aside") or ()
    )


def read(text: str, journal: t.Iterable[str]) -> list[dict[str, t.Any]]:
    """What sh/info.sh says of it: `bytes, a tab, FROM|TO` a line. journal: its `run=STAMP|TO` lines."""
    named = [line[4:].partition("|") for line in journal if line.startswith("run=")]
    runs = {path: run for run, _bar, path in named}
    items = []
    for line in text.split("\n"):
        size, _tab, pair = line.partition("\t")
        origin, bar, path = pair.partition("|")
        if not bar:
            continue
        run = runs.get(path.removesuffix(CLEANING)) or next(iter(reversed(STAMP.findall(path))), "")
        items.append({"path": path, "origin": origin, "bytes": int(size) if size.isdigit() else None, "run": run})
    return sorted(items, key=lambda item: (item["run"], item["path"]))


def removable(path: str, data: str) -> bool:
    """Whether it has a name that runs give, below a folder of ours or of the program; sh/clean.sh asks again."""
    if not re.fullmatch(r"[A-Za-z0-9/._:@,+-]+", path) or {"", ".", ".."} & set(path.split("/")[1:]):
        return False
    run, end = STAMP.pattern, rf"(?:{re.escape(CLEANING)})?"
    ours = rf"{re.escape(HOME)}/{run}/.+"
    beside = (
        rf"{re.escape(data.rstrip('/'))}/(?:server/db/etcd-old-\d+|(?:server|agent)/tls-\d+"
        rf"|(?:server|agent)/.+-requorum-{run}(?:-\d+)?){end}"
    )
    return bool(re.fullmatch(f"{ours}|{beside}", path))
