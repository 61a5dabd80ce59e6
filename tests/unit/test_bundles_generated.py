# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Support bundles that tests make: their layout is the collector's, and what is bad in them is bad."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bundle,
    _diagnose,
    _diagnosis_html,
    _diagnosis_junit,
    _rules,
)
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from requorum import bundles
from tests.bundles import bad, big, leaks, story, support
from tests.bundles.support import TOP, Bundle

JSON = dict[str, Any]
FLEET, SYSTEM = "yamls/namespaced/fleet-local", "yamls/namespaced/harvester-system"


def opened(path: Path) -> dict[str, bytes]:
    """Members below the top folder; those of zips within too."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            assert name.startswith(f"{TOP}/")
            place = name.removeprefix(f"{TOP}/")
            found[place] = archive.read(name)
            if place.endswith(".zip"):
                with zipfile.ZipFile(io.BytesIO(found[place])) as inner:
                    found |= {f"{place}/{each}": inner.read(each) for each in inner.namelist()}
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return opened(support.write(story.story(), tmp_path_factory.mktemp("story") / "x.zip"))


@pytest.mark.parametrize("place", [
    *("metadata.yaml", "bundleGenerationError.log", "yamls/cluster/v1/nodes.yaml"),
    *("yamls/cluster/harvesterhci.io/v1beta1/settings.yaml", f"{SYSTEM}/harvesterhci.io/v1beta1/upgrades.yaml"),
    *(f"{SYSTEM}/batch/v1/jobs.yaml", "yamls/namespaced/cattle-system/upgrade.cattle.io/v1/plans.yaml"),
    *(f"{FLEET}/v1/secrets.yaml", f"{FLEET}/fleet.cattle.io/v1alpha1/bundles.yaml"),
    *(f"{FLEET}/cluster.x-k8s.io/v1beta1/machines.yaml", f"{FLEET}/rke.cattle.io/v1/rkebootstraps.yaml"),
    *(f"{FLEET}/provisioning.cattle.io/v1/clusters.yaml", f"{FLEET}/management.cattle.io/v3/managedcharts.yaml"),
    *("yamls/namespaced/longhorn-system/longhorn.io/v1beta2/volumes.yaml", "logs/kube-system/etcd-n1/etcd.log"),
    *("logs/kube-system/etcd-n1/etcd.log.1", "nodes/n1.zip/n1/configs/oem/90_custom.yaml"),
    *("nodes/n3.zip/n3/configs/etc/rancher/rke2/config.yaml.d/50-rancher.yaml", "nodes/n2.zip/n2/logs/kubelet.log"),
    *("nodes/n2.zip/n2/configs/etc/harvester-release.yaml", "nodes/n1.zip/n1/logs/rancher-system-agent.log"),
])  # fmt: skip
def test_the_layout(place: str, whole: dict[str, bytes]) -> None:
    assert place in whole


def test_every_yaml_is_a_list_that_is_not_empty(whole: dict[str, bytes]) -> None:
    for place, data in whole.items():
        if place.startswith("yamls/") and place.endswith(".yaml"):
            document = yaml.safe_load(data)
            assert (document["apiVersion"], document["kind"]) == ("v1", "List") and document["items"], place


def test_what_the_collector_does_not_read(whole: dict[str, bytes]) -> None:
    assert not [place for place in whole if "bundledeployments" in place or "leases" in place]
    plans = yaml.safe_load(whole[f"{FLEET}/v1/secrets.yaml"])["items"]
    assert {item["type"] for item in plans} == {support.PLAN} and len(plans) == 3
    assert all(set(item["data"]) <= support.PLAN_DATA for item in plans)
    assert [place for place in whole if place.endswith("/secrets.yaml")] == [f"{FLEET}/v1/secrets.yaml"]
    settings = yaml.safe_load(whole["yamls/cluster/harvesterhci.io/v1beta1/settings.yaml"])["items"]
    assert "ssl-certificates" not in {item["metadata"]["name"] for item in settings}


def test_tokens_of_hosts_are_masked_but_where_the_collector_forgets_it(whole: dict[str, bytes]) -> None:
    clear = [place for place, data in whole.items() if "/configs/" in place and b"of-nobody" in data]
    assert clear == [f"nodes/{node}.zip/{node}/configs/oem/90_custom.yaml" for node in ("n1", "n2", "n3")]
    masked = yaml.safe_load(whole["nodes/n2.zip/n2/configs/etc/rancher/rancherd/config.yaml"])
    assert masked == {"role": "agent", "token": "***"}


@pytest.mark.parametrize(("value", "wanted"), [
    ({"a": ""}, {"a": "null"}),
    ({"a": None, "b": 1}, {"a": "null", "b": 1}),
    ({"b": 1, "c": None}, {"b": 1, "c": None}),  # no comma behind it
    ({"a-b": None, "c": 1}, {"a-b": None, "c": 1}),  # not of letters alone
    ({"a": [None, 1]}, {"a": [None, 1]}),
    ({"a": 'is "Provisioning"'}, {"a": 'is "Provisioning"null'}),
    ({"a": '"Provisioning" it is'}, {"a": '"Provisioning" it is'}),
    ({"a": '{"b":null,"c":1}'}, {"a": '{"b":"null","c":1}'}),
])  # fmt: skip
def test_the_collectors_replacements(value: JSON, wanted: JSON) -> None:
    assert support.replaced(value) == wanted


@pytest.mark.parametrize(("number", "text"), [
    *((3, "3"), (0, "0"), (999999, "999999"), (1000000, "1e+06"), (10737418240, "1.073741824e+10")),
    *((-2500000, "-2.5e+06"), (0.5, "0.5"), (True, "true")),
])  # fmt: skip
def test_numbers_are_those_of_go(number: float, text: str) -> None:
    assert support.dumped({"a": number}) == f"a: {text}\n".encode()


def test_without_quirks_and_without_parts(tmp_path: Path) -> None:
    without = ("nodes/n3.zip", "yamls/namespaced/kube-system/*", "logs/*")
    found = opened(support.write(story.story(), tmp_path / "x.zip", quirks=False, without=without))
    assert "nodes/n2.zip" in found and "nodes/n3.zip" not in found
    assert not [place for place in found if place.startswith(("logs/", "yamls/namespaced/kube-system/"))]
    item = next(iter(yaml.safe_load(found[f"{SYSTEM}/harvesterhci.io/v1beta1/upgrades.yaml"])["items"]))
    assert item["spec"]["image"] == ""


def test_the_path_follows_from_the_object(tmp_path: Path) -> None:
    items = [
        {"apiVersion": "networking.k8s.io/v1", "kind": kind, "metadata": {"name": "x", "namespace": "default"}}
        for kind in ("NetworkPolicy", "Ingress")
    ]
    found = opened(support.write(Bundle(support.keyed(items)), tmp_path / "x.zip"))
    folder = "yamls/namespaced/default/networking.k8s.io/v1"
    assert {f"{folder}/networkpolicies.yaml", f"{folder}/ingresses.yaml"} <= set(found)


def test_the_same_is_made_again(tmp_path: Path) -> None:
    paths = [support.write(story.story(), tmp_path / name) for name in "ab"]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert story.variation(7) == story.variation(7) != story.variation(8)


def test_what_a_variation_has_taken_is_gone() -> None:
    kept, gone = story.variation(3)
    words = {what.split()[0] for what in gone}
    assert {"kind", "object", "annotation", "log", "node"} <= words
    for what in gone:
        word, name, *rest = what.split()
        assert not (word == "kind" and name in {key[0] for key in kept.objects})
        assert not (word == "object" and (name, *rest[0].split("/", 1)) in kept.objects)
        assert not (word in ("log", "node") and name in {**kept.logs, **kept.hosts})


SMALL: dict[str, Callable[[Path], Path]] = {
    **bad.ALL,
    "bomb": partial(bad.bomb, size=300 << 20),
    "bomb_within": partial(bad.bomb_within, size=300 << 20),
    "many": partial(bad.many, count=200),
    "huge": partial(bad.huge, size=8 << 20),
    "one_line": partial(bad.one_line, size=4 << 20),
}
REFUSED = {"not_a_zip", "empty", "encrypted", "openshift"}
WHOLE = {"many", "huge", "one_line", "nul", "not_utf8", "longhorn"}
"""Of these nothing has to be said: they are read."""


@pytest.mark.parametrize("name", SMALL)
def test_what_is_bad_is_said(name: str, tmp_path: Path) -> None:
    """Every bad archive is refused, or what could not be read of it is told; nothing escapes."""
    rules = _rules.load()
    folder = tmp_path / "in" / "it"
    folder.mkdir(parents=True)
    path = SMALL[name](folder / "x.zip")
    if name in REFUSED:
        with pytest.raises(RequorumError, match=re.escape(str(path))):
            bundles.read([path])
    else:
        state = bundles.state(bundles.read([path]), rules)
        json.dumps(_diagnose.diagnose(state, rules))
        assert state["source"]["unread"] or name in WHOLE
        assert "root:" not in json.dumps(state)
    assert not [each for each in tmp_path.rglob("*") if "escaped" in each.name]


@pytest.mark.parametrize("name", ["huge", "nul", "not_utf8"])
def test_the_line_behind_it_is_found(name: str, tmp_path: Path) -> None:
    state = bundles.state(bundles.read([SMALL[name](tmp_path / "x.zip")]), _rules.load())
    hits = [hit for hit in state["hits"] if hit["file"] == bad.LOG]
    assert any("lost leader" in line["text"] for hit in hits for line in hit["lines"])


def decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except ValueError:
        return ""


def _logs(bundle: Bundle) -> list[tuple[str, str]]:
    hosts = [(name, text) for files in bundle.hosts.values() for name, text in files.items() if "logs/" in name]
    return [*bundle.logs.items(), *hosts]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    bundle, secrets = leaks.secrets()
    assert len(secrets) == len(set(secrets)) > 100
    path = support.write(bundle, tmp_path / "x.zip")
    texts = "".join(data.decode("utf-8", "replace") for data in [*opened(path).values(), *bundle.raw.values()])
    texts += json.dumps([*bundle.objects.values()])  # YAML folds lines
    texts += "".join(decoded(secret) for secret in secrets)
    assert not [secret for secret in secrets if secret not in texts]
    rules = _rules.load()
    state = bundles.state(bundles.read([path]), rules)
    found = _diagnose.diagnose(state, rules)
    own = tmp_path / "own.zip"
    _bundle.write(str(own), state, [("n1", "etcd", name, text) for name, text in _logs(bundle)])
    with zipfile.ZipFile(own) as archive:
        handed_over = "".join(archive.read(name).decode() for name in archive.namelist())
    assert "lost leader" in handed_over
    for shown in (json.dumps(found), _diagnosis_html.render(found), _diagnosis_junit.render(found), handed_over):
        assert not [secret for secret in secrets if secret in shown]


def test_a_big_one(tmp_path: Path) -> None:
    path = big.write(tmp_path / "x.zip", 3 << 20, part=1 << 20)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        sizes = [archive.getinfo(f"{TOP}/{name}").file_size for name, _size in big.logs(3 << 20, 1 << 20)]
    assert sizes == [1 << 20] * 3 and sum(size for _name, size in big.logs((2 << 30) + 5)) == (2 << 30) + 5
