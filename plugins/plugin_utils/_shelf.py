# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Snapshots and tokens that lie on the controller: those of earlier runs, and a file that the user names."""

from __future__ import annotations

import glob
import io
import json
import os
import tarfile
import time
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bootstrap,
    _catalog,
    _image,
    _s3,
    _snapshot,
    _state,
)
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

JSON = dict[str, t.Any]
FETCHED = "fetched"
"""Folder of a cluster with the snapshots that `requorum snapshot get` copied: fetched/<server>/."""


def rows(
    settings: t.Mapping[str, t.Any],
    hostvars: t.Mapping[str, JSON],
    entries: t.Sequence[JSON],
    *,
    shelf: str,
    bucket: _s3.Store | None = None,
    named: str = "",
) -> tuple[_catalog.Row, ...]:
    """The table of all snapshots: of the nodes (what INSPECT registered), of the controller, of S3.

    entries: nodes of ClusterState. shelf: folder of the cluster's runs. named: a file besides, as in requorum_snapshot.
    """
    found = on_controller(shelf, named)
    expected = wanted(settings, entries, found)
    for entry in entries:
        found += on_node(hostvars, entry["name"])
    if bucket:
        found += in_s3(bucket)
    return judged(found, expected)


def judged(found: t.Iterable[_catalog.Stored], expected: _snapshot.Wanted) -> tuple[_catalog.Row, ...]:
    """The table of these."""
    tokens = expected.token_hashes or ()
    return _catalog.table(found, tokens=tokens, version=expected.version, now=int(time.time()))


def entries_of(hostvars: t.Mapping[str, JSON], servers: t.Iterable[str]) -> list[JSON]:
    """What INSPECT registered of the servers that it came to."""
    read = [hostvars[name].get("requorum_read") or {} for name in servers]
    return [answer["requorum_node"] for answer in read if answer.get("requorum_node")]


def wanted(
    settings: t.Mapping[str, t.Any], entries: t.Sequence[JSON], here: t.Iterable[_catalog.Stored]
) -> _snapshot.Wanted:
    """What the cluster at hand expects of a snapshot.

    Tokens at hand are those in force on its servers, requorum_token_file, and those kept beside the snapshots `here`.
    """
    tokens = {word for entry in entries for key, word in (entry.get("token") or {}).items() if key == "in-force"}
    tokens.update(map(_bootstrap.name, tokens_here(settings, (stored.path for stored in here))))
    kubernetes = _state.cluster("", entries)["kubernetes"] or {}
    return _snapshot.Wanted(
        token_hashes=tokens,
        system_uid=kubernetes.get("system_uid") or "",
        version=next((entry["version"] for entry in entries if entry.get("version")), ""),
    )


def on_node(hostvars: t.Mapping[str, JSON], name: str) -> list[_catalog.Stored]:
    """What INSPECT registered of the snapshots of a node."""
    read = hostvars[name].get("requorum_stored") or {}
    return [_catalog.Stored(**stored) for stored in json.loads(json.dumps(read.get("requorum_snapshots") or []))]


def in_s3(store: _s3.Store) -> list[_catalog.Stored]:
    """All snapshots of the bucket."""
    return [_catalog.from_s3(store.settings.bucket, stored) for stored in store.entries()]


def on_controller(shelf: str, named: str = "") -> list[_catalog.Stored]:
    """The snapshots of earlier runs, and those that `get` proved; `named` is a file besides."""
    paths = {*_paths(shelf), *([named] if named.startswith("/") else [])}
    return [_read(path) for path in sorted(paths)]


def _paths(shelf: str) -> list[str]:
    paths = glob.glob(os.path.join(glob.escape(shelf), "*", "backup", "*", "*.db"))
    records = glob.glob(os.path.join(glob.escape(shelf), FETCHED, "*", "*.json"))
    return paths + [path for path in (record.removesuffix(".json") for record in records) if os.path.isfile(path)]


def _read(path: str) -> _catalog.Stored:
    """By the record that was written when it was proved; a file without one is read as a whole."""
    try:
        about = os.stat(path)
    except OSError as error:
        return _catalog.Stored("controller", "", path, 0, 0, fault=f"it cannot be read: {error.strerror}")
    stored = _catalog.Stored("controller", "", path, about.st_size, int(about.st_mtime))
    return _recorded(path, about.st_size) or _catalog.proved(stored, _snapshot.prove(path, _snapshot.Wanted()))


def _recorded(path: str, size: int) -> _catalog.Stored | None:
    try:
        with open(f"{path}.json", encoding="utf-8") as file:
            record = json.load(file)
        return _catalog.Stored(**{**record, "path": path}) if record["bytes"] == size else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def written(path: str) -> int:
    """When a snapshot was made: by its record, by the name that RKE2 and K3s give it, else by the time of the file."""
    about = os.stat(path)
    recorded = _recorded(path, about.st_size)
    return recorded.time if recorded else _s3.Stored(os.path.basename(path), 0, int(about.st_mtime), "").time


def unpacked(path: str, target: str, hint: str) -> str:
    """A snapshot as it is, or where its zip was unpacked to; some versions of RKE2 fail at that (facts/rke2.md 10)."""
    try:
        with _image.opened(path) as image:
            if image.kind != "zip":
                return path
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            image.save(target)
            return target
    except BadFile as error:
        raise RequorumError(f"{path} is no snapshot: {error}.", hint) from error


def token(settings: t.Mapping[str, t.Any]) -> str:
    """The one in requorum_token_file; empty when no file is named."""
    path = str(settings.get("requorum_token_file") or "")
    if not path:
        return ""
    try:
        if tarfile.is_tarfile(path):  # files.tar of a backup
            return kept_token(path)
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError as error:
        raise RequorumError(
            f"requorum_token_file {path} cannot be read: {error.strerror}.", "Name the file with the token."
        ) from error


def tokens_here(settings: t.Mapping[str, t.Any], snapshots: t.Iterable[str]) -> list[str]:
    """Tokens at hand on the controller: requorum_token_file, then those kept beside these snapshots."""
    kept = (kept_token(os.path.join(os.path.dirname(path), "files.tar")) for path in snapshots)
    return [word for word in (token(settings), *kept) if word]


def names_at_hand(settings: t.Mapping[str, t.Any], shelf: str, named: str) -> dict[str, str]:
    """Name of a bootstrap key -> the token at hand on the controller that opens it.

    named: the snapshot that the user means, wherever it lies; a token may be kept beside it.
    """
    found = tokens_here(settings, [*([named] if named.startswith("/") else []), *_paths(shelf)])
    return {_bootstrap.name(word): word for word in found}


def opening(settings: t.Mapping[str, t.Any], shelf: str, named: str, restored: JSON) -> str:
    """The token at hand that opens the snapshot of `restore.json`; empty when none does."""
    at_hand = names_at_hand(settings, shelf, named)
    return next((at_hand[key] for key in restored["bootstrap"] if key in at_hand), "")


def kept_files(snapshot: str, host: str) -> str:
    """Where `keep` put the files of a host in the run that made a snapshot."""
    return os.path.join(os.path.dirname(os.path.dirname(snapshot)), host, "files.tar")


def configuration(archive: str) -> bytes:
    """A tar archive of what lies below /etc/rancher in one of `keep`."""
    out = io.BytesIO()
    try:
        with tarfile.open(archive) as tar, tarfile.open(fileobj=out, mode="w") as chosen:
            for member in tar:
                if member.name.startswith("etc/rancher/") and member.isfile():
                    chosen.addfile(member, tar.extractfile(member))
    except (OSError, tarfile.TarError) as error:
        raise RequorumError(f"{archive} cannot be read: {error}.", "Write the configuration by hand.") from error
    return out.getvalue()


def token_places(settings: t.Mapping[str, t.Any], shelf: str) -> list[dict[str, str]]:
    """Where tokens lie on the controller: `place`, hash as `key`, `form`, `authority` in it."""
    named = str(settings.get("requorum_token_file") or "")
    words = {word: named for word in [token(settings)] if word}
    for archive in sorted(glob.glob(os.path.join(glob.escape(shelf), "*", "backup", "*", "files.tar")), reverse=True):
        for word in kept_tokens(archive):
            words.setdefault(word, archive)
    return [{"place": place, **_bootstrap.about(word)} for word, place in words.items()]


def kept_tokens(archive: str) -> list[str]:
    """Every token of the servers in an archive of `keep`: in force, as the server wrote it, as it authorises."""
    found = []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = os.path.basename(member.name)
                file = tar.extractfile(member) if name in ("token", "passwd") and member.isfile() else None
                text = file.read().decode("utf-8", "surrogateescape").strip() if file else ""
                if name == "passwd":
                    text = next(
                        (row.split(",")[0] for row in text.splitlines() if row.split(",")[1:2] == ["server"]), ""
                    )
                found.append(text)
    except (OSError, tarfile.TarError):
        pass
    return [word for word in dict.fromkeys(found) if word]


def kept_token(archive: str) -> str:
    """The token in force when an archive of `keep` was made; empty when it holds none."""
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if member.name.startswith("var/lib/rancher/requorum/") and member.name.endswith("/token"):
                    file = tar.extractfile(member)
                    return file.read().decode("utf-8", "replace").strip() if file else ""
    except (OSError, tarfile.TarError):
        pass
    return ""
