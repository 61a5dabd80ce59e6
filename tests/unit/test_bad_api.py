# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command for a Harvester against every wrong answer of a real HTTPS server, through a kubeconfig.

Whatever is answered, and whenever: the command fails within its deadline, says what, where and what to do next, names
everything that it has changed, leaves no half of a file, and shows no secret.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from ansible_collections.requorum.cluster.plugins.action import (
    bundle_sync,
    cluster_export,
    cluster_import,
    join_config,
    orphan_purge,
    rancher_brake,
)
from ansible_collections.requorum.cluster.plugins.module_utils import _api, _export, _harvester, _wait
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.module_utils._fleet import CHARTS, DEPLOYMENTS
from ansible_collections.requorum.cluster.plugins.plugin_utils import _exporter, _kubeconfig, _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction
from lab.harvester import fleet
from requorum import cli
from tests.unit import api_server as bad
from tests.unit.fake_api import FakeApi
from tests.unit.test_export import serving
from tests.unit.test_import import whole
from tests.unit.test_join_config import TOKEN, WISH, node
from tests.unit.test_orphans import world

JSON = dict[str, Any]
SECRET = "sekret-4711"
SHORT, LONGEST = 0.7, 30.0
"""Seconds for a request, where the answer is late; for a command, whose requests are never repeated here."""
BUILT_IN = ("storage.k8s.io", "coordination.k8s.io", "snapshot.storage.k8s.io")


@dataclass(frozen=True)
class Command:
    """One command: its action, its arguments, and the objects that it works on."""

    action: ModuleType
    args: JSON
    fill: Callable[[FakeApi], None] = lambda _store: None
    changes: bool = True


def system(store: FakeApi) -> None:
    store.objects["namespaces", "", "kube-system"] = {"metadata": {"name": "kube-system", "uid": "ours"}}


def bundles(store: FakeApi) -> None:
    """Two charts that are paused."""
    fleet.install(store.api)
    fleet.fleet(store.api)
    for name in ("harvester-crd", "harvester"):
        store.api.patch(CHARTS, name, {"spec": {"paused": True}}, "fleet-local")
    fleet.fleet(store.api)


def joinable(store: FakeApi) -> None:
    put(store, join_config.SETTING, "server-version", value="v1.3.2")
    put(store, join_config.CONFIGMAP, "vip", "harvester-system", data={"ip": "10.0.0.10"})
    store.objects["nodes", "", "n1"] = {**node("n1"), "metadata": {**node("n1")["metadata"], "name": "n1"}}
    put(store, join_config.REGISTRATION, "default-token", "local", status={"token": TOKEN})


def put(store: FakeApi, kind: _api.Kind, name: str, namespace: str = "", **parts: Any) -> None:
    store.api.create(kind, {"metadata": {"name": name, "namespace": namespace}, **parts})


PLAN = {
    "phases": ["6 START"], "stamp": "20261129T000000Z",
    "actions": [{"id": "1.1", "node": "r1", "phase": 1, "turn": "", "verb": "brake", "what": "pause the CAPI cluster"}],
}  # fmt: skip
COMMANDS = {
    "export": Command(
        cluster_export, {"cluster": "prod", "folder": "{0}/export"},
        lambda store: put(store, _api.Kind("", "v1", "secrets"), "s", "vms", data={"password": SECRET}), changes=False,
    ),
    "import": Command(
        cluster_import, {"export": "{1}/stored/e", "vms": ["vms/web"], "passphrase_file": "{1}/stored/p"},
    ),
    "purge": Command(
        orphan_purge, {"cluster": "prod", "dead": ["n2"], "servers": [], "output": "{0}/recoveries"},
        lambda store: store.objects.update(world(living=("n1", "n3")).objects),
    ),
    "join": Command(join_config, {"folder": "{0}/join"}, joinable, changes=False),
    "force-sync": Command(bundle_sync, {"cluster": "prod", "output": "{0}/recoveries"}, bundles),
    "brake": Command(
        rancher_brake, {"plan": PLAN, "phase": 1, "run_dir": "{0}"},
        lambda store: put(store, _harvester.CAPI, _harvester.CLUSTER, _harvester.NAMESPACE, spec={"paused": False}),
    ),
}  # fmt: skip
CHANGING = [name for name, command in COMMANDS.items() if command.changes]


@dataclass
class Ended:
    """What came of a command."""

    failed: bool
    msg: str
    result: JSON
    said: list[str]
    seconds: float

    @property
    def told(self) -> set[tuple[str, str]]:
        """Kind and name of what it says to have changed."""
        actions = self.result.get("requorum_actions") or self.result.get("actions") or []
        return {(action["kind"], action["name"]) for action in actions if "kind" in action}

    @property
    def text(self) -> str:
        return " ".join([self.msg, json.dumps(self.result), *self.said])


class Cluster:
    """The server of one test, and the commands on it."""

    def __init__(self, server: bad.Server, given: Path, folder: Path, patch: pytest.MonkeyPatch) -> None:
        """given: the folder of the server; folder: of this test."""
        self.server, self.given, self.folder, self.patch = server, given, folder, patch

    def run(self, name: str, *, check: bool = False, told: str = "ours", **more: Any) -> Ended:
        """told: the UID of kube-system that the servers of the inventory tell."""
        command, said, begin = COMMANDS[name], list[str](), time.monotonic()
        given = {key: value.format(self.folder, self.given) if isinstance(value, str) else value
                 for key, value in (command.args | more).items()}  # fmt: skip
        timeouts = {"api": 0, "image": 0, "purge": 0, "sync": 0}
        chosen = {"requorum_kubeconfig": str(self.given / "kubeconfig"), "requorum_timeouts": timeouts}

        class Acting(command.action.ActionModule):  # type: ignore[name-defined,misc]
            settings: ClassVar[JSON] = {**chosen, "requorum_join": {"n4": WISH}}

            def __init__(self) -> None:
                self.host = self.turn = "localhost" if name != "brake" else "r1"
                self.vars = {"hostvars": {"r1": {"requorum_read": {"requorum_node": {"api": {"system_uid": told}}}}}}
                self._task = SimpleNamespace(args=given, check_mode=check, diff=False)

            def say(self, text: str) -> None:
                said.append(text)

            def script(self, *_words: Any, **_options: Any) -> Any:
                return SimpleNamespace(out="", rc=0)

        try:
            result = Acting().act()
        except RequorumError as error:
            result = {"failed": True, "msg": str(error)}
        if name == "brake" and result.get("requorum_actions"):
            (action,) = result["requorum_actions"]
            failed = action["result"].startswith("failed")
            done = [] if failed else [{"kind": _harvester.CAPI.name, "name": _harvester.CLUSTER}]
            result = {"failed": failed, "msg": action["result"], "requorum_actions": done}
        return Ended(bool(result.get("failed")), str(result.get("msg", "")), result, said, time.monotonic() - begin)

    def wrong(self, fault: bad.Fault, verbs: str, number: int, *, after: bool = False) -> list[_api.Request]:
        """Answer the number-th request with one of these verbs, and all later ones, so; after: once it was done."""
        met: list[_api.Request] = []

        if fault in (bad.hangs, bad.drips):
            self.patch.setattr(_node_api, "WAIT", SHORT)

        def judge(request: _api.Request) -> bad.Fault | None:
            if request.verb in verbs.split():
                met.append(request)
            if len(met) < number:
                return None
            if after and request.verb != "get":
                self.server.store(request)
            return fault

        self.server.fault = judge
        return met

    @property
    def files(self) -> list[str]:
        """What the commands have left on the controller."""
        ours = ("export", "join")
        return sorted(str(path) for name in ours for path in self.folder.glob(f"{name}*") if path.is_dir())


Make = Callable[[str], Cluster]


@pytest.fixture(scope="module")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[bad.Server, Path]]:
    """A server, and the folder with its kubeconfig and an export."""
    folder = tmp_path_factory.mktemp("https")
    stored(folder / "stored")
    with bad.serving(folder) as server:
        yield server, folder


@pytest.fixture
def cluster(https: tuple[bad.Server, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """The server with the objects of a command alone."""
    server, folder = https
    monkeypatch.setattr(_node_api, "WAIT", 10)
    monkeypatch.setattr(_wait, "EVERY", 0)
    monkeypatch.setattr(orphan_purge, "RENEWS_S", 0)

    def on_host(_action: Any) -> _api.Api:
        link = _kubeconfig.Link(str(folder / "kubeconfig"), timeout=_node_api.WAIT)
        return _api.Api(link, where=link.server, seconds=0)

    monkeypatch.setattr(_node_api, "on_host", on_host)

    def made(name: str) -> Cluster:
        server.store, server.fault = FakeApi(), lambda _request: None
        system(server.store)
        COMMANDS[name].fill(server.store)
        server.store.asked.clear()
        return Cluster(server, folder, tmp_path, monkeypatch)

    return made


def stored(folder: Path) -> None:
    """An export of one machine and all that it needs."""
    folder.mkdir()
    (folder / "p").write_text("of the test")
    lists: dict[str, list[JSON]] = {}
    for ref, body in whole().items():
        kind = _export.NAMED[ref.kind].kinds[0]
        lists.setdefault(ref.kind, []).append({**body, "apiVersion": f"{kind.group}/{kind.version}".lstrip("/")})
    _exporter.run(str(folder / "e"), cluster="c", api=serving(lists), passphrase_file=str(folder / "p"))


def sound(cluster: Cluster, ended: Ended, why: str) -> None:
    """How any command has to fail."""
    assert ended.failed, ended.result
    assert cluster.server.address in ended.msg and why in ended.msg
    assert ended.seconds < LONGEST
    assert not any(word in ended.text for word in (SECRET, TOKEN, "token-of-the-kubeconfig"))
    assert not any(word in ended.msg for word in ("Traceback", "Error(", "KeyError", "NoneType", "{'"))
    changed = {(request.kind.name, request.name or (request.body or {})["metadata"]["name"])
               for request in cluster.server.store.changes}  # fmt: skip
    assert not {change for change in changed - ended.told if change[1] not in ended.msg}, "done, and not said"
    assert cluster.files == []


CUT = '{"kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "' + SECRET
SERVER, AGAIN = "Look at the API server", "run the same command again"
EVERYWHERE = {
    "401": (bad.says(401, "Unauthorized", "Unauthorized"), "not one of this cluster"),
    "403": (bad.says(403, "Forbidden", 'User "x" cannot do it'), "administrator"),
    "409": (bad.says(409, "Conflict", "the object has been modified"), "Run the same command again"),
    "429": (bad.says(429, "TooManyRequests", "too many"), SERVER),
    "500": (bad.says(500, "InternalError", "etcdserver: leader changed"), "leader changed"),
    "503 in words": (bad.raw(503, "no server is available"), "answered 503"),
    "403 in words": (bad.raw(403, "<html>go away</html>"), "administrator"),
    "a page": (bad.raw(200, "<html>log in</html>"), "<html>log in"),
    "another place": (bad.raw(302, ""), "answered 302"),
    "nothing": (bad.raw(200, ""), SERVER),
    "{0}": (bad.raw(200, "{0}"), SERVER),
    "a list": (bad.raw(200, "[]"), SERVER),
    "a number": (bad.raw(200, '{"kind": "List", "metadata": {}, "items": 5}'), SERVER),
    "no objects": (bad.raw(200, '{"kind": "List", "metadata": {}, "items": [null, 5]}'), SERVER),
    "a strange status": (bad.raw(500, '{"kind": "Status", "status": "Failure", "code": "x"}'), SERVER),
    "half of it": (bad.raw(200, CUT, length=100_000), SERVER),
    "less than half": (bad.raw(200, CUT), SERVER),
    "hangs": (bad.hangs, SERVER),
    "drips": (bad.drips, SERVER),
    "hangs up": (bad.resets, SERVER),
}
CHANGES = {
    "a webhook denies": (
        bad.says(403, "Forbidden", 'admission webhook "validator.harvesterhci.io" denied the request: it is in use.'),
        "in use. A webhook or a policy",
    ),
    "a policy denies": (
        bad.says(422, "Invalid", "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"),
        "or a policy",
    ),
    "a webhook is away": (
        bad.says(500, "InternalError", 'failed calling webhook "rancher.cattle.io": connection refused'),
        "look at the pods behind it",
    ),
    "gone meanwhile": (bad.says(404, "NotFound", "not found"), "went while it was worked on"),
}
WRITES = "create patch delete"
FEW = ("403", "429", "{0}", "half of it", *CHANGES)
"""What is answered later than at first too."""
CASES = [(answer, number) for answer in EVERYWHERE | CHANGES for number in (1, 2) if number == 1 or answer in FEW]


@pytest.mark.parametrize(("answer", "number"), [(answer, n) for answer, n in CASES if answer in EVERYWHERE])
@pytest.mark.parametrize("name", COMMANDS)
def test_while_it_is_read(cluster: Make, name: str, answer: str, number: int) -> None:
    server, (fault, why) = cluster(name), EVERYWHERE[answer]
    met = server.wrong(fault, "get", number)
    ended = server.run(name)
    assert len(met) >= number
    sound(server, ended, why)


NEVER = {("brake", 2), ("purge", "gone meanwhile")}
"""The brake makes one change; and what is gone is purged."""


@pytest.mark.parametrize(
    ("name", "answer", "number"),
    [(name, answer, n) for name in CHANGING for answer, n in CASES if not {(name, answer), (name, n)} & NEVER],
)
def test_while_it_is_changed(cluster: Make, name: str, answer: str, number: int) -> None:
    server, (fault, why) = cluster(name), (EVERYWHERE | CHANGES)[answer]
    met = server.wrong(fault, WRITES, number)
    ended = server.run(name)
    assert len(met) >= number
    sound(server, ended, why)


@pytest.mark.parametrize("name", CHANGING)
def test_it_was_done_and_the_answer_was_lost(cluster: Make, name: str) -> None:
    server = cluster(name)
    server.wrong(bad.resets, WRITES, 1, after=True)
    ended = server.run(name)
    assert server.server.store.changes
    sound(server, ended, "")


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "brake"])
def test_the_kubeconfig_of_another_cluster(cluster: Make, name: str, check: bool) -> None:
    server = cluster(name)
    ended = server.run(name, told="theirs", check=check)
    assert ended.failed and "another cluster" in ended.msg and "requorum_kubeconfig" in ended.msg
    assert server.server.store.changes == [] and server.files == []


def test_no_kubeconfig_leads_the_brake_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a recovery nobody can prove whose it is, so the host that was reset is asked."""
    action = SimpleNamespace(settings={"requorum_kubeconfig": "/of/another/cluster"}, host="r1")
    monkeypatch.setattr(_node_api, "of", None)
    assert _node_api.on_host(cast("NodeAction", action)).where == "r1"


MISSING = {
    "export": (False, "virtualmachines.kubevirt.io"),
    "import": (True, "This cluster does not serve virtualmachines.kubevirt.io"),
    "purge": (False, "machines.cluster.x-k8s.io: the cluster has no such kind; this part is skipped"),
    "join": (True, "the setting server-version is missing"),
    "force-sync": (False, "This cluster has no Fleet"),
    "brake": (False, "nothing to pause"),
}


@pytest.mark.parametrize(("name", "fails", "said"), [(name, *expected) for name, expected in MISSING.items()])
def test_nothing_of_harvester_is_installed(cluster: Make, name: str, fails: bool, said: str) -> None:
    """A kind that is not there is skipped and said; where it is the very thing that was asked for, that is wrong."""
    server = cluster(name)
    server.server.fault = lambda request: (
        bad.raw(404, "404 page not found") if "." in request.kind.group and request.kind.group not in BUILT_IN else None
    )
    ended = server.run(name, check=name == "purge")  # nobody is there who lets its objects go
    assert ended.failed is fails and said in ended.text
    if fails:
        assert server.server.store.changes == [] and server.files == []


MANY = {
    "export": _api.Kind("", "v1", "configmaps"),
    "import": _api.Kind("", "v1", "namespaces", namespaced=False),
    "purge": _api.Kind("", "v1", "secrets"),
    "join": _api.Kind("batch", "v1", "jobs"),
    "force-sync": DEPLOYMENTS,
}


@pytest.mark.parametrize("name", MANY)
def test_ten_thousand_objects(cluster: Make, name: str) -> None:
    """Lists are read in pages, to their end; what is wanted stands on the last one."""
    server, kind = cluster(name), MANY[name]
    where = {"purge": "fleet-local", "join": "harvester-system"}.get(name, "a")
    for number in range(10_000):
        key = server.server.store.key(kind, f"a-{number:05d}", where)
        server.server.store.objects[key] = {"metadata": {"name": key[2], "namespace": key[1], "uid": str(number)}}
    ended = server.run(name, check=name != "export")
    assert not ended.failed, ended.msg
    pages = [request for request in server.server.store.asked if request.kind.name == kind.name and not request.name]
    assert len(pages) >= 20 or (name == "force-sync" and pages)  # there the server chooses by labels
    if name == "export":
        assert ended.result["counts"]["configmaps"] == 10_000


WORDS = {
    "export": ["export"],
    "purge": ["purge-orphans", "--dead", "n2", "--confirm", "prod"],
    "join": ["join-config", "n4"],
    "force-sync": ["force-sync", "--confirm", "prod"],
}


def inventory(server: Cluster, folder: Path) -> str:
    """The one server is this machine, which has no API; the kubeconfig leads to the cluster."""
    variables: JSON = {"requorum_cluster": "prod", "ansible_connection": "local", "ansible_become": False}
    variables |= {"requorum_output": str(folder / "out"), "requorum_kubeconfig": str(server.given / "kubeconfig")}
    hosts = {
        "all": {"vars": variables | {"requorum_join": {"n4": WISH}}, "children": {"servers": {"hosts": {"r1": {}}}}}
    }
    (folder / "hosts.json").write_text(json.dumps(hosts))
    return str(folder / "hosts.json")


@pytest.mark.parametrize(
    ("name", "answer", "verbs"), [*((name, "403", "get") for name in WORDS), ("force-sync", "a policy denies", WRITES)]
)
def test_the_whole_command(
    cluster: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, answer: str, verbs: str
) -> None:
    server, (fault, why) = cluster(name), (EVERYWHERE | CHANGES)[answer]
    server.wrong(fault, verbs, 1)
    assert cli.main([*WORDS[name], "-i", inventory(server, tmp_path)]) == 1
    said = capsys.readouterr()
    text = " ".join((said.out + said.err).split())
    assert why in text and server.server.address in text and "Traceback" not in text
    assert not any(word in text for word in (SECRET, TOKEN, "token-of-the-kubeconfig"))
    assert server.server.store.changes == []


def test_a_whole_export(cluster: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", "-i", inventory(cluster("export"), tmp_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["counts"] == {"namespaces": 1} and document["warnings"] == []
    assert [entry["kind"] for entry in document["left_out"]] == ["secrets"]


def test_the_brake_needs_no_webhook_of_capi(cluster: Make) -> None:
    """Of Harvester 1.8: what is stored in another version than the one that is asked for has to be converted."""
    api = cluster("brake")
    away = bad.says(500, "InternalError", "conversion webhook for cluster.x-k8s.io: connection refused")
    api.server.fault = lambda request: away if request.kind.version == "v1beta1" else None
    ended = api.run("brake")
    assert not ended.failed, ended.msg
    held = api.server.store.api.get(_harvester.STORED[0], _harvester.CLUSTER, _harvester.NAMESPACE)
    assert held and held["spec"]["paused"]
