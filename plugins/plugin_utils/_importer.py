# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""An export as it lies on the controller, and the cluster beside it, as `_import` asks for them."""

from __future__ import annotations

import json
import os
import typing as t
from urllib.parse import unquote

from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, is_encrypted

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _export, _import, _yaml
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _exporter

JSON = dict[str, t.Any]
ONE_BY_ONE = (_import.SECRETS, _import.CONFIGS)
"""Kinds of which a cluster has many that are large."""


class Stored:
    """A folder that `_exporter` has written."""

    def __init__(self, folder: str, vault: VaultLib | None) -> None:
        self._folder, self._vault = os.path.expanduser(folder), vault
        self._seen: dict[_import.Ref, JSON | str | None] = {}
        try:
            with open(os.path.join(self._folder, _exporter.MANIFEST), encoding="utf-8") as file:
                manifest = json.load(file)
            self.left_out = {str(entry["kind"]): str(entry["why"]) for entry in manifest["left_out"]}
        except (OSError, ValueError, TypeError, KeyError) as error:
            what = f"{folder} is no export: {_exporter.MANIFEST} cannot be read ({error})."
            raise RequorumError(what, "Name the folder that the export has written.") from error

    def names(self, kind: str) -> list[_import.Ref]:
        """What there is of a kind; what cannot be read by the name of its file."""
        found = []
        for namespace in sorted(os.listdir(self._folder)):
            folder = os.path.join(self._folder, namespace, kind)
            for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
                document = self._read(os.path.join(folder, name))
                told = {
                    "namespace": "" if namespace == _export.CLUSTER else unquote(namespace),
                    "name": unquote(name.removesuffix(".yaml")),
                }
                meta = document["metadata"] if isinstance(document, dict) else told
                found.append(_import.Ref(kind, str(meta.get("namespace") or ""), str(meta["name"])))
        return found

    def get(self, ref: _import.Ref) -> JSON | str | None:
        """An object, or why it cannot be read; None where the export has none."""
        if ref not in self._seen:
            self._seen[ref] = self._get(ref)
        return self._seen[ref]

    def _get(self, ref: _import.Ref) -> JSON | str | None:
        place = {"metadata": {"namespace": ref.namespace, "name": ref.name}}
        document = self._read(os.path.join(self._folder, _export.path(ref.kind, place)))
        if isinstance(document, dict) and document["metadata"].get("name") != ref.name:
            return "another object stands in its file"
        if document is None and self.left_out.get(ref.kind) == _exporter.LOCKED:
            return "it may have been left out: the export was made without a passphrase file."
        return document

    def _read(self, path: str) -> JSON | str | None:
        try:
            with open(path, "rb") as file:
                data = file.read()
            if is_encrypted(data):
                if self._vault is None:
                    return "it is encrypted: name the passphrase's file in requorum_export_passphrase_file."
                data = self._vault.decrypt(data)
            document = _yaml.load(data.decode())
        except FileNotFoundError:
            return None
        except AnsibleError:
            return "the passphrase does not open it: name the one of this export."
        except (OSError, ValueError, RecursionError) as error:
            return f"{path}: {error}."
        if not (isinstance(document, dict) and isinstance(document.get("metadata"), dict) and document.get("kind")):
            return f"{path} is no object of Kubernetes."
        return document if document["metadata"].get("name") else f"{path} has no name."


class Living:
    """Objects of the cluster, each kind read once; a machine or two need no more than a few of the large ones."""

    def __init__(self, api: _api.Api) -> None:
        self._api = api
        self._lists: dict[str, dict[_import.Ref, JSON] | None] = {}
        self._versions: dict[str, _api.Kind] = {}
        self._single: dict[_import.Ref, JSON | None] = {}

    def get(self, ref: _import.Ref) -> JSON | None:
        """As it was when it was first asked for."""
        if ref.kind in ONE_BY_ONE:
            if ref not in self._single:
                self._single[ref] = self._api.get(self.kind(ref.kind), ref.name, ref.namespace)
            return self._single[ref]
        return (self._of(ref.kind) or {}).get(ref)

    def served(self, kind: str) -> bool:
        """Whether the cluster has such a kind."""
        return kind in ONE_BY_ONE or self._of(kind) is not None

    def kind(self, name: str) -> _api.Kind:
        """In the version that this cluster serves."""
        kinds = _export.NAMED[name].kinds
        return kinds[0] if len(kinds) == 1 or self._of(name) is None else self._versions[name]

    def _of(self, name: str) -> dict[_import.Ref, JSON] | None:
        if name not in self._lists:
            self._lists[name] = None
            for kind in _export.NAMED[name].kinds:
                items = self._api.items(kind)
                if items is not None:
                    self._versions[name] = kind
                    self._lists[name] = {
                        _import.Ref(name, str(i["metadata"].get("namespace") or ""), str(i["metadata"]["name"])): i
                        for i in items
                    }
                    break
        return self._lists[name]
