# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Base of all action plugins: shell scripts through any Ansible connection; no Python and no sftp on the node."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import errno
import hashlib
import json
import os
import shlex
import tempfile
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
    _files,
    _lock,
    _look,
    _machines,
    _messages,
    _names,
    _node,
    _s3,
    _upkeep_judge,
    _wait,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _peers, _stream

JSON = dict[str, t.Any]
DISTROS = ("auto", "k3s", "rke2", "harvester")
CHUNK, SMALL = 4 << 20, 1 << 16
ANSWERS = "See its power and its network; when it answers, run the same command again: it goes on from what it finds."
FULL = (errno.ENOSPC, errno.EDQUOT)
RECORD = 1 << 16
"""Bytes that the controller must have for what is written of one action."""
PEERS_EVERY = 15.0
"""Seconds of a wait after which it is seen that servers that are off stay off."""
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
        self.vars = task_vars or {}
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
        return self.script(question.name, timeout=question.timeout, **question.variables)

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
        return pairs(done.out)

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
            raise unwritten(target, error) from error
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
            raise RequorumError(f"{self.host}: {error}.", "Look at the disk of the node, then run it again.") from error
        for number, block in enumerate(_read_blocks(source)):
            redirect = ">" if number == 0 else ">>"
            done = self.node.run(f"umask 077; base64 -d {redirect} {shlex.quote(path)}", stdin=base64.b64encode(block))
            if done.rc != 0:
                raise RequorumError(f"{self.host}: {path} cannot be written: {done.why}.", "Look at its disk.")

    def blocks(self, path: str, size: int) -> t.Iterator[bytes]:
        """A channel of its own where the connection is ssh, else chunks through the connection."""
        try:
            yield from _stream.read(self._connection, path, self.lock)
            self.streams += 1
            return
        except _stream.Unavailable as reason:
            display.v(f"{self.host}: {path} is read in chunks: {reason}")
        except OSError as error:
            raise RequorumError(f"{self.host}: {error}.", "Look at the node, then run it again.") from error
        read = _node.read_many(self.node, path)
        for offset in range(0, size, CHUNK):
            try:
                (block,) = read([_bbolt.Range(offset, min(CHUNK, size - offset))])
            except OSError as error:
                raise RequorumError(f"{self.host}: {error}.", "Look at the node, then run it again.") from error
            yield block


class PlanAction(NodeAction):
    """An action plugin that executes what the plan has for its host: methods are named after verbs.

    Where hosts take turns, the play's host is the one whose turn it is, and the host that acts may be another one, by
    `delegate_to`.

    In check mode the very same actions are returned, and none is done. The first action that fails on any host stops
    all later ones on every host: it stands in actions.jsonl, where each action looks before it begins. The task itself
    does not fail, so that the report is always written; the report fails the run.
    """

    VALID = ("plan", "phase", "run_dir")
    VERBS: t.ClassVar[tuple[str, ...]] = ()
    action: JSON
    """The one that is being done."""

    def act(self) -> JSON:
        self.plan: JSON = self._task.args["plan"]
        self.run_dir = str(self._task.args["run_dir"])
        self.locked = load(self.run_dir, _lock.FILE, {})
        self.results: JSON = {}
        at = (self.host, int(self._task.args["phase"]))
        mine = [
            a
            for a in self.plan["actions"]
            if (a["node"], a["phase"]) == at and a["verb"] in self.VERBS and a["turn"] in ("", self.turn)
        ]
        if self._task.check_mode:
            done = [{**a, "started": None, "ended": None, "seconds": None, "result": "would be done"} for a in mine]
        else:
            done = list(self._execute(mine))
        return {"changed": bool(done), "requorum_actions": done, **self.results}

    def _execute(self, actions: t.Iterable[JSON]) -> t.Iterator[JSON]:
        for action in actions:
            if self.orphaned or has_failed(self.run_dir):
                return
            self.action, started, clock = action, now(), time.monotonic()
            try:
                must_take_record(self.run_dir)
                self.begin(action, f"({action['phase']}/{len(self.plan['phases'])}) {action['id']} {action['what']}")
                outcome = getattr(self, f"do_{action['verb']}")()
            except RequorumError as error:
                outcome = f"failed: {error}"
            except AnsibleConnectionFailure as error:
                why = str(error).strip().splitlines()[-1][:200].rstrip(":. ")
                outcome = f"failed: {self.host} does not answer any more: {why}. {ANSWERS}"
            except Exception as error:  # a fault of ours must brake the run too, not only end this task
                full = isinstance(error, OSError) and error.errno in FULL
                outcome = f"failed: {unwritten(self.run_dir, error) if full else f'{type(error).__name__}: {error}'}"
            if outcome.startswith("failed"):
                display.error(f"{self.host}: {outcome}")
            if outcome.startswith("warning"):  # it is told, and the run goes on
                display.warning(f"{self.host}: {outcome.removeprefix('warning: ')}")
            times: JSON = {"started": started, "ended": now(), "seconds": round(time.monotonic() - clock, 2)}
            self.end(action, outcome, times["seconds"])
            entry = {**action, **times, "result": outcome}
            append(os.path.join(self.run_dir, "actions.jsonl"), entry)
            yield entry

    def wait(
        self, what: str, probe: t.Callable[[], tuple[bool, str]], *, seconds: float, hint: str | t.Callable[[], str]
    ) -> str:
        """The same, and given up at once where a server that was off comes back with its old datastore meanwhile."""
        looked = time.monotonic()

        def watched() -> tuple[bool, str]:
            nonlocal looked
            if time.monotonic() - looked >= PEERS_EVERY and self.host == self.plan["survivor"]:
                _peers.must_stay_off(self)
                looked = time.monotonic()
            return probe()

        return super().wait(what, watched, seconds=seconds, hint=hint)

    def until_ping(self, hint: str) -> str:
        """Wait until the supervisor of this server, which was just started, answers."""

        def probe() -> tuple[bool, str]:
            done = self.script("look", timeout=20)
            look = _look.parse(done.out)
            return done.rc == 0 and look.ping, look.seen if done.rc == 0 else done.why

        what = "its supervisor to answer /ping"
        return self.wait(what, probe, seconds=self.timeout("start", 600), hint=hint)

    def spare(self, snapshot: str, name: str) -> None:
        """Refuse to go on where this proved snapshot shall be restored and would end virtual machines that run."""
        machines = self.plan["machines"]
        wrong = _machines.refusal(machines, _machines.known(snapshot), name) if machines else None
        if wrong:
            raise RequorumError(f"{wrong.what} Nothing was reset.", wrong.next)

    @property
    def anchor(self) -> JSON:
        """The server that acts for the one whose turn it is, else the survivor: its entry in the plan."""
        name = self.plan["anchors"].get(self.turn) or self.plan["survivor"]
        return next(server for server in self.plan["servers"] if server["name"] == name)

    @property
    def in_turn(self) -> list[JSON]:
        """The server whose turn it is, where hosts take turns; else nothing."""
        turn = self.turn if self.turn in self.plan["anchors"] else ""
        return [server for server in self.plan["servers"] if server["name"] == turn]

    @property
    def stamp(self) -> str:
        """Name of this run, also of its folder on the nodes."""
        return str(self.plan["stamp"])


def _read_blocks(path: str) -> t.Iterator[bytes]:
    with open(path, "rb") as file:
        while block := file.read(CHUNK):
            yield block


def _told(action: JSON) -> JSON:
    """What a listener is told of an action."""
    return {name: action.get(name) for name in ("id", "phase", "node", "verb", "what", "expect_s")}


def pairs(text: str) -> dict[str, str]:
    """`key=value` lines; the last one of a key wins."""
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)


def moved_to(text: str) -> list[str]:
    """Where a script moved things: the second halves of its `moved=FROM|TO` lines."""
    return [entry.split("|")[1] for entry in many(text, "moved")]


def many(text: str, key: str) -> list[str]:
    """All values of a repeated key."""
    return [line.split("=", 1)[1] for line in text.split("\n") if line.startswith(f"{key}=")]


def now() -> str:
    """UTC, to the millisecond."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_since(moment: str) -> float:
    """Seconds since a moment of `now()`, by the controller's clock."""
    return (datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(moment)).total_seconds()


def new_folder(output: str, cluster: str) -> str:
    """The folder of a run that begins now, by UTC; RequorumError where it cannot be made."""
    end = time.monotonic() + 5
    while True:
        folder = os.path.join(output, cluster, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()))
        try:
            os.makedirs(folder, mode=0o700)
            return folder
        except OSError as error:
            if isinstance(error, FileExistsError) and time.monotonic() < end:
                time.sleep(0.1)  # another run has begun in this second
                continue
            hint = "Set requorum_output to a folder that you may write to."
            raise RequorumError(f"{folder} cannot be made: {error.strerror}.", hint) from error


def append(path: str, entry: JSON) -> None:
    """One JSON line at the end of a file, in one write; RequorumError where it cannot be written."""
    with (
        _writing(path),
        open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8") as file,
    ):
        file.write(json.dumps(entry) + "\n")


def must_take_record(run_dir: str) -> None:
    """RequorumError where the folder of the run has no room for the record of an action.

    A failure that cannot be recorded would stop no other host; so nothing is begun by any of them, and what is left of
    the room takes the record of that.
    """
    with _writing(run_dir), tempfile.TemporaryFile(dir=run_dir) as file:
        file.write(bytes(RECORD))


def recorded(run_dir: str) -> list[JSON]:
    """The actions of this run so far, on all hosts."""
    return lines(os.path.join(run_dir, "actions.jsonl"))


def has_failed(run_dir: str) -> bool:
    """Whether an action of this run has: then no later one is done, on any host."""
    return any(entry["result"].startswith("failed") for entry in recorded(run_dir))


def lines(path: str) -> list[JSON]:
    """What `append` has written into a file, without a last line that was cut off; nothing where there is none.

    RequorumError where it cannot be read.
    """
    with _reading(path), open(path, encoding="utf-8") as file:
        return [_of_kind(json.loads(line), dict) for line in file if line.endswith("\n")]
    return []


def unwritten(path: str, error: OSError) -> RequorumError:
    """A file of the controller cannot be written."""
    return _messages.error("run-unwritten", path=path, reason=error.strerror or str(error))


@contextlib.contextmanager
def _writing(path: str) -> t.Iterator[None]:
    try:
        yield
    except OSError as error:
        raise unwritten(path, error) from error


@contextlib.contextmanager
def _reading(path: str) -> t.Iterator[None]:
    """A file of a run, which may not be there; one that cannot be read is never taken for one that is not there."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its content is none that was written there"
        raise _messages.error("run-unread", path=path, reason=reason) from error


def _of_kind(found: t.Any, kind: type) -> t.Any:
    if not isinstance(found, kind):
        raise ValueError("it is of another kind")
    return found


def write(path: str, content: t.Any) -> None:
    """A JSON file that only its owner reads; a text is written as it is. RequorumError where it cannot be written."""
    with _writing(path):
        _files.put(path, content if isinstance(content, str) else json.dumps(content, indent=1) + "\n")


def load(run_dir: str, name: str, missing: t.Any) -> t.Any:
    """A JSON file of a run's folder; `missing` where it did not get as far, RequorumError where it is unreadable."""
    path = os.path.join(run_dir, name)
    with _reading(path), open(path, encoding="utf-8") as file:
        return _of_kind(json.load(file), object if missing is None else type(missing))
    return missing


def earlier(shelf: str) -> list[str]:
    """Folders of the runs of a cluster, the newest first; other files that lie there are none of ours."""
    with _reading(shelf):
        found = sorted(os.listdir(shelf), reverse=True)
        return [path for name in found if os.path.isdir(path := os.path.join(shelf, name))]
    return []
