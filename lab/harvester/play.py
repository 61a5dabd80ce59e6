# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controllers of a Harvester, played from outside of its hosts: they follow whichever API server answers."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from ansible_collections.requorum.cluster.plugins.plugin_utils import _kubeconfig
from lab.labs import Lab
from lab.progress import LabError, say

Part = Callable[[_api.Api], None]
"""One look at the cluster and what follows from it; called again and again, and it remembers nothing."""
PAUSE = 0.3


def client(lab: Lab, *, seconds: float = 5, host: str = "") -> _api.Api:
    """The API of a lab as its administrator, from this machine; by the first server that answers, or by this one."""
    host = host or lab.answering()
    text = lab.sh(host, f"cat {lab.spec.supervisor.kubeconfig}").ok("kubeconfig").out
    document = yaml.safe_load(text)
    for cluster in document["clusters"]:
        cluster["cluster"]["server"] = f"https://{lab.spec.host(host).ip}:6443"
    path = Path(lab.folder) / "admin.kubeconfig"
    new = path.with_suffix(f".{threading.get_ident()}")  # another reader never sees a half of it
    new.touch(0o600)
    new.write_text(yaml.safe_dump(document))
    new.replace(path)
    return _api.Api(_kubeconfig.Link(str(path), timeout=5), where=host, seconds=seconds)


def settle(api: _api.Api, kind: _api.Kind, item: _api.JSON, change: _api.JSON, subresource: str = "") -> bool:
    """A merge patch, unless the object is so already; whether it was made. The object follows it."""
    if not changes(item, change):
        return False
    meta = item["metadata"]
    item |= api.patch(kind, meta["name"], change, meta.get("namespace", ""), subresource=subresource)
    return True


def changes(target: object, change: _api.JSON) -> bool:
    """Whether a merge patch (RFC 7386) changes anything."""
    have = target if isinstance(target, dict) else {}
    return any(
        key in have
        if value is None
        else changes(have.get(key), value) or key not in have
        if isinstance(value, dict)
        else have.get(key) != value
        for key, value in change.items()
    )


def release(api: _api.Api, kind: _api.Kind, item: _api.JSON, finalizer: str) -> None:
    """Take a finalizer away; it may be gone with its object."""
    meta = item["metadata"]
    left = [name for name in meta.get("finalizers") or () if name != finalizer]
    try:
        api.patch(kind, meta["name"], {"metadata": {"finalizers": left}}, meta.get("namespace", ""))
    except RequorumError:
        if api.get(kind, meta["name"], meta.get("namespace", "")):
            raise


@contextlib.contextmanager
def playing(lab: Lab, parts: Sequence[Part]) -> Iterator[None]:
    """Controllers that work while the body runs; a mistake of theirs is said once, and raised at the end."""
    end, faults, told = threading.Event(), dict[str, str](), set[str]()
    queue = deque(parts)

    def loop() -> None:
        api: _api.Api | None = None
        while not end.is_set():
            name = "client"
            try:
                api = api or client(lab)
                for _part in parts:
                    queue.rotate(-1)  # after one that fails the next look begins with the one behind it
                    name = getattr(queue[-1], "__name__", repr(queue[-1]))
                    queue[-1](api)
                    faults.pop(name, None)
            except (RequorumError, LabError) as fault:  # no API server, or a change that somebody else made meanwhile
                api = None
                if str(fault) not in told:
                    told.add(str(fault))
                    say(f"controller {name}: {fault}"[:300])
            except Exception as fault:  # a mistake of ours must not end the others' work unseen
                if name not in faults:
                    say(f"controller {name}: {fault!r}")
                faults[name] = repr(fault)
            time.sleep(PAUSE)

    thread = threading.Thread(target=loop, name="harvester", daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join(30)
    if faults:
        raise LabError(f"controllers of the lab's Harvester fail: {faults}")
