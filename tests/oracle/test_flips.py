# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""10 000 damaged snapshots: never a traceback, never a wrong "ok" at level full, and each one is judged at once."""

from __future__ import annotations

import contextlib
import hashlib
import struct
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import _describe, _snapshot
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile
from tests.unit.datastores import build

CASES = 5000
"""Of each of the two tests."""
SLOWEST_S = 2.0
TOKEN = "e2e269d4f6ec"


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value


def made(folder: Path) -> bytes:
    """A small sound datastore with what a full proof asks for, in some leaves and a branch."""
    keys = [b"/bootstrap/" + TOKEN.encode(), b"/registry/namespaces/kube-system", b"/registry/minions/r1"]
    keys += [b"/registry/configmaps/default/%d" % number for number in range(120)]
    entries = [
        (struct.pack(">Q", number) + b"_" + bytes(8), field(1, key) + b"\x10\x02\x18\x02\x20\x01" + field(5, b"v" * 90))
        for number, key in enumerate(keys, 2)
    ]
    member = b'{"id":1,"peerURLs":["https://10.0.0.11:2380"],"name":"r1-aaaaaaaa"}'
    build(folder / "db", {
        b"cluster": [(b"clusterVersion", b"3.6.0")],
        b"key": entries,
        b"meta": [(b"consistent_index", struct.pack(">Q", 130)), (b"term", struct.pack(">Q", 2))],
        b"members": [(b"00000000000000a1", member)],
    })  # fmt: skip
    return (folder / "db").read_bytes()


def proof(path: Path) -> _snapshot.Proof:
    begun = time.monotonic()
    found = _snapshot.prove(str(path), _snapshot.Wanted([TOKEN]))
    assert time.monotonic() - begun < SLOWEST_S
    return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("flips")
    image = made(folder)
    (folder / "snapshot.db").write_bytes(image + hashlib.sha256(image).digest())
    whole = proof(folder / "snapshot.db")
    assert whole.ok, whole.faults
    return image


CASE = settings(max_examples=CASES, deadline=None, suppress_health_check=list(HealthCheck), database=None)


@CASE
@given(data=st.data())
def test_a_flipped_bit_anywhere_is_never_proved(data: st.DataObject, sound: bytes, tmp_path: Path) -> None:
    whole = bytearray(sound + hashlib.sha256(sound).digest())
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[place // 8] ^= 1 << place % 8
    (tmp_path / "snapshot.db").write_bytes(whole)
    assert not proof(tmp_path / "snapshot.db").ok


@CASE
@given(damage=st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=6))
def test_damage_with_a_right_sum_is_a_verdict_and_no_traceback(
        damage: list[tuple[int, int]], sound: bytes, tmp_path: Path) -> None:
    image = bytearray(sound)
    for place, byte in damage:
        image[place % len(image)] = byte
    (tmp_path / "snapshot.db").write_bytes(bytes(image) + hashlib.sha256(image).digest())
    found = proof(tmp_path / "snapshot.db")
    assert found.checks and (found.ok or found.faults)
    with contextlib.suppress(BadFile):
        assert _describe.describe(str(tmp_path / "snapshot.db"))["trailer"] == "right"
