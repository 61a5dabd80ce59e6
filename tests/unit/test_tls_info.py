# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sh/tls.sh reads of a node's files, and that no secret is in it; bootstrap data found in a datastore."""

from __future__ import annotations

import base64
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bbolt,
    _bootstrap,
    _bootstrap_find,
    _node,
    _tls,
    _tls_read,
)
from tests.unit import certs
from tests.unit.certs import NOW, Node
from tests.unit.datastores import unpacked
from tests.unit.local_node import LocalNode

SHELLS = [shell for shell in ("dash", "busybox sh") if shutil.which(shell.split()[0])]
ADMIN = "server/tls/client-admin.crt"


def ask(root: Path, shell: str = "dash") -> str:
    done = LocalNode(shell).run(_node.script("tls", DISTRO="rke2", DATA=str(root), PATHS=_tls_read.PATHS))
    assert done.rc == 0, done.err
    return done.out


def read(root: Path, shell: str = "dash") -> dict[str, Any]:
    found = _tls_read.parse("r1", ask(root, shell), received=NOW)
    return found | {"data_dir": certs.DATA["rke2"], "names": {"node_name": "r1", "address": "10.0.0.1"}}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_node_is_read_as_it_lies_on_disk(tmp_path: Path, shell: str) -> None:
    node = Node()
    node.write(tmp_path)
    found = read(tmp_path, shell)
    rows, expected = ({row["path"]: row for row in document["files"]} for document in (found, node.document()))
    assert set(rows) == {path for path in expected if not path.startswith(("/", "secret/"))}
    for path, row in rows.items():
        if row["sha256"]:
            assert row["sha256"] == expected[path]["sha256"]
        if path in node.keys and path.endswith(".crt"):
            assert row["key_id"] == expected[path]["key_id"], path
    assert found["server"] and found["distro"] == "rke2" and found["error"] is None
    assert sum(row["sha256"] is not None for row in rows.values()) == 15
    judged = _tls.judge(found, certs.bootstrap(certs.authorities()), now=NOW, days=30)
    assert len(judged) == 44 and {judgement.state for judgement in judged} == {"ok"}


def test_no_private_key_and_no_token_leaves_the_node(tmp_path: Path) -> None:
    node = Node()
    node.write(tmp_path)
    (tmp_path / "server/token").write_text("K10aa::server:sekret123\n")
    (tmp_path / ADMIN).write_bytes(node.files[ADMIN] + certs.private(node.keys[ADMIN]))
    out = ask(tmp_path)
    assert "PRIVATE" not in out and "client-key" not in out and "sekret" not in out
    for key in node.keys.values():
        body = "".join(certs.private(key).decode().splitlines()[1:2])
        assert body not in out
    assert "token_bytes=24" in out


def test_keys_of_other_kinds(tmp_path: Path) -> None:
    """What the shell cannot read by itself openssl does, where that is there; else it is unknown, never wrong."""
    node = Node()
    node.write(tmp_path)
    key = certs.ec.generate_private_key(certs.ec.SECP384R1())
    path = tmp_path / ADMIN.replace(".crt", ".key")
    path.write_bytes(certs.private(key))
    row = next(row for row in read(tmp_path)["files"] if row["path"] == ADMIN)
    assert row["key_id"] in ((certs.key_id(key),) if shutil.which("openssl") else (None,))
    path.write_text("-----BEGIN EC PRIVATE KEY-----\nno key\n")
    assert next(row for row in read(tmp_path)["files"] if row["path"] == ADMIN)["key_id"] is None
    path.unlink()
    assert next(row for row in read(tmp_path)["files"] if row["path"] == ADMIN)["key_id"] == ""


def test_an_agent_and_an_empty_server(tmp_path: Path) -> None:
    Node(server=False).write(tmp_path)
    assert read(tmp_path)["server"] is False
    (tmp_path / "server/tls").mkdir(parents=True)
    found = read(tmp_path)
    assert found["server"] is True
    judged = _tls.judge(found, certs.bootstrap(certs.authorities()), now=NOW, days=30)
    assert {j.remedy for j in judged if j.path in certs.authorities()} == {"restore"}


SAN_FILES = {
    "config.yaml": "token: sekret123\ntls-san: [old.example.org]\ntls-san-security: true\n",
    "config.yaml.d/10.yaml": "\"tls-san\" :  # names\n- a.example.org,b.example.org\n\n- 2001:DB8::1\nnode-name: x\n",
    "config.yaml.d/20.yaml": "node-label:\n- tls-san=no\ntls-san+:\n  - c.example.org\n",
    "config.yaml.d/notes.txt": "tls-san: no.example.org\n",
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ["a.example.org", "b.example.org", "2001:db8::1", "c.example.org"]),
        ("--tls-san d.example.org --token sekret123 --tls-san=e.example.org", ["d.example.org", "e.example.org"]),
        ("--debug --token sekret123", ["a.example.org", "b.example.org", "2001:db8::1", "c.example.org"]),
    ],
)
def test_names_of_tls_san(tmp_path: Path, shell: str, words: str, expected: list[str]) -> None:
    """As configuration files and command line have them; nothing else of either leaves the node."""
    for name, text in SAN_FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    script = _node.script("tls", DISTRO="rke2", DATA=str(tmp_path / "data"), PATHS="")
    script = script.replace("CONFIG=/etc/rancher/$DISTRO/config.yaml", f"CONFIG={tmp_path}/config.yaml")
    script = script.replace("ARGS=$(unit_args)", f"ARGS=$(printf %s {shlex.quote(words)} | tr ' ' '\\n')")
    done = LocalNode(shell).run(script)
    assert done.rc == 0 and "sekret" not in done.out and "no.example" not in done.out
    assert _tls_read.parse("r1", done.out, received=NOW)["names"]["sans"] == expected


KUBECTL = """\
#!/bin/sh
case "$*" in
  *" secrets "*) printf '%s\\n' 'kube-system/rke2-serving {one}' 'cattle-system/webhook-tls {two}' 'shop/shop {two}' ;;
  *) printf '%s\\n' 'APIService/v1. ' 'APIService/v1.metrics {two}' \\
       'ValidatingWebhookConfiguration/rancher  {one} {one} {two}' ;;
esac
"""


@pytest.mark.parametrize("shell", SHELLS)
def test_what_lies_in_the_cluster(tmp_path: Path, shell: str) -> None:
    """By a kubectl that answers: Secrets of others are left out, of those that are taken only the certificates are."""
    node = Node()
    node.write(tmp_path)
    pems = node.files[ADMIN], node.files["server/tls/server-ca.crt"]
    one, two = (base64.b64encode(pem).decode() for pem in pems)
    kubectl = tmp_path / "bin/kubectl"
    kubectl.parent.mkdir()
    kubectl.write_text(KUBECTL.replace("{one}", one).replace("{two}", two))
    kubectl.chmod(0o755)
    script = _node.script("tls", DISTRO="rke2", DATA=str(tmp_path), PATHS=_tls_read.PATHS)
    done = LocalNode(shell).run(script.replace("listens 6443", "true"))
    found = {row["path"]: row["text"] for row in _tls_read.parse("r1", done.out, received=NOW)["files"]}
    texts = [pem.decode() for pem in pems]
    assert {path: text for path, text in found.items() if path.startswith(("secret/", "trust/"))} == {
        "secret/kube-system/rke2-serving": texts[0],
        "secret/cattle-system/webhook-tls": texts[1],
        "trust/APIService/v1.metrics": texts[1],
        "trust/ValidatingWebhookConfiguration/rancher": "".join(texts),
    }


def test_an_answer_that_is_cut_off_is_unread(tmp_path: Path) -> None:
    Node().write(tmp_path)
    out = ask(tmp_path)
    for end in (0, 10, len(out) // 2, len(out) - 20):
        found = _tls_read.parse("r1", out[:end], received=NOW)
        assert found["files"] == [] and "ends in the middle" in found["error"]


# --- bootstrap data in a datastore


def varint(number: int) -> bytes:
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def keyvalue(name: str, mod: int, value: bytes) -> bytes:
    key = f"/bootstrap/{name}".encode()
    numbers = b"".join(bytes([field << 3]) + varint(number) for field, number in ((2, 1), (3, mod), (4, mod)))
    return b"\x0a" + varint(len(key)) + key + numbers + b"\x2a" + varint(len(value)) + value


@given(
    st.lists(
        st.tuples(st.sampled_from(["a" * 12, "b" * 12]), st.integers(1, 1 << 40), st.binary(min_size=1)), max_size=5
    ),
    st.binary(max_size=30),
)
def test_the_newest_revision_is_found_wherever_it_lies(kept: list[tuple[str, int, bytes]], noise: bytes) -> None:
    file, offsets = noise, []
    for name, mod, value in kept:
        offsets.append(len(file) + 2)
        file += keyvalue(name, mod, value) + noise
    offsets += [1, len(noise), len(file) + 100]
    answers = _bbolt.local(lambda offset, size: file[offset : offset + size])
    found = _bbolt.drive(_bootstrap_find.newest(offsets, {"a" * 12}), answers)
    ours = [entry for entry in kept if entry[0] == "a" * 12]
    if not ours:
        assert found is None
        return
    newest = max(mod for _name, mod, _value in ours)
    assert found and found.revision == newest and ("a" * 12, newest, found.value) in ours


def test_a_deleted_and_a_damaged_revision_count_for_nothing() -> None:
    for file in (
        b"\x0a\x17/bootstrap/" + b"a" * 12,
        keyvalue("a" * 12, 5, b"")[:-2],
        b"\x0a\x17/bootstrap/" + b"a" * 12 + b"\xff" * 90,
    ):
        answers = _bbolt.local(lambda offset, size, file=file: file[offset : offset + size])  # type: ignore[misc]
        assert _bbolt.drive(_bootstrap_find.newest([2], {"a" * 12}), answers) is None


@pytest.mark.parametrize("shell", SHELLS)
def test_the_bootstrap_data_of_a_stopped_server(tmp_path: Path, shell: str) -> None:
    """Where no etcd runs: two small reads of the datastore that lies there."""
    db = tmp_path / "server/db/etcd/member/snap/db"
    db.parent.mkdir(parents=True)
    shutil.copy(unpacked() / "r1/etcd/member/snap/db", db)
    offsets = read(tmp_path, shell)["offsets"]
    answers = _node.read_many(LocalNode(shell), str(db))
    found = _bbolt.drive(_bootstrap_find.newest(offsets, {_bootstrap.name("sekret123")}), answers)
    assert found and len(_bootstrap.authorities(found.value, "sekret123")) == 15
    assert _bbolt.drive(_bootstrap_find.newest(offsets, {_bootstrap.name("another")}), answers) is None
