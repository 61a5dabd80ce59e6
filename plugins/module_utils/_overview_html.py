# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The overview of a fleet as one file without scripts and without requests, of the same make as a diagnosis."""

from __future__ import annotations

import os
import typing as t

from . import _diagnosis_words, _overview, _overview_text, _report_html
from ._report_words import Outcome
from ._timeline import mask_all

JSON = t.Mapping[str, t.Any]
TONES = {"blocker": "bad", "unknown": "warn", "error": "bad", "warning": "warn", "healthy": "good"}
SIGNS = {"bad": "✕", "warn": "!", "good": "✓"}


def render(document: JSON, folder: str) -> str:
    """The whole page; every text is masked and escaped. folder: where it will lie; reports near it are linked."""
    data = mask_all(document)
    worst = next((state for state in _overview.STATES if data["totals"][state]), "")
    tone = TONES.get(worst, "warn")
    word = {"healthy": "Every cluster is healthy", "": "No cluster"}.get(worst, f"Worst: {worst}")
    return _report_html.page(
        "overview.html.j2",
        d=data,
        outcome=Outcome(tone, SIGNS[tone], word),
        headline=_overview_text.headline(data).removeprefix("FLEET: "),
        states=_overview.STATES,
        tones=TONES,
        age=_overview_text.age,
        typed=_diagnosis_words.typed,
        link=lambda report: _link(report, folder),
    )


def _link(report: str | None, folder: str) -> str:
    """Relative, so that the folder of all runs can be moved or served as a whole; empty where it lies elsewhere."""
    if not report:
        return ""
    path = os.path.relpath(os.path.join(report, "diagnosis.html"), folder)
    return path if path.count("..") == 1 else ""
