# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rates of ways to look for many patterns in logs: python -m bench.scan [--mib 64] [--rules].

Each way says which patterns match which lines; that all say the same is checked. Libraries are measured where they are
installed (google-re2, hyperscan, ahocorasick_rs), none is needed. Rates are of processor time, so that other work on
the machine does not count. `grep -E` counts lines that any pattern matches.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import os
import random
import re
import resource
import subprocess
import tempfile
import time
import typing as t
import uuid
from pathlib import Path

from ansible_collections.requorum.cluster.plugins.module_utils import _rules, _scan, _scan_sieve

REGEXES = r"""
etcdserver: no leader|etcdserver: request timed out|etcdserver: leader changed|etcdserver: unhealthy cluster
etcdserver: too many learner members in cluster|can only promote a learner member which is in sync with leader
re-configuration failed due to not enough started members|failed to publish local member to cluster through raft
lost leader [0-9a-f]+ at term|elected leader [0-9a-f]+ at term|is starting a new election at term|no leader at term
stepped down to follower since quorum is not active|serving /health false; no leader|"/health error"
prober detected unhealthy status|rafthttp: .*(connection refused|no route to host)|apply request took too long
slow fdatasync|leader failed to send out heartbeat on time|waiting for ReadIndex response took too long
timed out waiting for read index response|mvcc: database space exceeded|alarm raised.*NOSPACE|panic: .*tocommit\(
failed to find database snapshot file|(wal|walpb|snap): crc mismatch|max entry size limit exceeded
member .* has already been bootstrapped|the member has been permanently removed from the cluster
(request )?cluster ID mismatch|ignored streaming request; ID mismatch|failed to reach the peer URL|rejected connection
x509: certificate has expired or is not yet valid|certificate signed by unknown authority|remote error: tls
tls: (failed to verify|bad certificate)|TLS handshake timeout|TLS handshake error from .*: EOF
failed to (get|create) .*(cluster accessor|remote client)|failed to list \*v1\.Node: Unauthorized
secret received was too old|error while connecting to Kubernetes cluster|Cannot evict pod as it would violate
removing .* PDB is blocked: some volumes are still attached|Job was active longer than specified deadline
Waiting for CAPI cluster .* to be provisioned|waiting for probes: .*kube-(controller-manager|scheduler)
waiting for kubelet to update|waiting for uncordon to finish|Waiting for RKE2 to be upgraded|No space left on device
restart without --cluster-reset flag now|level=fatal|Bootstrap key locked for initial create
static pod cleanup timed out|bootstrap data already found and encrypted with different token
no bootstrap data found in datastore|Failed to reconcile with temporary etcd|failed to reconcile with local datastore
Promoted learner|Removed learner .* from|Learner .* stalled at RaftAppliedIndex
Failed to test (data store|etcd|temporary data store) connection|Waiting for etcd server to become available
Waiting for control-plane node .* startup|[Nn]ode password rejected|Unable to reconcile with remote datastore
Defragmenting etcd database|NOSPACE disarmed successfully|leaderelection lost|CORRUPT alarm must be disarmed manually
failed to defragment etcd database|etcd-readiness failed|starting defragment|\[-\]etcd failed: reason withheld
etcd cluster errors|context deadline exceeded.*2379|duplicate hostname|Out of memory: Killed process|oom-kill:
I/O error, dev|EXT4-fs error|XFS .*: Corruption|blocked for more than .* seconds|nfs: server .* not responding
connection[0-9:]+ detected conn error|eviction manager: attempting to reclaim|PLEG is not healthy|failed to pull image
ImagePullBackOff|failed to reserve container name|NodeNotReady|failed calling webhook|webhook .* not found|ErrApplied
is in failed state|Modified\([0-9]+\)|another operation .* in progress|token has expired|Unauthorized|no such host
no route to host|network is unreachable|i/o timeout|connection reset by peer|Replica .* failed|faulted
failed to attach volume|snapshot .* too many|disk pressure|node .* is down|salvage|certificate is valid for .*, not
"""
SAID = (
    (50, '{cri} {{"level":"info","ts":"{iso}","caller":"mvcc/index.go:214","msg":"compact tree","revision":{n}}}'),
    (9, '{cri} {{"level":"info","ts":"{iso}","caller":"etcdserver/server.go:1453","msg":"triggering snap",'
        '"local-member-id":"{hex}","local-member-applied-index":{n},"local-member-snapshot-count":10000}}'),
    (1, '{cri} {{"level":"warn","ts":"{iso}","caller":"etcdserver/util.go:170","msg":"apply request took too long",'
        '"took":"{n}.{n}ms","prefix":"read-only range ","request":"key:\\"/registry/pods/{ns}/{pod}\\" "}}'),
    (60, '{cri} I{klog}       1 trace.go:236] Trace[{n}]: "Update" accept:application/json,audit-id:{uuid},'
         "client:10.52.{b}.{b},protocol:HTTP/2.0,resource:leases,url:/apis/coordination.k8s.io/v1/namespaces/{ns}/leases/"
         "{pod},user-agent:manager/v0.0.0 (linux/amd64) kubernetes/$Format,verb:PUT ({iso}) (total: {n}ms):"),
    (60, 'I{klog}    {b} kubelet.go:2461] "SyncLoop (PLEG): event for pod" pod="{ns}/{pod}" '
         'event={{"ID":"{uuid}","Type":"ContainerStarted","Data":"{hex}{hex}{hex}{hex}"}}'),
    (40, 'E{klog}    {b} pod_workers.go:1300] "Error syncing pod, skipping" err="failed to \\"StartContainer\\" for '
         '\\"{ns}\\" with CrashLoopBackOff: back-off 5m0s restarting failed container" pod="{ns}/{pod}"'),
    (50, '{iso} node-{b} rke2[{n}]: time="{iso}" level=info msg="Handling backend connection request [node-{b}]"'),
    (60, '{cri} [longhorn-instance-manager] time="{iso}" level=info msg="Process Manager: wait for process '
         'pvc-{uuid}-e-0 to shutdown" processName=pvc-{uuid}-e-0 volume=pvc-{uuid} node=node-{b}'),
    (30, "{cri} {go} [INFO] [planner] rkecluster fleet-local/local: waiting: configuring bootstrap node(s) {pod}"),
    (1, "{cri} {go} http: TLS handshake error from 10.52.{b}.{b}:{n}: EOF"),
    (20, "  goroutine {n} [select]: k8s.io/client-go/tools/cache.(*Reflector).watch(0x{hex}, 0x{hex})"),
)  # fmt: skip
"""How often, and what the programs of a node say."""


def usual(size: int) -> bytes:
    """Logs of a node, in which 1 line of 200 matches; numbers, IDs, 200 pods and 20 namespaces change."""
    pick = random.Random(8)
    ends = ["".join(pick.choices("bcdfghjklmnpqrstvwxz2456789", k=5)) for _pod in range(200)]
    pods = [
        f"{name}-{end}" for name, end in zip(("virt-handler", "rke2-coredns-rke2-coredns") * 100, ends, strict=True)
    ]
    spaces = [f"tenant-{number}" for number in range(20)]
    weights, forms = zip(*SAID, strict=True)
    made, lines = 0, []
    while made < size:
        day, hour, minute, second = pick.randint(1, 30), pick.randint(0, 23), pick.randint(0, 59), pick.randint(0, 59)
        clock, part = f"{hour:02}:{minute:02}:{second:02}", f"{pick.randint(0, 999999):06}"
        iso = f"2024-09-{day:02}T{clock}.{part}"
        said = pick.choices(forms, weights)[0].format(
            cri=f"{iso}{part[:3]}Z stderr F",
            iso=f"{iso}Z",
            go=f"2024/09/{day:02} {clock}",
            klog=f"09{day:02} {clock}.{part}",
            n=pick.randint(1000, 9999999),
            b=pick.randint(1, 254),
            hex=f"{pick.getrandbits(64):016x}",
            uuid=uuid.UUID(int=pick.getrandbits(128)),
            ns=pick.choice(spaces),
            pod=pick.choice(pods),
        )
        lines.append(said.encode())
        made += len(said) + 1
    return b"\n".join(lines) + b"\n"


def unlike(size: int) -> bytes:
    """Worst: no two lines have a word in the same place."""
    pick = random.Random(8)
    words = ["".join(pick.choices("etaoinshrdlucmfwypvbgkjqxz", k=pick.randint(2, 10))) for _ in range(3000)]
    made, lines = 0, []
    while made < size:
        lines.append(
            f"2024-09-01T10:11:12.{pick.randint(0, 999999):06}Z stderr F {' '.join(pick.choices(words, k=18))}".encode()
        )
        made += len(lines[-1]) + 1
    return b"\n".join(lines) + b"\n"


def matching(size: int) -> bytes:
    """Every line matches."""
    return _lines(
        size, '{iso}123Z stderr F {{"level":"warn","ts":"{iso}Z","msg":"apply request took too long","took":"{n}ms"}}'
    )


def timeless(size: int) -> bytes:
    """No line has a time."""
    return _lines(size, "goroutine {n} [select]: k8s.io/client-go/tools/cache.(*Reflector).watch(0x{n})")


def _lines(size: int, form: str) -> bytes:
    count = size // len(form)
    made = (form.format(iso=f"2024-09-01T10:11:12.{n % 1000000:06}", n=n) for n in range(count))
    return "\n".join(made).encode() + b"\n"


Counts = collections.Counter[int]
Way = t.Callable[[t.Sequence[bytes], list[bytes]], Counts]
Places = t.Iterable[tuple[int, t.Iterable[int]]]
"""Where in a block a line may be that matches, and which expressions."""


def ours(regexes: t.Sequence[bytes], blocks: list[bytes]) -> Counts:
    """All that a scan does, with times, counts and masked lines."""
    _scan_sieve.of.cache_clear()
    _log, hits = _scan.scanned(_patterns(regexes), None, "x", "x", blocks)
    return Counts({int(hit["pattern"]): hit["count"] for hit in hits})


def each_line(regexes: t.Sequence[bytes], blocks: list[bytes]) -> Counts:
    """Every expression over every line."""
    return _asked(
        regexes, blocks, lambda block: ((at.start(), range(len(regexes))) for at in re.finditer(b"\n", block))
    )


def combined(regexes: t.Sequence[bytes], blocks: list[bytes], engine: t.Any = re) -> Counts:
    """One alternation over each block; the lines that it finds are asked again."""
    find = engine.compile(b"|".join(regexes)).finditer
    return _asked(regexes, blocks, lambda block: ((found.start(), range(len(regexes))) for found in find(block)))


def re2_combined(regexes: t.Sequence[bytes], blocks: list[bytes]) -> Counts:
    """The same with google-re2."""
    return combined(regexes, blocks, importlib.import_module("re2"))


def re2_set(regexes: t.Sequence[bytes], blocks: list[bytes]) -> Counts:
    """A set of google-re2 over each line."""
    re2, found = importlib.import_module("re2"), Counts()
    wanted = re2.Set.SearchSet()
    for regex in regexes:
        wanted.Add(regex.decode())
    wanted.Compile()
    for block in blocks:
        for line in block.split(b"\n"):
            found.update(wanted.Match(line))
    return found


def hyperscan(regexes: t.Sequence[bytes], blocks: list[bytes]) -> Counts:
    """Hyperscan over each block; the last byte of a match tells the line."""
    hs = importlib.import_module("hyperscan")
    database = hs.Database()
    flags = hs.HS_FLAG_MULTILINE | hs.HS_FLAG_ALLOWEMPTY
    database.compile(expressions=list(regexes), ids=list(range(len(regexes))), flags=[flags] * len(regexes))
    found = Counts()
    for block in blocks:
        seen: set[tuple[int, int]] = set()
        database.scan(block, lambda ident, _begin, end, _flags, seen: seen.add((ident, end)), context=seen)
        found.update(ident for ident, _line in {(ident, block.find(b"\n", end - 1)) for ident, end in seen})
    return found


def finds(regexes: t.Sequence[bytes], blocks: list[bytes]) -> Counts:
    """bytes.find of the text that each expression needs, over each block."""
    owners = _texts(regexes)

    def places(block: bytes) -> Places:
        for text, numbers in owners.items():
            at = block.find(text)
            while at >= 0:
                yield at, numbers
                at = block.find(text, block.find(b"\n", at))

    return _asked(regexes, blocks, places)


def aho_corasick(regexes: t.Sequence[bytes], blocks: list[bytes]) -> Counts:
    """ahocorasick_rs over each block with the same texts."""
    owners = _texts(regexes)
    find = importlib.import_module("ahocorasick_rs").BytesAhoCorasick(list(owners)).find_matches_as_indexes
    numbers = list(owners.values())
    return _asked(
        regexes, blocks, lambda block: ((at, numbers[text]) for text, at, _end in find(block, overlapping=True))
    )


def _patterns(regexes: t.Sequence[bytes]) -> list[_scan.Pattern]:
    return [_scan.Pattern(str(number), frozenset({"x"}), regex.decode()) for number, regex in enumerate(regexes)]


def _texts(regexes: t.Sequence[bytes]) -> dict[bytes, list[int]]:
    """The longest text that stands in every match of each expression, by a plain reading of ours."""
    owners: dict[bytes, list[int]] = {}
    for number, regex in enumerate(regexes):
        parts = re.split(rb"\.\*|\[[^]]*\]\+?|(?<!\\)\([^)]*\)\??", regex)
        owners.setdefault(max((re.sub(rb"\\(.)", rb"\1", part) for part in parts), key=len), []).append(number)
    return owners


def _asked(regexes: t.Sequence[bytes], blocks: list[bytes], places: t.Callable[[bytes], Places]) -> Counts:
    """The expressions themselves, over lines that may match them."""
    searches, found = [re.compile(regex).search for regex in regexes], Counts()
    for block in blocks:
        done: set[tuple[int, int]] = set()
        for at, owners in places(block):
            begin = block.rfind(b"\n", 0, at) + 1
            line = block[begin : block.find(b"\n", at)]
            for owner in owners:
                if (begin, owner) not in done:
                    done.add((begin, owner))
                    found[owner] += searches[owner](line) is not None
    return +found


WAYS: dict[str, Way] = {
    "ours: shapes of lines, find, re": ours,
    "bytes.find of each text, re": finds,
    "one re over blocks": combined,
    "re, line by line": each_line,
    "ahocorasick_rs of each text, re": aho_corasick,
    "google-re2, one over blocks, re": re2_combined,
    "google-re2, a set over lines": re2_set,
    "hyperscan over blocks": hyperscan,
}
SLOW = {"re, line by line": 16, "one re over blocks": 4}
"""Such a part of the bytes is enough."""


def main() -> None:
    """Print a table."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--mib", type=int, default=64, help="of each kind of logs")
    words.add_argument("--rules", action="store_true", help="patterns of our rules, by our way alone")
    args = words.parse_args()
    regexes = [part.encode() for line in REGEXES.strip().split("\n") for part in re.split(r"\|(?![^(]*\))", line)]
    wanted = _scan.patterns(_rules.load()) if args.rules else []
    regexes = [pattern.regex.encode() for pattern in wanted] or regexes
    print(f"{len(regexes)} patterns, {args.mib} MiB of logs; MB/s of processor time")
    for kind in (usual, unlike, matching, timeless):
        data = kind(args.mib << 20)
        blocks = [block + b"\n" for block, _ended in _scan.blocks([data])]
        print(f"\n{kind.__name__}: {len(data) // sum(block.count(10) for block in blocks)} bytes a line")
        if wanted:
            _tell("ours, rules by program", *_by_program(wanted, blocks))
        if kind in (matching, timeless) or wanted:
            _tell("ours", *_timed(ours, regexes, blocks))
            continue
        _tell("grep -E -c, any pattern", len(data), _grep(regexes, data))
        for name, way in WAYS.items():
            part = blocks[: max(1, len(blocks) // SLOW.get(name, 1))]
            try:
                size, spent, found = _timed(way, regexes, part)
            except ImportError:
                print(f"  {name:34}       -")
                continue
            _tell(name, size, spent)
            if found != (mine := ours(regexes, part)):
                print(f"    finds other lines: {found - mine}, not {mine - found}")
    print(f"\nmemory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB, with the logs")


def _tell(name: str, size: int, spent: float, _found: Counts | None = None) -> None:
    print(f"  {name:34} {size / spent / 1e6:7.0f}")


def _timed(way: Way, regexes: t.Sequence[bytes], blocks: list[bytes]) -> tuple[int, float, Counts]:
    """Bytes, seconds of processor time, and what was found."""
    begun = time.process_time()
    found = way(regexes, blocks)
    return sum(map(len, blocks)), time.process_time() - begun, found


def _by_program(wanted: list[_scan.Pattern], blocks: list[bytes]) -> tuple[int, float]:
    """The same logs as those of each program that a rule is about."""
    _scan_sieve.of.cache_clear()
    begun, size = time.process_time(), 0
    for source in sorted({source for pattern in wanted for source in pattern.sources}):
        log, _hits = _scan.scanned(wanted, None, source, "x", blocks)
        size += log["bytes"]
    return size, time.process_time() - begun


def _grep(regexes: t.Sequence[bytes], data: bytes) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file, patterns = Path(folder, "log"), Path(folder, "patterns")
        file.write_bytes(data)
        patterns.write_bytes(b"\n".join(regexes) + b"\n")
        begun = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
        # Into /dev/null it would end with the first match.
        command = ["grep", "-E", "-c", "-f", str(patterns), str(file)]
        subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, check=False, stdout=subprocess.PIPE)
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - begun


if __name__ == "__main__":
    main()
