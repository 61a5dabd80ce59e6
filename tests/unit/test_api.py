# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API as decisions see it: pages, repetitions, refusals; and the kubeconfig that leads to it."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _kubeconfig, _node_api
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import NodeAction
from lab.supervisor import pki
from tests.unit import api_server
from tests.unit.local_node import LocalNode

PODS = _api.Kind("", "v1", "pods")
BUNDLES = _api.Kind("fleet.cattle.io", "v1alpha1", "bundles")


class Clock:
    """A clock that only sleeping moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def api(answers: Callable[[_api.Request], _api.Answer], clock: Clock | None = None) -> _api.Api:
    clock = clock or Clock()
    return _api.Api(answers, where="r1", clock=lambda: clock.now, sleep=clock.sleep)


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "path"),
    [
        (PODS, "", "", "/api/v1/pods"),
        (PODS, "default", "a", "/api/v1/namespaces/default/pods/a"),
        (BUNDLES, "fleet-local", "", "/apis/fleet.cattle.io/v1alpha1/namespaces/fleet-local/bundles"),
        (_api.Kind("", "v1", "nodes", namespaced=False), "default", "n", "/api/v1/nodes/n"),
    ],
)
def test_paths(kind: _api.Kind, namespace: str, name: str, path: str) -> None:
    assert _api.Request("get", kind, namespace, name).url == path


@pytest.mark.parametrize(
    ("err", "reason"),
    [
        ('Error from server (NotFound): bundles.fleet.cattle.io "x" not found', "NotFound"),
        ("Warning: old\nError from server (AlreadyExists): x", "Conflict"),
        ("error: You must be logged in to the server (Unauthorized)", "Unauthorized"),
        ('Error from server: admission webhook "v.harvesterhci.io" denied the request: no', "Refused"),
        (
            "The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?",
            "NoAnswer",
        ),
        ("Unable to connect to the server: net/http: TLS handshake timeout", "NoAnswer"),
        ('error: unknown flag "--x"', "Refused"),
        ("", "NoAnswer"),
    ],
)
def test_what_kubectl_says(err: str, reason: str) -> None:
    assert _api.refusal(err).reason == reason


def test_lists_are_read_in_pages() -> None:
    asked = []

    def answer(request: _api.Request) -> _api.Answer:
        asked.append(request.url)
        last = "continue=" in request.url
        page = {"items": [{"n": 2}] if last else [{"n": 1}], "metadata": {} if last else {"continue": "a b"}}
        return _api.Answer("", "", page)

    assert api(answer).items(PODS, "x", selector="a=b") == [{"n": 1}, {"n": 2}]
    assert asked == [
        "/api/v1/namespaces/x/pods?limit=500&labelSelector=a%3Db",
        "/api/v1/namespaces/x/pods?limit=500&labelSelector=a%3Db&continue=a%20b",
    ]


def test_a_list_that_expires_is_read_from_its_beginning() -> None:
    said = iter(
        [
            _api.Answer("", "", {"items": [{"n": 1}], "metadata": {"continue": "a"}}),
            _api.Answer("Expired", "too old"),
            _api.Answer("", "", {"items": [{"n": 3}], "metadata": {}}),
        ]
    )
    assert api(lambda _request: next(said)).items(PODS) == [{"n": 3}]
    with pytest.raises(RequorumError, match="expired three times"):
        api(lambda _request: _api.Answer("Expired")).items(PODS)


def test_what_is_not_there_is_none() -> None:
    gone = api(lambda _request: _api.Answer("NotFound", "the server could not find the requested resource"))
    assert gone.items(BUNDLES) is None and gone.get(BUNDLES, "x", "y") is None and not gone.delete(BUNDLES, "x", "y")


@pytest.mark.parametrize("reason", sorted(_api.BUSY))
def test_a_busy_server_is_asked_again_until_the_deadline(reason: str) -> None:
    clock, said = Clock(), [_api.Answer(reason, "busy")] * 3 + [_api.Answer("", "", {"ok": 1})]
    assert api(lambda _request: said.pop(0), clock).get(PODS, "a") == {"ok": 1}
    with pytest.raises(RequorumError, match="r1: get pods a: busy"):
        api(lambda _request: _api.Answer(reason, "busy"), clock).get(PODS, "a")
    assert clock.now < 70


@pytest.mark.parametrize("reason", ["Forbidden", "Unauthorized", "Conflict", "Invalid", "Refused"])
def test_a_refusal_is_final(reason: str) -> None:
    clock = Clock()
    with pytest.raises(RequorumError, match=r"r1: patch bundles\.fleet\.cattle\.io b: no"):
        api(lambda _request: _api.Answer(reason, "no"), clock).patch(BUNDLES, "b", {}, "ns")
    assert clock.now == 0


def test_only_the_object_that_was_seen_is_deleted() -> None:
    bodies: list[Any] = []

    def answer(request: _api.Request) -> _api.Answer:
        bodies.append(request.body)
        return _api.Answer("", "", {})

    assert api(answer).delete(PODS, "a", "b", uid="u")
    assert bodies[0]["preconditions"] == {"uid": "u"} and "gracePeriodSeconds" not in bodies[0]
    assert api(answer).delete(PODS, "a", "b", now=True)
    assert bodies[1]["gracePeriodSeconds"] == 0


@pytest.mark.parametrize(
    ("reason", "said"),
    [("", ""), ("NotFound", ""), ("Conflict", ""), ("TooManyRequests", "a budget"), ("Forbidden", None)],
)
def test_a_pod_is_evicted_or_stays_and_is_asked_once(reason: str, said: str | None) -> None:
    """Conflict: another pod of that name."""
    asked: list[_api.Request] = []

    def answer(request: _api.Request) -> _api.Answer:
        asked.append(request)
        return _api.Answer(reason, "a budget")

    if said is None:
        with pytest.raises(RequorumError, match="create pods web: a budget"):
            api(answer).evict("web", "default", uid="u")
    else:
        assert api(answer).evict("web", "default", uid="u") == said
    (request,) = asked
    assert request.url == "/api/v1/namespaces/default/pods/web/eviction" and request.verb == "create"
    assert request.body and request.body["deleteOptions"] == {"preconditions": {"uid": "u"}}


def test_a_list_of_one_host() -> None:
    asked: list[str] = []

    def answer(request: _api.Request) -> _api.Answer:
        asked.append(request.url)
        return _api.Answer("", "", {"items": []})

    assert api(answer).items(PODS, fields="spec.nodeName=a") == []
    assert asked == ["/api/v1/pods?limit=500&fieldSelector=spec.nodeName%3Da"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"kind":"Status","status":"Failure","reason":"AlreadyExists","code":409,"message":"x"}', "Conflict"),
        ('{"kind":"Status","status":"Failure","code":429}', "TooManyRequests"),
        ('{"kind":"Status","status":"Failure","code":"x"}', "Refused"),
        ('{"kind":"Status","status":"Success","metadata":{}}', ""),
        ('{"kind":"Pod","metadata":{}}', ""),
        ('{"kind":"PodList","metadata":{},"items":[{"metadata":{}}]}', ""),
        ('{"kind":"PodList","metadata":{},"items":null}', ""),
        ('{"kind":"PodList","metadata":{},"items":[5]}', "NoAnswer"),
        ('{"kind":"PodList","metadata":{},"items":"x"}', "NoAnswer"),
        ('{"kind":"Pod"}', "NoAnswer"),
        ("<html>", "NoAnswer"),
        ("[]", "NoAnswer"),
        ("[" * 100_000, "NoAnswer"),
    ],
)
def test_documents(text: str, reason: str) -> None:
    assert _api.parsed(text).reason == reason


def test_an_answer_that_is_cut_off_is_not_shown() -> None:
    assert _api.parsed('{"data":{"password":"sekret').text == "no JSON came"
    assert _api.parsed("<html>log in").text == "no JSON came, but '<html>log in'"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (_api.Answer("Forbidden", 'admission webhook "x" denied the request: no'), "webhook or a policy"),
        (_api.Answer("Invalid", "ValidatingAdmissionPolicy 'x' with binding 'y' denied request: no"), "or a policy"),
        (_api.Answer("InternalError", 'failed calling webhook "x": EOF'), "pods behind it"),
        (_api.Answer("Forbidden", 'User "x" cannot get'), "administrator"),
        (_api.Answer("NoAnswer"), "Look at the API server"),
    ],
)
def test_what_to_do_about_a_refusal(answer: _api.Answer, words: str) -> None:
    assert words in _api.hint(answer)


def test_what_is_no_list_is_no_empty_list() -> None:
    with pytest.raises(RequorumError, match="no list came"):
        api(lambda _request: _api.Answer("", "", {"metadata": {}})).items(PODS)


class Server(BaseHTTPRequestHandler):
    """Answers with what was asked."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.endswith("/busy"):
            return self._send(429, b"slow down")
        certificate = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
        said = {
            "method": self.command,
            "path": self.path,
            "type": self.headers.get("Content-Type"),
            "token": self.headers.get("Authorization"),
            "body": json.loads(body) if body else None,
            "client": bool(certificate),
            "metadata": {},
        }
        return self._send(200, json.dumps(said).encode())

    def _send(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        pass

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """A kubeconfig, and a server behind it whose CA has serial number 0, as K3s and RKE2 make them."""
    tls = tmp_path_factory.mktemp("tls")
    pki.ensure_ca(tls / "ca.crt", tls / "ca.key", "ca", pki.utcnow())
    issuer = pki.load_issuer(tls / "ca.crt", tls / "ca.key")
    key = pki.new_key()
    (tls / "key").write_bytes(pki.ec_key_pem(key))
    for name, usage in (("server", pki.SERVER), ("client", pki.CLIENT)):
        _leaf, chain, _said = pki.issue(issuer, pki.subject(name), usage, ["127.0.0.1"], key.public_key())
        (tls / name).write_bytes(chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls / "server", tls / "key")
    context.load_verify_locations(tls / "ca.crt")
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_mode = ssl.CERT_OPTIONAL
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        data = {name: base64.b64encode((tls / name).read_bytes()).decode() for name in ("ca.crt", "client", "key")}
        yield {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "x", "user": "u"}}],
            "clusters": [
                {
                    "name": "x",
                    "cluster": {
                        "server": f"https://127.0.0.1:{server.server_port}/k8s",
                        "certificate-authority-data": data["ca.crt"],
                    },
                }
            ],
            "users": [
                {"name": "u", "user": {"client-certificate-data": data["client"], "client-key-data": data["key"]}}
            ],
        }
        server.shutdown()


def link(config: dict[str, Any], folder: Path) -> _kubeconfig.Link:
    (folder / "config").write_text(yaml.safe_dump(config))
    return _kubeconfig.Link(str(folder / "config"), timeout=5)


def test_a_kubeconfig_with_a_client_certificate(config: dict[str, Any], tmp_path: Path) -> None:
    seen = link(config, tmp_path)(_api.Request("patch", BUNDLES, "a", "b", {"x": None}))
    assert seen.document == {
        "method": "PATCH",
        "path": "/k8s/apis/fleet.cattle.io/v1alpha1/namespaces/a/bundles/b",
        "type": "application/merge-patch+json",
        "token": None,
        "body": {"x": None},
        "client": True,
        "metadata": {},
    }
    assert list(tmp_path.iterdir()) == [tmp_path / "config"]


def test_a_kubeconfig_with_a_token(config: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    seen = link(config | {"users": [{"name": "u", "user": {"tokenFile": "token"}}]}, tmp_path)(
        _api.Request("get", PODS)
    )
    assert seen.document and (seen.document["token"], seen.document["client"]) == ("Bearer secret", False)


def test_codes_without_a_status(config: dict[str, Any], tmp_path: Path) -> None:
    assert link(config, tmp_path)(_api.Request("get", PODS, "x", "busy")).reason == "TooManyRequests"


def test_the_server_of_another_cluster_is_not_asked(config: dict[str, Any], tmp_path: Path) -> None:
    pki.ensure_ca(tmp_path / "ca.crt", tmp_path / "ca.key", "other", pki.utcnow())
    other = base64.b64encode((tmp_path / "ca.crt").read_bytes()).decode()
    cluster = config["clusters"][0]["cluster"] | {"certificate-authority-data": other}
    answer = link(config | {"clusters": [{"name": "x", "cluster": cluster}]}, tmp_path)(_api.Request("get", PODS))
    assert answer.reason == "Unauthorized"


def test_nobody_listens(config: dict[str, Any], tmp_path: Path) -> None:
    cluster = config["clusters"][0]["cluster"] | {"server": "https://127.0.0.1:1"}
    answer = link(config | {"clusters": [{"name": "x", "cluster": cluster}]}, tmp_path)(_api.Request("get", PODS))
    assert answer.reason == "NoAnswer"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"current-context": "y"}, "no current context"),
        ({"clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:1"}}]}, "not an https address"),
        (
            {"clusters": [{"name": "x", "cluster": {"server": "https://a", "insecure-skip-tls-verify": True}}]},
            "nobody would know which cluster",
        ),
        ({"users": [{"name": "u", "user": {"client-certificate": "no", "client-key": "no"}}]}, "cannot be used"),
        ({"users": [{"name": "u", "user": {"client-certificate-data": "!", "client-key-data": "!"}}]}, "be used"),
    ],
)
def test_bad_kubeconfigs(config: dict[str, Any], tmp_path: Path, change: dict[str, Any], why: str) -> None:
    with pytest.raises(RequorumError, match=why):
        link(config | change, tmp_path)


def test_a_kubeconfig_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RequorumError, match="cannot be read: No such file"):
        _kubeconfig.Link(str(tmp_path / "x"))


class Host:
    """This machine as a server whose API is the one of `api_server`, and an action that acts on it."""

    def __init__(self, folder: Path, server: api_server.Server, *, curl: bool) -> None:
        tls, cred = folder / "server/tls", folder / "server/cred"
        for made in (tls, cred, folder / "bin"):
            made.mkdir(parents=True)
        (tls / "server-ca.crt").write_bytes((folder / "ca.crt").read_bytes())
        (tls / "client-admin.crt").write_bytes((folder / "server.pem").read_bytes())
        if curl:
            (tls / "client-admin.key").write_bytes((folder / "key").read_bytes())
        (cred / "admin.kubeconfig").write_text(f"clusters:\n- cluster:\n    server: {server.address}\n")
        kubectl = folder / "bin/kubectl"
        kubectl.write_text(KUBECTL)
        kubectl.chmod(0o755)
        self.settings = {"requorum_timeouts": {"api": 0}}
        self.host, self._data, self.scripts = "r1", str(folder), 0

    def script(self, name: str, *, stdin: bytes | None = None, timeout: int = 60, **words: str) -> _node.Done:
        self.scripts += 1
        text = _node.script(name, DISTRO="rke2", DATA=self._data, **words)
        return LocalNode().run(text, stdin=stdin, timeout=timeout)


KUBECTL = """\
#!/bin/sh
while [ "$1" != get ]; do shift; done
case $3 in
  */missing*) echo 'Error from server (NotFound): the server could not find the requested resource' >&2; exit 1 ;;
  *) echo 'Warning: old' >&2; echo '{"kind":"PodList","metadata":{},"items":[{"metadata":{"name":"a"}}]}' ;;
esac
"""


@pytest.mark.parametrize("curl", [True, False])
def test_many_lists_in_one_round_trip_of_a_server(tmp_path: Path, curl: bool) -> None:
    kinds = [PODS, _api.Kind("", "v1", "missing"), BUNDLES]
    with api_server.serving(tmp_path) as server:
        (tmp_path / "server").rename(tmp_path / "server.pem")
        server.store.missing = ("missing",)
        for kind in (PODS, BUNDLES):
            server.store.api.create(kind, {"metadata": {"name": "a", "namespace": "x"}})
        host = Host(tmp_path, server, curl=curl)
        found: list[tuple[str, str]] = []
        asked = _node_api.of(cast("NodeAction", host))
        counts = asked.counts(kinds)
        asked.every(counts, lambda kind, item: found.append((kind.plural, item["metadata"]["name"])), {})
        assert counts == {PODS: 1, BUNDLES: 1} and found == [("pods", "a"), ("bundles", "a")]
        assert host.scripts == 2 and asked.items(kinds[1]) is None
        server.fault = lambda _request: api_server.resets
        assert asked.counts(kinds) == counts, "kubectl is asked where curl gets no answer"
        server.fault = lambda _request: api_server.says(403, "Forbidden", "no")
        if curl:
            with pytest.raises(RequorumError, match=r"r1: get pods: no\. Use"):
                asked.counts(kinds)


@pytest.mark.parametrize("text", ["", "!", "H4sIAAAAAAAAA", base64.b64encode(b"m 200 \n").decode()])
def test_an_answer_of_a_server_that_is_cut_off(text: str) -> None:
    assert _node_api.answers(text, "m") == []


def test_kinds_are_read_together_until_a_page_is_full() -> None:
    kinds = [_api.Kind("", "v1", name) for name in "abcde"]
    counts = dict(zip(kinds, (200, 300, 1, 800, 3), strict=True))
    assert [[kind.plural for kind in part] for part in _api._portions(counts)] == [["a", "b"], ["c"], ["d"], ["e"]]


def test_a_list_that_has_grown_is_read_on() -> None:
    said = {
        "limit=1": {"items": [{"n": 1}], "metadata": {}},
        "limit=500&fieldSelector=type%21%3Dx": {"items": [{"n": 1}], "metadata": {"continue": "t"}},
        "limit=500&fieldSelector=type%21%3Dx&continue=t": {"items": [{"n": 2}], "metadata": {}},
    }
    asked, found = api(lambda request: _api.Answer("", "", said[request.query])), list[Any]()
    asked.every(asked.counts([PODS]), lambda _kind, item: found.append(item["n"]), {PODS: "type!=x"})
    assert found == [1, 2]


def test_a_busy_server_is_asked_again_for_each_of_many() -> None:
    said = [_api.Answer("NoAnswer"), _api.Answer("NotFound"), _api.Answer("", "", {"items": [], "metadata": {}})]
    assert api(lambda _request: said.pop(0)).counts([PODS, BUNDLES]) == {PODS: 0}


@pytest.mark.parametrize(("stored", "made"), [("as asked", True), ("other", False), ("nothing", False)])
def test_an_object_whose_answer_was_lost_is_the_one_that_was_asked_for(stored: str, made: bool) -> None:
    wanted = {"metadata": {"name": "a", "namespace": "x"}, "spec": {"disks": [{"name": "one"}]}}
    there = {"metadata": {"name": "a", "namespace": "x", "uid": "1"}, "spec": {"disks": [{"name": "one", "boot": 1}]}}
    if stored == "other":
        there = {**there, "spec": {"disks": [{"name": "two"}]}}
    seen: list[str] = []

    def answer(request: _api.Request) -> _api.Answer:
        seen.append(request.verb)
        if request.verb == "get":
            return _api.Answer("NotFound", "gone") if stored == "nothing" else _api.Answer("", "", there)
        return _api.Answer("NoAnswer", "lost") if len(seen) == 1 else _api.Answer("Conflict", "already exists")

    if made:
        assert api(answer).create(PODS, wanted) == there
    else:
        with pytest.raises(RequorumError, match="already exists"):
            api(answer).create(PODS, wanted)
    assert seen[:3] == ["create", "create", "get"]


def test_one_connection_for_many_requests(tmp_path: Path) -> None:
    """Each request is sent once, and what was read is no bar to the next one."""
    with api_server.serving(tmp_path) as server:
        link = _kubeconfig.Link(str(tmp_path / "kubeconfig"), timeout=5)
        asked = _api.Api(link, where="r1", seconds=0)
        for name in "abc":
            asked.create(PODS, {"metadata": {"name": name, "namespace": "x"}})
        assert len(asked.items(PODS) or ()) == 3 and len(server.store.asked) == 4 and server.connections == 1
        server.fault = lambda request: api_server.raw(200, "{", length=9) if request.name == "a" else None
        with pytest.raises(RequorumError):
            asked.get(PODS, "a", "x")
        assert asked.get(PODS, "b", "x") and server.connections == 2

        def rude(handler: api_server.Handler) -> None:
            handler.send(200, {"metadata": {}})
            handler.close_connection = True

        server.fault = lambda _request: rude
        assert asked.get(PODS, "b", "x") and asked.get(PODS, "b", "x"), "it was closed, and nobody had said so"
