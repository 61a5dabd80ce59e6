# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files by which hosts join a Harvester: what is refused, what each version's installer is given, what is said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ansible_collections.requorum.cluster.plugins.module_utils import _join_config, _join_files, _join_wish

JSON = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs/join-config.schema.json").read_text())
FIELDS = json.loads((ROOT / "tests/unit/data/harvester-installer-fields.json").read_text())
TOKEN = "Sekret: #1 'quoted'"
MAC = "52:54:00:EC:0E:0B"
WISH: JSON = {
    "interfaces": ["ens5"],
    "device": "/dev/disk/by-id/wwn-0x5000",
    "ssh_authorized_keys": ["ssh-ed25519 AAAA admin"],
    "iso_url": "http://boot/harvester-v1.3.2-amd64.iso",
}
STATIC = {
    "method": "static", "ip": "10.0.0.14", "subnet_mask": "255.255.255.0", "gateway": "10.0.0.1",
    "dns_nameservers": ["10.0.0.2"],
}  # fmt: skip
FULL = {
    **WISH,
    **STATIC,
    "interfaces": ["ens5", MAC, {"name": "ens6", "hwAddr": "52:54:00:ec:0e:0c"}],
    "bond_options": {"mode": "802.3ad", "miimon": 100},
    "mtu": 9000, "vlan_id": 100, "data_disk": "/dev/sdb", "password": "$6$salt$hash",
    "ntp_servers": ["ntp.example.org"],
    "tty": "ttyS1,115200n8",
}  # fmt: skip


def node(name: str, *, manages: bool = True, ready: bool = True, **more: Any) -> JSON:
    """A Node as the API has it."""
    labels = {"node-role.kubernetes.io/control-plane": "true"} if manages else {}
    if "role" in more:
        labels[f"node-role.harvesterhci.io/{more['role']}"] = "true"
    said = {"harvesterhci.io/promote-status": more.get("said", "")}
    kubelet = more.get("kubelet", "v1.28.12+rke2r1")
    addresses = {"InternalIP": more.get("ip", "10.0.0.11"), "Hostname": name}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": said},
        "status": {
            "addresses": [{"type": kind, "address": address} for kind, address in addresses.items()],
            "nodeInfo": {"osImage": more.get("os", "Harvester v1.3.2"), "kubeletVersion": kubelet},
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def seen(version: str = "v1.3.2", **more: Any) -> _join_config.Cluster:
    vip = {"data": {"ip": "10.0.0.10", "mode": "static"}}
    given: JSON = {"setting": {"value": version}, "vip": vip, "nodes": [node("n1")], **more}
    return _join_config.cluster(**given)


def faults(wish: JSON, name: str = "n4", others: JSON | None = None, **cluster: Any) -> list[str]:
    return _join_config.faults(seen(**cluster), [name], {name: wish, **(others or {})})


def iso(version: str) -> JSON:
    return {"iso_url": f"http://boot/harvester-{version}-amd64.iso"}


# What is refused


def test_a_plain_wish_is_right() -> None:
    assert faults(WISH) == [] == faults(FULL)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"vip": "10.0.0.99"}, "vip 10.0.0.99 is not the one of the cluster, 10.0.0.10"),
        ({"vip": "10.0.0"}, "vip is not an IPv4 address: '10.0.0'"),
        ({"vip": "fd00::1"}, "vip is not an IPv4 address"),
        (iso("v1.3.1"), "the ISO is v1.3.1, the cluster is v1.3.2: they must be equal"),
        (iso("v1.3.2-rc1"), "the ISO is v1.3.2-rc1"),
        ({"iso_version": "1.4.0"}, "the ISO is 1.4.0"),
        ({"iso_url": "http://boot/new.iso"}, "does not tell its version"),
        ({"iso_url": ""}, "iso_url is missing"),
        ({"iso_url": "http://boot/harvester-v1.3.2-amd64.iso x=y"}, "iso_url is not an http or https address"),
        ({"boot_url": 'http://boot/"'}, "boot_url is not"),
        ({"device": ""}, "device is missing"),
        ({"device": "sda"}, "device is not the path of a disk"),
        ({"interfaces": []}, "interfaces is missing"),
        ({"interfaces": [{"mac": MAC}]}, "interfaces is not a list of NICs"),
        ({"interfaces": [{}]}, "interfaces is not a list of NICs"),
        ({"ssh_authorized_keys": []}, "neither ssh_authorized_keys nor password"),
        ({"ssh_authorized_keys": "github:me"}, "ssh_authorized_keys is not a list"),
        ({"method": "none"}, "method is not dhcp or static"),
        ({"method": "static"}, "ip is missing, which method static needs"),
        ({**STATIC, "dns_nameservers": None}, "dns_nameservers is missing"),
        ({**STATIC, "subnet_mask": "255.0.255.0"}, "subnet_mask is not a mask"),
        ({**STATIC, "gateway": "10.0.1.1"}, "gateway 10.0.1.1 is not in 10.0.0.0/24"),
        ({**STATIC, "gateway": "10.0.0.14"}, "both ip and gateway"),
        ({**STATIC, "ip": "10.0.0.10"}, "ip 10.0.0.10 is the VIP"),
        ({**STATIC, "ip": "10.0.0.11"}, "ip 10.0.0.11 is that of n1"),
        ({**STATIC, "ip": "10.1.0.14", "gateway": "10.1.0.1"}, "the VIP 10.0.0.10 is not in 10.1.0.0/24"),
        ({"bond_options": {"miimon": 100}}, "bond_options is not a dictionary with mode"),
        ({"bond_options": "802.3ad"}, "bond_options is not"),
        ({"mtu": 9001}, "mtu is not"),
        ({"mtu": True}, "mtu is not"),
        ({"vlan_id": 4095}, "vlan_id is not"),
        ({"role": "master"}, "role is not one of default, management, worker, witness"),
        ({"wipe_disks": "yes"}, "wipe_disks is not"),
        ({"wipe_disks": ["/dev/sdc"]}, "wipe_disks is a list, which Harvester v1.3.2 does not know"),
        ({"disable_password_auth": True}, "has no disable_password_auth, which came with v1.8.0"),
        ({"tty": "ttyS1 init=/bin/sh"}, "tty is not"),
        ({"hostname": "n9"}, "hostname is no field"),
    ],
)
def test_wishes_that_are_refused(change: JSON, why: str) -> None:
    found = faults({**WISH, **change})
    assert any(why in each for each in found), found
    assert all(each.startswith("n4: ") for each in found)


def test_a_password_that_is_refused_is_not_shown() -> None:
    found = faults({**WISH, "password": "secret\nword"})
    assert "password is not" in found[0] and "secret" not in str(found)


@pytest.mark.parametrize(
    ("cluster", "why"),
    [
        ({"vip": None}, "the configmap harvester-system/vip names no address"),
        ({"vip": {"data": {"ip": "vip.example.org"}}}, "names vip.example.org"),
        ({"setting": None}, "server-version is missing"),
        ({"setting": {"value": "master-head"}}, "server-version is master-head"),
        ({"setting": {"value": "v1.1.3"}}, "older than v1.2"),
        ({"nodes": [node("n1", kubelet="v1.27.13+rke2r1")]}, "installs RKE2 v1.28.12, newer than every server's"),
    ],
)
def test_clusters_that_nobody_joins(cluster: JSON, why: str) -> None:
    assert any(why in each for each in faults(WISH, **cluster))


def test_the_default_of_a_setting_counts_where_no_value_is() -> None:
    assert seen(setting={"default": "v1.3.2", "value": ""}).version == "v1.3.2"


@pytest.mark.parametrize(
    ("left", "what"),
    [
        ({"nodes": [node("n1"), node("n4", ip="10.0.0.9")]}, "Node n4"),
        ({"machines": [{"metadata": {"name": "custom-1"}, "status": {"nodeRef": {"name": "n4"}}}]}, "Machine custom-1"),
        ({"longhorn": [{"metadata": {"name": "n4"}}]}, "Longhorn node n4"),
        ({"jobs": [{"metadata": {"name": "harvester-promote-n4"}}]}, "Job harvester-system/harvester-promote-n4"),
        ({"passwords": ["n4"]}, "Secret kube-system/n4.node-password.rke2"),
    ],
)
def test_an_old_name_joins_only_when_its_traces_are_gone(left: JSON, what: str) -> None:
    assert faults(WISH, **left) == [f"n4: the name is in use ({what}): purge what is left of it, or take another name"]
    assert faults(WISH, name="n5", **left) == []


def test_traces_of_others_are_nobody_s() -> None:
    machines = [{"metadata": {"name": "custom-1"}}, {"metadata": {"name": "custom-2"}, "status": {}}]
    assert faults(WISH, name="none", machines=machines, jobs=[{"metadata": {"name": "other"}}]) == []


@pytest.mark.parametrize("name", ["N4", "n_4", "-n", "n" * 64, "n..4"])
def test_names_that_are_no_hostnames(name: str) -> None:
    assert "its name is no hostname" in faults(WISH, name=name)[0]


def test_addresses_are_given_once() -> None:
    other = {**WISH, **STATIC, "interfaces": [{"name": "ens9", "hwAddr": MAC.lower()}]}
    found = faults({**WISH, **STATIC, "interfaces": [MAC]}, others={"n5": other})
    assert found == [
        "n4: 10.0.0.14 is wished for n4 and n5",
        f"n4: {MAC.lower()} is wished for n4 and n5",
    ]
    assert faults(WISH, others={"n5": WISH}) == []


def test_a_host_that_is_not_described() -> None:
    assert _join_config.faults(seen(), ["n9"], {"n4": WISH}) == ["requorum_join has no n9"]


# What each version's installer gets


def known() -> Iterator[tuple[str, set[str]]]:
    fields: set[str] = set()
    for version, change in FIELDS.items():
        fields = (fields | set(change["new"])) - set(change["gone"])
        yield version, fields


KNOWN = dict(known())


def paths(value: Any, before: str = "") -> set[str]:
    """Of a document, in the installer's words."""
    if isinstance(value, dict) and not before.endswith("bond_options"):
        return {path for key, each in value.items() for path in paths(each, f"{before}.{key}" if before else key)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {path for each in value for path in paths(each, before)}
    return {before.replace("hwAddr", "hw_addr")}


def document(wish: JSON, version: str) -> JSON:
    made = _join_wish.document("n4", wish, version=version, vip="10.0.0.10", token=TOKEN)
    jsonschema.validate(made, SCHEMA, format_checker=jsonschema.FormatChecker())
    return made


EXTRAS: dict[str, JSON] = {
    "role": {"role": "management"},
    "skipchecks": {"skipchecks": True},
    "wipe_disks": {"wipe_disks": True},
    "wipe_disks_list": {"wipe_disks": ["/dev/sdc"]},
    "sftp": {"sftp": True},
    "disable_password_auth": {"disable_password_auth": True},
}
NAMES = {
    "role": ["install.role"],
    "skipchecks": ["install.skipchecks"],
    "wipe_disks": ["install.wipe_disks", "install.wipe_all_disks"],
    "wipe_disks_list": ["install.wipe_disks_list"],
    "sftp": ["os.sshd.sftp"],
    "disable_password_auth": ["os.sshd.disable_password_auth"],
}


@pytest.mark.parametrize("version", KNOWN)
def test_a_version_gets_only_fields_that_it_knows(version: str) -> None:
    wish = {**FULL, **iso(version)}
    assert list(_join_wish.complaints(wish, version)) == []
    assert paths(document(wish, version)) <= KNOWN[version]


@pytest.mark.parametrize("version", KNOWN)
@pytest.mark.parametrize("extra", EXTRAS)
def test_what_a_version_does_not_know_is_refused_or_left_out(version: str, extra: str) -> None:
    wish = {**WISH, **iso(version), **EXTRAS[extra]}
    has = [name for name in NAMES[extra] if name in KNOWN[version]]
    refused = bool(list(_join_wish.complaints(wish, version)))
    if extra == "skipchecks":  # where nothing is checked there is nothing to skip
        assert not refused
    else:
        assert refused is not bool(has)
    if not refused:
        added = paths(document(wish, version)) - paths(document({**WISH, **iso(version)}, version))
        assert added == set(has)


def test_what_is_switched_off_is_no_wish() -> None:
    off = {"sftp": False, "wipe_disks": False, "disable_password_auth": False, "role": "default", "vlan_id": 0}
    assert list(_join_wish.complaints({**WISH, **off}, "v1.2.0")) == []
    assert document({**WISH, **off}, "v1.2.0") == document(WISH, "v1.2.0")


def test_the_whole_document() -> None:
    assert document({**FULL, "role": "witness", "skipchecks": True, "sftp": True}, "v1.3.2") == {
        "scheme_version": 1,
        "server_url": "https://10.0.0.10:443",
        "token": TOKEN,
        "os": {
            "hostname": "n4",
            "ssh_authorized_keys": ["ssh-ed25519 AAAA admin"],
            "password": "$6$salt$hash",
            "ntp_servers": ["ntp.example.org"],
            "dns_nameservers": ["10.0.0.2"],
            "sshd": {"sftp": True},
        },
        "install": {
            "mode": "join",
            "automatic": True,
            "role": "witness",
            "skipchecks": True,
            "management_interface": {
                "interfaces": [{"name": "ens5"}, {"hwAddr": MAC}, {"name": "ens6", "hwAddr": "52:54:00:ec:0e:0c"}],
                "method": "static",
                "bond_options": {"mode": "802.3ad", "miimon": 100},
                "mtu": 9000,
                "vlan_id": 100,
                "ip": "10.0.0.14",
                "subnet_mask": "255.255.255.0",
                "gateway": "10.0.0.1",
            },
            "device": "/dev/disk/by-id/wwn-0x5000",
            "data_disk": "/dev/sdb",
            "iso_url": "http://boot/harvester-v1.3.2-amd64.iso",
            "tty": "ttyS1,115200n8",
        },
    }


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("install", "mode"), "create"),
        (("install", "vip"), "10.0.0.10"),
        (("install", "device"), "sda"),
        (("install", "wipe_disks"), False),
        (("install", "management_interface", "interfaces"), []),
        (("install", "management_interface", "ip"), None),
        (("server_url",), "https://10.0.0.10:9345"),
        (("os", "dns_nameservers"), ["10.0.0.300"]),
        (("token",), ""),
        (("extra",), 1),
    ],
)
def test_the_schema_refuses(place: tuple[str, ...], value: Any) -> None:
    made = document(FULL, "v1.3.2")
    at = made
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made, SCHEMA, format_checker=jsonschema.FormatChecker())


# Files


def files(wish: JSON = WISH, version: str = "v1.3.2", url: str = "") -> dict[str, str]:
    wish = {**wish, **({} if "iso_version" in wish else iso(version))}
    return _join_files.files("n4", wish, document(wish, version), seen(version), url)


def test_the_configuration_survives_yaml() -> None:
    made = files(FULL)
    assert yaml.safe_load(made["config.yaml"]) == document({**FULL, **iso("v1.3.2")}, "v1.3.2")
    assert made["config.yaml"].startswith("# Holds the token")
    assert all(TOKEN not in text for name, text in made.items() if name != "config.yaml")
    assert all("$6$salt" not in text for name, text in made.items() if name != "config.yaml")


def test_a_token_that_looks_like_a_number_stays_a_text() -> None:
    made = _join_wish.document("1e5", WISH, version="v1.3.2", vip="10.0.0.10", token="0o17")
    text = _join_files.files("1e5", WISH, made, seen(), "")["config.yaml"]
    assert 'token: "0o17"' in text and 'hostname: "1e5"' in text


def test_the_ipxe_script() -> None:
    made = files({**WISH, "skipchecks": True, "tty": "ttyS1,115200n8"}, url="http://boot/n4/config.yaml")["join.ipxe"]
    assert made.splitlines() == [
        "#!ipxe",
        "# n4 is installed anew, without a question",
        "kernel http://boot/harvester-v1.3.2-vmlinuz-amd64 initrd=harvester-v1.3.2-initrd-amd64 ip=dhcp net.ifnames=1 "
        "rd.cos.disable rd.net.dhcp.retry=3 rd.noverifyssl "
        "root=live:http://boot/harvester-v1.3.2-rootfs-amd64.squashfs console=tty1 console=ttyS1,115200n8 "
        "harvester.install.automatic=true harvester.install.skipchecks=true "
        "harvester.install.config_url=http://boot/n4/config.yaml",
        "initrd http://boot/harvester-v1.3.2-initrd-amd64",
        "boot",
    ]


def test_the_ipxe_script_asks_for_an_address_that_is_not_known() -> None:
    lines = files()["join.ipxe"].splitlines()
    assert lines[3] == "read config-url" and lines[4].endswith("config_url=${config-url}")


def test_boot_files_of_another_place_and_machine() -> None:
    wish = {**WISH, "iso_url": "http://boot/x/harvester-v1.3.2-arm64.iso", "boot_url": "http://fast/"}
    assert _join_files.boot_files(wish)["initrd"] == "http://fast/harvester-v1.3.2-initrd-arm64"
    odd = {**WISH, "iso_url": "http://boot/x/new.iso", "iso_version": "v1.3.2"}
    assert _join_files.boot_files(odd)["kernel"] == "http://boot/x/harvester-v1.3.2-vmlinuz-amd64"


@pytest.mark.parametrize("version", KNOWN)
def test_a_usb_stick_needs_grub_of_1_3_and_an_address(version: str) -> None:
    assert "harvester.cfg" not in files(version=version)
    made = files(version=version, url="http://boot/n4/config.yaml")
    assert ("harvester.cfg" in made) is (version >= "v1.3")
    if "harvester.cfg" in made:
        assert made["harvester.cfg"] == (
            f"set harvester_version={version}\n"
            'set extra_iso_cmdline="ip=dhcp rd.neednet=1 harvester.install.automatic=true '
            'harvester.install.config_url=http://boot/n4/config.yaml"\n'
        )
        assert "xorriso" in made["README.md"]


def test_a_stick_of_the_small_iso_keeps_its_own_argument() -> None:
    wish = {**WISH, "iso_url": "http://boot/harvester-v1.3.2-amd64-net-install.iso"}
    assert _join_config.iso_version(wish) == "v1.3.2"
    assert "with_net_images=true" in _join_files.usb(wish, "v1.3.2", "http://boot/n4/config.yaml")


def test_the_readme_answers_the_console() -> None:
    said = files(FULL)["README.md"]
    for line in ("| HostName | n4 |", "| VLAN ID | 100 |", "| Bond Mode | 802.3ad |", "| IPv4 Address | 10.0.0.14 |",
                 "| Management address | 10.0.0.10 |", f"| Management NIC | ens5, {MAC}, ens6 52:54:00:ec:0e:0c |"):
        assert line in said
    assert "| Role |" in said and "| Role |" not in files(version="v1.2.2")["README.md"]
    assert all(len(line) <= 120 or line.startswith("- ") for line in said.splitlines())


# What is said


def notes(wish: JSON | None = None, **cluster: Any) -> str:
    return "\n".join(_join_config.notes(seen(**cluster), "n4", {**WISH, **(wish or {})}))


@pytest.mark.parametrize(
    ("nodes", "role", "said"),
    [
        ([node("n1")], "default", r"stays one until 3 nodes can manage; with it there are 2.*etcd has 1 member:"),
        ([node("n1")], "management", "stays one until 3 nodes can manage"),
        ([node("n1"), node("n2", manages=False)], "default", "Harvester promotes one after another by itself"),
        ([node("n1"), node("n2", manages=False, ready=False)], "default", "with it there are 2"),
        ([node("n1"), node("n2", manages=False, role="worker")], "default", "with it there are 2"),
        ([node("n1"), node("n2")], "default", "Harvester promotes one after another"),
        ([node("n1"), node("n2")], "worker", "never promoted"),
        ([node("n1"), node("n2"), node("n3")], "default", "stays one: 3 nodes manage already"),
    ],
)
def test_the_three_nodes_rule(nodes: list[JSON], role: str, said: str) -> None:
    assert re.search(said, notes({"role": role}, nodes=nodes))


@pytest.mark.parametrize(
    ("wish", "cluster", "said"),
    [
        ({}, {"nodes": [node("n1", said="failed")]}, "No node is promoted while the promotion of n1 (failed)"),
        ({"role": "witness"}, {"nodes": [node("n1", role="witness")]}, "There is a witness already"),
        ({}, {"nodes": [node("n1", os="Harvester v1.3.1")]}, "not all run the version of the cluster, v1.3.2: n1"),
        ({}, {"nodes": [node("n1", kubelet="v1.28.15+rke2r1")]}, "installs RKE2 v1.28.12, but there are n1 v1.28.15"),
        ({"wipe_disks": True}, {}, "and on all other disks (wipe_disks)"),
        ({"wipe_disks": True}, {"version": "v1.5.0"}, "and on every disk with an older Harvester (wipe_disks)"),
        ({"wipe_disks": ["/dev/sdc"], "data_disk": "/dev/sdb"}, {}, "/dev/sdb of this host is lost, and on /dev/sdc"),
        ({"device": "/dev/sda"}, {}, "change between boots"),
        ({}, {}, "Its address comes from DHCP"),
        ({"vlan_id": 7}, {}, "untagged"),
        ({"skipchecks": True}, {"version": "v1.2.2"}, "skipchecks is left out"),
        ({}, {"version": "v1.9.0"}, "newer than all that Requorum knows"),
    ],
)
def test_notes(wish: JSON, cluster: JSON, said: str) -> None:
    assert said in notes(wish, **cluster)


def test_nothing_is_said_without_a_reason() -> None:
    said = notes(STATIC).splitlines()
    assert len(said) == 2 and said[0].startswith("Everything on") and said[1].startswith("It joins as a worker")
