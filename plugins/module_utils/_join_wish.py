# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What is wished for a node that joins: which fields there are, since which Harvester, and what they may hold.

The rules are those of the installer (its pkg/console/validator.go and pkg/config/config.go): what passes here is not
refused on the console of a host that somebody has to walk to.
"""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ._versions import numbers

JSON = dict[str, t.Any]
Version = tuple[int, int, int]
MODES = ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
ROLES = ("default", "management", "worker", "witness")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.IGNORECASE)
NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,14}")
HOSTNAME = re.compile(r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
TOKEN = re.compile(r"[ -~]+")
URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@!&*+,;=%\[\]-]+")
"""What goes unharmed through an iPXE script, GRUB and a kernel command line."""
WIPE_LIST: Version = (1, 5, 0)
"""Since then disks can be wiped by name."""


class Field(t.NamedTuple):
    """One thing that can be wished."""

    fits: t.Callable[[t.Any], bool]
    shape: str
    since: Version = (0, 0, 0)


def is_address(value: t.Any) -> bool:
    """An IPv4 address; the installer takes no other."""
    try:
        return isinstance(value, str) and bool(ipaddress.IPv4Address(value))
    except ValueError:
        return False


def _mask(value: t.Any) -> bool:
    try:
        return is_address(value) and bool(ipaddress.IPv4Network(f"0.0.0.0/{value}"))
    except ValueError:
        return False


def _text(value: t.Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _device(value: t.Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"/dev/[A-Za-z0-9/._:+-]+", value) is not None


def _texts(value: t.Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_text, value))


def _flag(value: t.Any) -> bool:
    return isinstance(value, bool)


def _number(low: int, high: int) -> t.Callable[[t.Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and (value == 0 or low <= value <= high)


def _interfaces(value: t.Any) -> bool:
    return isinstance(value, list) and bool(value) and all(interface(each) for each in value)


def _bond(value: t.Any) -> bool:
    plain = isinstance(value, dict) and all(isinstance(each, str | int) for each in (*value, *value.values()))
    return plain and value.get("mode") in MODES


def interface(value: t.Any) -> JSON:
    """A NIC as the installer wants it, from its name, its MAC address or both; empty for anything else."""
    given = value if isinstance(value, dict) else {"hwAddr" if MAC.fullmatch(str(value)) else "name": value}
    fits = {"name": NAME, "hwAddr": MAC}
    good = bool(given) and all(key in fits and fits[key].fullmatch(str(each)) for key, each in given.items())
    return {key: str(each) for key, each in given.items()} if good else {}


FIELDS: dict[str, Field] = {
    "interfaces": Field(_interfaces, "a list of NICs: names, MAC addresses, or {name, hwAddr}"),
    "method": Field(lambda value: value in ("dhcp", "static"), "dhcp or static"),
    "ip": Field(is_address, "an IPv4 address"),
    "subnet_mask": Field(_mask, "a mask such as 255.255.255.0"),
    "gateway": Field(is_address, "an IPv4 address"),
    "bond_options": Field(_bond, f"a dictionary with mode, one of {', '.join(MODES)}"),
    "mtu": Field(_number(576, 9000), "0 or a number from 576 to 9000"),
    "vlan_id": Field(_number(1, 4094), "a number from 0 to 4094"),
    "device": Field(_device, "the path of a disk below /dev"),
    "data_disk": Field(_device, "the path of a disk below /dev"),
    "wipe_disks": Field(
        lambda value: _flag(value) or (isinstance(value, list) and bool(value) and all(map(_device, value))),
        "yes, no or a list of disks",
        (1, 2, 2),
    ),
    "role": Field(lambda value: value in ROLES, f"one of {', '.join(ROLES)}", (1, 3, 0)),
    "skipchecks": Field(_flag, "yes or no"),  # a version without checks has none to skip: left out there
    "ntp_servers": Field(_texts, "a list of names or addresses"),
    "dns_nameservers": Field(
        lambda value: isinstance(value, list) and bool(value) and all(map(is_address, value)),
        "a list of IPv4 addresses",
    ),
    "ssh_authorized_keys": Field(_texts, "a list of public keys, or github:user"),
    "password": Field(_text, "a password or, better, its hash"),
    "sftp": Field(_flag, "yes or no", (1, 2, 2)),
    "disable_password_auth": Field(_flag, "yes or no", (1, 8, 0)),
    "iso_url": Field(lambda value: isinstance(value, str) and bool(URL.fullmatch(value)), "an http or https address"),
    "iso_version": Field(lambda value: isinstance(value, str) and numbers(value) != (0, 0, 0), "a version"),
    "boot_url": Field(lambda value: isinstance(value, str) and bool(URL.fullmatch(value)), "an http or https address"),
    "tty": Field(lambda value: isinstance(value, str) and bool(re.fullmatch(r"tty[\w,]+", value)), "as ttyS1,115200n8"),
    "vip": Field(is_address, "an IPv4 address"),
}
CHECKS_SINCE: Version = (1, 3, 0)


def complaints(wish: t.Mapping[str, t.Any], version: str) -> t.Iterator[str]:
    """What is wrong with a wish by itself, on a cluster of this version."""
    known = numbers(version)
    for key, value in wish.items():
        field = FIELDS.get(key)
        if field is None:
            yield f"{key} is no field; there are {', '.join(FIELDS)}"
        elif not field.fits(value):
            yield f"{key} is not {field.shape}" + ("" if key == "password" else f": {value!r}")
        elif field.since > known and value not in (False, "default"):
            yield f"Harvester {version} has no {key}, which came with v{_dotted(field.since)}"
    if isinstance(wish.get("wipe_disks"), list) and known < WIPE_LIST:
        yield f"wipe_disks is a list, which Harvester {version} does not know: it wipes all disks or none"
    for key in ("interfaces", "device", "iso_url"):
        if not wish.get(key):
            yield f"{key} is missing: {FIELDS[key].shape}"
    if not wish.get("ssh_authorized_keys") and not wish.get("password"):
        yield "neither ssh_authorized_keys nor password is given, and the installer asks for one of them"
    if wish.get("method") == "static":
        yield from _static(wish)


def _static(wish: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    needed = ("ip", "subnet_mask", "gateway", "dns_nameservers")
    yield from (f"{key} is missing, which method static needs" for key in needed if not wish.get(key))
    network = subnet(wish)
    gateway = wish.get("gateway")
    if network and is_address(gateway):
        if ipaddress.IPv4Address(str(gateway)) not in network:
            yield f"gateway {gateway} is not in {network}"
        if gateway == wish["ip"]:
            yield f"{gateway} is both ip and gateway"


def subnet(wish: t.Mapping[str, t.Any]) -> ipaddress.IPv4Network | None:
    """Of a static address."""
    if wish.get("method") != "static" or not is_address(wish.get("ip")) or not _mask(wish.get("subnet_mask")):
        return None
    return ipaddress.IPv4Network(f"{wish['ip']}/{wish['subnet_mask']}", strict=False)


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))


def document(name: str, wish: t.Mapping[str, t.Any], *, version: str, vip: str, token: str) -> JSON:
    """The installer's config.yaml of a node that joins; the wish has no complaints."""
    known = numbers(version)
    wipe = wish.get("wipe_disks")
    if isinstance(wipe, list):
        wiping: JSON = {"wipe_disks_list": wipe}
    else:
        wiping = {"wipe_all_disks" if known >= WIPE_LIST else "wipe_disks": True} if wipe else {}
    sshd = {key: True for key in ("sftp", "disable_password_auth") if wish.get(key)}
    network: JSON = {
        "interfaces": [interface(each) for each in wish["interfaces"]],
        "method": wish.get("method", "dhcp"),
        # said, because the mode that the installer takes by itself has changed between versions
        "bond_options": wish.get("bond_options") or {"mode": "active-backup", "miimon": 100},
        **_given(wish, "mtu", "vlan_id"),
    }
    if network["method"] == "static":
        network |= _given(wish, "ip", "subnet_mask", "gateway")
    return {
        "scheme_version": 1,
        "server_url": f"https://{vip}:443",
        "token": token,
        "os": {
            "hostname": name,
            **_given(wish, "ssh_authorized_keys", "password", "ntp_servers", "dns_nameservers"),
            **({"sshd": sshd} if sshd else {}),
        },
        "install": {
            "mode": "join",
            "automatic": True,
            **(_given(wish, "role") if known >= FIELDS["role"].since else {}),
            **(_given(wish, "skipchecks") if known >= CHECKS_SINCE else {}),
            "management_interface": network,
            **_given(wish, "device", "data_disk"),
            **wiping,
            **_given(wish, "iso_url", "tty"),
        },
    }


def _given(wish: t.Mapping[str, t.Any], *keys: str) -> JSON:
    return {key: wish[key] for key in keys if wish.get(key)}
