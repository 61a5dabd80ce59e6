# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Snapshots and tokens that lie on the controller: those of earlier runs, and a file that the user names."""

from __future__ import annotations

import functools
import glob
import hashlib
import io
import json
import os
import re
import tarfile
import time
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bootstrap,
    _catalog,
    _contents,
    _image,
    _messages,
    _s3,
    _secret,
    _snapshot,
    _state,
    _structure,
)
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _inspected

JSON = dict[str, t.Any]
_ON_HOST = re.compile(r"([^/:]+):(/.+)")
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
    expected = wanted(settings, entries, found, shelf=shelf, named=named)
    for entry in entries:
        found += on_node(hostvars, entry["name"])
    if bucket:
        found += in_s3(bucket)
    return judged(found, expected)


def judged(found: t.Iterable[_catalog.Stored], expected: _snapshot.Wanted) -> tuple[_catalog.Row, ...]:
    """The table of these."""
    tokens = expected.token_hashes or ()
    now, uid = int(time.time()), expected.system_uid
    return _catalog.table(found, tokens=tokens, version=expected.version, now=now, system_uid=uid)


def entries_of(hostvars: t.Mapping[str, JSON], servers: t.Iterable[str]) -> list[JSON]:
    """What INSPECT registered of the servers that it came to."""
    read = [hostvars[name].get("requorum_read") or {} for name in servers]
    return [answer["requorum_node"] for answer in read if answer.get("requorum_node")]


def wanted(
    settings: t.Mapping[str, t.Any],
    entries: t.Sequence[JSON],
    here: t.Iterable[_catalog.Stored],
    *,
    shelf: str,
    named: str = "",
) -> _snapshot.Wanted:
    """What the cluster at hand expects of a snapshot.

    Tokens at hand are those in force on its hosts, server/token, requorum_token_file, and those kept beside the
    snapshots `here`, and in the `named` one. Where no API tells the UID of kube-system, backups do.
    """
    at = ("in-force", "server")
    tokens = {word for entry in entries for key, word in (entry.get("token") or {}).items() if key in at}
    tokens.update((entry.get("link") or {}).get("token") or "" for entry in entries)
    inner = in_snapshot(named) if named.startswith("/") else ()
    tokens.update(map(_bootstrap.name, (*tokens_here(settings, (stored.path for stored in here)), *inner)))
    kubernetes = _state.cluster("", entries)["kubernetes"] or {}
    return _snapshot.Wanted(
        token_hashes=tokens,
        system_uid=kubernetes.get("system_uid") or kept_uid(shelf, named),
        version=next((entry["version"] for entry in entries if entry.get("version")), ""),
    )


def kept_uid(shelf: str, but: str = "") -> str:
    """The UID of kube-system in the proved backups of a cluster, where all agree; `but` is the one that is judged."""
    records = [_recorded(path, os.path.getsize(path)) for path in _paths(shelf) if path != but]
    found = {stored.system_uid for stored in records if stored} - {""}
    return found.pop() if len(found) == 1 else ""


def on_node(hostvars: t.Mapping[str, JSON], name: str) -> list[_catalog.Stored]:
    """What INSPECT registered of the snapshots of a node."""
    read = _inspected.part(hostvars[name], "snapshots")
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
    """The one in requorum_token_file; empty when no file is named, or one on a host: that comes with its backup."""
    path = str(settings.get("requorum_token_file") or "")
    if not path or _ON_HOST.fullmatch(path):
        return ""
    try:
        if tarfile.is_tarfile(path):  # files.tar of a backup
            return kept_token(path)
        with open(path, encoding="utf-8") as file:
            about, found = os.fstat(file.fileno()), file.read().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise _messages.error("token-file-unread", path=path, reason=reason) from error
    if about.st_uid == os.getuid() and about.st_mode & 0o077:  # as ssh does with keys
        raise _messages.error("token-file-open", path=path, mode=f"{about.st_mode & 0o777:04o}")
    if len(found.splitlines()) != 1:
        raise _messages.error("token-file-empty", path=path, lines=len(found.splitlines()))
    return found


def on_host(settings: t.Mapping[str, t.Any], host: str) -> str:
    """The path on this host that requorum_token_file names as HOST:/path; else empty."""
    match = _ON_HOST.fullmatch(str(settings.get("requorum_token_file") or ""))
    return match[2] if match and match[1] == host else ""


def tokens_here(settings: t.Mapping[str, t.Any], snapshots: t.Iterable[str]) -> list[str]:
    """Tokens at hand on the controller: requorum_token_file, then those that were kept with these snapshots."""
    archives = dict.fromkeys(archive for path in snapshots for archive in _kept_with(path))
    return [word for word in (token(settings), *(w for path in archives for w in kept_tokens(path))) if word]


def _kept_with(snapshot: str) -> list[str]:
    """Archives of `keep` that were made in the run of a snapshot: its own host's first, then those of other hosts."""
    folder = os.path.dirname(snapshot)
    own, above = os.path.join(folder, "files.tar"), os.path.dirname(folder)
    of_a_run = os.path.basename(above) == "backup"
    others = glob.glob(os.path.join(glob.escape(above), "*", "files.tar")) if of_a_run else []
    return [own, *sorted(set(others) - {own})]


def names_at_hand(settings: t.Mapping[str, t.Any], shelf: str, named: str = "") -> dict[str, str]:
    """Name of a bootstrap key -> the token at hand on the controller that opens it.

    named: the snapshot that the user means, wherever it lies; a token may be kept beside it.
    """
    words = tokens_here(settings, [named] if named.startswith("/") else [])
    words += [word for archive in _archives(shelf) for word in kept_tokens(archive)]
    return {_bootstrap.name(word): word for word in reversed(words)}


def opening(settings: t.Mapping[str, t.Any], run_dir: str, keys: t.Collection[str], named: str = "") -> str:
    """The token that opens one of these bootstrap keys; empty when none does.

    It is looked for on the controller, then in Rancher's Secret in the datastores that this run has copied.
    """
    at_hand = names_at_hand(settings, os.path.dirname(run_dir), named)
    found = next((at_hand[key] for key in keys if key in at_hand), "")
    if found or not any(keys):
        return found
    inner = {_bootstrap.name(word): word for path in _copied(run_dir) for word in in_snapshot(path, run_dir)}
    return next((inner[key] for key in keys if key in inner), "")


def in_snapshot(path: str, run_dir: str = "") -> list[str]:
    """Tokens that Rancher or Harvester keep in a snapshot, decrypted with what was kept with it, or in this run."""
    mine = glob.glob(os.path.join(glob.escape(run_dir), "backup", "*", "files.tar")) if run_dir else []
    archives = dict.fromkeys([*_kept_with(path), *sorted(mine)])
    configs = (config for archive in archives for config in _members(archive, "encryption-config.json"))
    return list(_secret.tokens(_state_in(path), configs).values())


@functools.cache
def _state_in(path: str) -> bytes:
    """Rancher's Secret as it lies in a snapshot, for which the whole of it is read."""
    contents = _contents.Contents()
    try:
        with _image.opened(path) as image:
            _structure.check(image.read_at, image.size, contents.visit)
    except BadFile:
        return b""
    return contents.state


def _copied(run_dir: str) -> list[str]:
    """The snapshots that a run has proved: the one that is restored, then the survivor's own."""
    found = []
    for name in ("restore.json", "backup.json"):
        try:
            with open(os.path.join(run_dir, name), encoding="utf-8") as file:
                found.append(str(json.load(file)["path"]))
        except (OSError, ValueError, KeyError):
            continue
    return found


def _archives(shelf: str) -> list[str]:
    """What `keep` has copied in all runs, the newest run first."""
    return sorted(glob.glob(os.path.join(glob.escape(shelf), "*", "backup", "*", "files.tar")), reverse=True)


def kept_files(snapshot: str, host: str) -> str:
    """Where `keep` put the files of a host in the run that made a snapshot."""
    return os.path.join(os.path.dirname(os.path.dirname(snapshot)), host, "files.tar")


def hashes(archive: str) -> dict[str, str]:
    """Path on the host -> sha256 of every file in the `files.tar` of `keep`; nothing where it cannot be read."""
    found = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                if file:
                    found[f"/{member.name.removeprefix('./')}"] = hashlib.sha256(file.read()).hexdigest()
    except (OSError, tarfile.TarError):
        return {}
    return found


def configuration(archive: str) -> bytes:
    """A tar archive of the configuration and the node password in one of `keep`."""
    own = ("etc/rancher/rke2/config.yaml", "etc/rancher/k3s/config.yaml", "etc/rancher/node/password")
    out = io.BytesIO()
    try:
        with tarfile.open(archive) as tar, tarfile.open(fileobj=out, mode="w") as chosen:
            for member in tar:
                if member.name.startswith(own) and member.isfile():
                    chosen.addfile(member, tar.extractfile(member))
    except (OSError, tarfile.TarError) as error:
        raise RequorumError(f"{archive} cannot be read: {error}.", "Write the configuration by hand.") from error
    return out.getvalue()


def token_places(settings: t.Mapping[str, t.Any], shelf: str, snapshot: str = "") -> list[dict[str, str]]:
    """Where tokens lie on the controller: `place`, hash as `key`, `form`, `authority` in it.

    snapshot: one that the user names; what is kept with it and in it counts, wherever it lies.
    """
    named = str(settings.get("requorum_token_file") or "")
    words = {word: named for word in [token(settings)] if word}
    beside = _kept_with(snapshot) if snapshot.startswith("/") else []
    for archive in [*beside, *_archives(shelf)]:
        for word in kept_tokens(archive):
            words.setdefault(word, archive)
    for word in in_snapshot(snapshot) if snapshot.startswith("/") else ():
        words.setdefault(word, f"Secret fleet-local/local-rke-state in {snapshot}")
    return [{"place": place, **_bootstrap.about(word)} for word, place in words.items()]


def kept_tokens(archive: str) -> list[str]:
    """Every token in an archive of `keep`: in force, as the server wrote it, as it authorises, named by the user."""
    found = [content.decode("utf-8", "surrogateescape").strip() for content in _members(archive, "token")]
    for content in _members(archive, "passwd"):
        rows = [row.split(",") for row in content.decode("utf-8", "surrogateescape").splitlines()]
        found += [row[0] for row in rows if row[1:2] == ["server"]][:1]
    return [word for word in dict.fromkeys(found) if word]


def kept_token(archive: str) -> str:
    """The token in force when an archive of `keep` was made; empty when it holds none."""
    own = _members(archive, "token", "var/lib/rancher/requorum/")
    return own[0].decode("utf-8", "replace").strip() if own else ""


def _members(archive: str, name: str, below: str = "") -> list[bytes]:
    """Contents of the files of this name in a tar archive; nothing where it cannot be read."""
    found = []
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                if os.path.basename(member.name) == name and member.name.startswith(below) and member.isfile():
                    file = tar.extractfile(member)
                    found.append(file.read() if file else b"")
    except (OSError, tarfile.TarError):
        pass
    return found
