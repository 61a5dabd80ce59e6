# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a row of the conformance table consists of, and the words in which rows say what must be seen from outside."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from lab.labs import Lab
from lab.progress import Done
from tests.conformance.listing import LISTINGS

NO_LEADER = '{"health":"false","reason":"RAFT NO LEADER"}'


class Stage:
    """A lab on which situations are played, and what was noted on the way."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self.distro = lab, lab.spec.distro
        self.notes: dict[str, str] = {}
        self.since = time.time()

    def sh(self, host: str, script: str, timeout: float = 60) -> Done:
        """Run a script as root with the distribution's programs in PATH; D is the data directory."""
        setting = (f"D={self.lab.data_dir}; PATH=$PATH:$D/bin; "
                   "export CONTAINER_RUNTIME_ENDPOINT=unix:///run/k3s/containerd/containerd.sock\n")
        return self.lab.sh(host, setting + script, timeout)

    def journal(self, host: str, unit: str = "") -> str:
        """The unit's journal since the situation began."""
        unit = unit or self.lab.spec.unit(host)
        return self.sh(host, f"journalctl -q -o cat --since @{int(self.since)} -u {unit}").out

    def gateway(self, host: str, path: str, body: str = "{}", timeout: float = 5) -> tuple[str, str]:
        """HTTP code (000 without an answer) and body of a call of etcd's JSON gateway."""
        tls = "$D/server/tls/etcd"
        done = self.sh(host, f"curl -s -m {timeout:.0f} -w '\\n%{{http_code}}' --cacert {tls}/server-ca.crt "
                             f"--cert {tls}/client.crt --key {tls}/client.key https://127.0.0.1:2382/v3/{path} "
                             f"-d '{body}'", timeout + 5)
        text, _, code = done.out.rpartition("\n")
        return code, text.strip()

    def members(self, host: str) -> list[dict[str, object]]:
        """Rows of the member list, empty without an answer."""
        code, text = self.gateway(host, "cluster/member/list")
        return list(json.loads(text)["members"]) if code == "200" else []

    def cluster_id(self, host: str) -> str:
        """ID of the cluster that the host's etcd belongs to, empty without an answer."""
        code, text = self.gateway(host, "maintenance/status")
        return str(json.loads(text)["header"]["cluster_id"]) if code == "200" else ""


Probe = Callable[[Stage], tuple[bool, str]]


@dataclass(frozen=True)
class Check:
    """One thing that must be seen."""

    id: str
    probe: Probe
    """(whether it is so, what was seen instead)."""
    within: float = 30
    holds: float = 0
    """Seconds for which it must then stay so."""


@dataclass(frozen=True)
class Situation:
    """A row: what is done to the hosts as the rows before left them, and what must be seen then."""

    id: str
    transcript: str
    done: str
    do: Callable[[Stage], None]
    see: tuple[Check, ...]


def nothing(_stage: Stage) -> None:
    """Nothing is done."""


def short(text: str) -> str:
    """Its end, on one line."""
    return " ".join(text.split())[-220:] or "nothing"


def missing(texts: tuple[str, ...], where: str) -> list[str]:
    """Those of the texts that are not there."""
    return [text for text in texts if text not in where]


def says(id: str, host: str, *texts: str, unit: str = "", within: float = 60) -> Check:
    """The unit's journal says all of it since the situation began."""
    def probe(stage: Stage) -> tuple[bool, str]:
        lacks = missing(texts, stage.journal(host, unit))
        return not lacks, f"journal of {host} has all" if not lacks else f"journal of {host} lacks {lacks[0]!r}"
    return Check(id, probe, within)


def output(id: str, host: str, script: str, *texts: str, rc: int = 0, without: tuple[str, ...] = (),
           within: float = 30, limit: float = 60) -> Check:
    """A command ends with this exit code and says all of it."""
    def probe(stage: Stage) -> tuple[bool, str]:
        done = stage.sh(host, script, limit)
        said = done.out + done.err
        good = done.rc == rc and not missing(texts, said) and not any(text in said for text in without)
        return good, f"exit code {done.rc}: {short(said)}"
    return Check(id, probe, within)


def unit(host: str, state: str, *, id: str = "", name: str = "", within: float = 30, holds: float = 0,
         **properties: str) -> Check:
    """systemd says this of the host's unit (or of the named one)."""
    wanted = {"ActiveState": state, **properties}

    def probe(stage: Stage) -> tuple[bool, str]:
        shown = stage.sh(host, f"systemctl show {name or stage.lab.spec.unit(host)} -p {','.join(wanted)}").out
        seen = dict(line.partition("=")[::2] for line in shown.splitlines())
        return seen == wanted, f"{host}: {' '.join(f'{key}={value}' for key, value in sorted(seen.items()))}"
    return Check(id or f"unit-{host}-{state}", probe, within, holds)


def restarts(id: str, host: str, within: float) -> Check:
    """systemd has started the unit again by itself."""
    def probe(stage: Stage) -> tuple[bool, str]:
        seen = stage.sh(host, f"systemctl show {stage.lab.spec.unit(host)} -p NRestarts --value").out.strip()
        return seen not in ("", "0"), f"NRestarts={seen}"
    return Check(id, probe, within)


def health(host: str, leader: bool, *, within: float = 30) -> Check:
    """What etcd's metrics port says: 200 with a leader, 503 without."""
    body, code = ('{"health":"true","reason":""}', "200") if leader else (NO_LEADER, "503")
    return output(f"health-{host}-{code}", host, "curl -s -m 5 -w ' %{http_code}' http://127.0.0.1:2381/health",
                  body, f" {code}", within=within)


def gateway(id: str, host: str, path: str, *texts: str, without: tuple[str, ...] = (), within: float = 30) -> Check:
    """The JSON gateway answers 200 with all of this."""
    def probe(stage: Stage) -> tuple[bool, str]:
        code, text = stage.gateway(host, path)
        good = code == "200" and not missing(texts, text) and not any(word in text for word in without)
        return good, f"{code} {text[:200]}"
    return Check(id, probe, within)


def voters(host: str, *hosts: str, id: str = "voters", within: float = 60) -> Check:
    """The member list has exactly these, all of them voters."""
    def probe(stage: Stage) -> tuple[bool, str]:
        seen = stage.lab.members(host)
        return seen == dict.fromkeys(hosts, "voter"), f"{seen or 'no answer'}"
    return Check(id, probe, within)


def ready(host: str, *names: str, id: str = "nodes-ready", within: float = 60) -> Check:
    """The API server of the host lists these nodes, and all are Ready."""
    def probe(stage: Stage) -> tuple[bool, str]:
        seen = stage.lab.nodes(host)
        return {name for name, is_ready in seen.items() if is_ready} == set(names), f"{seen or 'no answer'}"
    return Check(id, probe, within)


def listening(id: str, host: str, ports: dict[str, str], within: float = 30) -> Check:
    """Each address is listened on by the process of that name."""
    def probe(stage: Stage) -> tuple[bool, str]:
        ip = stage.lab.spec.host(host).ip
        shown = stage.sh(host, "ss -Hltnp").out.replace(ip + ":", "IP:")
        seen = {row[3]: row[-1].split('"')[1] if '"' in row[-1] else "?" for row in map(str.split, shown.splitlines())}
        wrong = [f"{address}: {seen.get(address, 'nobody')}" for address, name in ports.items()
                 if seen.get(address) != name]
        return not wrong, ", ".join(wrong) or "all listen"
    return Check(id, probe, within)


def closed(id: str, host: str, *ports: int, within: float = 30, holds: float = 0) -> Check:
    """Nobody listens on these ports."""
    def probe(stage: Stage) -> tuple[bool, str]:
        seen = set(re.findall(r":(\d+) ", stage.sh(host, "ss -Hltn").out))
        taken = sorted(seen & set(map(str, ports)))
        return not taken, f"listening: {' '.join(taken) or 'none of them'}"
    return Check(id, probe, within, holds)


def processes(id: str, host: str, *names: str, gone: tuple[str, ...] = (), within: float = 30,
              holds: float = 0) -> Check:
    """Processes of these names run, and none of the names in `gone`; as /proc/*/comm has them (15 characters)."""
    def probe(stage: Stage) -> tuple[bool, str]:
        seen = set(stage.sh(host, "ps -e -o stat=,comm= | awk '$1 !~ /^Z/ {print $2}'").out.split())
        wrong = [f"no {name}" for name in names if name not in seen] + [f"{name} runs" for name in gone if name in seen]
        return not wrong, ", ".join(wrong) or "as wanted"
    return Check(id, probe, within, holds)


def modes(id: str, host: str) -> Check:
    """Every file of the recorded listing is there with the recorded mode."""
    def probe(stage: Stage) -> tuple[bool, str]:
        shown = stage.sh(host, "find $D -printf '%P %M\\n'").out
        seen = dict(line.rsplit(" ", 1) for line in shown.splitlines())
        wrong = [f"{path} {seen.get(path, 'missing')} instead of {mode}"
                 for mode, paths in LISTINGS[stage.distro].items() for path in paths.split() if seen.get(path) != mode]
        return not wrong, f"{len(wrong)} differ: {'; '.join(wrong)}" if wrong else "as recorded"
    return Check(id, probe, 15)


def database(id: str, host: str, *entries: str, within: float = 30) -> Check:
    """Exactly these are in server/db, server/db/etcd and server/tls*; `*` stands for the time in a name."""
    def probe(stage: Stage) -> tuple[bool, str]:
        seen = listing(stage, host)
        return seen == " ".join(sorted(entries)), seen
    return Check(id, probe, within)


def listing(stage: Stage, host: str) -> str:
    """What `database` compares: names below server/, times replaced by `*`."""
    shown = stage.sh(host, "cd $D/server && ls -d db/* db/etcd/* tls* token 2>/dev/null").out
    return " ".join(sorted(re.sub(r"-\d{10}$", "-*", name) for name in shown.split()))


def noted(id: str, key: str, *texts: str, without: tuple[str, ...] = ()) -> Check:
    """What was noted when the situation was made says all of it."""
    def probe(stage: Stage) -> tuple[bool, str]:
        seen = stage.notes.get(key, "")
        lacks = missing(texts, seen)
        return not lacks and not any(text in seen for text in without), \
            f"lacks {lacks[0]!r}: {short(seen)}" if lacks else short(seen)
    return Check(id, probe, 0)


def fact(id: str, probe: Probe, within: float = 30) -> Check:
    """Anything else."""
    return Check(id, probe, within)
