# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The channel of its own that large files take."""

from __future__ import annotations

import socket

from ansible_collections.requorum.cluster.plugins.plugin_utils import _stream


def test_a_large_file_is_not_stopped_for_a_new_key_and_has_the_fast_cipher() -> None:
    here, there = socket.socketpair()
    with here, there:
        transport = _stream._transport(here)
        try:
            assert transport.packetizer.REKEY_BYTES >= 64 << 30  # RekeyLimit of OpenSSH for AES: 2^32 blocks
            assert transport.get_security_options().ciphers[0] == _stream.CIPHER
        finally:
            transport.close()
