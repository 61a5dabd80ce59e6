# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`crictl`, as far as a recovery needs it; works only while the runtime answers."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from . import log
from .cri import Client, Container, Pod, RuntimeDown, RuntimeFault, matches, parse_selector
from .distro import K3S, LAB_BIN

DEFAULT_CONFIG = Path("/etc/crictl.yaml")
DEFAULT_ENDPOINT = "unix:///run/containerd/containerd.sock"


def ago(seconds: float) -> str:
    """Age as crictl prints it."""
    minutes, hours = int(seconds / 60), round(seconds / 3600)
    if seconds < 1:
        return "Less than a second ago"
    if seconds < 60:
        return f"{int(seconds)} second{'s' if seconds >= 2 else ''} ago"
    if minutes < 60:
        return "About a minute ago" if minutes == 1 else f"{minutes} minutes ago"
    if hours <= 1:
        return "About an hour ago"
    if hours < 48:
        return f"{hours} hours ago"
    return f"{int(seconds / 86400)} days ago"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of at least 20 characters, three blanks between; the last one is not padded."""
    lines = [list(header), *map(list, rows)]
    widths = [max(20, *(len(line[i]) + 3 for line in lines)) for i in range(len(header) - 1)]
    return "\n".join("".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)) + line[-1]
                     for line in lines)


def image_id(image: str) -> str:
    """An id for an image that exists by name only."""
    return hashlib.sha256(image.encode()).hexdigest()


def pods_table(pods: Sequence[Pod], now: float) -> str:
    """Output of `crictl pods`."""
    return table(("POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT", "RUNTIME"),
                 [(p.id[:13], ago(now - p.created_at), p.state, p.name, p.namespace, str(p.attempt), "(default)")
                  for p in pods])


def containers_table(rows: Sequence[tuple[Pod, Container]], now: float) -> str:
    """Output of `crictl ps`."""
    return table(("CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD", "NAMESPACE"),
                 [(c.id[:13], image_id(c.image)[:13], ago(now - c.created_at), c.state, c.name, str(c.attempt),
                   p.id[:13], p.name, p.namespace) for p, c in rows])


def select_pods(pods: Sequence[Pod], options: argparse.Namespace) -> list[Pod]:
    """Pods that the options of `crictl pods` ask for."""
    selector = parse_selector(",".join(options.label))
    return [p for p in pods if matches(selector, p.labels)
            and p.id.startswith(options.id) and re.search(options.name, p.name)
            and (not options.namespace or re.search(options.namespace, p.namespace))
            and (not options.state or p.state.lower() == options.state.lower())]


def select_containers(pods: Sequence[Pod], options: argparse.Namespace) -> list[tuple[Pod, Container]]:
    """Containers that the options of `crictl ps` ask for, newest first."""
    selector = parse_selector(",".join(options.label))
    rows = [(p, c) for p in pods for c in p.containers
            if (options.all or options.state or c.state == "Running")
            and (not options.state or c.state.lower() == options.state.lower())
            and c.id.startswith(options.id) and re.search(options.name, c.name) and p.id.startswith(options.pod)
            and matches(selector, {**p.labels, "io.kubernetes.container.name": c.name})]
    return sorted(rows, key=lambda row: -row[1].created_at)


def pod_json(pod: Pod) -> dict[str, Any]:
    """A sandbox in CRI's JSON."""
    return {"id": pod.id, "metadata": {"name": pod.name, "uid": pod.uid, "namespace": pod.namespace,
                                       "attempt": pod.attempt},
            "state": f"SANDBOX_{pod.state.upper()}", "createdAt": str(int(pod.created_at * 1e9)),
            "labels": dict(pod.labels), "annotations": dict(pod.annotations), "runtimeHandler": ""}


def container_json(pod: Pod, row: Container) -> dict[str, Any]:
    """A container in CRI's JSON."""
    return {"id": row.id, "podSandboxId": pod.id, "metadata": {"name": row.name, "attempt": row.attempt},
            "image": {"image": row.image}, "imageRef": f"sha256:{image_id(row.image)}",
            "state": f"CONTAINER_{row.state.upper()}", "createdAt": str(int(row.created_at * 1e9)),
            "labels": {"io.kubernetes.container.name": row.name,
                       **{key: value for key, value in pod.labels.items() if key.startswith("io.kubernetes.pod.")}},
            "annotations": {"io.kubernetes.container.restartCount": str(row.attempt)}}


def parser() -> argparse.ArgumentParser:
    """Command line of crictl."""
    top = argparse.ArgumentParser("crictl", allow_abbrev=False)
    top.add_argument("--runtime-endpoint", "-r", default="")
    top.add_argument("--config", "-c", default="")
    top.add_argument("--timeout", "-t", default="2s")
    commands = top.add_subparsers(dest="command", required=True)

    def listing(name: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, allow_abbrev=False)
        for flags in (("--id",), ("--name",), ("--state", "-s"), ("--namespace",)):
            sub.add_argument(*flags, default="")
        sub.add_argument("--label", action="append", default=[])
        sub.add_argument("--quiet", "-q", action="store_true")
        sub.add_argument("--output", "-o", default="table", choices=("table", "json"))
        return sub

    listing("pods")
    ps = listing("ps")
    ps.add_argument("--all", "-a", action="store_true")
    ps.add_argument("--pod", "-p", default="")
    for name in ("rmp", "stopp", "stop", "inspect", "inspectp"):
        sub = commands.add_parser(name, allow_abbrev=False)
        sub.add_argument("ids", nargs="*" if name == "rmp" else "+", metavar="ID")
        if name == "rmp":
            sub.add_argument("--force", "-f", action="store_true")
            sub.add_argument("--all", "-a", action="store_true")
        if name == "stop":
            sub.add_argument("--timeout", "-t", dest="grace", type=float, default=0.0)
        if name.startswith("inspect"):
            sub.add_argument("--output", "-o", default="json", choices=("json",))
    run = commands.add_parser("exec", allow_abbrev=False)
    for flag in ("-i", "-t", "-s"):
        run.add_argument(flag, action="store_true")
    run.add_argument("id")
    run.add_argument("argv", nargs=argparse.REMAINDER)
    commands.add_parser("version")
    return top


def endpoint(options: argparse.Namespace, program: str) -> str:
    """Runtime endpoint from the command line, the environment or a configuration file, warning as crictl does."""
    explicit = options.runtime_endpoint or os.environ.get("CONTAINER_RUNTIME_ENDPOINT", "")
    named = options.config or os.environ.get("CRI_CONFIG_FILE", "")
    directory = Path(shutil.which(program) or program).parent.resolve()
    if not named and (directory / "k3s").exists():  # crictl is k3s itself there and knows its own file
        named = str(K3S.data_dir / "agent/etc/crictl.yaml")
    path = Path(named) if named else DEFAULT_CONFIG
    if not path.exists():
        beside = directory / "crictl.yaml"
        log.warning(f'Config "{path}" does not exist, trying next: "{beside}"')
        path = beside
    configured = (yaml.safe_load(path.read_text()) or {}).get("runtime-endpoint", "") if path.exists() else ""
    return explicit or str(configured) or DEFAULT_ENDPOINT


def find(pods: Sequence[Pod], identity: str) -> tuple[Pod, Container]:
    """The container whose id starts with `identity`."""
    for pod in pods:
        for row in pod.containers:
            if row.id.startswith(identity):
                return pod, row
    raise RuntimeFault(f'rpc error: code = NotFound desc = an error occurred when try to find container "{identity}": '
                       "not found")


def run(client: Client, options: argparse.Namespace) -> int:
    """Run one sub-command."""
    pods, now = client.pods(), time.time()
    match options.command:
        case "pods":
            chosen = select_pods(pods, options)
            if options.quiet:
                print("".join(f"{pod.id}\n" for pod in chosen), end="")
            else:
                print(json.dumps({"items": [pod_json(pod) for pod in chosen]}, indent=2) if options.output == "json"
                      else pods_table(chosen, now))
        case "ps":
            rows = select_containers(pods, options)
            if options.quiet:
                print("".join(f"{row.id}\n" for _, row in rows), end="")
            elif options.output == "json":
                print(json.dumps({"containers": [container_json(*row) for row in rows]}, indent=2))
            else:
                print(containers_table(rows, now))
        case "rmp" | "stopp":
            return each_sandbox(client, pods, options)
        case "stop":
            for identity in options.ids:
                client.stop_container(find(pods, identity)[1].id, options.grace)
                print(identity)
        case "inspect":
            for identity in options.ids:
                pod, row = find(pods, identity)
                print(json.dumps({"status": {**container_json(pod, row), "exitCode": row.exit_code},
                                  "info": {"pid": row.pid, "sandboxID": pod.id}}, indent=2))
        case "inspectp":
            for pod in pods:
                if any(pod.id.startswith(identity) for identity in options.ids):
                    print(json.dumps({"status": pod_json(pod), "info": {"pid": pod.pid}}, indent=2))
        case "exec":
            _, row = find(pods, options.id)
            if row.state != "Running":
                raise RuntimeFault(f"container {row.id} is in state CONTAINER_{row.state.upper()}, cannot exec")
            sys.stdout.flush()
            try:
                os.execvpe(options.argv[0], options.argv, {"PATH": f"{LAB_BIN}:/usr/bin:/bin"})
            except (OSError, IndexError) as exc:
                raise RuntimeFault(f"failed to exec in container: {exc}") from exc
        case _:
            print("Version:  0.1.0\nRuntimeName:  containerd\nRuntimeVersion:  v2.1.5\nRuntimeApiVersion:  v1")
    return 0


def each_sandbox(client: Client, pods: Sequence[Pod], options: argparse.Namespace) -> int:
    """`rmp` and `stopp`: one line for each sandbox, exit code 1 when one failed."""
    failed = 0
    identities = [pod.id for pod in pods] if options.command == "rmp" and options.all else options.ids
    for identity in identities:
        pod = next((pod for pod in pods if pod.id.startswith(identity)), None)
        if pod is None:
            log.error(f'getting sandbox status of pod "{identity}": rpc error: code = NotFound desc = an error '
                      "occurred when try to find sandbox: not found")
            failed = 1
            continue
        if options.command == "stopp" or options.force:
            client.stop_pod(pod.id)
            print(f"Stopped sandbox {pod.id if options.command == 'rmp' else identity}", flush=True)
        elif pod.state == "Ready":
            log.error(f'pod sandbox "{identity}" is running, please stop it first')
            failed = 1
            continue
        if options.command == "rmp":
            client.remove_pod(pod.id)
            print(f"Removed sandbox {pod.id}", flush=True)
    return failed


def main(argv: list[str]) -> int:
    """`crictl COMMAND ...`."""
    options = parser().parse_args(argv[1:])
    target = endpoint(options, sys.argv[0])
    path = Path(target.removeprefix("unix://"))
    try:
        return run(Client(path), options)
    except RuntimeDown as exc:
        log.fatal(f'validate service connection: validate CRI v1 runtime API for endpoint "{target}": rpc error: '
                  f'code = Unavailable desc = connection error: desc = "transport: Error while dialing: {exc}"')
    except RuntimeFault as exc:
        log.fatal(f"rpc error: code = Unknown desc = {exc}")
