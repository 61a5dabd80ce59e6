# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""What is wrong with the certificates, kubeconfigs and authorities of a node, and what puts it right.

The authorities in the bootstrap data of the datastore are the cluster's: files on a disk are measured by them, never
the other way round.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from . import _clocks, _tls_files, _x509
from ._tls_files import File

JSON = t.Mapping[str, t.Any]
DAY, CA_DAYS = 86400, 365
"""RKE2 and K3s warn of an authority a year before its end."""


@dataclass(frozen=True)
class Judgement:
    """One file of one node."""

    node: str
    path: str
    """Below the data directory."""
    kind: str
    """ca, leaf, kubeconfig, key or owned."""
    state: str
    """ok, soon, expired, not_yet, foreign (does not chain, is not the datastore's), self_signed, names (lacks some),
    key (does not match), missing or unreadable."""
    why: str
    subject: str
    issuer: str
    ends: int | None
    """Unix seconds."""
    remedy: str
    """Empty; renew (made anew by `certificate rotate` or once it is moved aside); restart (the start writes it anew);
    restore (out of the datastore's bootstrap data); rotate_ca; lost (nothing here brings it back); owner (whoever
    made it renews it)."""
    service: str | None
    """For `certificate rotate --service`; None where the program does not take it along."""


def judge(node: JSON, authorities: JSON | None, *, now: float, days: int) -> tuple[Judgement, ...]:
    """Every file of a node; nothing where it could not be read.

    node: what tls_info returned. authorities: of `_bootstrap.authorities`, None when they are unread.
    now: Unix seconds. days: a leaf that ends within them ends soon.
    """
    if not node.get("files"):
        return ()
    judge_one = _Judge(node, authorities, now, days).judge
    known = _tls_files.files(str(node["distro"]))
    others = {row["path"] for row in node["files"] if row["path"].startswith(_tls_files.CLUSTER)}
    owned = (File(path, "owned") for path in sorted(others - {file.path for file in known}))
    return tuple(judgement for file in (*known, *owned) if (judgement := judge_one(file)))


def common(nodes: t.Iterable[JSON]) -> JSON | None:
    """The newest bootstrap data among servers of one cluster, for `judge`; None when no server has any that opens."""
    found = [node["bootstrap"] for node in nodes if node.get("bootstrap")]
    return max(found, key=lambda bootstrap: int(bootstrap["revision"]))["authorities"] if found else None


def cause(nodes: t.Iterable[JSON]) -> str:
    """The sentence that says that clocks are the cause; empty when they agree. To be asked before anything else."""
    return _clocks.cause({str(n["name"]): float(n["clock_skew"]) for n in nodes if n.get("clock_skew") is not None})


class _Judge:
    def __init__(self, node: JSON, authorities: JSON | None, now: float, days: int) -> None:
        self.node, self.authorities, self.now, self.days = node, authorities, now, days
        self.rows: dict[str, JSON] = {row["path"]: row for row in node["files"]}
        self.version = str(node.get("version") or "")

    def judge(self, file: File) -> Judgement | None:
        server = bool(self.node.get("server"))
        if not server and not file.path.startswith("agent/"):
            return None
        if server and file.path.startswith("agent/") and not self._agent:
            return None
        row = self.rows.get(file.path)
        if row is None and self._may_lack(file):
            return None
        certificate = _certificate(file, str(row["text"] or "") if row else "")
        state, why = "missing", "it is not there"
        if row is not None:
            state, why = getattr(self, f"_{file.kind}")(file, row, certificate)
        own = file.serves and not _tls_files.signs_components(self.version)
        return Judgement(
            node=str(self.node["name"]),
            path=file.path,
            kind=file.kind,
            state=state,
            why=why,
            subject=certificate.subject if certificate else "",
            issuer=certificate.issuer if certificate else "",
            ends=certificate.ends if certificate else None,
            remedy=self._remedy(file, state),
            service=None if own else file.service,
        )

    @property
    def _agent(self) -> bool:
        """Whether this server runs an agent too (K3s may not)."""
        return any(path.startswith("agent/") for path in self.rows)

    def _may_lack(self, file: File) -> bool:
        return file.optional and not (file.path in _tls_files.ENCRYPTION and file.path in (self.authorities or {}))

    def _authority(self, path: str) -> _x509.Certificate | None:
        """The cluster's authority; the one on this disk where the bootstrap data are unread."""
        known = (self.authorities or {}).get(path)
        here = self.rows.get(path) or self.rows.get(path.replace(_tls_files.TLS, "agent/")) or {}
        return _x509.first(known["text"] if known else here.get("text"))

    def _unsigned(self, certificate: _x509.Certificate, path: str) -> str:
        """Why it does not chain; empty when it does."""
        authority = self._authority(path)
        if authority is None:
            return f"nothing proves who signed it: {path} is missing or unreadable"
        return "" if certificate.signed_by(authority) else f"{path} has not signed it"

    def _times(self, certificate: _x509.Certificate, days: int) -> tuple[str, str]:
        left = (certificate.ends - self.now) / DAY
        if left < 0:
            return "expired", f"it ended {_days(-left)} ago"
        if certificate.starts > self.now + _clocks.SKEW_S:
            return "not_yet", f"it is valid in {_days((certificate.starts - self.now) / DAY)}: a clock was wrong"
        return ("soon", f"it ends in {_days(left)}") if left < days else ("ok", f"it ends in {_days(left)}")

    def _ca(self, file: File, row: JSON, certificate: _x509.Certificate | None) -> tuple[str, str]:
        if certificate is None:
            return "unreadable", "it is no certificate"
        if file.signer:  # a copy
            original = self._authority(file.signer)
            if original and original.sha256 != certificate.sha256:
                return "foreign", f"it is another certificate than {file.signer}"
            return "ok", ""
        known = (self.authorities or {}).get(file.path)
        if known and known["sha256"] != row["sha256"]:
            return "foreign", "the datastore has another one"
        if row.get("key_id") and row["key_id"] != certificate.key_id:
            return "key", "its key does not belong to it"
        return self._times(certificate, max(self.days, CA_DAYS))

    def _key(self, file: File, row: JSON, _certificate: object) -> tuple[str, str]:
        known = (self.authorities or {}).get(file.path)
        if known and known["sha256"] != row["sha256"]:
            return "foreign", "the datastore has another one"
        return "ok", ""

    def _leaf(self, file: File, row: JSON, certificate: _x509.Certificate | None) -> tuple[str, str]:
        if certificate is None:
            return "unreadable", "it is no certificate"
        if row.get("key_id") == "":
            return "key", "its key is missing"
        if row.get("key_id") and row["key_id"] != certificate.key_id:
            return "key", "its key does not belong to it"
        times = self._times(certificate, self.days)
        if unsigned := self._unsigned(certificate, file.signer):
            if file.serves and "localhost" in certificate.subject:
                if not _tls_files.signs_components(self.version):
                    return times
                return "self_signed", f"the component signed it by itself; {file.signer} should have"
            return "foreign", unsigned
        lacking = sorted(self._names(file.names) - certificate.names)
        if lacking and times[0] in ("ok", "soon"):
            return "names", f"it lacks {', '.join(lacking)}"
        window = _tls_files.renewal_days(self.version)
        if times[0] == "soon" and certificate.ends - self.now < window * DAY and not file.anew:
            return "soon", f"{times[1]}; any start renews it, from {window} days on"
        return times

    def _owned(self, _file: File, _row: JSON, certificate: _x509.Certificate | None) -> tuple[str, str]:
        return self._times(certificate, self.days) if certificate else ("unreadable", "it is no certificate")

    def _names(self, whose: str) -> set[str]:
        about = self.node.get("names") or {}
        named = [about.get("node_name"), about.get("address")] if whose in ("node", "server") else []
        sans = about.get("sans") or () if whose == "server" else ()
        return {str(name) for name in (*named, *sans) if name} | ({"127.0.0.1", "localhost"} if whose else set())

    def _kubeconfig(self, file: File, row: JSON, certificate: _x509.Certificate | None) -> tuple[str, str]:
        said = _x509.kubeconfig(row["text"] or "")
        if said.client_file:
            wanted = f"{str(self.node['data_dir']).rstrip('/')}/{file.signer}"
            other = "" if said.client_file == wanted else f"it names {said.client_file}, not {wanted}"
            return "foreign" if other else "ok", other
        if certificate is None:
            return "unreadable", "it holds no client certificate"
        if unsigned := self._unsigned(certificate, file.signer):
            return "foreign", unsigned
        trusted, cluster = _x509.first(said.authority), self._authority(f"{_tls_files.TLS}server-ca.crt")
        if cluster and (trusted is None or trusted.sha256 != cluster.sha256):
            return "foreign", "it trusts another authority than server-ca.crt"
        return self._times(certificate, self.days)

    def _remedy(self, file: File, state: str) -> str:
        if state == "ok":
            return ""
        if file.anew:
            return "restart"
        if file.kind == "owned":
            return "owner"
        if file.kind in ("ca", "key"):
            if state in ("soon", "expired"):
                return "rotate_ca"
            if state == "not_yet":
                return ""
            return "lost" if self.authorities is not None and file.path not in self.authorities else "restore"
        return "restart" if file.kind == "leaf" and state == "missing" else "renew"


def _certificate(file: File, text: str) -> _x509.Certificate | None:
    """The one that is judged; of authorities that are trusted side by side, the one that ends last."""
    if file.kind == "owned":
        return max(_x509.certificates(text), key=lambda found: found.ends, default=None)
    return _x509.first(_x509.kubeconfig(text).client if file.kind == "kubeconfig" else text)


def _days(count: float) -> str:
    whole = round(count)
    return f"{count * 24:.1f} hours" if whole < 2 else f"{whole} days"
