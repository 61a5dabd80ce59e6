# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Static pod manifests as RKE2 writes them to agent/pod-manifests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from .context import ServerContext

INITIAL = "etcd.k3s.io/initial"
_IMAGES = {"etcd": "hardened-etcd:v3.6.6-k3s1-build20251210"}
_KUBERNETES = "hardened-kubernetes:v1.34.3-rke2r1-build20251210"


def path(ctx: ServerContext, component: str) -> Path:
    """File of a static pod."""
    return ctx.manifests / f"{component}.yaml"


def remove(ctx: ServerContext, component: str) -> None:
    """Take a static pod away; kubelet ends it."""
    path(ctx, component).unlink(missing_ok=True)


def initial_options(ctx: ServerContext) -> dict[str, str]:
    """initial-* keys with which the etcd pod was started, empty without a manifest."""
    try:
        document = yaml.safe_load(path(ctx, "etcd").read_text())
        return dict(json.loads(document["metadata"]["annotations"][INITIAL]))
    except (OSError, KeyError, TypeError, ValueError, yaml.YAMLError):
        return {}


def render(component: str, args: Sequence[str], files: Sequence[Path], *, directory: Path | None = None,
           annotations: Mapping[str, str] | None = None, health: tuple[str, int] | None = None) -> str:
    """YAML of a static pod; its uid changes with what it runs and with the content of its files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.exists() else b"")
    env = [{"name": "FILE_HASH", "value": digest.hexdigest()},
           {"name": "NO_PROXY", "value": ".svc,.cluster.local,10.42.0.0/16,10.43.0.0/16"}]
    volumes: list[dict[str, Any]] = []
    mounts: list[dict[str, Any]] = []
    if directory:
        mounts.append({"mountPath": str(directory), "name": "dir0"})
        volumes.append({"hostPath": {"path": str(directory), "type": "DirectoryOrCreate"}, "name": "dir0"})
    for index, file in enumerate(files):
        mounts.append({"mountPath": str(file), "name": f"file{index}", "readOnly": True})
        volumes.append({"hostPath": {"path": str(file), "type": "File"}, "name": f"file{index}"})
    container: dict[str, Any] = {
        "args": list(args), "command": [component], "env": env,
        "image": f"index.docker.io/rancher/{_IMAGES.get(component, _KUBERNETES)}", "imagePullPolicy": "IfNotPresent",
        "name": component, "resources": {"requests": {"cpu": "200m", "memory": "512Mi"}},
        "securityContext": {"privileged": False}, "volumeMounts": mounts}
    if health:
        container["livenessProbe"] = {
            "failureThreshold": 8, "httpGet": {"host": "localhost", "path": health[0], "port": health[1],
                                               "scheme": "HTTP"},
            "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 15}
    uid = hashlib.md5(json.dumps([component, list(args), env, annotations or {}]).encode(), usedforsecurity=False)
    metadata: dict[str, Any] = {"labels": {"component": component, "tier": "control-plane"}, "name": component,
                                "namespace": "kube-system", "uid": uid.hexdigest()}
    if annotations:
        metadata["annotations"] = dict(annotations)
    return str(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
        "spec": {"containers": [container], "hostNetwork": True, "priorityClassName": "system-cluster-critical",
                 "volumes": volumes}, "status": {}}, sort_keys=True))


def write(ctx: ServerContext, component: str, text: str) -> None:
    """Write a manifest at once, so that kubelet never reads half of it."""
    ctx.manifests.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = path(ctx, component)
    if target.exists() and target.read_text() == text:
        return
    temporary = target.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.chmod(0o644)
    temporary.replace(target)


def write_etcd(ctx: ServerContext, config: Path, initial: Mapping[str, str]) -> None:
    """agent/pod-manifests/etcd.yaml."""
    tls = ctx.tls / "etcd"
    files = [tls / f"{name}" for name in ("server-client.crt", "server-client.key", "server-ca.crt",
                                          "peer-server-client.crt", "peer-server-client.key", "peer-ca.crt")]
    text = render("etcd", [f"--config-file={config}"], [*files, config], directory=ctx.etcd,
                  annotations={INITIAL: json.dumps(dict(initial), separators=(",", ":"))},
                  health=("/health?serializable=true", 2381))
    write(ctx, "etcd", text)
