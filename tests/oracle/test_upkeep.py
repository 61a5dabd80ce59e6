# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A datastore that is really full: etcd raises NOSPACE, and the actions of a repair make it take writes again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.requorum.cluster.plugins.action.etcd_upkeep import ActionModule
from ansible_collections.requorum.cluster.plugins.module_utils import _look, _node
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from tests.oracle.programs import SERIES, Etcd, free_ports
from tests.unit.local_node import LocalNode

QUOTA = 16 << 20


class Upkeep(ActionModule):
    """The action with this machine as its node: an etcd without TLS at ports of its own."""

    def __init__(self, etcd: Etcd, metrics: int) -> None:
        self.host, self.vars, self.node = "r1", {}, LocalNode()
        tls = etcd.data.parent / "tls"  # the look asks the gateway only where there is a client certificate
        (tls / "etcd").mkdir(parents=True)
        (tls / "etcd/client.crt").touch()
        self.shell = f"""find_distro() {{ UNIT=none; PORT=1; TLS={tls}; }}
gate() {{ echo {etcd.port}; }}
post() {{ curl -s -S -m "${{WAIT:-4}}" -d "$3" "http://127.0.0.1:$1$2"; }}
get() {{ case $1 in *:2381/*) curl -s -m 4 "http://127.0.0.1:{metrics}/${{1##*:2381/}}" ;; *) false ;; esac; }}
"""

    def timeout(self, name: str, default: float) -> float:
        return min(default, 20)

    def say(self, text: str) -> None:
        print(text)

    def script(self, name: str, *, stdin: bytes | None = None, timeout: int = 60, **variables: str) -> _node.Done:
        head, body = (_node.SCRIPTS / f"{part}.sh" for part in ("common", name))
        given = "".join(f"{key}='{value}'\n" for key, value in variables.items())
        return self.node.run("\n".join([given, head.read_text(), self.shell, body.read_text()]), timeout=timeout)


@pytest.fixture(params=SERIES)
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Etcd, Upkeep]]:
    """An etcd that refuses a write: its quota is used up, half of it by what was overwritten."""
    [metrics] = free_ports(1)
    flags = f"--quota-backend-bytes={QUOTA}", f"--listen-metrics-urls=http://127.0.0.1:{metrics}"
    with Etcd(tmp_path, request.param, *flags) as etcd:
        upkeep, alarms = Upkeep(etcd, metrics), []
        for _turn in range(200):
            if alarms:
                break
            with contextlib.suppress(ValueError):
                etcd.put("/registry/large", "x" * 500_000)
            alarms = upkeep._alarms()
        assert [alarm for _member, alarm in alarms] == ["NOSPACE"]
        yield etcd, upkeep


def test_a_full_datastore_takes_writes_again(full: tuple[Etcd, Upkeep]) -> None:
    etcd, upkeep = full
    with pytest.raises(ValueError, match="database space exceeded"):
        etcd.put("k", "v")
    if etcd.series == "3.6":  # it tells its quota, so the alarm is not disarmed for nothing
        with pytest.raises(RequorumError, match="would come back"):
            upkeep.do_disarm()
    assert upkeep.do_compact().startswith("history up to revision")
    assert upkeep.do_compact() == "it is compacted already"  # as after a run that was killed
    before = upkeep._status()["bytes"]
    assert "on disk before" in upkeep.do_defragment()
    assert upkeep._status()["bytes"] < before / 4
    [(member, _alarm)] = upkeep._alarms()
    assert upkeep.do_disarm() == f"disarmed: {member}"
    etcd.put("k", "v")
    assert upkeep.do_disarm() == "disarmed: none was armed any more"


def test_health_without_the_alarm_is_what_the_quorum_says(full: tuple[Etcd, Upkeep]) -> None:
    """A full etcd calls itself unhealthy; asked without that alarm, it says whether it reads through the quorum."""
    _etcd, upkeep = full
    assert _look.parse(upkeep.script("look").out).healthy


def test_corrupt_is_never_disarmed(full: tuple[Etcd, Upkeep]) -> None:
    _etcd, upkeep = full
    [(member, _alarm)] = upkeep._alarms()
    upkeep._ask("maintenance/alarm", {"action": "ACTIVATE", "memberID": str(int(member, 16)), "alarm": "CORRUPT"})
    with pytest.raises(RequorumError, match="never disarms"):
        upkeep.do_disarm()
    assert sorted(alarm for _member, alarm in upkeep._alarms()) == ["CORRUPT", "NOSPACE"]
