# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real kube-apiserver on loopback, so that a datastore holds what Kubernetes itself writes."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lab import binaries
from tests.oracle.programs import Etcd, free_ports

CUSTOM, SETTINGS, SECRETS = 12, 35, 5
"""Custom resources, ConfigMaps and Secrets that are left in the end."""
_TOKEN = "oracle"
_START_S = 60
_ENCRYPTION = {
    "apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
    "resources": [{"resources": ["secrets"], "providers": [
        {"aescbc": {"keys": [{"name": "key1", "secret": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="}]}}]}],
}
_DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": {"name": "virtualmachines.kubevirt.io"},
    "spec": {"group": "kubevirt.io", "scope": "Namespaced",
             "names": {"plural": "virtualmachines", "singular": "virtualmachine", "kind": "VirtualMachine"},
             "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                 "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]},
}


class Apiserver:
    """kube-apiserver over an etcd; everybody with the token may do anything."""

    def __init__(self, folder: Path, etcd: Etcd) -> None:
        self.folder, self.etcd, self.port = folder, etcd, free_ports(1)[0]
        # its certificate is made by itself for each run, on loopback
        self._tls = ssl._create_unverified_context()

    def __enter__(self) -> Apiserver:
        key, tokens, encryption = (self.folder / name for name in ("service.key", "tokens.csv", "encryption.json"))
        key.write_bytes(rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()))
        tokens.write_text(f'{_TOKEN},admin,1,"system:masters"\n')
        encryption.write_text(json.dumps(_ENCRYPTION))
        flags = {"etcd-servers": f"http://127.0.0.1:{self.etcd.port}", "secure-port": self.port,
                 "bind-address": "127.0.0.1", "advertise-address": "192.0.2.1", "endpoint-reconciler-type": "none",
                 "cert-dir": self.folder / "certs", "authorization-mode": "AlwaysAllow", "token-auth-file": tokens,
                 "service-account-issuer": "https://oracle", "service-account-key-file": key,
                 "service-account-signing-key-file": key, "service-cluster-ip-range": "10.43.0.0/16",
                 "disable-admission-plugins": "ServiceAccount", "encryption-provider-config": encryption}
        program = binaries.provide(binaries.kubernetes_part()) / "kube-apiserver"
        self._log = self.folder / "apiserver.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen([program, *(f"--{name}={value}" for name, value in flags.items())],
                                            stdout=log, stderr=log)
        self._until(lambda: self.call("GET", "/readyz?verbose"))
        return self

    def __exit__(self, *_error: object) -> None:
        # It takes its time to say good-bye; etcd keeps what it acknowledged.
        self.process.kill()
        self.process.wait(30)

    def _until(self, probe: Any) -> None:
        until = time.monotonic() + _START_S
        while True:
            try:
                probe()
                return
            except OSError as error:
                if self.process.poll() is not None or time.monotonic() > until:
                    self.__exit__()
                    raise RuntimeError(f"kube-apiserver: {error}: {self._log.read_text()[-2000:]}") from error
                time.sleep(0.1)

    def call(self, method: str, path: str, document: dict[str, Any] | None = None) -> bytes:
        """One request; OSError when it is refused."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}", method=method,
            data=json.dumps(document).encode() if document is not None else None,
            headers={"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"})
        with urllib.request.urlopen(request, context=self._tls, timeout=30) as reply:
            body: bytes = reply.read()
            return body

    def fill(self) -> str:
        """Built-in kinds, which are stored as protobuf, and custom resources as JSON; returns kube-system's UID."""
        for name in ("vms", "shop"):
            self.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        for name in ("n1", "n2", "n3"):
            self.call("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": {"rack": "a"}}})
        for number in range(SETTINGS + 5):
            self.call("POST", "/api/v1/namespaces/shop/configmaps",
                      {"metadata": {"name": f"settings-{number}"}, "data": {"text": "x" * 500}})
        for number in range(SECRETS):
            self.call("POST", "/api/v1/namespaces/shop/secrets",
                      {"metadata": {"name": f"login-{number}"}, "stringData": {"password": "secret"}})
        for number in range(5):
            self.call("DELETE", f"/api/v1/namespaces/shop/configmaps/settings-{number}")
        self.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", _DEFINITION)
        vms = "/apis/kubevirt.io/v1/namespaces/vms/virtualmachines"
        self._until(lambda: self.call("GET", vms))
        for number in range(CUSTOM + 1):
            self.call("POST", vms, {"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
                                    "metadata": {"name": f"web-{number}", "labels": {"tier": "web"}},
                                    "spec": {"running": bool(number % 2), "note": "größer"}})
        self.call("DELETE", f"{vms}/web-{CUSTOM}")
        uid: str = json.loads(self.call("GET", "/api/v1/namespaces/kube-system"))["metadata"]["uid"]
        return uid
