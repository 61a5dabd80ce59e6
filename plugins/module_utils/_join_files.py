# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""The files by which a host joins a Harvester: config.yaml for a config URL, an iPXE script, GRUB's file of a USB
stick, and a README with the answers for the installer's console."""

from __future__ import annotations

import sys
import typing as t

import yaml

from . import _join_config, _join_wish
from ._versions import numbers

JSON = dict[str, t.Any]
CONFIG, IPXE, USB, README = "config.yaml", "join.ipxe", "harvester.cfg", "README.md"
WHAT = {
    CONFIG: "the installer's answers, with the token",
    IPXE: "boots the installer by PXE",
    USB: "boots the installer from a USB stick without a question",
    README: "what to do at the host",
}
STATIC = (("IPv4 Address", "ip"), ("IPv4 Mask", "subnet_mask"), ("Gateway", "gateway"))
GRUB_SINCE: _join_wish.Version = (1, 3, 0)
"""Since then GRUB of the ISO takes kernel arguments from boot/grub2/harvester.cfg."""


def boot_files(wish: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Addresses of kernel, initrd and root as a release has them beside its ISO."""
    iso = str(wish["iso_url"])
    base = str(wish.get("boot_url") or iso.rpartition("/")[0]).rstrip("/")
    found = _join_config.ISO.search(iso)
    stem, arch = f"{base}/harvester-{_join_config.iso_version(wish)}", (found[2] if found else None) or "amd64"
    return {
        "kernel": f"{stem}-vmlinuz-{arch}",
        "initrd": f"{stem}-initrd-{arch}",
        "root": f"{stem}-rootfs-{arch}.squashfs",
    }


def arguments(wish: t.Mapping[str, t.Any], url: str, *, root: str = "") -> list[str]:
    """For the kernel: PXE with the address of the root, else those that an ISO is given besides its own."""
    pxe = ["ip=dhcp", "net.ifnames=1", "rd.cos.disable", "rd.net.dhcp.retry=3", "rd.noverifyssl", f"root=live:{root}"]
    network = [*pxe, "console=tty1"] if root else ["ip=dhcp", "rd.neednet=1"]
    return [
        *network,
        *([f"console={wish['tty']}"] if wish.get("tty") else []),
        "harvester.install.automatic=true",
        *(["harvester.install.skipchecks=true"] if wish.get("skipchecks") else []),
        f"harvester.install.config_url={url}",
    ]


def files(
    name: str, wish: t.Mapping[str, t.Any], document: JSON, seen: _join_config.Cluster, url: str
) -> dict[str, str]:
    """Name -> text. url: where config.yaml will be; empty where nobody has said so."""
    made = {
        CONFIG: f"# Holds the token of the cluster. Delete it when {name} has joined.\n{_yaml(document)}",
        IPXE: ipxe(name, wish, url),
    }
    if url and numbers(seen.version) >= GRUB_SINCE:
        made[USB] = usb(wish, seen.version, url)
    return {**made, README: readme(name, wish, seen, url, usb_too=USB in made)}


class _Dumper(yaml.SafeDumper):
    """A token such as 1e5 is a text here and a number for the installer's YAML, unless it is quoted."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if text[:1] in "0123456789.+-" else None)


_Dumper.add_representer(str, _text)


def _yaml(document: JSON) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=sys.maxsize)


def ipxe(name: str, wish: t.Mapping[str, t.Any], url: str) -> str:
    """Without an address of the configuration the script asks for it."""
    at = boot_files(wish)
    initrd = at["initrd"].rpartition("/")[2]
    ask = [] if url else [f"echo Address of {name}/{CONFIG}:", "read config-url"]
    words = " ".join(arguments(wish, url or "${config-url}", root=at["root"]))
    lines = ["#!ipxe", f"# {name} is installed anew, without a question", *ask]
    # initrd= is what kernels that UEFI starts need; others do not mind it
    return "\n".join([*lines, f"kernel {at['kernel']} initrd={initrd} {words}", f"initrd {at['initrd']}", "boot", ""])


def usb(wish: t.Mapping[str, t.Any], version: str, url: str) -> str:
    """boot/grub2/harvester.cfg of the ISO, as it is sourced by its grub.cfg."""
    net_install = ["harvester.install.with_net_images=true"] if "-net-install." in str(wish["iso_url"]) else []
    words = " ".join([*net_install, *arguments(wish, url)])
    return f'set harvester_version={version}\nset extra_iso_cmdline="{words}"\n'


def _answers(name: str, wish: t.Mapping[str, t.Any], seen: _join_config.Cluster) -> t.Iterator[tuple[str, str]]:
    """Questions of the installer's console in their order."""
    bond = (wish.get("bond_options") or {}).get("mode", "active-backup")
    nics = [" ".join(_join_wish.interface(each).values()) for each in wish["interfaces"]]
    yield "Mode", "Join an existing Harvester cluster"
    if numbers(seen.version) >= _join_wish.FIELDS["role"].since:
        yield "Role", str(wish.get("role") or "default")
    yield "Installation disk", str(wish["device"])
    yield "Data disk", str(wish.get("data_disk") or "the same")
    yield "HostName", name
    yield "Management NIC", ", ".join(nics)
    yield "VLAN ID", str(wish.get("vlan_id") or "leave empty")
    yield "Bond Mode", str(bond)
    if wish.get("method") == "static":
        yield "IPv4 Method", "Static"
        yield from ((question, str(wish[key])) for question, key in STATIC)
    else:
        yield "IPv4 Method", "Automatic (DHCP)"
    yield "MTU", str(wish.get("mtu") or "leave empty")
    yield "DNS Servers", ",".join(wish.get("dns_nameservers") or ()) or "leave empty"
    yield "NTP Servers", ",".join(wish.get("ntp_servers") or ()) or "the suggested ones"
    yield "Management address", seen.vip
    yield "Cluster token", f"the line `token` of {CONFIG}"
    yield "Password", "one of your choice, for the user rancher"
    yield "HTTP URL of SSH keys", "leave empty, or an address with the keys"


def readme(name: str, wish: t.Mapping[str, t.Any], seen: _join_config.Cluster, url: str, *, usb_too: bool) -> str:
    """What to do at the host."""
    iso = str(wish["iso_url"]).rpartition("/")[2]
    table = "\n".join(f"| {question} | {answer} |" for question, answer in _answers(name, wish, seen))
    said = "\n".join(f"- {note}" for note in _join_config.notes(seen, name, wish))
    where = f"at <{url}>" if url else "at an address of your choice, which the script asks for"
    stick = (
        f"Put `{USB}` into the ISO, write it to a stick and boot it:\n\n```\n"
        f"xorriso -indev {iso} -outdev {name}.iso -boot_image any replay -map {USB} /boot/grub2/{USB}\n"
        f"dd if={name}.iso of=/dev/STICK bs=4M conv=fsync\n```\n\n"
        f"The host needs DHCP in the untagged network of its first NIC, and {CONFIG} {where}."
        if usb_too
        else f"There is no `{USB}`: "
        + ("the ISO's GRUB takes no arguments before v1.3." if url else "it needs the address of the configuration.")
    )
    return f"""# {name} joins Harvester {seen.version} at {seen.vip}

{said}

`{CONFIG}` holds the token of the cluster: whoever reads it can join. Delete this folder when {name} has joined.

## PXE

Boot `{IPXE}`. `{CONFIG}` has to be {where}.

The installer asks for it by http, or by https with a certificate that its ISO trusts. It refuses any other one, and
`rd.noverifyssl` does not change that: it is for the root image alone. Over http everyone on the way can read the token.

## USB stick

{stick}

## ISO and console

Boot {iso} and answer; the order of the questions differs between versions:

| question | answer |
| --- | --- |
{table}

An address at "remote Harvester config" is read twice, when it is typed and when the installation begins; what was typed
wins over what is in it. Leave it empty: every answer is in the table.

## Then

The host reboots and registers by itself. See it come: `kubectl get nodes -w`, `kubectl get machines -n fleet-local`.
`insecure cacerts download ... EOF` in `journalctl -u rancherd` means that the token or the VIP is wrong, `Node password
rejected` that traces of an older {name} are left.
"""
