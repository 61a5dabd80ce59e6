# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story with secrets in it, wherever people and programs leave them: none of them may be shown.

They stand in lines and messages that rules show as evidence, so that a mask that fails is seen. No secret is of anybody.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.bundles import said, story
from tests.bundles.support import Bundle, Key

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

    def key(self, line: int = 64) -> str:
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
    objects = copy.deepcopy(dict(whole.objects))
    _objects(objects, made)
    logs = {**whole.logs, **_logs(whole.logs, made)}
    hosts = {node: {**files, **_host(files, made)} for node, files in whole.hosts.items()}
    errors = (f"failed to get volumeattachments: Authorization: Bearer {made.bearer()}",
              f"failed to get addons: Get https://admin:{made.word()}@10.0.0.10/v1: EOF")  # fmt: skip
    return replace(whole, objects=objects, logs=logs, hosts=hosts, errors=errors), made.found


def _kubeconfig(made: _Made) -> str:
    user = {"client-key-data": made.coded(made.key()), "token": made.bearer(), "password": made.word()}
    return json.dumps({"kind": "Config", "users": [{"name": "default", "user": user}]}, indent=1)


def _cloud_init(made: _Made) -> str:
    """User data of a guest; one part is a script."""
    return (
        f"#cloud-config\npassword: {made.word()}\nchpasswd: {{expire: false, list: 'root:{made.word()}'}}\n"
        f"write_files:\n- path: /root/key\n  content: |\n    {made.key().replace(chr(10), chr(10) + '    ')}\n"
        f"runcmd:\n- mysql -u root -p{made.word()}\n- curl -u admin:{made.word()} https://10.0.0.10/\n"
    )


def _objects(objects: dict[Key, JSON], made: _Made) -> None:
    """In fields that rules show, and in those that nobody should keep."""

    def on(kind: str, space: str, name: str, change: Callable[[JSON], object]) -> None:
        change(objects[kind, space, name])

    for node in ("n1", "n2"):
        data = {"plan": made.coded(json.dumps({"token": made.token()})), "applied-output": made.coded(made.token())}
        on("secrets", "fleet-local", f"custom-{node}-machine-plan", lambda it, data=data: it.update(data=data))  # type: ignore[misc]
    applied = "kubectl.kubernetes.io/last-applied-configuration"
    on("nodes", "", "n1", lambda it: it["metadata"]["annotations"].update(
        {applied: json.dumps({"token": made.token()}), "rke2.io/node-args": json.dumps(["server", "--token", made.token()]),
         "rke2.io/node-env": json.dumps({"RKE2_TOKEN": made.token()})}))  # fmt: skip
    volumes = [{"name": "c", "cloudInitNoCloud": {"userData": _cloud_init(made), "networkData": f"pass: {made.word()}"}},
               {"name": "d", "cloudInitConfigDrive": {"userDataBase64": made.coded(_cloud_init(made))}}]  # fmt: skip
    for kind in ("virtualmachines.kubevirt.io", "virtualmachineinstances.kubevirt.io"):
        spec = {"template": {"spec": {"volumes": volumes}}, "volumes": volumes}
        on(kind, "default", "web", lambda it, spec=spec: it["spec"].update(spec))  # type: ignore[misc]
    target = {"type": "s3", "accessKeyId": "backup", "secretAccessKey": made.word(), "cert": made.key()}
    for name, value in (("backup-target", json.dumps(target)), ("http-proxy", f"http://proxy:{made.word()}@10.0.0.9")):
        key = ("settings.harvesterhci.io", "", name)
        objects[key] = {"apiVersion": "harvesterhci.io/v1beta1", "kind": "Setting", "metadata": {"name": name},
                        "value": value}  # fmt: skip
    objects["configmaps", "kube-system", "kubeconfig"] = {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kubeconfig", "namespace": "kube-system"},
        "data": {"config": _kubeconfig(made)}}  # fmt: skip
    objects["addons.harvesterhci.io", "cattle-monitoring-system", "rancher-monitoring"] = {
        "apiVersion": "harvesterhci.io/v1beta1", "kind": "Addon",
        "metadata": {"name": "rancher-monitoring", "namespace": "cattle-monitoring-system"},
        "spec": {"enabled": True, "valuesContent": f"grafana:\n  adminPassword: {made.word()}\n"},
        "status": {"status": "AddonDeployFailed", "conditions": [
            {"type": "Error", "status": "True", "message": f"helm --set adminPassword={made.word()} failed"}]}}  # fmt: skip
    pod = {"containers": [{"name": "x", "args": [f"--token={made.token()}"],
                           "env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": made.word()}]}]}  # fmt: skip
    on("pods", "kube-system", "etcd-n1", lambda it: it["spec"].update(pod))
    for kind, name in (("bundles.fleet.cattle.io", "mcc-harvester"), ("managedcharts.management.cattle.io", "harvester"),
                       ("rkecontrolplanes.rke.cattle.io", "local"), ("clusters.provisioning.cattle.io", "local"),
                       ("machines.cluster.x-k8s.io", "custom-n2")):  # fmt: skip
        texts = [f"Get https://admin:{made.word()}@10.0.0.10/v3: password={made.word()} --token {made.token()}",
                 f"Authorization: Bearer {made.bearer()}"]  # fmt: skip
        told = [{"type": word, "status": "False", "message": text} for word, text in zip(("Ready", "Reconciled"), texts,
                                                                                         strict=True)]  # fmt: skip
        on(kind, "fleet-local", name, lambda it, told=told: it.setdefault("status", {}).update(conditions=told))  # type: ignore[misc]
    failed = objects["bundles.fleet.cattle.io", "fleet-local", "mcc-harvester"]["status"]["summary"][
        "nonReadyResources"
    ]
    failed[0]["message"] = f"cannot apply: adminPassword={made.word()}; token: {made.token()}"
    upgrade = objects["upgrades.harvesterhci.io", "harvester-system", story.NEW]
    upgrade["status"]["nodeStatuses"]["n2"]["message"] = f"curl -H 'Authorization: Bearer {made.bearer()}' failed"
    objects["jobs.batch", "harvester-system", f"{story.NEW}-apply-manifests"]["status"]["conditions"] = [
        {"type": "Failed", "status": "True", "message": f"--set bootstrapPassword={made.word()}"}]  # fmt: skip


def _logs(logs: Any, made: _Made) -> dict[str, str]:
    """On lines that rules look for, in all the shapes in which programs write them."""
    told = ("lost leader 91bc3c398fb3c146 at term 12", "etcdserver: no leader", "apply request took too long")
    shapes = (
        *(f"token: {made.token()}", f"--token {made.token()}", f"token={made.token()}", f"password={made.word()}"),
        *(f'\\"password\\":\\"{made.word()}\\"', f"Authorization: Bearer {made.bearer()}", f"token {made.bearer()}"),
        *(f"https://admin:{made.word()}@10.0.0.10/v3", f"client-key-data: {made.coded(made.key())}"),
        *(f"secretAccessKey={made.word()}", f"PASSWORD={made.word()}", f"Cookie: R_SESS=token-x7k2p:{made.word()}"),
    )
    etcd = [
        said.etcd(f"08:{number:02}:00", "warn", f"{told[number % 3]} {shape}") for number, shape in enumerate(shapes)
    ]
    key = made.key().replace("\n", "\nlost leader 1 at term 2 ")
    rke2 = f'level=fatal msg="{made.key().replace(chr(10), chr(92) + "n")}"\n'
    name = "cattle-system/rancher-7d9c5d8f6b-abcde/rancher"
    return {
        "kube-system/etcd-n2/etcd": "\n".join(etcd) + "\n" + key + "\n",
        name: logs[name] + rke2 + f"[ERROR] failed to create cluster accessor: {_kubeconfig(made)}\n",
    }


def _host(files: Any, made: _Made) -> dict[str, str]:
    """What the collector leaves: it masks keys of YAML, and nothing within a text."""
    custom, token = "configs/oem/90_custom.yaml", made.token()
    service = said.DAY + "08:12:00Z"
    lines = [
        f'time="{service}" level=fatal msg="starting kubernetes: token {token} is wrong"',
        f'time="{service}" level=error msg="node password rejected: {made.word()} password: {made.word()}"',
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
