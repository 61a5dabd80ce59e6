# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Bulk bytes of a node: one SSH channel of its own, read in constant memory. No sftp and no scp is needed there.

OpenSSH itself is asked (`ssh -G`) what the user's configuration makes of the host: address, user, keys, known hosts and
jump hosts are then the same as for every other command of the run. Host keys are always checked.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import subprocess
import typing as t

try:
    import paramiko
except ImportError:  # the caller then reads in chunks through Ansible's own connection
    paramiko = None  # type: ignore[assignment]

from ansible_collections.requorum.cluster.plugins.module_utils import _node

BLOCK = 1 << 20
CIPHER = "aes128-gcm@openssh.com"
"""Twice as fast as paramiko's first choice; it stands last in its list."""
ONE_KEY = 1 << 36
"""Bytes for which one key is good, as OpenSSH has it for AES. Paramiko wants a new one after 512 MiB, in the midst of a
large file, and now and then never gets it: `Key-exchange timed out waiting for key negotiation`.
"""


class Unavailable(Exception):
    """No channel of its own can be had here; nothing was transferred."""


def effective(connection: t.Any) -> dict[str, list[str]]:
    """What `ssh -G` says for the host of an Ansible ssh connection, by keyword."""
    if paramiko is None or getattr(connection, "transport", "") != "ssh":
        raise Unavailable("the connection is not ssh, or paramiko is missing")
    argv = ["ssh"]
    for option in ("ssh_args", "ssh_common_args", "ssh_extra_args"):
        argv += shlex.split(connection.get_option(option) or "")
    for flag, option in (("-p", "port"), ("-l", "remote_user"), ("-i", "private_key_file")):
        value = connection.get_option(option)
        argv += [flag, str(value)] if value else []
    argv += ["-G", str(connection.get_option("host"))]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    if done.returncode != 0:
        raise Unavailable(done.stderr.strip())
    found: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _space, value = line.partition(" ")
        found.setdefault(key, []).append(value)
    return found


def read(connection: t.Any, path: str, lock: str = "") -> t.Iterator[bytes]:
    """Blocks of a file that only root may read. Raises Unavailable before the first block, OSError after it.

    lock: id of the one that the run holds on this node, if any: it gives signs of life as long as this takes.
    """
    with _command(connection, _cat(shlex.quote(path), lock)) as (_stdin, out):
        while block := out.channel.recv(BLOCK):  # what is there; a file object would put it together first
            yield block
        if out.channel.recv_exit_status() != 0:
            raise OSError(f"{path} could not be read to its end")


def write(connection: t.Any, path: str, blocks: t.Iterable[bytes], lock: str = "") -> None:
    """Make a file that only root may read. Raises Unavailable before the first block is taken, OSError after it."""
    with _command(connection, "umask 077; " + _cat(f"> {shlex.quote(path)}", lock)) as (stdin, out):
        for block in blocks:
            stdin.channel.sendall(block)
        stdin.channel.shutdown_write()
        if out.channel.recv_exit_status() != 0:
            raise OSError(f"{path} could not be written to its end")


def _cat(words: str, lock: str) -> str:
    return _node.under(lock, f"held cat {words}") if lock else f"exec cat {words}"


@contextlib.contextmanager
def _command(connection: t.Any, command: str) -> t.Iterator[tuple[t.Any, t.Any]]:
    """(stdin, stdout) of a command that root runs; Unavailable when it does not start."""
    settings = effective(connection)
    become = connection.become
    if become and become.get_option("become_pass"):
        raise Unavailable("sudo asks for a password")
    mark = "requorum-" + secrets.token_hex(8)
    command = f"echo {mark}; {command}"
    if become:
        command = become.build_become_command(command, connection._shell)
    with paramiko.SSHClient() as client:
        try:
            _connect(client, settings)
            stdin, out, _err = client.exec_command(command, timeout=60)
            head = b""
            while not head.endswith(mark.encode() + b"\n"):
                byte = out.read(1)
                if not byte or len(head) > 65536:
                    raise Unavailable("the command did not start")
                head += byte
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise Unavailable(str(error)) from error
        try:
            yield stdin, out
        except paramiko.SSHException as error:
            raise OSError(str(error)) from error


def _connect(client: t.Any, settings: dict[str, list[str]]) -> None:
    for name in " ".join(settings.get("userknownhostsfile", []) + settings.get("globalknownhostsfile", [])).split():
        if os.path.exists(os.path.expanduser(name)):
            client.load_host_keys(os.path.expanduser(name))
    client.set_missing_host_key_policy(paramiko.RejectPolicy())
    host, port = settings["hostname"][0], settings["port"][0]
    keys = [os.path.expanduser(name) for name in settings.get("identityfile", [])]
    proxy = settings.get("proxycommand", ["none"])[0]
    if proxy == "none" and settings.get("proxyjump", ["none"])[0] != "none":
        proxy = f"ssh -W {host}:{port} {shlex.quote(settings['proxyjump'][0])}"
    proxy = proxy.replace("%h", host).replace("%p", port).replace("%r", settings["user"][0])
    client.connect(
        host,
        port=int(port),
        username=settings["user"][0],
        key_filename=[name for name in keys if os.path.exists(name)],
        sock=None if proxy == "none" else paramiko.ProxyCommand(proxy),
        timeout=10,
        allow_agent=settings.get("identitiesonly", ["no"])[0] != "yes",
        look_for_keys=False,
        transport_factory=_transport,
    )


def _transport(*arguments: t.Any, **options: t.Any) -> t.Any:
    transport = paramiko.Transport(*arguments, **options)
    transport.packetizer.REKEY_BYTES = ONE_KEY
    chosen = transport.get_security_options()
    if CIPHER in chosen.ciphers:
        chosen.ciphers = (CIPHER, *(cipher for cipher in chosen.ciphers if cipher != CIPHER))
    return transport
