# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rancher's planner: who is the init node, what each host has to run, and which server it joins.

A plan is a Secret's `data.plan`; Rancher's agent on the host carries it out and writes `data.applied-checksum`.
Plans of Machines that a test wrote (`objects.cluster`) are left as they are, but for their `joined-to`.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.requorum.cluster.plugins.module_utils import _api
from lab.harvester import objects, oem
from lab.harvester.drain import DONE, OPTIONS, UNCORDON
from lab.harvester.kinds import BOOTSTRAPS, MACHINES, NODES, PLAN_SECRET, SECRETS, paused
from lab.harvester.machines import ADDRESS, MINE, NAME
from lab.harvester.play import settle
from lab.labs import Lab

JSON = dict[str, Any]
INIT, ETCD = "rke.cattle.io/init-node", "rke.cattle.io/etcd-role"
URL, JOINED = "rke.cattle.io/join-url", "rke.cattle.io/joined-to"
BRAKED = 75


def notes(item: Mapping[str, Any]) -> Mapping[str, str]:
    """Annotations of an object."""
    return item["metadata"].get("annotations") or {}


def secrets(api: _api.Api) -> list[JSON]:
    """Plan secrets that stay."""
    found = [item for item in api.items(SECRETS, objects.FLEET) or () if item.get("type") == PLAN_SECRET]
    return [item for item in found if not item["metadata"].get("deletionTimestamp")]


def elect(plans: Sequence[JSON], leaving: set[str]) -> str:
    """Name of the plan secret of the init node: the one that is, else the first of etcd that can be joined; or empty.

    leaving: Machines that are being deleted, which are init node no longer.
    """
    stay = [item for item in plans if item["metadata"]["labels"]["rke.cattle.io/machine-name"] not in leaving]
    able = [item for item in stay if item["metadata"]["labels"].get(ETCD) == "true" and notes(item).get(URL)]
    now = [item for item in stay if item["metadata"]["labels"].get(INIT) == "true"]
    return next((str(item["metadata"]["name"]) for item in [*now, *able]), "")


def planner(api: _api.Api) -> None:
    """Nothing at all while the Cluster is paused."""
    if paused(api):
        return
    machines = {item["metadata"]["name"]: item for item in api.items(MACHINES, objects.FLEET) or ()}
    leaving = {name for name, item in machines.items() if item["metadata"].get("deletionTimestamp")}
    plans = secrets(api)
    first = elect(plans, leaving)
    for item in plans:
        init = item["metadata"]["name"] == first
        if init or item["metadata"]["labels"].get(INIT):
            settle(api, SECRETS, item, {"metadata": {"labels": {INIT: "true" if init else None}}})
    url = next((notes(item)[URL] for item in plans if item["metadata"]["name"] == first and URL in notes(item)), "")
    for item in plans:
        if notes(item).get(OPTIONS) and notes(item).get(DONE) == notes(item)[OPTIONS]:  # its plan is carried out then
            settle(api, SECRETS, item, {"metadata": {"annotations": {UNCORDON: "true"}}})
    nodes = {item["metadata"]["name"]: item for item in api.items(NODES) or ()}
    for item in plans if url else ():
        own = "" if item["metadata"]["name"] == first else url
        settle(api, SECRETS, item, {"metadata": {"annotations": {JOINED: own or None}}})
        if MINE in item["metadata"]["labels"]:
            _plan(api, item, own, nodes)


def _plan(api: _api.Api, secret: JSON, url: str, nodes: Mapping[str, JSON]) -> None:
    labels = secret["metadata"]["labels"]
    bootstrap = api.get(BOOTSTRAPS, labels["rke.cattle.io/machine-name"], objects.FLEET)
    address = notes(bootstrap)[ADDRESS] if bootstrap else ""
    plan = {"role": "server" if labels.get(ETCD) == "true" else "agent", "server": url, "address": address}
    node = nodes.get(labels[NAME]) or {"metadata": {}}
    if (node["metadata"].get("labels") or {}).get("node-role.kubernetes.io/etcd") == "true":
        settle(api, SECRETS, secret, {"metadata": {"annotations": {URL: f"https://{address}:9345"}}})
    settle(api, SECRETS, secret, {"data": {"plan": base64.b64encode(json.dumps(plan).encode()).decode()}})


def agents(api: _api.Api, carry_out: Callable[[JSON], bool]) -> None:
    """Rancher's agents: each host carries out what is new for it."""
    for secret in secrets(api):
        data = secret.get("data") or {}
        if MINE not in secret["metadata"]["labels"] or "plan" not in data:
            continue
        plan = base64.b64decode(data["plan"])
        mark = base64.b64encode(hashlib.sha256(plan).hexdigest().encode()).decode()
        if data.get("applied-checksum") != mark and carry_out(json.loads(plan)):
            settle(api, SECRETS, secret, {"data": {"applied-checksum": mark}})


def on(lab: Lab) -> Callable[[JSON], bool]:
    """How a host of the lab carries out its plan; it does not while it is off, or its agent is stopped."""

    def carry_out(plan: JSON) -> bool:
        host = next((each.name for each in lab.spec.hosts if each.ip == plan["address"]), "")
        if not host or not lab.running(host):
            return False
        living = lab.answering()
        token = lab.sh(living, f"cat {lab.data_dir}/server/token").ok("token").out.strip()
        settings = {"token": token, "node-ip": plan["address"], "server": plan["server"]}
        content = oem.text({key: value for key, value in settings.items() if value})
        done = lab.sh(host, _script(plan["role"], lab.spec.url(living)), 120, stdin=content)
        return done.rc != BRAKED and bool(done.ok(f"{host} as {plan['role']}"))

    return carry_out


def _script(role: str, vip: str) -> str:
    """An agent reaches the cluster by the VIP, whatever Rancher wrote: harv-update-rke2-server-url sees to it."""
    own, other = f"rke2-{role}", "rke2-agent" if role == "server" else "rke2-server"
    reach = f"echo 'server: {vip}' >{oem.VIP}" if role == "agent" else f"rm -f {oem.VIP}"
    return "\n".join([
        f"set -e; umask 077; systemctl is-active --quiet rancher-system-agent || exit {BRAKED}",
        f"cat >{oem.RANCHER}.new; mv {oem.RANCHER}.new {oem.RANCHER}; {reach}",
        f"systemctl disable --quiet --now {other} 2>/dev/null || :",
        f"systemctl enable --quiet {own}; systemctl start --no-block {own}"])  # fmt: skip
