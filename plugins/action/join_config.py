# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/join_config.py for the documentation."""

from __future__ import annotations

import json
import os
import secrets
import typing as t

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _api,
    _files,
    _join_config,
    _join_files,
    _join_wish,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction

JSON = dict[str, t.Any]
RANCHERD = "/etc/rancher/rancherd/config.yaml"
LONGEST = 512
SETTING = _api.Kind("harvesterhci.io", "v1beta1", "settings", namespaced=False)
CONFIGMAP = _api.Kind("", "v1", "configmaps")
NODE = _api.Kind("", "v1", "nodes", namespaced=False)
SECRET = _api.Kind("", "v1", "secrets")
JOB = _api.Kind("batch", "v1", "jobs")
MACHINE = _api.Kind("cluster.x-k8s.io", "v1beta1", "machines")
LONGHORN = _api.Kind("longhorn.io", "v1beta2", "nodes")
REGISTRATION = _api.Kind("management.cattle.io", "v3", "clusterregistrationtokens")
CORRECT = "Nothing was written. Correct requorum_join, then run the same command again."
OTHER = "Its token is not the one that the cluster gives out, so it will not be let in: see `rancherd get-token`."


class ActionModule(NodeAction):
    """Write the files by which hosts join, on the controller; the cluster is only read."""

    VALID = ("nodes", "folder", "url")

    def act(self) -> JSON:
        args, wanted = self._task.args, self._wishes()
        asked: list[str] = _plain(args.get("nodes")) or list(wanted)
        if not asked:
            raise RequorumError("requorum_join names no host.", "Describe those that shall join: docs/join-config.md.")
        url = str(args.get("url") or "").rstrip("/")
        if url and not _join_wish.URL.fullmatch(url):
            raise RequorumError("url is no http or https address.", CORRECT)
        api = _node_api.of(self)
        seen = read(api, asked)
        wrong = _join_config.faults(seen, asked, wanted)
        if wrong:
            raise RequorumError(f"{api.where}: {'; '.join(wrong)}.", CORRECT)
        token, others = self._token(api)
        made: JSON = {}
        for name in asked:
            wish = wanted[name]
            document = _join_wish.document(name, wish, version=seen.version, vip=seen.vip, token=token)
            at = f"{url}/{name}/{_join_files.CONFIG}" if url else ""
            made[name] = _join_files.files(name, wish, document, seen, at)
        folder = os.path.abspath(args["folder"])
        actions = put(folder, made, dry=bool(self._task.check_mode))
        hosts = {
            name: {
                "folder": os.path.join(folder, name),
                "files": list(texts),
                "notes": [*_join_config.notes(seen, name, wanted[name]), *([OTHER] if others else [])],
            }
            for name, texts in made.items()
        }
        for name, host in hosts.items():
            self.say(f"{name}: {host['folder']}")
        return {
            "changed": bool(actions),
            "requorum_actions": actions,
            "cluster": {"version": seen.version, "vip": seen.vip},
            "hosts": hosts,
        }

    def _wishes(self) -> dict[str, JSON]:
        """Each host's own wishes before those for all."""
        given = self.settings.get("requorum_join") or {}
        common = self.settings.get("requorum_join_defaults") or {}
        if not isinstance(given, dict) or not isinstance(common, dict):
            raise RequorumError("requorum_join and requorum_join_defaults are no dictionaries.", CORRECT)
        strange = [name for name, wish in given.items() if not isinstance(wish, dict)]
        if strange:
            raise RequorumError(f"requorum_join: {', '.join(map(str, strange))} is no dictionary.", CORRECT)
        each: dict[str, JSON] = _plain({name: {**common, **wish} for name, wish in given.items()})
        return {name: {key: value for key, value in wish.items() if value is not None} for name, wish in each.items()}

    def _token(self, api: _api.Api) -> tuple[str, bool]:
        """(the token, whether the cluster gives out another one)."""
        path = str(self.settings.get("requorum_rancherd_token_file") or "")
        given, there = self._of_file(path) if path else "", ("", "")
        if self.host != "localhost":
            there = self._of_node()
        elif self.settings.get("requorum_kubeconfig"):
            registration = api.get(REGISTRATION, "default-token", "local") or {}
            there = "", str((registration.get("status") or {}).get("token") or "")
        token = given or there[0] or there[1]
        if not token:
            raise RequorumError(
                f"{api.where}: {RANCHERD} has no token, and the cluster gives none out.",
                "Put the token into a file and name it by requorum_rancherd_token_file.",
            )
        if not _join_wish.TOKEN.fullmatch(token):
            raise RequorumError("The rancherd token has characters that the installer refuses.", "Look at its source.")
        return token, bool(there[1]) and token != there[1]

    def _of_file(self, path: str) -> str:
        try:
            with open(os.path.expanduser(path), encoding="utf-8") as file:
                return file.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            what = f"requorum_rancherd_token_file {path} cannot be read: {error}."
            raise RequorumError(what, "Name another file.") from error

    def _of_node(self) -> tuple[str, str]:
        """The token of rancherd's file and of the cluster, hidden on their way by numbers that are used once."""
        pads = [secrets.token_bytes(LONGEST) for _each in range(2)]
        stdin = "".join(f"{' '.join(map(str, pad))}\n" for pad in pads).encode()
        said = self.must(
            "rancherd_token",
            "the rancherd token cannot be read",
            "Put it into a file and name it by requorum_rancherd_token_file.",
            stdin=stdin,
            timeout=30,
            FILE=RANCHERD,
        )
        return bare(said.get("file", ""), pads[0]), bare(said.get("api", ""), pads[1])


def _plain(given: t.Any) -> t.Any:
    """Values without the marks of Ansible, which YAML cannot write."""
    return json.loads(json.dumps(given))


def bare(hidden: str, pad: bytes) -> str:
    """What a script has hidden by a pad."""
    return bytes(a ^ b for a, b in zip(bytes.fromhex(hidden), pad, strict=False)).decode("utf-8", "replace")


def read(api: _api.Api, asked: t.Sequence[str]) -> _join_config.Cluster:
    """The cluster as it is seen by a host that wants to join."""
    passwords = [name for name in asked if api.get(SECRET, f"{name}.node-password.rke2", "kube-system")]
    return _join_config.cluster(
        setting=api.get(SETTING, "server-version"),
        vip=api.get(CONFIGMAP, "vip", "harvester-system"),
        nodes=api.items(NODE) or [],
        machines=api.items(MACHINE, "fleet-local") or [],
        longhorn=api.items(LONGHORN, "longhorn-system") or [],
        jobs=api.items(JOB, "harvester-system") or [],
        passwords=passwords,
    )


def put(folder: str, made: t.Mapping[str, t.Mapping[str, str]], *, dry: bool) -> list[JSON]:
    """Write what is not there yet, for its owner alone; what was, or in check mode would be, written."""
    done = []
    for name, texts in made.items():
        for file, text in texts.items():
            path = os.path.join(folder, name, file)
            if _content(path) == text:
                continue
            words = {"what": _join_files.WHAT[file], "why": f"{name} joins by it"}
            done.append({"verb": "write", "kind": "File", "namespace": "", "name": path, **words})
            if not dry:
                _write(path, text)
    return done


def _content(path: str) -> str | None:
    """None too where others may read it: it is written anew then."""
    try:
        if os.stat(path).st_mode & 0o077 or os.stat(os.path.dirname(path)).st_mode & 0o077:
            return None
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None


def _write(path: str, text: str) -> None:
    home = os.path.dirname(path)
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
        os.chmod(home, 0o700)
        _files.put(path, text)
    except OSError as error:
        raise RequorumError(f"{path} cannot be written: {error.strerror}.", "Name another requorum_output.") from error
