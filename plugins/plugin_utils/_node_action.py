# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Base of all action plugins: shell scripts through any Ansible connection; no Python and no sftp on the node."""

from __future__ import annotations

import base64
import contextlib
import copy
import dataclasses
import datetime
import hashlib
import os
import shlex
import textwrap
import time
import types
import typing as t

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bbolt,
    _events,
    _lock,
    _machines,
    _names,
    _node,
    _s3,
    _upkeep_judge,
    _wait,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _run_folder, _stream

JSON = dict[str, t.Any]
DISTROS = ("auto", "k3s", "rke2", "harvester")
CHUNK, SMALL = 4 << 20, 1 << 16
SETTINGS = (
    "requorum_distro",
    "requorum_data_dir",
    "requorum_timeouts",
    "requorum_token_file",
    "requorum_kubeconfig",
    "requorum_join",
    "requorum_join_defaults",
    "requorum_rancherd_token_file",
    "requorum_export_passphrase_file",
    _machines.OPTION,
    *(f"requorum_{limit.name}" for limit in dataclasses.fields(_upkeep_judge.Thresholds)),
)
Other = t.TypeVar("Other", bound="NodeAction")
display = Display()


class ConnectionNode:
    """The seam of `_node.Node` over the connection of an action plugin."""

    def __init__(self, action: NodeAction) -> None:
        self._action = action
        self.trips = 0
        """Calls to the host so far."""

    def run(self, script: str, *, stdin: bytes | None = None, timeout: int = 60) -> _node.Done:
        self.trips += 1
        mark, lock = _node.new_mark(), self._action.lock
        command = _node.command(script, mark, timeout, lock)
        try:
            answer = self._action._low_level_execute_command(command, sudoable=True, in_data=stdin or b"\n")
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:  # sudo's word, which Ansible reads
            return _node.Done(-1, "", str(error))
        done = _node.result(mark, answer["stdout"], answer["stderr"])
        if lock and done.rc == _node.LOST:
            raise RequorumError(
                f"{self._action.host}: this run no longer has the lock of the cluster, and does nothing more.",
                f"Another run took it over, or it is gone. Look who works there: {_lock.PATH} on the nodes.",
            )
        return done


class NodeAction(ActionBase):  # type: ignore[misc]
    """An action plugin whose `act` returns its result or raises RequorumError."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    VALID: t.ClassVar[tuple[str, ...]] = ()
    parent: int | None = None
    """The process of ansible-playbook."""
    streams = 0
    """Files that went through a channel of their own."""
    ahead: list[tuple[_node.Question, _node.Done]] | None = None
    """Answers that came with others; each is given once."""
    files: dict[str, _bbolt.Answers] | None = None
    """Files of which nothing is read twice, where several actions look at one state of the node."""
    locked: t.Mapping[str, t.Any] = types.MappingProxyType({})
    """What the run has left of its lock in its folder."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> JSON:
        self.vars: t.Mapping[str, t.Any] = task_vars or {}
        self.turn = str(self.vars.get("inventory_hostname", ""))
        self.host = str(self._task.delegate_to or self.turn)
        self.node: _node.Node = ConnectionNode(self)
        self.parent = os.getppid()
        outcome: JSON = super().run(tmp, task_vars)
        unknown = set(self._task.args) - set(self.VALID)
        if unknown:
            return outcome | {"failed": True, "msg": f"Unknown option {', '.join(sorted(unknown))}."}
        self._task.args = _names.read(self._task.args)  # a form gives lists as text
        try:
            outcome |= self.act()
        except RequorumError as error:
            outcome |= {"failed": True, "msg": str(error)}
        trips = self.streams + getattr(self.node, "trips", 0)
        return outcome | ({"requorum_trips": trips} if trips else {})

    def act(self) -> JSON:
        raise NotImplementedError

    def another(self, kind: type[Other], args: JSON) -> Other:
        """An action of this kind as it would be here; what this one knows of its node is not handed on."""
        made = kind.__new__(kind)
        made.__dict__ = {**self.__dict__, "ahead": None, "files": None, "streams": 0, "_task": copy.copy(self._task)}
        made._task.args = args
        return made

    @property
    def lock(self) -> str:
        """Id of the lock that the run holds on this host; empty where it holds none."""
        return str(self.locked["id"]) if self.host in self.locked.get("nodes", ()) else ""

    @property
    def side(self) -> str:
        """Whose unit counts on this host."""
        return "agent" if self.host in self.vars["groups"].get("agents", ()) else "server"

    @property
    def orphaned(self) -> bool:
        """ansible-playbook was killed, and nobody hears this process: it must not go on beside the next run."""
        return self.parent not in (None, os.getppid())

    @property
    def settings(self) -> JSON:
        """Variables of the user that are no options of a module; Ansible leaves the templates in them to us."""
        given: t.Mapping[str, t.Any] = self.vars
        if self.host != self.turn:  # delegated: what the acting host itself sets comes first
            given = {**self.vars, **self.vars["hostvars"][self.host]}
        names = [name for name in given if name in SETTINGS or name.startswith("requorum_s3_")]
        told = {name: self._templar.template(given[name]) for name in names}
        if _machines.OPTION in told:
            told[_machines.OPTION] = _names.accepted(told[_machines.OPTION])
        return told

    def timeout(self, name: str, default: float) -> float:
        """A deadline of `requorum_timeouts`, in seconds."""
        return float((self.settings.get("requorum_timeouts") or {}).get(name, default))

    def bucket(self) -> _s3.Store:
        """The bucket of `requorum_s3_bucket`; RequorumError when none is set."""
        return _s3.Store(_s3.Settings.of(self.settings, os.environ), say=self.say)

    def script(self, name: str, *, stdin: bytes | None = None, timeout: int = 60, **variables: str) -> _node.Done:
        """Run sh/<name>.sh with the distribution's settings and the given variables."""
        return self.node.run(_node.script(name, **self._where, **variables), stdin=stdin, timeout=timeout)

    @property
    def _where(self) -> dict[str, str]:
        given = self.settings
        distro = str(given.get("requorum_distro") or "auto")
        if distro not in DISTROS:
            hint = f"Set one of {', '.join(DISTROS)} in the inventory."
            raise RequorumError(f"{self.host}: requorum_distro is {distro!r}.", hint)
        return {
            "DISTRO": "rke2" if distro == "harvester" else distro,
            "DATA": str(given.get("requorum_data_dir") or ""),
        }

    def ask(self, question: _node.Question) -> _node.Done:
        """The answer to a question, which `ask_ahead` may have brought."""
        for number, (asked, answer) in enumerate(self.ahead or ()):
            if asked == question:
                del t.cast("list[t.Any]", self.ahead)[number]
                return answer
        return self.script(question.name, timeout=question.timeout, **dict[str, t.Any](question.variables))

    def ask_ahead(self, questions: t.Sequence[_node.Question]) -> None:
        """Ask all of them in one call, for `ask`."""
        if len(questions) > 1:
            mark, within = _node.new_mark(), max(question.timeout for question in questions) + 10
            done = self.node.run(_node.together(questions, mark, **self._where), timeout=within)
            answers = _node.apart(done, mark, questions)
            self.ahead = [(question, answers[question.name]) for question in questions if question.name in answers]

    def must(self, name: str, what: str, hint: str, **options: t.Any) -> dict[str, str]:
        """Run a script that has to succeed; its `key=value` lines (the last one of a key)."""
        done = self.script(name, **options)
        if done.rc != 0:
            raise RequorumError(f"{self.host}: {what}: {done.why}.", hint)
        return _node.pairs(done.out)

    def typed(self, value: t.Any) -> t.Any:
        """Text, or a document, with the inventory that this run was given in place of INV."""
        sources = " ".join(shlex.quote(source) for source in self.sources)
        return _events.typed(_events.renamed(value, {"-i INV": f"-i {sources}"} if sources else {}))

    @property
    def sources(self) -> list[str]:
        """The inventory as it was typed."""
        return t.cast("list[str]", _events.typed([str(s) for s in self.vars.get("ansible_inventory_sources") or ()]))

    def say(self, text: str) -> None:
        """Progress in Ansible's own output, for terminals of 80 columns; names and commands stay whole."""
        if self.tell("said", node=self.host, text=text):
            return
        whole = textwrap.TextWrapper(79, "  ", "    ", break_on_hyphens=False, break_long_words=False)
        display.display(whole.fill(f"{self.host}: {text}"))

    def warn(self, text: str) -> None:
        """The same, loudly."""
        if not self.tell("said", node=self.host, text=f"Warning: {text}"):
            display.warning(text)

    @contextlib.contextmanager
    def acting(self, verb: str, what: str) -> t.Iterator[None]:
        """What is changed within is an action: it does not begin where this run shall end, and Ctrl-C waits for it."""
        action, clock = {"verb": verb, "node": self.host, "what": what}, time.monotonic()
        self.begin(action)
        result = "failed"
        try:
            yield
            result = "done"
        finally:
            self.end(action, result, round(time.monotonic() - clock, 2))

    @staticmethod
    def tell(event: str, **fields: t.Any) -> bool:
        """The same to a program, where one listens."""
        if listened := _events.wanted():
            display.display(_events.line(event, **fields))
        return listened

    def begin(self, action: JSON, text: str = "") -> None:
        """An action begins, unless this run shall end: RequorumError. text: what people read of it, if anything."""
        if _events.stopping():
            raise RequorumError(f"{_events.STOPPED} before this began: {action['what']}.", _events.GO_ON)
        if not self.tell("action", state="begun", **_told(action)) and text:
            self.say(text)

    def end(self, action: JSON, result: str, seconds: float) -> None:
        """It has ended; result: `failed...`, or what came of it."""
        state = "failed" if result.startswith("failed") else "done"
        self.tell("action", state=state, result=result, seconds=seconds, **_told(action))

    def wait(
        self, what: str, probe: t.Callable[[], tuple[bool, str]], *, seconds: float, hint: str | t.Callable[[], str]
    ) -> str:
        """Wait with a deadline; when it passes, say which log lines explain it and what to type next."""
        try:
            return _wait.wait(what, probe, seconds=seconds, say=self.say)
        except _wait.Expired as expired:
            lines = self.script("logs", timeout=15).out.strip()
            said = f" Its log says:\n{lines}\n" if lines else ""
            raise RequorumError(f"{self.host}: {expired}{said}", hint() if callable(hint) else hint) from expired

    def pull(self, path: str, size: int, target: str) -> str:
        """Copy a file of the node to the controller (0600), hashed while it passes; the sha256 of what arrived."""
        digest, done, part = hashlib.sha256(), 0, target + ".part"
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                for block in self.blocks(path, size):
                    file.write(block)
                    digest.update(block)
                    done += len(block)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(part)  # the disk is full, and the record of this action needs room
            raise _run_folder.unwritten(target, error) from error
        if done != size:
            raise RequorumError(
                f"{self.host}: {path} gave {done} of {size} bytes.", "Look at the disk of the node, then run it again."
            )
        os.replace(part, target)
        return digest.hexdigest()

    def pages(self, path: str) -> _bbolt.Answers:
        """Answers to requests about a file of the node."""
        read = _node.read_many(self.node, path)
        return read if self.files is None else self.files.setdefault(path, _node.once(read))

    def small(self, path: str) -> bytes:
        """A small file of the node, in memory only; empty where it is not there."""
        done = self.node.run(f"head -c {SMALL + 1} {shlex.quote(path)} 2>/dev/null | base64")
        found = base64.b64decode(done.out) if done.rc == 0 else b""
        return found if len(found) <= SMALL else b""

    def push(self, source: str, path: str) -> None:
        """Copy a file of the controller to the node (0600). What has arrived is looked at by the caller."""
        try:
            _stream.write(self._connection, path, _read_blocks(source), self.lock)
            self.streams += 1
            return
        except _stream.Unavailable as reason:
            display.v(f"{self.host}: {path} is written in chunks: {reason}")
        except OSError as error:
            raise self._not_arrived(path, str(error)) from error
        for number, block in enumerate(_read_blocks(source)):
            redirect = ">" if number == 0 else ">>"
            done = self.node.run(f"umask 077; base64 -d {redirect} {shlex.quote(path)}", stdin=base64.b64encode(block))
            if done.rc != 0:
                raise self._not_arrived(path, f"{path} cannot be written: {done.why}")

    def _not_arrived(self, path: str, why: str) -> RequorumError:
        """A file did not arrive as a whole: what there is of it is taken away."""
        full = self.script("room", timeout=30, PART=path).out.strip()
        return RequorumError(f"{self.host}: {why}{full}.", "Look at the disk of the node, then run it again.")

    def blocks(self, path: str, size: int) -> t.Iterator[bytes]:
        """A channel of its own where the connection is ssh, else chunks through the connection."""
        try:
            try:
                yield from _stream.read(self._connection, path, self.lock)
                self.streams += 1
                return
            except _stream.Unavailable as reason:
                display.v(f"{self.host}: {path} is read in chunks: {reason}")
            read = _node.read_many(self.node, path)
            for offset in range(0, size, CHUNK):
                yield from read([_bbolt.Range(offset, min(CHUNK, size - offset))])
        except OSError as error:
            raise RequorumError(f"{self.host}: {error}.", "Look at the node, then run it again.") from error


def _read_blocks(path: str) -> t.Iterator[bytes]:
    with open(path, "rb") as file:
        while block := file.read(CHUNK):
            yield block


def _told(action: JSON) -> JSON:
    """What a listener is told of an action."""
    return {name: action.get(name) for name in ("id", "phase", "node", "verb", "what", "expect_s")}


def now() -> str:
    """UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_since(moment: str) -> float:
    """Seconds since a moment of `now()`, by the controller's clock."""
    return (datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(moment)).total_seconds()
