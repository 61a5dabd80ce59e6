# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Objects of the Kubernetes API: read in pages, changed by merge patch, deleted only as the ones that were seen.

How a request travels is another matter (`Transport`): kubectl on a server, or a kubeconfig on the controller.
"""

from __future__ import annotations

import json
import re
import time
import typing as t
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from ._errors import RequorumError

JSON = dict[str, t.Any]
PAGE = 500
"""Objects in one answer, as kubectl asks for them."""
BUSY = frozenset(("TooManyRequests", "ServerTimeout", "Timeout", "ServiceUnavailable", "InternalError", "NoAnswer"))
"""Reasons that pass: the same request is made again until the deadline."""
ALIKE = {"AlreadyExists": "Conflict", "Gone": "Expired"}
CODES = {
    400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired",
    422: "Invalid", 429: "TooManyRequests", 500: "InternalError", 503: "ServiceUnavailable", 504: "Timeout",
}  # fmt: skip
HINTS = {
    "Unauthorized": "The kubeconfig is not one of this cluster, or its certificate has ended.",
    "Forbidden": "Use a kubeconfig of an administrator.",
    "Conflict": "Somebody else changes it too. Run the same command again.",
    "NotFound": "It went while it was worked on. Run the same command again.",
}
SPOKEN = (
    (r"denied (the )?request", "A webhook or a policy of the cluster forbids it, and says why. Mend that, then run the "
                               "same command again."),
    (r"failed calling webhook", "The webhook does not answer: look at the pods behind it, then run the same command "
                                "again."),
)  # fmt: skip
"""Hints for what only the words of a refusal tell; they come before those by reason."""


@dataclass(frozen=True)
class Kind:
    """A resource as the API serves it."""

    group: str
    """Empty for the core group."""
    version: str
    plural: str
    namespaced: bool = True

    @property
    def name(self) -> str:
        """`bundles.fleet.cattle.io`; `nodes`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str = "", name: str = "") -> str:
        """Without a namespace those of all; without a name the list."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = f"/namespaces/{quote(namespace)}" if self.namespaced and namespace else ""
        return f"{root}{where}/{self.plural}" + (f"/{quote(name)}" if name else "")


PODS = Kind("", "v1", "pods")


class Request(t.NamedTuple):
    """verb: get, create, replace, patch (merge) or delete."""

    verb: str
    kind: Kind
    namespace: str = ""
    name: str = ""
    body: JSON | None = None
    query: str = ""
    subresource: str = ""

    @property
    def url(self) -> str:
        path = self.kind.path(self.namespace, self.name) + (f"/{self.subresource}" if self.subresource else "")
        return f"{path}?{self.query}" if self.query else path


class Answer(t.NamedTuple):
    """reason: empty when the request was done, else that of a Status object, or NoAnswer."""

    reason: str
    text: str = ""
    document: JSON | None = None


Transport = t.Callable[[Request], Answer]


def refusal(err: str) -> Answer:
    """What kubectl says on stderr: `Error from server (NotFound): ...`, or that it reached nobody."""
    lines = [line for line in err.strip().splitlines() if line.strip()]
    said = lines[-1].strip() if lines else "no answer before the deadline"
    found = re.search(r"(?:^Error from server|logged in to the server) \((\w+)\)", said)
    if found:
        return Answer(ALIKE.get(found[1], found[1]), said[:300])
    unreached = not lines or re.search(
        r"connection|connect to the server|EOF|deadline|timeout|TLS", said, re.IGNORECASE
    )
    return Answer("NoAnswer" if unreached else "Refused", said[:300])


class _Missing(Exception):
    """The cluster has no such kind."""


class _Expired(Exception):
    """The list is too old to be read on."""


class Api:
    """The objects of one cluster."""

    def __init__(
        self,
        transport: Transport,
        *,
        where: str,
        seconds: float = 60,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        """where: for messages, e.g. the server that is asked. seconds: deadline of one request with its repetitions."""
        self._transport, self.where, self._seconds, self._clock, self._sleep = transport, where, seconds, clock, sleep

    def get(self, kind: Kind, name: str, namespace: str = "") -> JSON | None:
        """One object; None where there is none, or no such kind."""
        answer = self._ask(Request("get", kind, namespace, name), accept=("NotFound",))
        return answer.document

    def items(self, kind: Kind, namespace: str = "", *, selector: str = "", fields: str = "",
              first: Answer | None = None) -> list[JSON] | None:  # fmt: skip
        """All objects of a kind, as one consistent list; None where the cluster has no such kind.

        selector: of labels. fields: of fields, which the API server knows for few kinds, as `spec.nodeName` of pods.
        first: its first page, of `firsts`.
        """
        more = _chosen(selector, fields)
        for _attempt in range(3):
            found: list[JSON] = []
            try:
                for page in self._pages(kind, namespace, more, first):
                    found += page
            except _Expired:
                first = None
                continue
            except _Missing:
                return None
            return found
        raise self._expired(kind)

    def firsts(self, asked: t.Iterable[tuple[Kind, str, str]]) -> list[Answer]:
        """First pages of kinds, in a namespace and by a selector of labels, in one round trip; else none."""
        many = getattr(self._transport, "many", None)
        wanted = [Request("get", kind, where, query=_query(_chosen(chosen))) for kind, where, chosen in asked]
        return many(wanted) if many else []

    def each(self, kind: Kind, take: t.Callable[[JSON], None], first: Answer | None = None) -> bool:
        """Hand over one object after the other, so that memory holds a page of them; False where there is no such kind.

        Where the list expires between two pages it is begun again: then objects come twice.
        """
        return self._each(kind, take, first=first)

    def _each(self, kind: Kind, take: t.Callable[[JSON], None], more: str = "", first: Answer | None = None) -> bool:
        for _attempt in range(3):
            try:
                for page in self._pages(kind, "", more, first):
                    for item in page:
                        take(item)
            except _Expired:
                first = None
                continue
            except _Missing:
                return False
            return True
        raise self._expired(kind)

    def counts(self, kinds: t.Sequence[Kind]) -> dict[Kind, int]:
        """Objects of each kind that the cluster has, asked in one round trip where that can be."""
        asked, found = [Request("get", kind, query="limit=1") for kind in kinds], {}
        for request, first in zip(asked, self._many(asked), strict=True):
            answer = self._ask(request, accept=("NotFound",), first=first)
            if not answer.reason:
                page = self._listed(request.kind, answer)
                meta = page.get("metadata") or {}
                more = meta.get("remainingItemCount", PAGE if meta.get("continue") else 0)
                found[request.kind] = len(page["items"] or ()) + int(more)
        return found

    def every(
        self, counts: t.Mapping[Kind, int], take: t.Callable[[Kind, JSON], None], fields: t.Mapping[Kind, str]
    ) -> None:
        """As `each`, of several kinds: so many in one round trip as fill a page together. fields: as of `items`."""
        for part in _portions(counts):
            more = [_chosen(fields=fields.get(kind, "")) for kind in part]
            asked = [Request("get", kind, query=_query(chosen)) for kind, chosen in zip(part, more, strict=True)]
            for kind, chosen, first in zip(part, more, self._many(asked), strict=True):
                self._each(kind, partial(take, kind), chosen, first)

    def _many(self, requests: t.Sequence[Request]) -> list[Answer]:
        """At once where the transport can."""
        many = getattr(self._transport, "many", None)
        return many(requests) if many else [self._transport(request) for request in requests]

    def _listed(self, kind: Kind, answer: Answer) -> JSON:
        page = answer.document or {}
        if "items" not in page:
            raise RequorumError(f"{self.where}: get {kind.name}: no list came.", HINTS["Unauthorized"])
        return page

    def _expired(self, kind: Kind) -> RequorumError:
        return RequorumError(
            f"{self.where}: the list of {kind.name} expired three times while it was read.",
            "The API server is overloaded; run the same command again later.",
        )

    def _pages(self, kind: Kind, namespace: str, more: str, first: Answer | None = None) -> t.Iterator[list[JSON]]:
        """The items name their kind, which those of built-in kinds do not by themselves. first: the first page."""
        token = ""
        while True:
            request = Request("get", kind, namespace, query=_query(more, token))
            answer = self._ask(request, accept=("NotFound", "Expired"), first=first)
            if answer.reason:
                raise _Missing if answer.reason == "NotFound" else _Expired
            page, first = self._listed(kind, answer), None
            named = {"apiVersion": page.get("apiVersion"), "kind": str(page.get("kind") or "").removesuffix("List")}
            named = {name: word for name, word in named.items() if word}
            yield [{**named, **item} for item in page["items"] or ()]
            token = (page.get("metadata") or {}).get("continue") or ""
            if not token:
                return

    def create(self, kind: Kind, body: JSON) -> JSON:
        """The object as it was stored; also where it was, and only the answer was lost."""
        meta = body["metadata"]
        return self._done(Request("create", kind, meta.get("namespace", ""), body=body))

    def patch(self, kind: Kind, name: str, body: JSON, namespace: str = "", *, subresource: str = "") -> JSON:
        """The object after a merge patch (RFC 7386): null takes a key away."""
        return self._done(Request("patch", kind, namespace, name, body, subresource=subresource))

    def delete(
        self, kind: Kind, name: str, namespace: str = "", *, uid: str = "", version: str = "", now: bool = False
    ) -> bool:
        """Ask for the deletion; False where it was gone already. uid: not a later object of the same name.

        version: only while it is as it was seen (resourceVersion). now: without the grace period that only a living
        kubelet could end.
        """
        body: JSON = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if now:
            body["gracePeriodSeconds"] = 0
        if only := {key: value for key, value in (("uid", uid), ("resourceVersion", version)) if value}:
            body["preconditions"] = only
        return not self._ask(Request("delete", kind, namespace, name, body), accept=("NotFound",)).reason

    def evict(self, name: str, namespace: str, *, uid: str) -> str:
        """Ask once that a pod goes; why it may not now, a disruption budget, or empty. KubeVirt migrates a machine."""
        body: JSON = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": name, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        request = Request("create", PODS, namespace, name, body, subresource="eviction")
        answer = self._ask(request, accept=("NotFound", "Conflict", "TooManyRequests"))
        return answer.text or answer.reason if answer.reason == "TooManyRequests" else ""

    def _done(self, request: Request) -> JSON:
        return self._ask(request).document or {}

    def _ask(self, request: Request, accept: t.Collection[str] = (), first: Answer | None = None) -> Answer:
        """Again while the server is busy; raises RequorumError with the server's own words otherwise.

        first: what it has answered already, among others; where that is nothing it is asked alone.
        """
        name = request.name or ((request.body or {}).get("metadata") or {}).get("name") or ""
        until, pause, again = self._clock() + self._seconds, 0.5, False
        known = first if first and first.reason != "NoAnswer" else None
        while True:
            answer, known = known or self._transport(request), None
            if not answer.reason or answer.reason in accept:
                return answer if not answer.reason else answer._replace(document=None)
            if again and (request.verb, answer.reason) == ("create", "Conflict"):  # was it made, and nobody was told?
                made = self.get(request.kind, name, request.namespace)
                if made and _holds(made, request.body):
                    return Answer("", "", made)
            if answer.reason not in BUSY or self._clock() + pause > until:
                break
            self._sleep(pause)
            pause, again = min(pause * 2, 8), True
        what = f"{request.verb} {request.kind.name} {name}".rstrip()
        raise RequorumError(f"{self.where}: {what}: {(answer.text or answer.reason).rstrip('.')}.", hint(answer))


def _holds(found: t.Any, wanted: t.Any) -> bool:
    """Whether an object has all that was asked for, beside what the server adds."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return all(_holds(found.get(key), value) for key, value in wanted.items())
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(_holds, found, wanted))
    return bool(found == wanted)


def _chosen(selector: str = "", fields: str = "") -> str:
    chosen = {"labelSelector": selector, "fieldSelector": fields}
    return "".join(f"&{name}={quote(value)}" for name, value in chosen.items() if value)


def _query(more: str = "", token: str = "") -> str:
    return f"limit={PAGE}{more}" + (f"&continue={quote(token)}" if token else "")


def _portions(counts: t.Mapping[Kind, int]) -> t.Iterator[list[Kind]]:
    """Kinds that fill a page together; one with more objects stands alone."""
    part, size = list[Kind](), 0
    for kind, count in counts.items():
        if part and size + count > PAGE:
            yield part
            part, size = [], 0
        part.append(kind)
        size += count
    if part:
        yield part


def hint(refused: Answer) -> str:
    """What to do about an answer that is no."""
    spoken = (text for words, text in SPOKEN if re.search(words, refused.text))
    return next(spoken, HINTS.get(refused.reason, "Look at the API server, then run the same command again."))


def answered(code: int, text: str) -> Answer:
    """What came by HTTP."""
    answer = parsed(text)
    if not 200 <= code < 300 and answer.reason in ("", "NoAnswer"):
        return Answer(CODES.get(code, "Refused"), f"it answered {code}")
    return answer


def parsed(text: str) -> Answer:
    """An object as the API server gives it, or a Status that says why not; nothing that only looks like one."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        begin = text.lstrip()[:40]  # of an answer that was cut off nothing is shown: it may be a Secret
        return Answer("NoAnswer", "no JSON came" + (f", but {begin!r}" if begin and begin[0] not in "{[" else ""))
    if not isinstance(document, dict):
        return Answer("NoAnswer", "no object of Kubernetes came")
    if document.get("kind") == "Status" and document.get("status") == "Failure":
        code = document.get("code")
        reason = str(document.get("reason") or CODES.get(code if isinstance(code, int) else 0, "Refused"))
        return Answer(ALIKE.get(reason, reason), str(document.get("message") or reason)[:300])
    listed = document.get("items") if "items" in document else []
    if not all(map(_is_object, (document, *(listed if isinstance(listed, list) else [None] * bool(listed))))):
        return Answer("NoAnswer", "no object of Kubernetes came")
    return Answer("", "", document)


def _is_object(document: object) -> bool:
    return isinstance(document, dict) and isinstance(document.get("metadata"), dict)
