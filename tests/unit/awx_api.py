# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in of AWX's API: objects in memory, filters, associations, surveys, workflow nodes and approvals."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

JSON = dict[str, Any]
API = "/api/v2/"
UNIFIED = ("job_templates", "workflow_job_templates", "projects", "inventory_sources")
TOKEN = "the-token-of-the-test"


class Api:
    """All objects by kind and id; `calls` are the requests that changed something."""

    def __init__(self) -> None:
        self.kinds: dict[str, dict[int, JSON]] = {}
        self.links: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[tuple[str, int], JSON] = {}
        self.calls: list[str] = []
        self.ids = itertools.count(1)
        self.lock = threading.Lock()
        self.add("organizations", {"name": "Default"})
        self.add("instance_groups", {"name": "default"})
        secret = [{"id": "ssh_key_data", "secret": True}]
        self.add("credential_types", {"name": "Machine", "inputs": {"fields": secret}, "managed": True})

    def names(self, kind: str) -> list[str]:
        return sorted(each["name"] for each in self.kinds.get(kind, {}).values())

    def add(self, kind: str, fields: JSON) -> JSON:
        ident = next(self.ids)
        url = f"{API}{kind}/{ident}/"
        related = {"survey_spec": f"{url}survey_spec/"}
        shown = {"scm_revision": "", "summary_fields": {}, "type": kind.removesuffix("s")}
        made = {**shown, **fields, "id": ident, "url": url, "related": related}
        self.kinds.setdefault(kind, {})[ident] = made
        return self.shown(kind, made)

    def shown(self, kind: str, one: JSON) -> JSON:
        """As AWX shows it: no secret of a credential comes out again."""
        if kind != "credentials":
            return one
        fields = self.kinds["credential_types"][one["credential_type"]]["inputs"]["fields"]
        secret = {each["id"] for each in fields if each.get("secret")}
        hidden = {key: "$encrypted$" if key in secret and value else value for key, value in one["inputs"].items()}
        return {**one, "inputs": hidden}

    def listed(self, kind: str, filters: JSON) -> list[JSON]:
        kinds = UNIFIED if kind == "unified_job_templates" else (kind,)
        found = [self.shown(each, one) for each in kinds for one in self.kinds.get(each, {}).values()]
        fits = {key: value for key, value in filters.items() if key not in ("page_size", "order_by")}
        return [one for one in found if all(str(one.get(key)) == value for key, value in fits.items())]

    def approval(self, node: JSON, fields: JSON) -> JSON:
        kept = {key: fields[key] for key in ("name", "description", "timeout") if key in fields}
        made = self.add("workflow_approval_templates", kept)
        node["unified_job_template"], node["related"]["unified_job_template"] = made["id"], made["url"]
        return made

    def remove(self, kind: str, ident: int) -> None:
        del self.kinds[kind][ident]
        if kind == "workflow_job_templates":  # its nodes go with it
            nodes = self.kinds.get("workflow_job_template_nodes", {})
            for node in [key for key, value in nodes.items() if value["workflow_job_template"] == ident]:
                self.kinds["workflow_approval_templates"].pop(nodes.pop(node)["unified_job_template"], None)

    def answer(self, method: str, path: str, filters: JSON, data: JSON) -> tuple[int, Any]:
        """Status and body of one request."""
        matched = re.fullmatch(rf"{API}(\w+)/(?:(\d+)/)?(?:(\w+)/)?", path)
        if matched is None:
            return 404, {"detail": "Not found."}
        kind, ident, part = matched.groups()
        if ident is None:
            if method == "POST":
                return 201, self.add(kind, data)
            found = self.listed(kind, filters)
            return 200, {"count": len(found), "next": None, "previous": None, "results": found}
        number = int(ident)
        one = self.kinds.get(kind, {}).get(number)
        if one is None:
            return 404, {"detail": "Not found."}
        if part == "survey_spec":
            if method == "GET":
                return 200, self.surveys.get((kind, number), {})
            self.surveys[kind, number] = data if method == "POST" else {}
            return 200, {}
        if part == "create_approval_template":
            return 201, self.approval(one, data)
        if part is not None:
            links = self.links.setdefault((kind, number, part), [])
            if method == "POST":
                (links.remove if data.get("disassociate") else links.append)(data["id"])
                return 204, None
            return 200, {"count": len(links), "next": None, "results": [{"id": each} for each in links]}
        if method == "DELETE":
            self.remove(kind, number)
            return 204, None
        if method == "PATCH":
            known = ("name", "description", "timeout") if kind == "workflow_approval_templates" else data
            one.update({key: data[key] for key in known if key in data})
        return 200, self.shown(kind, one)


@contextmanager
def serving() -> Iterator[tuple[Api, str]]:
    """The API and its address."""
    api = Api()

    class Handler(BaseHTTPRequestHandler):
        def _do(self) -> None:
            split, size = urlsplit(self.path), int(self.headers.get("Content-Length") or 0)
            data = json.loads(self.rfile.read(size) or b"{}")
            with api.lock:
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    status, body = 401, {"detail": "Authentication credentials were not provided."}
                else:
                    if self.command != "GET":
                        api.calls.append(f"{self.command} {split.path}")
                    status, body = api.answer(self.command, split.path, dict(parse_qsl(split.query)), data)
            content = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("X-API-Product-Name", "AWX")
            self.send_header("X-API-Product-Version", "24.6.1")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = _do

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
