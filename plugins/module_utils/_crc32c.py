# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""CRC-32C (Castagnoli), which etcd's log and raft snapshots use and Python does not have; about 20 MB a second."""

from __future__ import annotations

import array
import functools
import sys


def crc32c(data: bytes, crc: int = 0) -> int:
    """Castagnoli's CRC, going on from that of what stands before; four bytes at a time."""
    low, high = _tables()
    crc ^= 0xFFFFFFFF
    words = array.array("I", data[: len(data) & ~3])
    if sys.byteorder == "big":
        words.byteswap()
    for word in words:
        crc ^= word
        crc = low[crc & 0xFFFF] ^ high[crc >> 16]
    for byte in data[len(data) & ~3 :]:
        crc = _shift(crc ^ byte, 8)
    return crc ^ 0xFFFFFFFF


@functools.cache
def _tables() -> tuple[array.array[int], array.array[int]]:
    """What 16 bits in the lower and in the upper half of a word make of the CRC."""
    small = [_shift(x, 8) for x in range(256)]
    high = array.array("I", (small[(y := x >> 8 ^ small[x & 0xFF]) & 0xFF] ^ y >> 8 for x in range(1 << 16)))
    return array.array("I", (high[x & 0xFFFF] ^ x >> 16 for x in high)), high


def _shift(crc: int, bits: int) -> int:
    for _bit in range(bits):
        crc = crc >> 1 ^ 0x82F63B78 * (crc & 1)
    return crc
