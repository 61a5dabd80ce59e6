# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that are not what they should be. Each function writes one to a path and returns that path."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tests.bundles import big, story, support
from tests.bundles.support import TOP

SPOILT = "yamls/namespaced/harvester-system/harvesterhci.io/v1beta1/upgrades.yaml"
"""What is spoilt where one file of YAML is."""
LOG = "logs/kube-system/etcd-n1/etcd.log"
SAID = b'{"level":"info","ts":"2024-09-10T08:12:00.1Z","msg":"raft.node: 82 lost leader 91 at term 1"}\n'
"""A line that is found where the log is read."""
_FLAGS = ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8))
"""Where the flags stand behind the mark of a header."""


def not_a_zip(path: Path) -> Path:
    """The page that a proxy gives instead of the file."""
    path.write_bytes(b"<!DOCTYPE html><html><body>504 Gateway Time-out</body></html>\n" * 100)
    return path


def empty(path: Path) -> Path:
    """A download that has not begun."""
    path.write_bytes(b"")
    return path


def truncated(path: Path) -> Path:
    """A download that broke off; the directory at the end is gone."""
    data = support.write(story.story(), path).read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def encrypted(path: Path) -> Path:
    """Each member says that it is encrypted."""
    data = bytearray(support.write(story.story(), path).read_bytes())
    for mark, offset in _FLAGS:
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(mark, at + 4)
    path.write_bytes(data)
    return path


def bomb(path: Path, *, size: int = 1 << 30) -> Path:
    """A log of nothing but zeros, a thousand times as large as it is in the archive."""
    return _with_log(path, "logs/kube-system/bomb-n1/bomb.log", size, bytes(1 << 20))


def bomb_within(path: Path, *, size: int = 1 << 30) -> Path:
    """The same within the zip of a node, which is compressed again."""
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as made:
        big.stream(made, "n1/logs/kernel.log", size, bytes(1 << 20))
    return support.write(replace(story.story(), raw={"nodes/n1.zip": inner.getvalue()}), path)


def nested(path: Path, *, depth: int = 8) -> Path:
    """Zips within zips within the zip of a node."""
    data = b"x"
    for level in range(depth):
        data = support.zipped({f"n1/{level}.zip": data})
    return support.write(replace(story.story(), raw={"nodes/n1.zip": data}), path)


def traversal(path: Path) -> Path:
    """Names that lead out of the folder they are unpacked to."""
    names = ("../../escaped", f"{TOP}/../../escaped", "/etc/escaped", "C:\\escaped", f"{TOP}\\..\\escaped",
             f"{TOP}/nodes/../../../escaped.zip")  # fmt: skip
    return _more(path, dict.fromkeys(names, b"escaped"))


def links(path: Path) -> Path:
    """Symbolic links to files of the reader's machine, in a place of a log and in one of YAML."""
    support.write(story.story(), path, without=(LOG, SPOILT))
    with zipfile.ZipFile(path, "a") as made:
        for name in (LOG, SPOILT):
            info = support.member(f"{TOP}/{name}", method=zipfile.ZIP_STORED)
            info.external_attr = 0o120777 << 16
            made.writestr(info, b"/etc/passwd")
    return path


def many(path: Path, *, count: int = 100_000) -> Path:
    """That many logs of one line."""
    names = (f"{TOP}/logs/default/pod-{number:06}/main.log" for number in range(count))
    return _more(path, dict.fromkeys(names, b"started\n"), method=zipfile.ZIP_STORED)


def huge(path: Path, *, size: int = 10 << 30) -> Path:
    """A log of that many bytes; its last line is one that is found."""
    support.write(story.story(), path, without=(LOG,))
    line = b'{"level":"info","ts":"2024-09-10T08:00:00.1Z","msg":"compact tree index","revision":4711}\n'
    with zipfile.ZipFile(path, "a") as archive:
        big.stream(archive, f"{TOP}/{LOG}", size, line * ((1 << 20) // len(line)), b"\n" + SAID)
    return path


def one_line(path: Path, *, size: int = 64 << 20) -> Path:
    """A log without an end of a line."""
    return _with_log(path, "logs/kube-system/etcd-n9/etcd.log", size, b"election " * 100_000)


def nul(path: Path) -> Path:
    """What a journal looks like after the power was cut: zeros where blocks were not written; so in YAML too."""
    raw = {LOG: bytes(4096) + SAID + bytes(4096), SPOILT: bytes(4096)}
    return support.write(replace(story.story(), raw=raw), path)


def broken_yaml(path: Path) -> Path:
    """YAML that ends within a text."""
    whole = dict(support.files(story.story()))[SPOILT]
    return support.write(replace(story.story(), raw={SPOILT: whole[: len(whole) // 2] + b'\n  x: "['}), path)


def yaml_bomb(path: Path, *, levels: int = 9) -> Path:
    """Aliases of aliases: nine to the power of `levels` items out of a line for each level."""
    lines = [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    text = "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x]", *lines, f"items: [*a{levels - 1}]", ""])
    return support.write(replace(story.story(), raw={SPOILT: text.encode()}), path)


def odd_yaml(path: Path) -> Path:
    """YAML that is right and no list of objects; objects that are none; a tag that would run code."""
    spaces = "yamls/namespaced"
    items = "[null, 1, text, {metadata: null}, {metadata: {name: 7}, spec: [], status: word}]"
    raw = {
        SPOILT: "- just\n- words\n",
        "metadata.yaml": "nothing",
        "yamls/cluster/v1/nodes.yaml": "kind: List\nitems: {a: b}\n",
        f"{spaces}/cattle-system/upgrade.cattle.io/v1/plans.yaml": "items: []\n---\nitems: []\n",
        f"{spaces}/harvester-system/batch/v1/jobs.yaml": "items:\n- !!python/object/apply:os.system ['exit 1']\n",
        f"{spaces}/longhorn-system/longhorn.io/v1beta2/volumes.yaml": f"items: {items}\n",
    }
    return support.write(replace(story.story(), raw={name: text.encode() for name, text in raw.items()}), path)


def not_utf8(path: Path) -> Path:
    """Latin-1 in YAML, and bytes of no text at all in a log."""
    raw = {SPOILT: "kind: List\nitems: [{metadata: {name: Übung}}]\n".encode("latin-1"),
           LOG: bytes(range(128, 256)) * 10 + b"\n" + SAID}  # fmt: skip
    return support.write(replace(story.story(), raw=raw), path)


def openshift(path: Path) -> Path:
    """What another product hands over: a must-gather."""
    folder = "must-gather.local.4711/quay-io-openshift"
    names = ("version", "timestamp", "namespaces/default/core/pods.yaml", "cluster-scoped-resources/core/nodes/n1.yaml")
    path.write_bytes(support.zipped({f"{folder}/{name}": b"kind: List\nitems: []\n" for name in names}))
    return path


def longhorn(path: Path) -> Path:
    """The support bundle of a Longhorn that is not Harvester's: the same kit has written it."""
    whole = story.story()
    objects = {key: item for key, item in whole.objects.items() if key[0] == "nodes" or key[1] == "longhorn-system"}
    logs = {name: text for name, text in whole.logs.items() if name.startswith("longhorn-system/")}
    top = "supportbundle_7e1d_2024-09-10T08-30-00Z"
    return support.write(replace(whole, objects=objects, logs=logs, hosts={}), path, top=top)


def duplicates(path: Path) -> Path:
    """Two members of a name; which one an unpacker keeps depends on it."""
    support.write(story.story(), path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return _more(path, {f"{TOP}/{name}": SAID for name in (SPOILT, LOG)}, begun=True)


def damaged(path: Path) -> Path:
    """Bytes of the compressed nodes and logs were changed on the way: their checksums are wrong."""
    data = bytearray(support.write(story.story(), path).read_bytes())
    for name in (f"{TOP}/{LOG}", f"{TOP}/nodes/n1.zip"):
        at = data.find(name.encode()) + len(name) + 40
        data[at : at + 20] = bytes(20)
    path.write_bytes(data)
    return path


def wrong_sizes(path: Path) -> Path:
    """The directory says of each member that it is empty."""
    data = bytearray(support.write(story.story(), path).read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        struct.pack_into("<I", data, at + 24, 0)
        at = data.find(b"PK\x01\x02", at + 4)
    path.write_bytes(data)
    return path


def _more(path: Path, members: Mapping[str, bytes], *, method: int = zipfile.ZIP_DEFLATED, begun: bool = False) -> Path:
    """The story with these members besides."""
    if not begun:
        support.write(story.story(), path)
    with zipfile.ZipFile(path, "a") as made:
        for name, data in members.items():
            made.writestr(support.member(name, method=method), data)
    return path


def _with_log(path: Path, name: str, size: int, block: bytes) -> Path:
    support.write(story.story(), path)
    with zipfile.ZipFile(path, "a") as archive:
        big.stream(archive, f"{TOP}/{name}", size, block)
    return path


ALL: dict[str, Callable[[Path], Path]] = {
    make.__name__: make
    for make in (
        *(not_a_zip, empty, truncated, encrypted, bomb, bomb_within, nested, traversal, links, many, huge, one_line),
        *(nul, broken_yaml, yaml_bomb, odd_yaml, not_utf8, openshift, longhorn, duplicates, damaged, wrong_sizes),
    )
}
"""By name. `many`, `huge`, `bomb`, `yaml_bomb` and `one_line` take a size; theirs are large."""
