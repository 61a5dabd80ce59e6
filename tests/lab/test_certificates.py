# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: rotation under load, expired while down, drifted CAs, an emptied server/tls, a run that was killed."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

from cryptography import x509

from lab import spoil
from lab.drill import confirm, killed, playbook
from lab.labs import Lab
from lab.progress import say, wait_for
from lab.supervisor import pki
from lab.supervisor.distro import VERSION_FILE
from lab.workload import Workload
from tests.lab import story

SLOW = (
    *("*client_writes?k3s?", "*is_due?k3s?", "*one_command?k3s?", "*of_the_datastore?rke2?", "*drifted*"),
    *("*authorities?rke2?", "*same_command?rke2?", "*tls_san?rke2?"),
)

ROTATE, REMOVE = "playbooks/rotate_certs.yml", "playbooks/tls_remove.yml"
EVERYTHING = ("-e", "requorum_cert_all=true")
ETCD = ("etcd/server-client", "etcd/peer-server-client")


def sums(lab: Lab, host: str) -> dict[str, str]:
    """Path below the data directory -> sha256 of every certificate and of service.key."""
    files = "server/tls/*.crt server/tls/etcd/*.crt server/tls/service.key agent/*.crt"
    found = lab.sh(host, f"cd {lab.data_dir} && sha256sum {files} 2>/dev/null").out
    return {path: digest for digest, path in (line.split(None, 1) for line in found.splitlines())}


def common(lab: Lab, host: str) -> dict[str, str]:
    """CAs and service.key of a server."""
    return {path: digest for path, digest in sums(lab, host).items() if path.endswith(("-ca.crt", "service.key"))}


def leaves(lab: Lab, host: str) -> dict[str, str]:
    """Leaf certificates of a host."""
    return {path: digest for path, digest in sums(lab, host).items() if "-ca." not in path and path.endswith(".crt")}


def only(*hosts: str) -> tuple[str, str]:
    """The option that restricts the work to some hosts."""
    return "-e", json.dumps({"requorum_only": list(hosts)})


@contextlib.contextmanager
def old_version(lab: Lab) -> Iterator[None]:
    """All hosts play a version that does not start with an expired dynamic-cert.json."""
    hosts = [*lab.servers, *lab.agents]
    for host in hosts:
        spoil.old_version(lab, host)
    try:
        yield
    finally:
        for host in hosts:
            lab.sh(host, f"rm -f {VERSION_FILE}")


def webhook(authority: str) -> dict[str, Any]:
    """A webhook that is never asked, with the CA that it trusts in base64."""
    asked = {"url": "https://127.0.0.1:1", "caBundle": authority}
    hook = {"name": "lab.example.org", "clientConfig": asked, "sideEffects": "None", "failurePolicy": "Ignore",
            "admissionReviewVersions": ["v1"]}  # fmt: skip
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "lab.example.org"},
        "webhooks": [hook],
    }


def test_servers_and_agents_are_rotated_while_a_client_writes(lab: Lab) -> None:
    hosts = [*lab.servers, *lab.agents]
    before = {host: (common(lab, host) if host in lab.servers else {}, leaves(lab, host)) for host in hosts}
    code, check, said = story.command(lab, "rotate-certs", "--check", "--all")
    assert (code, check["verdict"]["outcome"]) == (0, "planned"), said
    assert [host for host in hosts if leaves(lab, host) != before[host][1]] == []

    with Workload(lab) as load:
        begun = time.monotonic()
        run = playbook(lab, ROTATE, *EVERYTHING, *confirm(lab))
        say(f"rotation of {len(lab.servers)} servers and {len(lab.agents)} agent: {time.monotonic() - begun:.0f} s")
    assert story.outcome(run) == "done"
    assert story.planned(run) == story.done(run)
    told = sorted(f"{action['node']} {action['verb']}" for action in check["plan"])
    assert told == sorted(story.verbs(run))  # who leads may change between them
    for host in lab.servers:
        assert common(lab, host) == before[host][0]
        assert lab.sh(host, f"systemctl is-enabled {lab.spec.unit(host)}").out.strip() == "enabled"
    for host in hosts:
        now = leaves(lab, host)
        assert set(now) == set(before[host][1])
        assert [path for path in now if now[path] == before[host][1][path]] == []
    assert story.voters(lab) == lab.servers
    assert load.report.missing == []
    assert load.report.late == []


def test_nothing_is_done_when_nothing_is_due(lab: Lab) -> None:
    code, report, said = story.command(lab, "rotate-certs", "--confirm", lab.name)
    assert (code, report["verdict"]["outcome"], report["plan"]) == (0, "healthy", []), said


def test_an_ended_serving_secret_and_a_name_of_tls_san(lab: Lab) -> None:
    """Older versions put the Secret back into use at each start. A webhook that trusts an ended CA is only shown."""
    (first, _second, third), name = lab.servers, f"{lab.spec.distro}-serving"
    spoil.expire_secret(lab, first)
    chain = lab.kubectl(first, "-n", "kube-system", "get", "secret", name, "-o", r"jsonpath={.data.tls\.crt}").out
    ended = base64.b64encode(pki.first(base64.b64decode(chain))).decode()
    lab.kubectl(first, "create", "-f", "-", stdin=json.dumps(webhook(ended))).ok("webhook")
    folder = f"{lab.spec.supervisor.config}.d"
    write = f"mkdir -p {folder} && cat > {folder}/names.yaml"
    lab.sh(third, write, stdin="tls-san: [api.example.org]\n").ok(write)
    try:
        run = playbook(lab, ROTATE, *confirm(lab))
        assert story.outcome(run) == "done"
    finally:
        lab.kubectl(first, "delete", "validatingwebhookconfiguration", "lab.example.org").ok("webhook")
        lab.sh(third, f"rm {folder}/names.yaml")
    secret, trust = f"secret/kube-system/{name}", "trust/ValidatingWebhookConfiguration/lab.example.org"
    found = {(row["node"], row["path"]): row for row in story.plan(run)["certificates"] if row["state"] != "ok"}
    serving = [f"server/tls/{leaf}.crt" for leaf in ("serving-kube-apiserver", *ETCD)]
    assert {where: (row["state"], row["remedy"]) for where, row in found.items()} == {
        (first, secret): ("expired", "renew"),
        (first, trust): ("expired", "owner"),
        **{(third, path): ("names", "renew") for path in serving},
    }
    assert trust in run.out
    done = [verb for verb in story.verbs(run) if verb.split()[1] in ("secret", "fence", "renew")]
    assert [verb.split()[1] for verb in done if verb.startswith(first)] == ["secret", "fence", "renew"]
    assert [verb for verb in done if not verb.startswith(first)] == [f"{third} fence", f"{third} renew"]
    assert run.folder
    saved = run.folder / "secrets" / "serving.json"
    assert json.loads(saved.read_text())["metadata"]["name"] == name and saved.stat().st_mode & 0o777 == 0o600
    assert "NotFound" in lab.kubectl(first, "-n", "kube-system", "get", "secret", name).err  # the stand-in writes none
    for path in serving:
        leaf = pki.load_cert(lab.sh(third, f"cat {lab.data_dir}/{path}").out.encode())
        sans = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert "api.example.org" in sans.get_values_for_type(x509.DNSName)


def test_a_lost_quorum_with_every_leaf_expired_comes_back_in_one_command(lab: Lab) -> None:
    first, second, third = lab.servers
    authorities = common(lab, first)
    with old_version(lab):
        for host in lab.servers:
            story.stop(lab, host)
        for host in (second, third):
            lab.sh(host, f"mv {lab.data_dir}/server/db/etcd /var/lib/rancher/lost-{host}-{time.time():.0f}").ok("away")
        for host in [*lab.servers, *lab.agents]:
            spoil.expire_certs(lab, host)
        run = playbook(lab, "recover.yml", *confirm(lab))
        assert story.outcome(run) == "recovered"
    assert story.plan(run)["case"] == "quorum_lost"
    assert {f"{host} renew" for host in lab.servers} <= set(story.verbs(run))
    assert story.voters(lab) == lab.servers
    assert story.count(lab) == 40
    assert [common(lab, host) == authorities for host in lab.servers] == [True] * 3


def test_crashed_servers_start_with_the_authorities_of_the_datastore(lab: Lab) -> None:
    """Two are down, and somebody has made new CAs on one of them: recover.yml puts the right ones back first."""
    first, second, third = lab.servers
    authorities = common(lab, first)
    spoil.drift_ca(lab, third)
    for host in (second, third):
        story.stop(lab, host)
    assert common(lab, third) != authorities
    check, run = playbook(lab, "recover.yml", "--check"), playbook(lab, "recover.yml", *confirm(lab))
    assert story.outcome(run) == "recovered"
    assert story.planned(check) == story.planned(run) == story.done(run)
    assert story.plan(run)["case"] == "quorum_recoverable"
    assert f"{third} restore" in story.verbs(run)
    assert [common(lab, host) == authorities for host in lab.servers] == [True] * 3
    assert story.count(lab) == 40


def test_drifted_authorities_are_replaced_by_those_of_the_datastore(lab: Lab) -> None:
    first, _second, third = lab.servers
    spoil.drift_ca(lab, third)
    assert common(lab, third) != common(lab, first)
    run = playbook(lab, ROTATE, *confirm(lab))
    assert story.outcome(run) == "done"
    assert f"{third} restore" in story.verbs(run)
    assert [verb for verb in story.verbs(run) if verb.split()[1] in ("fence", "start")] == [
        f"{third} fence",
        f"{third} start",
    ]
    assert common(lab, third) == common(lab, first)
    assert story.voters(lab) == lab.servers


def test_server_tls_is_emptied_without_new_authorities(lab: Lab) -> None:
    """The naive way makes new CAs on the first server; the datastore's are then put back."""
    first = lab.servers[0]
    authorities, before = common(lab, first), leaves(lab, first)
    killed(lab, REMOVE, "empty", *only(first), *confirm(lab))
    run = playbook(lab, REMOVE, *only(first), *confirm(lab))
    assert story.outcome(run) == "done"
    assert common(lab, first) == authorities
    now = leaves(lab, first)
    assert [path for path in now if now[path] == before[path]] == []
    assert story.voters(lab) == lab.servers

    story.stop(lab, first)
    spoil.empty_tls(lab, first)
    unit = lab.spec.unit(first)
    lab.sh(first, f"systemctl enable --quiet {unit}; systemctl start --no-block {unit}")
    wait_for("new CAs", lambda: (len(common(lab, first)) == len(authorities), "none yet"), 120)
    assert not set(common(lab, first).values()) & set(authorities.values())

    again = playbook(lab, ROTATE, *confirm(lab))
    assert story.outcome(again) == "done"
    assert common(lab, first) == authorities
    assert story.voters(lab) == lab.servers


def test_a_killed_rotation_ends_with_the_same_command(lab: Lab) -> None:
    authorities = common(lab, lab.servers[0])
    folder = killed(lab, ROTATE, "renew", *EVERYTHING, *confirm(lab))
    plan = json.loads((folder / "plan.json").read_text("utf-8"))
    stopped = next(action["node"] for action in plan["actions"] if action["verb"] == "renew")
    assert lab.sh(stopped, f"systemctl is-active {lab.spec.unit(stopped)}").out.strip() != "active"

    run = playbook(lab, ROTATE, *EVERYTHING, *confirm(lab))
    assert story.outcome(run) == "done"
    assert next(verb for verb in story.verbs(run) if verb.endswith("fence")) == f"{stopped} fence"
    assert [common(lab, host) == authorities for host in lab.servers] == [True] * 3
    assert story.voters(lab) == lab.servers
    assert lab.sh(stopped, f"systemctl is-enabled {lab.spec.unit(stopped)}").out.strip() == "enabled"
