# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Which token at hand opens the datastore, which host has another one, whose node password is not the stored one.

Only hashes come here: first 12 hex digits of sha256(password), which is the name of the bootstrap key that it opens.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import typing as t
from base64 import b64decode
from dataclasses import dataclass

from . import _bootstrap, _x509

JSON = dict[str, t.Any]
_STORED = re.compile(r"\$1:([0-9a-f]+):(\d+):(\d+):(\d+):([A-Za-z0-9+/]+=*)")


WHERE = ("server", "controller", "agent", "datastore")
"""The best place first: BACKUP copies what servers have; datastore is Rancher's Secret in it."""


@dataclass(frozen=True)
class Row:
    """A token at hand and where it lies."""

    node: str
    """Empty for the controller."""
    place: str
    key: str
    form: str
    """full (with the hash of the CA) or short."""
    opens: bool | None
    """The datastore. None for the token of agents, which opens none, and while no datastore was read."""
    authority: str
    """Whether the hash of the CA in it is `right` or `wrong`; empty where it has none or nothing is known."""
    where: str = "server"
    """One of WHERE."""

    @property
    def name(self) -> str:
        """Host and place."""
        return f"{self.node or 'controller'}, {self.place}"


@dataclass(frozen=True)
class Verdict:
    """What is true of the tokens of a cluster."""

    keys: tuple[str, ...]
    """Names of the bootstrap keys in the datastore."""
    rows: tuple[Row, ...]
    wrong: tuple[str, ...] = ()
    """Servers whose next start fails, or has failed: another token, or cred/passwd of another one."""
    strangers: tuple[str, ...] = ()
    """Agents whose token no server has."""
    refused: tuple[str, ...] = ()
    """Hosts whose node password is not the one that is stored."""

    @property
    def opener(self) -> Row | None:
        """A token at hand that opens the datastore, the best place first."""
        return next((row for row in sorted(self.rows, key=lambda r: (WHERE.index(r.where), r.form)) if row.opens), None)


def parse(name: str, out: str) -> JSON:
    """What sh/tokens.sh says, as returned by token_info; `keys` is null where no datastore was read."""
    found: JSON = {"name": name, "tokens": [], "passwords": {}, "keys": None, "offsets": []}
    found |= dict.fromkeys(("said", "db", "cred", "idle"), "")
    for line in out.splitlines():
        kind, _, text = line.partition("=")
        if kind == "token":
            key, form, user, authority, place = text.split(" ", 4)
            found["tokens"].append(
                {"key": key, "form": form, "user": user, "authority": authority.strip("-"), "place": place}
            )
        elif kind == "password" and " " in text:
            node, stored = text.split(" ", 1)
            found["passwords"][node] = stored
        elif kind == "keys":
            found["keys"] = _listed(text)
        elif kind == "at":
            offset, _, key = text.partition(":")
            found["offsets"].append((int(offset), key.removeprefix("/bootstrap/")))
        elif kind == "authority":
            found["authority"] = _x509.pin(b64decode(text))
        elif kind in ("node", "unit", "agent", "said", "db", "cred", "idle", "in-force"):
            found[kind.replace("-", "_")] = text
    found["in_force"], _, found["source"] = str(found.get("in_force") or "").partition(" ")
    return found


def _listed(text: str) -> list[str] | None:
    """Names of the bootstrap keys in an answer of etcd's gateway."""
    try:
        keys = [b64decode(pair["key"]).decode() for pair in json.loads(text).get("kvs") or ()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return sorted(key.removeprefix("/bootstrap/") for key in keys)


def judge(
    hosts: t.Sequence[t.Mapping[str, t.Any]],
    kept: t.Iterable[t.Mapping[str, str]] = (),
    refused: t.Iterable[str] = (),
    keys: t.Sequence[str] | None = None,
) -> Verdict:
    """hosts: what token_info returned. kept: tokens on the controller, with `key`, `form`, `authority`, `place`.

    keys: of a snapshot, where that is what the token has to open.
    """
    live = [host for host in hosts if host.get("keys") and host.get("live")]
    read = live or [host for host in hosts if host.get("keys")]
    keys = tuple(sorted({key for host in read for key in host["keys"]} if keys is None else keys))
    authorities = {host["authority"] for host in read if host.get("authority")}
    agent_keys = {token["key"] for host in hosts for token in host.get("tokens") or () if _for_agents(token)}
    rows = [_row(host, token, keys, authorities) for host in hosts for token in host.get("tokens") or ()]
    rows += [_row({"name": ""}, token, keys, authorities) for token in kept]
    servers = [host for host in hosts if host.get("server")]
    others = [host for host in hosts if not host.get("server")]
    return Verdict(
        keys,
        tuple(rows),
        wrong=tuple(host["name"] for host in servers if keys and _fails(host, keys)),
        strangers=tuple(
            host["name"]
            for host in others
            if keys and host.get("in_force") and host["in_force"] not in {*keys, *agent_keys}
        ),
        refused=tuple(refused),
    )


def _row(
    host: t.Mapping[str, t.Any], token: t.Mapping[str, t.Any], keys: t.Collection[str], authorities: t.Collection[str]
) -> Row:
    known = token["authority"] and authorities
    where = "controller" if not host["name"] else "server" if host.get("server") else "agent"
    return Row(
        host["name"],
        token["place"],
        token["key"],
        token["form"],
        None if _for_agents(token) or not keys else token["key"] in keys,
        "" if not known else "right" if token["authority"] in authorities else "wrong",
        "datastore" if token["place"].startswith("Secret ") else where,
    )


def _for_agents(token: t.Mapping[str, t.Any]) -> bool:
    return "agent-token" in token["place"] or "agentToken" in token["place"] or token.get("user") == "node"


def _fails(host: t.Mapping[str, t.Any], keys: t.Collection[str]) -> bool:
    """A start fails with another token; with the right one too, while cred/passwd is newer and of another.

    A server that runs takes a passwd that is older than the datastore's from there when it starts: that is no fault.
    """
    passwd = next((t["key"] for t in host.get("tokens") or () if t["place"].endswith("/cred/passwd")), "")
    stuck = bool(passwd) and passwd not in keys and host.get("unit") != "active"
    return bool(host.get("in_force")) and (host["in_force"] not in keys or stuck)


def accepts(stored: str, password: str) -> bool | None:
    """Whether a node password is the one of `$1:salt:log2 n:r:p:hash`; None when that form is not known."""
    match = _STORED.fullmatch(stored.strip())
    if not match:
        return None
    salt, power, r, p, wanted = match[1], int(match[2]), int(match[3]), int(match[4]), b64decode(match[5] + "==")
    if power > 20 or r > 32 or p > 16:
        return None
    made = hashlib.scrypt(
        password.encode(), salt=bytes.fromhex(salt), n=1 << power, r=r, p=p, dklen=len(wanted), maxmem=256 << 20
    )
    return hmac.compare_digest(made, wanted)


def table(seen: Verdict) -> list[str]:
    """For people, 1 line a token, then what is wrong and what to do."""
    said = {True: "opens the datastore", False: "opens it not", None: "-"}
    widths = [max((len(word) for word in column), default=0) for column in zip(*map(_words, seen.rows), strict=True)]
    lines = [f"Bootstrap keys in the datastore: {', '.join(seen.keys) or 'none was read'}"]
    for row in seen.rows:
        words = [word.ljust(width) for word, width in zip(_words(row), widths, strict=True)]
        ca = f", CA hash {row.authority}" if row.authority else ""
        lines.append(f"{'  '.join(words)}  {said[row.opens]}{ca}")
    return [*lines, *problems(seen)]


def _words(row: Row) -> tuple[str, str, str, str]:
    return row.key, row.form, row.node or "controller", row.place


def problems(seen: Verdict) -> list[str]:
    """Sentences: what is wrong, where, what next."""
    found = []
    if len(seen.keys) > 1:
        found.append(str(_bootstrap.advice(seen.keys)))
    if seen.keys and not seen.opener:
        found.append(
            f"No token at hand opens the datastore (its key is {', '.join(seen.keys)}). Look for an older backup, a "
            "password store or another server's files, and name the file by requorum_token_file."
        )
    if seen.wrong and seen.opener:
        found.append(
            f"{', '.join(seen.wrong)}: the next start fails, or has failed: token or cred/passwd is not the "
            f"datastore's. The right one: {seen.opener.name}. "
            "playbooks/tokens.yml puts it into place."
        )
    for name in seen.strangers:
        found.append(f"{name}: no server has its token. Write the token of the servers, or their agent-token, there.")
    for name in seen.refused:
        found.append(f"{name}: its node password is not the stored one; a join is refused. playbooks/tokens.yml helps.")
    for row in seen.rows:
        if row.authority == "wrong" and row.node:
            found.append(f"{row.node}: the CA hash in the token of {row.place} is not that of the cluster's CA.")
    return found
