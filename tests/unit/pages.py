# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages that we write, as a parser and as a browser see them, and documents with poison in every text."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Collection
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest


class Page(HTMLParser):
    """Tags with their attributes, texts, and what could start a request."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.style = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1] == "style":
            self.style += data
        else:
            self.text += " ".join(data.split()) + " "

    def requests(self) -> list[str]:
        """Every address that a browser would fetch or open by itself or by a click."""
        found = [f"{tag} {name}={value}" for tag, name, value in self.attributes
                 if name in ("src", "href", "srcset", "data", "action", "poster", "xlink:href", "background")]
        found += [f"{tag} style={value}" for tag, name, value in self.attributes if name == "style" and "url(" in value]
        return found + re.findall(r"url\([^)]*\)|@import[^;]*", self.style)


def poisoned(value: Any, poison: str, but: Collection[str] = ("started", "ended", "at")) -> Any:
    """A document with poison in every text, but in those of some names: moments, and words of a fixed list."""
    if isinstance(value, dict):
        return {key: entry if key in but else poisoned(entry, poison, but) for key, entry in value.items()}
    if isinstance(value, list):
        return [poisoned(entry, poison, but) for entry in value]
    return value + poison if isinstance(value, str) else value


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
         "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--v=0")


class Visit:
    """One visit of Chromium to a file: the DOM, what the console said, and every address that was asked for."""

    def __init__(self, html: str, folder: Path) -> None:
        assert CHROMIUM is not None
        folder.mkdir()
        (folder / "report.html").write_text(html)
        log, self.shot = folder / "net.json", folder / "shot.png"
        done = subprocess.run([CHROMIUM, *FLAGS, f"--user-data-dir={folder}/profile", f"--log-net-log={log}",
                               f"--screenshot={self.shot}", "--window-size=420,900", "--dump-dom",
                               f"file://{folder}/report.html"], capture_output=True, text=True, timeout=60, check=False)
        self.dom = done.stdout
        self.console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
        events = json.loads(log.read_text())
        kinds = {number: name for name, number in events["constants"]["logEventTypes"].items()}
        # Chromium's own calls (updates, time) have no origin; the resolver rule keeps them on this machine.
        self.asked = sorted({event["params"]["url"] for event in events["events"]
                             if kinds[event["type"]].startswith("URL_REQUEST") and "url" in event.get("params", {})
                             and event["params"].get("initiator") != "not an origin"})


browser = [pytest.mark.browser,
           pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium")]
