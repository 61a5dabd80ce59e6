# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story with secrets in it, wherever people and programs leave them: none of them may be shown.

They stand in lines and messages that rules show as evidence, so that a mask that fails is seen.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from tests.bundles import said, story
from tests.bundles.support import Bundle, key
from tests.unit.fake_api import merged

JSON = dict[str, Any]


@dataclass
class _Made:
    """Secrets as they are made; each is another one."""

    found: list[str] = field(default_factory=list)

    def _bytes(self, size: int) -> bytes:
        number = len(self.found)
        return b"".join(hashlib.sha256(f"{number}.{n}".encode()).digest() for n in range(size // 32 + 1))[:size]

    def _is(self, secret: str) -> str:
        self.found.append(secret)
        return secret

    def word(self) -> str:
        """A password that somebody thought of."""
        return self._is(f"Sommer-{self._bytes(4).hex()}!")

    def token(self) -> str:
        """Of RKE2; the part behind the CA's hash is the secret."""
        ca = self._bytes(32).hex()
        return f"K10{ca}::server:{self._is(self._bytes(16).hex())}"

    def bearer(self) -> str:
        """A token of a service account."""
        parts = (b'{"alg":"RS256","kid":"x"}', b'{"iss":"kubernetes/serviceaccount"}', self._bytes(64))
        head, body, name = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
        return f"{head}.{body}.{self._is(name)}"

    def session(self) -> str:
        """A token of Rancher's API."""
        return f"token-x7k2p:{self._is(self._bytes(27).hex())}"

    def pem(self, line: int = 64) -> str:
        """A private key as PEM; each of its lines is one."""
        text = base64.b64encode(self._bytes(180)).decode()
        lines = [self._is(text[at : at + line]) for at in range(0, len(text), line)]
        return "\n".join(["-----BEGIN EC PRIVATE KEY-----", *lines, "-----END EC PRIVATE KEY-----", ""])

    def coded(self, text: str) -> str:
        """Base64 of what holds a secret is one as well."""
        return self._is(base64.b64encode(text.encode()).decode())

    def hashed(self) -> str:
        """Of a password, as in /etc/shadow."""
        name = base64.b64encode(self._bytes(64), altchars=b"./").decode().rstrip("=")
        return f"$6$rounds=4096$salt${self._is(name)}"


def secrets() -> tuple[Bundle, list[str]]:
    """The bundle, and the texts that must be in nothing that is made of it."""
    made, whole = _Made(), story.story()
    objects = dict(whole.objects)
    for item in _objects(made):
        objects[key(item)] = merged(objects.get(key(item), {}), item)
    logs = {**whole.logs, **_logs(whole.logs, made)}
    hosts = {node: {**files, **_host(files, made)} for node, files in whole.hosts.items()}
    errors = (f"failed to get volumeattachments: Authorization: Bearer {made.bearer()}",
              f"failed to get addons: Get https://admin:{made.word()}@10.0.0.10/v1: EOF")  # fmt: skip
    return replace(whole, objects=objects, logs=logs, hosts=hosts, errors=errors), made.found


def _kubeconfig(made: _Made) -> str:
    user = {"client-key-data": made.coded(made.pem()), "token": made.bearer(), "password": made.word()}
    return json.dumps({"kind": "Config", "users": [{"name": "default", "user": user}]}, indent=1)


def _cloud_init(made: _Made) -> str:
    """User data of a guest; one part is a script."""
    return (
        f"#cloud-config\npassword: {made.word()}\nchpasswd: {{expire: false, list: 'root:{made.word()}'}}\n"
        f"write_files:\n- path: /root/key\n  content: |\n    {made.pem().replace(chr(10), chr(10) + '    ')}\n"
        f"runcmd:\n- mysql -u root -p{made.word()}\n- curl -u admin:{made.word()} https://10.0.0.10/\n"
    )


def _objects(made: _Made) -> list[JSON]:
    """What is merged into the objects: fields that rules show, and those that nobody should keep."""
    env = [{"name": "AWS_SECRET_ACCESS_KEY", "value": made.word()}]
    target = {"type": "s3", "accessKeyId": "backup", "secretAccessKey": made.word(), "cert": made.pem()}
    addon = {
        "spec": {"enabled": True, "valuesContent": f"grafana:\n  adminPassword: {made.word()}\n"},
        "status": _told(f"helm --set adminPassword={made.word()} failed") | {"status": "AddonDeployFailed"},
    }
    notes = {
        "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"token": made.token()}),
        "rke2.io/node-args": json.dumps(["server", "--token", made.token()]),
        "rke2.io/node-env": json.dumps({"RKE2_TOKEN": made.token()}),
    }
    volumes = [
        {"name": "c", "cloudInitNoCloud": {"userData": _cloud_init(made), "networkData": f"pass: {made.word()}"}},
        {"name": "d", "cloudInitConfigDrive": {"userDataBase64": made.coded(_cloud_init(made))}},
    ]
    failed = f"cannot apply: adminPassword={made.word()}; token: {made.token()}"
    refused = {"bundleState": "ErrApplied", "name": "fleet-local/local", "message": failed}
    job, curl = f"--set bootstrapPassword={made.word()}", f"curl -H 'Authorization: Bearer {made.bearer()}' failed"
    return [
        *(_of("v1/Secret", f"fleet-local/custom-{node}-machine-plan", data={
            "plan": made.coded(json.dumps({"token": made.token()})), "applied-output": made.coded(made.token())})
          for node in ("n1", "n2")),
        _of("v1/Node", "n1", metadata={"annotations": notes}),
        _of("v1/Pod", "kube-system/etcd-n1", spec={
            "containers": [{"name": "x", "args": [f"--token={made.token()}"], "env": env}]}),
        _of("v1/ConfigMap", "kube-system/kubeconfig", data={"config": _kubeconfig(made)}),
        _of("kubevirt.io/v1/VirtualMachine", "default/web", spec={"template": {"spec": {"volumes": volumes}}}),
        _of("kubevirt.io/v1/VirtualMachineInstance", "default/web", spec={"volumes": volumes}),
        _of("harvesterhci.io/v1beta1/Setting", "backup-target", value=json.dumps(target)),
        _of("harvesterhci.io/v1beta1/Setting", "http-proxy", value=f"http://proxy:{made.word()}@10.0.0.9"),
        _of("harvesterhci.io/v1beta1/Addon", "cattle-monitoring-system/rancher-monitoring", **addon),
        _of("harvesterhci.io/v1beta1/Upgrade", f"harvester-system/{story.NEW}", status={
            "nodeStatuses": {"n2": {"message": curl}}}),
        _of("batch/v1/Job", f"harvester-system/{story.NEW}-apply-manifests", status=_told(job, "Failed", "True")),
        *(_of(kind, f"fleet-local/{name}", status=_told(
            f"Get https://admin:{made.word()}@10.0.0.10/v3: password={made.word()} --token {made.token()} "
            f"Authorization: Bearer {made.bearer()}"))
          for kind, name in (
              ("fleet.cattle.io/v1alpha1/Bundle", "mcc-harvester"), ("rke.cattle.io/v1/RKEControlPlane", "local"),
              ("management.cattle.io/v3/ManagedChart", "harvester"), ("provisioning.cattle.io/v1/Cluster", "local"),
              ("cluster.x-k8s.io/v1beta1/Machine", "custom-n2"))),
        _of("fleet.cattle.io/v1alpha1/Bundle", "fleet-local/mcc-harvester", status={
            "summary": {"nonReadyResources": [refused]}}),
    ]  # fmt: skip


def _of(kind: str, name: str, *, metadata: JSON | None = None, **parts: Any) -> JSON:
    """kind: `GROUP/VERSION/KIND`; name: `NAMESPACE/NAME`, or of the cluster `NAME`."""
    (version, _slash, word), (space, _slash, short) = kind.rpartition("/"), name.rpartition("/")
    meta = {"name": short, **({"namespace": space} if space else {}), **(metadata or {})}
    return {"apiVersion": version, "kind": word, "metadata": meta, **parts}


def _told(text: str, word: str = "Ready", status: str = "False") -> JSON:
    return {"conditions": [{"type": word, "status": status, "message": text}]}


def _logs(logs: Any, made: _Made) -> dict[str, str]:
    """On lines that rules look for, in all the shapes in which programs write them."""
    told = ("lost leader 91bc3c398fb3c146 at term 12", "etcdserver: no leader", "apply request took too long")
    shapes = (
        *(f"token: {made.token()}", f"--token {made.token()}", f"token={made.token()}", f"password={made.word()}"),
        *(f'\\"password\\":\\"{made.word()}\\"', f"Authorization: Bearer {made.bearer()}", f"token {made.bearer()}"),
        *(f"https://admin:{made.word()}@10.0.0.10/v3", f"client-key-data: {made.coded(made.pem())}"),
        *(f"secretAccessKey={made.word()}", f"PASSWORD={made.word()}", f"Cookie: R_SESS={made.session()}"),
    )
    etcd = [
        said.etcd(f"08:{number:02}:00", "warn", f"{told[number % 3]} {shape}") for number, shape in enumerate(shapes)
    ]
    rke2 = f'level=fatal msg="{made.pem().replace(chr(10), chr(92) + "n")}"\n'
    name = "cattle-system/rancher-7d9c5d8f6b-abcde/rancher"
    return {
        "kube-system/etcd-n2/etcd": "\n".join(etcd) + f"\n{made.pem()}",
        name: logs[name] + rke2 + f"[ERROR] failed to create cluster accessor: {_kubeconfig(made)}\n",
    }


def _host(files: Any, made: _Made) -> dict[str, str]:
    """What the collector leaves: it masks keys of YAML, and nothing within a text."""
    custom, token = "configs/oem/90_custom.yaml", made.token()
    service = said.DAY + "08:12:00Z"
    lines = [
        f'time="{service}" level=fatal msg="starting kubernetes: token {token} is wrong"',
        f'time="{service}" level=error msg="node password rejected, password: {made.word()}"',
        f'time="{service}" level=info msg="run: rke2 server --token {made.token()} --cluster-reset"',
    ]
    return {
        custom: f"{files[custom]}# content: |\n#   token: {made.token()}\n",
        "configs/oem/99_extra.yaml": f"stages:\n  boot:\n  - commands: ['echo root:{made.word()} | chpasswd']\n",
        "configs/oem/harvester.config": f"os:\n  password: {made.hashed()}\ntoken: {made.word()}\n",
        "configs/etc/rancher/rke2/registries.yaml": f"configs: {{r: {{auth: {{password: {made.word()}}}}}}}\n",
        "configs/etc/rancher/rke2/config.yaml.d/60-s3.yaml": f"etcd-s3-secret-key: {made.word()}\n",
        "configs/etc/rancher/agent/connection_info.json": json.dumps({"kubeConfig": _kubeconfig(made)}),
        "logs/rke2-server.log": "".join(f"Sep 10 08:12:00 n1 rke2[900]: {line}\n" for line in lines),
        "logs/console.log": f"login: rancher\nPassword: {made.word()}\n",
    }
