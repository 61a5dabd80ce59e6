# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""An export on its way to the controller's disk: objects come one after the other, from the API or from a snapshot.

`run` is all that an action plugin or a command calls. Secrets are written encrypted by ansible-vault, or not at all.
"""

from __future__ import annotations

import collections
import datetime
import json
import os
import shutil
import typing as t

from ansible.parsing.vault import VaultLib, VaultSecret

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _api,
    _bootstrap,
    _core,
    _describe,
    _export,
    _export_index,
    _keys,
    _objects,
    _yaml,
)
from ansible_collections.requorum.cluster.plugins.module_utils._bbolt import BadFile
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError

JSON = dict[str, t.Any]
MANIFEST = "export.json"
LOCKED = "secrets are kept encrypted only: name a file in requorum_export_passphrase_file"
_REGISTRY, _BOOTSTRAP = b"/registry/", b"/bootstrap/"
_DEFINED = "apiextensions.k8s.io/customresourcedefinitions"


def run(
    folder: str,
    *,
    cluster: str,
    api: _api.Api | None = None,
    snapshot: str = "",
    passphrase_file: str = "",
    token: str = "",
    say: t.Callable[[str], None] = lambda _text: None,
) -> JSON:
    """Export into a folder that is not there yet; what stands in its export.json, and `folder`.

    From the API where one is given and answers, else from a snapshot. token: opens what is encrypted at rest in it.
    """
    vault = locked_by(passphrase_file) if passphrase_file else None
    if os.path.exists(folder):
        raise RequorumError(f"{folder} is there already.", "Name a folder that is not there yet.")
    if api is not None:
        try:
            with Tree(folder, cluster, vault) as tree:
                _from_api(api, tree)
                return tree.close(f"the API ({api.where})")
        except RequorumError as error:
            if not snapshot:
                raise
            say(f"the API gave no export, so the snapshot does: {error}")
    if not snapshot:
        raise RequorumError("There is no API and no snapshot to export from.", "Name a snapshot in requorum_snapshot.")
    try:
        with Tree(folder, cluster, vault) as tree:
            _from_snapshot(snapshot, tree, token)
            return tree.close(f"the snapshot {snapshot}")
    except BadFile as error:
        what = str(error) if snapshot in str(error) else f"{snapshot}: {error}"
        raise RequorumError(f"{what}.", "Name another snapshot; `requorum snapshot verify` proves one.") from error


def locked_by(path: str) -> VaultLib:
    """The vault of a passphrase file, as ansible-vault reads it: what stands in it, without blanks around it."""
    try:
        with open(os.path.expanduser(path), "rb") as file:
            word = file.read().strip()
    except OSError as error:
        raise RequorumError(f"The passphrase file {path} cannot be read: {error.strerror}.", "Name another.") from error
    if not word:
        raise RequorumError(f"The passphrase file {path} is empty.", "Write a passphrase into it; 0600 is enough.")
    return VaultLib([("default", VaultSecret(word))])


def token_of(path: str) -> str:
    """The cluster's token in a file of the controller; empty where none is named."""
    if not path:
        return ""
    try:
        with open(os.path.expanduser(path), encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError) as error:
        raise RequorumError(f"The token file {path} cannot be read: {error}.", "Name another.") from error


class Tree:
    """A folder that fills; it gets its name when it is complete, so what has the name is whole."""

    def __init__(self, folder: str, cluster: str, vault: VaultLib | None) -> None:
        self._folder, self._part, self._cluster, self._vault = folder, f"{folder}.part", cluster, vault
        self._paths: dict[str, bool] = {}
        """Of what was written: whether encrypted. An object may come twice."""
        self._out: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
        self._index = _export_index.Index()
        self._bytes = 0
        self.not_installed: list[str] = []
        self.warnings: list[str] = []
        self._drop()
        self._make(self._part)

    def __enter__(self) -> t.Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_more: object) -> None:
        if error:
            self._drop()

    def _drop(self) -> None:
        """Take away what was left unfinished, by this run or an earlier one."""
        shutil.rmtree(self._part, ignore_errors=True)

    def _make(self, folder: str) -> None:
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise self._full(error) from error

    def _write(self, path: str, data: bytes) -> None:
        try:
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
        except OSError as error:
            raise self._full(error) from error
        self._bytes += len(data)

    def _full(self, error: OSError) -> RequorumError:
        return RequorumError(f"{self._folder} cannot be written: {error.strerror}.", "Look at that disk.")

    def take(self, kind: str, document: JSON) -> None:
        """Write one object, or count why not."""
        if why := _export.left_out(kind, document):
            return self.leave_out(kind, _export.path(kind, document), why)
        self._index.take(kind, document)
        stripped = _export.strip(kind, document)
        path, text = _export.path(kind, stripped), _yaml.dump(stripped)
        hidden = _export.secret(kind, stripped)
        if hidden and self._vault is None:
            return self.leave_out(kind, path, LOCKED)
        data = self._vault.encrypt(text) if hidden and self._vault else text.encode()
        target = os.path.join(self._part, path)
        for part in (os.path.dirname(os.path.dirname(target)), os.path.dirname(target)):
            self._make(part)
        self._write(target, data)
        self._paths[path] = hidden
        return None

    def leave_out(self, kind: str, name: str, why: str) -> None:
        """Count an object that is not written."""
        self._out[kind, why].add(name)

    def close(self, source: str) -> JSON:
        """Write index and manifest, and give the folder its name."""
        kinds = [(path.split("/")[1], hidden) for path, hidden in self._paths.items()]
        rows = list(self._index.rows())
        manifest: JSON = {
            "schema": 1,
            "cluster": self._cluster,
            "made": datetime.datetime.now(datetime.UTC).strftime("%FT%TZ"),
            "source": source,
            "objects": len(kinds),
            "bytes": self._bytes,
            "machines": len({(row.namespace, row.vm) for row in rows}),
            "counts": dict(sorted(collections.Counter(kind for kind, _hidden in kinds).items())),
            "encrypted": dict(sorted(collections.Counter(kind for kind, hidden in kinds if hidden).items())),
            "left_out": [
                {"kind": kind, "count": len(names), "why": why} for (kind, why), names in sorted(self._out.items())
            ],
            "not_installed": sorted(self.not_installed),
            "warnings": self.warnings,
        }
        for name, text in (
            ("index.csv", _export_index.as_csv(rows)),
            ("index.html", _export_index.as_html(rows, manifest)),
            (MANIFEST, json.dumps(manifest, indent=1) + "\n"),
        ):
            self._write(os.path.join(self._part, name), text.encode())
        os.rename(self._part, self._folder)
        return {**manifest, "folder": self._folder}


def _from_api(api: _api.Api, tree: Tree) -> None:
    """Of a kind that is served in several versions the first one counts."""
    counts, names = api.counts([kind for wanted in _export.WANTED for kind in wanted.kinds]), dict[_api.Kind, str]()
    for wanted in _export.WANTED:
        if kind := next((kind for kind in wanted.kinds if kind in counts), None):
            names[kind] = wanted.name
        else:
            tree.not_installed.append(wanted.name)
    there = {kind: counts[kind] for kind in names if counts[kind]}
    api.every(there, lambda kind, item: tree.take(names[kind], item), _export.FIELDS)


def _from_snapshot(path: str, tree: Tree, token: str) -> None:
    """Bootstrap data are looked at before objects: they hold the keys of what is encrypted at rest."""
    unseal, defined = _opener(path, token), set[str]()

    def where(key: bytes) -> bool:
        resource = _keys.resource(key) if key.startswith(_REGISTRY) else ""
        if resource == _DEFINED:
            defined.add(_keys.place(key).name)
        return resource in _export.RESOURCES

    def take(entry: _describe.Entry) -> None:
        kind, value = _export.RESOURCES[entry.resource].name, entry.value
        try:
            if _objects.ENCRYPTED.match(value):
                value = unseal(value)
            if _objects.decode(value).deleted:
                return tree.leave_out(kind, f"{entry.namespace}/{entry.name}", "it is being deleted")
            document = json.loads(value) if value.startswith(b"{") else _core.document(value)
            if not isinstance(document.get("metadata"), dict):
                raise BadFile("it is no object of Kubernetes")
            return tree.take(kind, document)
        except (BadFile, ValueError, RecursionError) as error:
            why = str(error) if isinstance(error, BadFile) else "it is no object of Kubernetes"
            return tree.leave_out(kind, f"{entry.namespace}/{entry.name}", f"it cannot be read: {why}")

    if not _describe.each(path, where, take):
        tree.warnings.append(f"The sha256 at the end of {path} is wrong: it was damaged, so any of this may be wrong.")
    tree.not_installed += [w.name for w in _export.WANTED if "." in w.resource and w.name not in defined]


def _opener(path: str, token: str) -> t.Callable[[bytes], bytes]:
    """What decrypts objects at rest; where it cannot be had, it says why for every one of them."""
    why = "it is encrypted at rest: name the cluster's token in requorum_token_file"
    if token:
        sealed = {e.name: e.value for e in _describe.entries(path, _BOOTSTRAP, values=True)}
        value = sealed.get(_bootstrap.name(token))
        if value is not None:
            return _bootstrap.unsealer(value, token)
        why = "it is encrypted at rest, and the token is not the one of this snapshot"

    def closed(_value: bytes) -> bytes:
        raise BadFile(why)

    return closed
