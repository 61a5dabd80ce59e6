# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See plugins/modules/run_deliver.py for the documentation."""

from __future__ import annotations

import base64
import glob
import http.client
import os
import shutil
import subprocess
import tempfile
import typing as t
import urllib.error
import urllib.request
from dataclasses import replace
from urllib.parse import quote

from ansible.utils.display import Display

from ansible_collections.requorum.cluster.plugins.module_utils import _deliver, _names, _s3, _told
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction
from ansible_collections.requorum.cluster.plugins.plugin_utils._run_folder import shelf

SECONDS, TRIES = 60, 3


class ActionModule(NodeAction):
    """Copy what a run left to places that outlive it."""

    VALID = ("run_dir", "cluster", "output", "targets", "backup", "password_file", "key_file", "known_hosts_file",
             "must", "story")  # fmt: skip

    def act(self) -> dict[str, t.Any]:
        args = self._task.args
        targets = _names.names(args.get("targets"))
        result = self._copied(self._folder(), targets) if targets else {"changed": False, "delivered": [], "msg": ""}
        if not args.get("story"):
            return result
        well, lines = _told.story(self.vars)
        for line in [*lines, *(f"delivered: {place}" for place in self._before())]:
            Display().display(line)
        if well:
            return result | {"story": lines}
        why = " | ".join(lines or ["no job has told anything"])
        return result | {"story": lines, "failed": True, "msg": f"Not all ended well: {why}"}

    def _before(self) -> list[str]:
        """Places that earlier jobs of the workflow have told."""
        return _names.names(self.vars.get("requorum_delivered"))

    def _folder(self) -> str:
        """The folder of this run, else the newest of the cluster."""
        if given := str(self._task.args.get("run_dir") or ""):
            return given
        output, cluster = (str(self._task.args.get(name) or "") for name in ("output", "cluster"))
        if not (output and cluster):
            return ""
        return max(glob.glob(os.path.join(glob.escape(shelf(output, cluster)), "*T*Z")), default="")

    def _copied(self, folder: str, targets: list[str]) -> dict[str, t.Any]:
        walked = ((top, name) for top, _folders, here in os.walk(folder) for name in here)
        every = [os.path.relpath(os.path.join(top, name), folder) for top, name in walked]
        paths = _deliver.chosen(every, backup=_names.yes(self._task.args.get("backup")))
        name = "/".join(folder.rstrip("/").split("/")[-2:])
        if self._task.args.get("story") and not paths:  # the folder went with the container that made it
            return {"changed": False, "delivered": [], "msg": ""}
        done, wrong = list[str](), list[str]()
        if not paths:
            nothing = f"There is no run to deliver{f' in {folder}' if folder else ''}."
            next_step = "Set requorum_run_folder, or requorum_cluster and requorum_output of a run that is there."
            wrong, targets = [str(RequorumError(nothing, next_step))], []
        for text in targets:
            try:
                place = _deliver.target(text)
                getattr(self, f"_to_{place.kind}")(place, folder, name, paths)
                done.append(f"{text.split('#')[0].rstrip('/')}/{name}")
            except RequorumError as error:
                wrong.append(str(error))
            except (http.client.HTTPException, ValueError) as error:  # their text may have the password
                wrong.append(f"{text}: {type(error).__name__}. Look at requorum_deliver and at what answers there.")
            except (OSError, subprocess.SubprocessError) as error:
                reason = getattr(error, "stderr", "") or getattr(error, "strerror", "") or str(error)
                wrong.append(f"{text}: {str(reason).strip()[-300:]}")
        told = _told.stats(requorum_delivered=[*self._before(), *done])
        result = {"changed": bool(done), "delivered": done, "msg": "; ".join(wrong), **told}
        for reason in wrong:
            Display().warning(f"Not delivered: {reason}")
        return result | ({"failed": True} if wrong and _names.yes(self._task.args.get("must", True)) else {})

    def _to_folder(self, place: _deliver.Target, folder: str, name: str, paths: list[str]) -> None:
        for path in paths:
            there = os.path.join(place.where, name, path)
            before = os.umask(0o077)
            try:
                os.makedirs(os.path.dirname(there), exist_ok=True)
                shutil.copyfile(os.path.join(folder, path), there)
            finally:
                os.umask(before)

    def _to_s3(self, place: _deliver.Target, folder: str, name: str, paths: list[str]) -> None:
        given = self.settings
        backups = (str(given.get("requorum_s3_bucket") or ""), str(given.get("requorum_s3_folder") or ""))
        if _deliver.clash(place.where, place.detail, backups):
            raise RequorumError(
                f"s3://{place.where}/{place.detail} is where snapshots are looked for.",
                "Give reports another bucket, or a folder outside of requorum_s3_folder.",
            )
        settings = _s3.Settings.of({**given, "requorum_s3_bucket": place.where}, os.environ)
        store = _s3.Store(replace(settings, folder=place.detail), seconds=600, say=self.say)
        for path in paths:
            if os.path.getsize(os.path.join(folder, path)):
                store.put(os.path.join(folder, path), f"{name}/{path}")

    def _to_http(self, place: _deliver.Target, folder: str, name: str, paths: list[str]) -> None:
        headers, secret = {"Content-Type": "application/octet-stream"}, self._secret()
        if secret:
            basic = base64.b64encode(secret.encode()).decode()
            headers["Authorization"] = f"Basic {basic}" if ":" in secret else f"Bearer {secret}"
        for path in paths:
            address = f"{place.where}/{quote(name)}/{quote(path)}"
            with open(os.path.join(folder, path), "rb") as file:
                size = {"Content-Length": str(os.fstat(file.fileno()).st_size)}
                request = urllib.request.Request(address, file, {**headers, **size}, method="PUT")
                try:
                    with urllib.request.urlopen(request, timeout=SECONDS):
                        pass
                except urllib.error.HTTPError as error:
                    raise RequorumError(f"{address} answers {error.code}.", "Look at requorum_deliver.") from error
                except urllib.error.URLError as error:
                    raise RequorumError(f"{address}: {error.reason}.", "Look at requorum_deliver.") from error

    def _secret(self) -> str:
        path = str(self._task.args.get("password_file") or "")
        if not path:
            return ""
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            secret = file.read().strip()
        if not secret.isprintable() or not (secret.isascii() or ":" in secret):
            raise RequorumError(
                f"{path} is not one line with user:password, or with a token.",
                "Look at requorum_deliver_password_file.",
            )
        return secret

    def _to_git(self, place: _deliver.Target, folder: str, name: str, paths: list[str]) -> None:
        given = (str(self._task.args.get(name) or "") for name in ("key_file", "known_hosts_file"))
        key, hosts = (os.path.abspath(os.path.expanduser(path)) if path else "" for path in given)
        ssh = _deliver.ssh(key, hosts)
        if not (key or hosts):
            ssh = os.environ.get("GIT_SSH_COMMAND") or ssh
        # No prompts, no hooks and no signatures; proxies, certificates and the like stay as the machine has them.
        plain = ("core.hooksPath=/dev/null", "commit.gpgSign=false", "push.gpgSign=false")
        start = ["git", *(word for setting in plain for word in ("-c", setting))]
        who = {f"GIT_{role}_{part}": word for role in ("AUTHOR", "COMMITTER") for part, word in AUTHOR.items()}
        environment = {**os.environ, "GIT_SSH_COMMAND": ssh, "GIT_TERMINAL_PROMPT": "0", **who}

        def git(*words: str, at: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [*start, *words], cwd=at, env=environment, capture_output=True, text=True, timeout=SECONDS, check=True
            )

        with tempfile.TemporaryDirectory(prefix="requorum-") as work:
            copy = os.path.join(work, "copy")
            git("init", "--quiet", "--initial-branch", place.detail, copy, at=work)
            git("remote", "add", "origin", place.where, at=copy)
            for attempt in range(1, TRIES + 1):  # somebody else may push between
                try:
                    listed = git("ls-remote", "--heads", "origin", place.detail, at=copy).stdout
                    if listed.strip():
                        git("fetch", "--quiet", "--depth", "1", "origin", place.detail, at=copy)
                        git("reset", "--quiet", "--hard", "FETCH_HEAD", at=copy)
                    self._to_folder(_deliver.Target("folder", copy), folder, name, paths)
                    git("add", "--all", "--force", ".", at=copy)
                    if git("status", "--porcelain", at=copy).stdout.strip():
                        git("commit", "--quiet", "--no-verify", "--message", f"Run {name}", at=copy)
                    git("push", "--quiet", "--no-verify", "origin", f"HEAD:refs/heads/{place.detail}", at=copy)
                    return
                except subprocess.CalledProcessError:
                    if attempt == TRIES:
                        raise


AUTHOR = {"NAME": "Requorum", "EMAIL": "requorum@localhost"}
