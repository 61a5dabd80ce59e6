# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Two busy cores make any per-example deadline flaky; in CI the same examples run every time.
settings.register_profile("requorum", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("requorum")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Recorded answers of real clusters."""
    return ROOT / "tests" / "fixtures"
