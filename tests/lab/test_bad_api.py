# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real API server that denies, that holds much, or that is of another cluster; and an ssh that writes too long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.playbook.play_context import PlayContext
from ansible.plugins.loader import become_loader, connection_loader

from ansible_collections.requorum.cluster.plugins.module_utils import _api, _node
from ansible_collections.requorum.cluster.plugins.module_utils._fleet import BUNDLES, CHARTS
from ansible_collections.requorum.cluster.plugins.plugin_utils._node_action import ConnectionNode, NodeAction
from lab.harvester import fleet, many
from lab.labs import Lab
from lab.progress import wait_for
from tests.lab import story
from tests.unit import api_server

SLOW = ("*ten_thousand*", "*ssh*")

JSON = dict[str, Any]
ADMISSION, RBAC = "admissionregistration.k8s.io", "rbac.authorization.k8s.io"
POLICY = _api.Kind(ADMISSION, "v1", "validatingadmissionpolicies", namespaced=False)
BINDING = _api.Kind(ADMISSION, "v1", "validatingadmissionpolicybindings", namespaced=False)
ROLE = _api.Kind(RBAC, "v1", "clusterroles", namespaced=False)
BOUND = _api.Kind(RBAC, "v1", "clusterrolebindings", namespaced=False)
ACCOUNT = _api.Kind("", "v1", "serviceaccounts")
NAMESPACE = _api.Kind("", "v1", "namespaces", namespaced=False)


@pytest.fixture(scope="module")
def harvester() -> Iterator[tuple[Lab, _api.Api]]:
    """One server with the kinds of a Harvester, and a chart that an upgrade has left paused."""
    with story.with_fleet("test-bad") as (lab, api):
        wait_for("the bundles", lambda: (len(api.items(BUNDLES) or ()) >= 2, ""), 120)
        api.patch(CHARTS, "harvester", {"spec": {"paused": True}}, "fleet-local")
        yield lab, api


def paused(api: _api.Api) -> bool:
    return bool((api.get(CHARTS, "harvester", "fleet-local") or {})["spec"]["paused"])


def force_sync(lab: Lab, *words: str) -> tuple[int, JSON, str]:
    return story.command(lab, "force-sync", "harvester", "--confirm", lab.name, *words)


def restricted(lab: Lab, api: _api.Api, name: str, rules: list[JSON], folder: Path) -> Path:
    """The kubeconfig of an account that may do so much."""
    api.create(ACCOUNT, {"metadata": {"name": name, "namespace": "default"}})
    api.create(ROLE, {"metadata": {"name": name}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": name, "namespace": "default"}
    role = {"apiGroup": RBAC, "kind": "ClusterRole", "name": name}
    api.create(BOUND, {"metadata": {"name": name}, "subjects": [subject], "roleRef": role})
    token = lab.kubectl(lab.answering(), "create", "token", name).ok("token").out.strip()
    config = yaml.safe_load((Path(lab.folder) / "admin.kubeconfig").read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    path = folder / name
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_policy_denies(harvester: tuple[Lab, _api.Api]) -> None:
    lab, api = harvester
    rule = {"apiGroups": [CHARTS.group], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": [CHARTS.plural]}
    api.create(POLICY, {"metadata": {"name": "no"}, "spec": {
        "failurePolicy": "Fail", "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.spec.paused == oldObject.spec.paused", "message": "it stays as it is"}],
    }})  # fmt: skip
    api.create(BINDING, {"metadata": {"name": "no"}, "spec": {"policyName": "no", "validationActions": ["Deny"]}})

    try:  # the API server takes some seconds until it follows a new policy
        wait_for("the policy", lambda: (not allowed(lab), "not in force"), 60)
        rc, document, said = force_sync(lab)
    finally:
        api.delete(BINDING, "no")
        api.delete(POLICY, "no")
    assert rc == 1 and "it stays as it is" in said and "webhook or a policy of the cluster forbids it" in said
    assert document["requorum_actions"] == [] and paused(api) and "Traceback" not in said


def allowed(lab: Lab) -> bool:
    words = "patch managedchart.management.cattle.io harvester -n fleet-local --type merge --dry-run=server -p"
    return lab.kubectl(lab.answering(), *words.split(), '{"spec": {"paused": false}}').rc == 0


def test_an_account_that_may_only_read(harvester: tuple[Lab, _api.Api], tmp_path: Path) -> None:
    lab, api = harvester
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"]}]
    kubeconfig = restricted(lab, api, "reader", rules, tmp_path)
    given = ("-e", f"requorum_kubeconfig={kubeconfig}")
    rc, document, said = force_sync(lab, *given)
    assert rc == 1 and 'User "system:serviceaccount:default:reader" cannot patch' in said
    assert "administrator" in said and document["requorum_actions"] == [] and paused(api)
    rc, document, said = story.command(lab, "export", *given, "-e", f"requorum_output={tmp_path}")
    assert rc == 0 and document["objects"] > 10, said


def test_an_account_that_may_not_read_secrets(harvester: tuple[Lab, _api.Api], tmp_path: Path) -> None:
    lab, api = harvester
    rules = [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "list"]}]
    kubeconfig = restricted(lab, api, "blind", rules, tmp_path)
    given = ("-e", f"requorum_kubeconfig={kubeconfig}", "-e", f"requorum_output={tmp_path / 'out'}")
    rc, _document, said = story.command(lab, "export", *given)
    assert rc == 1 and "secrets is forbidden" in said and "administrator" in said
    assert not list((tmp_path / "out").rglob("*.yaml"))


def test_the_kubeconfig_of_another_cluster(harvester: tuple[Lab, _api.Api], tmp_path: Path) -> None:
    lab, _api_of_lab = harvester
    with api_server.serving(tmp_path) as other:
        other.store.api.create(NAMESPACE, {"metadata": {"name": "kube-system"}})
        fleet.install(other.store.api)
        other.store.asked.clear()
        given = ("-e", f"requorum_kubeconfig={tmp_path / 'kubeconfig'}", "-e", f"requorum_output={tmp_path / 'out'}")
        for words in (
            ("force-sync", "--always", "--confirm", lab.name),
            ("purge-orphans", "--dead", "n9", "--confirm", lab.name),
            ("join-config", "n9"),
            ("export",),
        ):
            rc, _document, said = story.command(lab, *words, *given)
            assert rc in (1, 3) and "another cluster" in said and "requorum_kubeconfig" in said, words
        assert other.store.changes == []
    assert not list((tmp_path / "out").rglob("*.yaml"))


def test_ten_thousand_objects(harvester: tuple[Lab, _api.Api], tmp_path: Path) -> None:
    lab, api = harvester
    api.create(NAMESPACE, {"metadata": {"name": "many"}})
    begin = time.monotonic()
    assert many.create(lab, many.config_maps(10_000, "many")) == 10_000
    print(f"10 000 ConfigMaps written in {time.monotonic() - begin:.0f} s")
    for given in ((), ("-e", f"requorum_kubeconfig={Path(lab.folder) / 'admin.kubeconfig'}")):
        begin = time.monotonic()
        rc, document, said = story.command(lab, "export", *given, "-e", f"requorum_output={tmp_path / str(len(given))}")
        print(f"exported in {time.monotonic() - begin:.0f} s, {given}")
        assert rc == 0, said
        folder = Path(document["folder"]) / "many" / "configmaps"
        assert len(list(folder.iterdir())) == 10_000  # kube-root-ca.crt is left out


def node(lab: Lab) -> _node.Node:
    """The first server as action plugins reach it: by ssh, as a user, with sudo."""
    hosts = yaml.safe_load(Path(lab.inventory).read_text())["all"]
    own = hosts["children"]["servers"]["hosts"][lab.servers[0]] | hosts["vars"]
    connection = connection_loader.get("ssh", PlayContext())
    connection.set_options(direct={
        "host": own["ansible_host"], "remote_user": own["ansible_user"],
        "private_key_file": own["ansible_ssh_private_key_file"], "ssh_common_args": own["ansible_ssh_common_args"],
    })  # fmt: skip
    become = become_loader.get("sudo")
    become.set_options(direct={})
    connection.set_become_plugin(become)

    class Acting(NodeAction):
        def act(self) -> JSON:
            return {}

    task = SimpleNamespace(environment=None, async_val=0, diff=False, check_mode=False)
    return ConnectionNode(Acting(task, connection, PlayContext(), None, None, None))


def test_an_ssh_that_writes_for_longer_than_the_command_runs(harvester: tuple[Lab, _api.Api]) -> None:
    """Of 600 commands that read nothing of 5 MB some made the host unreachable, before stdin was read to its end."""
    nodes = [node(harvester[0]) for _each in range(4)]

    def work(each: _node.Node) -> list[_node.Done]:
        return [each.run("exit 7", stdin=b"x" * 5_000_000) for _round in range(150)]

    with ThreadPoolExecutor(len(nodes)) as pool:
        assert {done.rc for found in pool.map(work, nodes) for done in found} == {7}
