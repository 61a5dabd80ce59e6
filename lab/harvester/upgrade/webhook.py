# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Harvester's webhook for Upgrades, and a record of every write to them and to plan secrets.

The server runs where the lab is driven from; API servers reach it at the gateway of the lab's network. What upstream
looks at in a kubelet (disk space) or in backups is not looked at.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import objects
from lab.harvester.kinds import ready
from lab.harvester.upgrade.seen import STATE, World, condition, labels, name_of, notes, status
from lab.labs import Lab
from lab.supervisor import pki

JSON = dict[str, Any]
HOOKS = _api.Kind("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", namespaced=False)
NAME = "harvester-validator"
SKIP = "harvesterhci.io/skipWebhook"
FILE = "upgrade-requests.jsonl"
SHA512 = re.compile("[a-f0-9]{128}")


class Asked(NamedTuple):
    """A write that the API server was asked for."""

    who: str
    """User; the played controllers are the administrator, as whoever has the kubeconfig of a server."""
    verb: str
    """create, update or delete."""
    kind: str
    name: str
    state: str
    """upgradeState of the Upgrade before it; empty for a secret."""
    refused: str
    """Why; or empty."""
    changed: list[str]
    """Annotations that it changed."""
    at: float


class Refused(NamedTuple):
    """What the webhook answers; code 0: nothing."""

    code: int = 0
    reason: str = ""
    message: str = ""


def bad(message: str) -> Refused:
    return Refused(400, "BadRequest", message)


def create(world: World, upgrade: JSON) -> Refused:
    """Why an Upgrade may not be made (v1.4.1 validator.go, Create)."""
    spec = upgrade.get("spec") or {}
    if not spec.get("version") and not spec.get("image"):
        return bad("version or image field are not specified.")
    if spec.get("version") and not spec.get("image") and world.one("versions", spec["version"]) is None:
        return bad(f"version {spec['version']} is not found")
    for other in world["upgrades"]:
        if labels(other).get(STATE) not in ("Succeeded", "Failed"):
            return Refused(409, "Conflict", f'cannot proceed until previous upgrade "{name_of(other)}" completes')
    if notes(upgrade).get(SKIP, "").lower() == "true":
        return Refused()
    return next(_resources(world), Refused())


def _resources(world: World) -> Iterator[Refused]:
    volumes = world["volumes"]
    if len(world["nodes"]) >= 3 and any(status(each).get("robustness") == "degraded" for each in volumes):
        yield bad("there are degraded volumes, please check all volumes are healthy")
    for cluster in world["clusters"]:
        if (phase := status(cluster).get("phase")) != "Provisioned":
            yield bad(f"cluster fleet-local/local status is {phase}, please wait for it to be provisioned")
    for chart in world["charts"]:
        if condition(chart, "Ready") not in ("", "True"):
            yield bad(f"managed chart {name_of(chart)} is not ready, please wait for it to be ready")
    for node in world["nodes"]:
        if not ready(node):
            yield bad(f"node {name_of(node)} is not ready, please wait for it to be ready")
        if (node.get("spec") or {}).get("unschedulable"):
            yield bad(f"node {name_of(node)} is unschedulable, please wait for it to be schedulable")
    for machine in world["capi"]:
        if status(machine).get("phase") != "Running":
            yield Refused(500, "InternalError", f"machine fleet-local/{name_of(machine)} is not running")
    single = [each for each in volumes if each["spec"].get("numberOfReplicas") == 1
              and status(each).get("state") in ("creating", "attached", "attaching")]  # fmt: skip
    if single and len(world["nodes"]) > 1:
        claims = (status(each).get("kubernetesStatus") or {} for each in single)
        names = ", ".join(f"{claim.get('namespace', '')}/{claim.get('pvcName', '')}" for claim in claims)
        yield Refused(422, "Invalid", "The backing volumes of the following PVCs have single replica configured, "
                      f"please consider shutdown the corresponding workload before upgrade: {names}")  # fmt: skip
    fixed = [f"{each['metadata'].get('namespace')}/{name_of(each)}" for each in world["guests"]
             if condition(each, "LiveMigratable") == "False"]  # fmt: skip
    if fixed:
        yield Refused(422, "Invalid", "There are non-live migratable VMs that need to be shut off before initiating "
                      f"the upgrade: {', '.join(fixed)}")  # fmt: skip


def delete(world: World, upgrade: JSON) -> Refused:
    """Why an Upgrade may not be deleted (since v1.3.2 not in phase 4)."""
    if notes(upgrade).get(SKIP, "").lower() == "true":
        return Refused()
    if any(status(each).get("phase") == "Provisioning" for each in world["clusters"]):
        return bad("cluster fleet-local/local status is provisioning, please wait for it to be provisioned")
    if condition(upgrade, "NodesUpgraded") == "Unknown":
        return bad("node upgrade is in progressing, please wait for it to be provisioned")
    return Refused()


def review(request: JSON, look: Callable[[], World]) -> Refused:
    """Answer to one AdmissionReview; Upgrades and Versions are judged."""
    if request["resource"]["resource"] == "versions":
        checksum = ((request.get("object") or {}).get("spec") or {}).get("isoChecksum") or ""
        return bad(f"invalid isoChecksum {checksum}") if checksum and not SHA512.fullmatch(checksum) else Refused()
    if request["resource"]["resource"] != "upgrades":
        return Refused()
    if request["operation"] == "CREATE":
        return create(look(), request["object"])
    return delete(look(), request["oldObject"]) if request["operation"] == "DELETE" else Refused()


@contextlib.contextmanager
def serving(lab: Lab, api: _api.Api, look: Callable[[], World]) -> Iterator[list[Asked]]:
    """The webhook is there while the body runs; yields what it was asked for, which stands in the lab's folder too."""
    record: list[Asked] = []
    address = str(IPv4Network(lab.spec.subnet)[1])

    def answer(request: JSON) -> Refused:
        found = review(request, look)
        if not request.get("dryRun"):
            record.append(noted(request, found.message))
            with (Path(lab.folder) / FILE).open("a") as file:
                file.write(json.dumps(record[-1]._asdict()) + "\n")
        return found

    folder = Path(lab.folder) / "webhook"
    authority = _certificate(folder, address)
    server = ThreadingHTTPServer((address, 0), _handler(answer))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, name="webhook", daemon=True).start()
    url = f"https://{address}:{server.server_port}/v1/webhook/validation"
    try:
        api.delete(HOOKS, NAME)
        api.create(HOOKS, configuration(url, authority))
        yield record
    finally:
        with contextlib.suppress(Exception):
            api.delete(HOOKS, NAME)
        server.shutdown()
        server.server_close()


def noted(request: JSON, refused: str) -> Asked:
    """What is kept of a request."""
    old, new = request.get("oldObject") or {"metadata": {}}, request.get("object") or {"metadata": {}}
    before, after = notes(old), notes(new)
    changed = sorted(key for key in {*before, *after} if before.get(key) != after.get(key))
    kind, name = request["resource"]["resource"], request.get("name") or ""
    return Asked(request["userInfo"]["username"], request["operation"].lower(), kind, name,
                 labels(old).get(STATE, ""), refused, changed, time.time())  # fmt: skip


def requests(lab: Lab) -> list[Asked]:
    """Every write of an Upgrade and of a plan secret since the lab was made, of all runs of the webhook."""
    path = Path(lab.folder) / FILE
    lines = path.read_text().splitlines() if path.exists() else []
    return [Asked(**json.loads(line)) for line in lines]


def configuration(url: str, authority: bytes) -> JSON:
    """ValidatingWebhookConfiguration: what is only noted does not fail without the webhook."""
    upgrades = {"apiGroups": ["harvesterhci.io"], "apiVersions": ["v1beta1"], "resources": ["upgrades"]}
    secrets = {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["secrets"]}
    client = {"url": url, "caBundle": base64.b64encode(authority).decode()}
    same = {"clientConfig": client, "admissionReviewVersions": ["v1"], "timeoutSeconds": 10}
    space = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": objects.FLEET}}}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [
            {"name": "validator.harvesterhci.io", "failurePolicy": "Fail", "sideEffects": "NoneOnDryRun", **same,
             "rules": [{**upgrades, "operations": ["CREATE", "DELETE"]},
                       {**upgrades, "resources": ["versions"], "operations": ["CREATE", "UPDATE"]}]},
            {"name": "record.lab.requorum", "failurePolicy": "Ignore", "sideEffects": "NoneOnDryRun", **same, **space,
             "rules": [{**secrets, "operations": ["*"]}]},
            {"name": "record-upgrades.lab.requorum", "failurePolicy": "Ignore", "sideEffects": "NoneOnDryRun", **same,
             "rules": [{**upgrades, "operations": ["UPDATE"]}]},
        ],
    }  # fmt: skip


def _handler(answer: Callable[[JSON], Refused]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """AdmissionReview in, AdmissionReview out."""
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = answer(asked["request"])
            told = {"uid": asked["request"]["uid"], "allowed": not found.code}
            if found.code:
                told["status"] = {"code": found.code, "reason": found.reason, "message": found.message}
            body = json.dumps({**{k: asked[k] for k in ("apiVersion", "kind")}, "response": told}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: there is the record."""

    return Handler


def _certificate(folder: Path, address: str) -> bytes:
    """Make an authority and a certificate of this address; the authority."""
    pki.ensure_ca(folder / "ca.crt", folder / "ca.key", "webhook", pki.utcnow())
    issuer, key = pki.load_issuer(folder / "ca.crt", folder / "ca.key"), pki.ensure_key(folder / "tls.key")
    _cert, chain, _text = pki.issue(issuer, pki.subject("webhook"), pki.SERVER, [address], key.public_key())
    pki.write(folder / "tls.crt", chain, 0o644)
    return (folder / "ca.crt").read_bytes()
