# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration: command line, config.yaml, config.yaml.d and environment, in the real programs' precedence."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from .distro import Distro
from .pace import FULL, REAL, Pace

_BOTH = (
    "config debug v vmodule log alsologtostderr token token-file data-dir node-name node-ip node-external-ip "
    "resolv-conf server container-runtime-endpoint default-runtime snapshotter private-registry "
    "system-default-registry pause-image image-credential-provider-bin-dir image-credential-provider-config "
    "lb-server-port profile audit-policy-file cloud-provider-name cloud-provider-config kubelet-path bind-address"
)
_BOTH_BOOL = "selinux protect-kernel-defaults with-node-id enable-pprof rootless prefer-bundled-bin docker"
_BOTH_LIST = "node-label node-taint kubelet-arg kube-proxy-arg image-service-endpoint"
_SERVER = (
    "agent-token agent-token-file advertise-address advertise-port https-listen-port tls-san-security cluster-cidr "
    "service-cidr service-node-port-range cluster-dns cluster-domain cni flannel-backend egress-selector-mode "
    "write-kubeconfig write-kubeconfig-mode write-kubeconfig-group cluster-reset-restore-path datastore-endpoint "
    "etcd-snapshot-name etcd-snapshot-schedule-cron etcd-snapshot-retention etcd-snapshot-dir "
    "etcd-snapshot-reconcile-interval etcd-s3-endpoint etcd-s3-endpoint-ca etcd-s3-access-key etcd-s3-secret-key "
    "etcd-s3-session-token etcd-s3-bucket etcd-s3-bucket-lookup-type etcd-s3-region etcd-s3-folder etcd-s3-proxy "
    "etcd-s3-config-secret etcd-s3-timeout etcd-s3-retention ingress-controller secrets-encryption-provider "
    "etcd-image kube-apiserver-image runtime-image kubernetes-version datastore-cafile datastore-certfile "
    "datastore-keyfile default-local-storage-path helm-job-image"
)
_SERVER_BOOL = (
    "cluster-init cluster-reset etcd-expose-metrics etcd-disable-snapshots etcd-snapshot-compress etcd-s3 "
    "etcd-s3-skip-ssl-verify etcd-s3-insecure disable-apiserver disable-controller-manager disable-scheduler "
    "disable-etcd disable-cloud-controller disable-kube-proxy disable-network-policy disable-helm-controller "
    "disable-agent secrets-encryption embedded-registry supervisor-metrics enable-servicelb servicelb-namespace"
)
_SERVER_LIST = (
    "tls-san disable etcd-arg kube-apiserver-arg kube-controller-manager-arg kube-scheduler-arg "
    "kube-cloud-controller-manager-arg control-plane-resource-requests control-plane-resource-limits "
    "control-plane-probe-configuration etcd-extra-mount etcd-extra-env kube-apiserver-extra-mount"
)
_SNAPSHOT = (
    "config log node-name data-dir etcd-server etcd-token name dir etcd-snapshot-dir etcd-snapshot-retention "
    "snapshot-retention s3-endpoint s3-bucket s3-region s3-folder s3-access-key s3-secret-key s3-timeout output"
)
_SNAPSHOT_BOOL = "debug alsologtostderr snapshot-compress etcd-snapshot-compress s3 etcd-s3"
_ALIASES = {"c": "config", "t": "token", "s": "server", "d": "data-dir", "o": "output",
            "l": "log", "dir": "etcd-snapshot-dir", "snapshot-compress": "etcd-snapshot-compress",
            "snapshot-retention": "etcd-snapshot-retention", "s3": "etcd-s3"}

PACE_FILE = Path("/etc/requorum-lab-pace")
"""On a lab host: take as long as the real programs do, also for a command typed by hand."""

SCALAR, BOOL, LIST = "scalar", "bool", "list"


class UsageError(Exception):
    """A command line that the program refuses."""


def flag_kinds(command: str) -> dict[str, str]:
    """Flags that a sub-command knows, with their kind."""
    if command == "etcd-snapshot":
        words = [(_SNAPSHOT, SCALAR), (_SNAPSHOT_BOOL, BOOL)]
    else:
        words = [(_BOTH, SCALAR), (_BOTH_BOOL, BOOL), (_BOTH_LIST, LIST)]
        if command == "server":
            words += [(_SERVER, SCALAR), (_SERVER_BOOL, BOOL), (_SERVER_LIST, LIST)]
    return {name: kind for text, kind in words for name in text.split()}


def parse_args(argv: Sequence[str], kinds: Mapping[str, str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Command line as (flag, value) pairs in order, and what is left over."""
    pairs: list[tuple[str, str]] = []
    rest: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("-") or word == "-":
            rest.append(word)
            continue
        name, sep, value = word.lstrip("-").partition("=")
        name = _ALIASES.get(name, name) if name not in kinds or name in _ALIASES else name
        if name not in kinds:
            raise UsageError(f"flag provided but not defined: {word.partition('=')[0].replace('--', '-', 1)}")
        if not sep:
            if kinds[name] == BOOL:
                value = "true"
            elif words:
                value = words.pop(0)
            else:
                raise UsageError(f"flag needs an argument: {word}")
        pairs.append((name, value))
    return pairs, rest


def _texts(value: object) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in items]


def read_files(path: Path) -> dict[str, list[str]]:
    """`path` merged with `path`.d/*.yaml: later files win, `key+` appends."""
    merged: dict[str, list[str]] = {}
    directory = Path(f"{path}.d")
    parts = sorted(p for p in directory.glob("*") if p.suffix in (".yaml", ".yml")) if directory.is_dir() else []
    for part in ([path] if path.exists() else []) + parts:
        for key, value in (yaml.safe_load(part.read_text()) or {}).items():
            name = str(key)
            if name.endswith("+"):
                merged[name[:-1]] = merged.get(name[:-1], []) + _texts(value)
            else:
                merged[name] = _texts(value)
    return merged


@dataclass(frozen=True)
class Config:
    """Merged settings of one run; every value as the real program's flags would have it."""

    distro: Distro
    command: str
    scalars: Mapping[str, str]
    lists: Mapping[str, tuple[str, ...]]
    warnings: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()

    def get(self, name: str, default: str = "") -> str:
        """A scalar flag."""
        return self.scalars.get(name, "") or default

    def flag(self, name: str) -> bool:
        """A boolean flag."""
        return self.scalars.get(name, "").lower() in ("true", "1", "t")

    def all(self, name: str) -> tuple[str, ...]:
        """A flag that may be given several times."""
        return self.lists.get(name, ())

    @property
    def data_dir(self) -> Path:
        """Data directory (D)."""
        return Path(self.get("data-dir", str(self.distro.data_dir)))

    @property
    def node_name(self) -> str:
        """Name of the Node, the host name unless set."""
        return self.get("node-name", socket.gethostname().lower())

    @property
    def node_ip(self) -> str:
        """First node address, the address of the default route unless set."""
        return self.get("node-ip").partition(",")[0] or default_ip()

    @property
    def server(self) -> str:
        """URL of the server to join, empty when none is set."""
        return self.get("server").rstrip("/")

    @property
    def token(self) -> str:
        """Token as configured (`token`, else the content of `token-file`), empty when none."""
        if self.get("token"):
            return self.get("token")
        path = self.get("token-file")
        return Path(path).read_text().strip() if path else ""

    @property
    def pace(self) -> Pace:
        """How long to wait: as the real program does where the lab asks for it."""
        real = os.environ.get("REQUORUM_LAB_PACE") == "1" or PACE_FILE.exists()
        return REAL[self.distro.name] if real else FULL


def default_ip() -> str:
    """Source address of the default route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("203.0.113.1", 9))
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"


_ENV = {"TOKEN": "token", "TOKEN_FILE": "token-file", "URL": "server", "NODE_NAME": "node-name",
        "DATA_DIR": "data-dir", "AGENT_TOKEN": "agent-token", "CLUSTER_INIT": "cluster-init",
        "CLUSTER_RESET": "cluster-reset", "DEBUG": "debug"}


def merge(distro: Distro, command: str, argv: Sequence[str], files: Mapping[str, Iterable[str]],
          env: Mapping[str, str]) -> Config:
    """Settings from parsed files, environment and command line: CLI over files over environment."""
    kinds = flag_kinds(command)
    warnings: list[str] = []
    scalars: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    for variable, name in _ENV.items():
        value = env.get(f"{distro.name.upper()}_{variable}", "")
        if value and name in kinds:
            scalars[name] = value
    for key, values in files.items():
        name = key if key in kinds else _ALIASES.get(key, key)
        if name not in kinds:
            warnings.append(f"Unknown flag --{key} found in config.yaml, skipping")
        elif kinds[name] == LIST:
            lists[name] = tuple(values)
        else:
            scalars[name] = ",".join(values)
    pairs, rest = parse_args(argv, kinds)
    for name, value in pairs:
        if kinds[name] == LIST:
            lists[name] = (*lists.get(name, ()), value)
        else:
            scalars[name] = value
    return Config(distro, command, scalars, lists, tuple(warnings), tuple(rest))


def load(distro: Distro, command: str, argv: Sequence[str]) -> Config:
    """Settings of this run: reads the configuration files and the environment."""
    pairs, _rest = parse_args(argv, flag_kinds(command))
    path = dict(pairs).get("config") or os.environ.get(f"{distro.name.upper()}_CONFIG_FILE") or str(distro.config)
    return merge(distro, command, argv, read_files(Path(path)), os.environ)
