# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which a certificate can be wrong, its judgement and its remedy; sets of them at random."""

from __future__ import annotations

import base64
import hashlib
import re
import tarfile
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.requorum.cluster.plugins.module_utils import (
    _bbolt,
    _bootstrap,
    _bootstrap_find,
    _tls,
    _tls_files,
    _tls_words,
    _x509,
)
from tests.unit import certs
from tests.unit.certs import DAY, NOW, Node
from tests.unit.datastores import DATA, unpacked

TLS = "server/tls/"
ADMIN, SERVING, SERVER_CA = f"{TLS}client-admin.crt", f"{TLS}serving-kube-apiserver.crt", f"{TLS}server-ca.crt"
SCHEDULER = f"{TLS}kube-scheduler/kube-scheduler.crt"
KUBELET = "agent/client-kubelet.crt"
OLD = "v1.28.12+rke2r1"


def theirs() -> certs.Authorities:
    return certs.authorities("theirs")


def judged(node: Node, known: bool = True, *, days: int = 30, **other: Any) -> dict[str, _tls.Judgement]:
    """By path, with the authorities of our cluster in the datastore."""
    authorities = certs.bootstrap(certs.authorities()) if known else None
    found = _tls.judge(node.document(**other), authorities, now=NOW, days=days)
    return {judgement.path: judgement for judgement in found}


def wrong(found: dict[str, _tls.Judgement]) -> dict[str, tuple[str, str, str | None]]:
    return {j.path: (j.state, j.remedy, j.service) for j in found.values() if j.state != "ok"}


@pytest.mark.parametrize("distro", ["rke2", "k3s"])
@pytest.mark.parametrize("server", [True, False])
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("keys", [True, False])
def test_a_right_set_is_right(distro: str, server: bool, known: bool, keys: bool) -> None:
    found = judged(Node(distro=distro, server=server), known, keys=keys)
    assert wrong(found) == {} and len(found) == (46 if server else 9)
    assert {j.remedy for j in found.values()} == {""}
    assert server == any(path.startswith("server/") for path in found)


def test_a_node_that_could_not_be_read_is_not_judged() -> None:
    assert _tls.judge({"name": "r1", "error": "no answer", "files": []}, None, now=NOW, days=30) == ()


def rename(node: Node) -> None:
    """The address changes under a node."""
    node.address = "10.0.0.99"


def swap(path: str) -> Callable[[Node], None]:
    def act(node: Node) -> None:
        node.keys[path] = node.keys[ADMIN if path != ADMIN else SERVING]

    return act


def put(path: str, content: bytes = b"") -> Callable[[Node], None]:
    def act(node: Node) -> None:
        node.files[path] = content or theirs()[path].pem

    return act


def lose(path: str) -> Callable[[Node], None]:
    def act(node: Node) -> None:
        del node.files[path]

    return act


def issue(path: str, **how: Any) -> Callable[[Node], None]:
    def act(node: Node) -> None:
        node.issue(path, **{key: value() if callable(value) else value for key, value in how.items()})

    return act


DYNAMIC, SECRET = _tls_files.DYNAMIC, "secret/kube-system/rke2-serving"
CASES: list[tuple[str, Callable[[Node], None], str, tuple[str, str, str | None]]] = [
    ("a leaf has ended", issue(ADMIN, ends=-1), ADMIN, ("expired", "renew", "admin")),
    ("a leaf ends soon", issue(ADMIN, ends=29), ADMIN, ("soon", "renew", "admin")),
    ("a leaf is not valid yet", issue(ADMIN, starts=1), ADMIN, ("not_yet", "renew", "admin")),
    ("a leaf is another cluster's", issue(ADMIN, cas=theirs), ADMIN, ("foreign", "renew", "admin")),
    ("a leaf is gone", lose(ADMIN), ADMIN, ("missing", "restart", "admin")),
    ("a leaf is empty", put(ADMIN, b"\n"), ADMIN, ("unreadable", "renew", "admin")),
    ("a leaf is cut off", put(ADMIN, b"-----BEGIN CERTIFICATE-----\nMIIB"), ADMIN, ("unreadable", "renew", "admin")),
    ("a key is another one's", swap(SERVING), SERVING, ("key", "renew", "api-server")),
    ("the front proxy's has ended", issue(f"{TLS}client-auth-proxy.crt", ends=-1), f"{TLS}client-auth-proxy.crt",
     ("expired", "renew", "auth-proxy")),
    ("the supervisor's own has ended", issue(DYNAMIC, ends=-20), DYNAMIC, ("expired", "renew", "rke2-server")),
    ("the supervisor's in the cluster too", issue(SECRET, ends=-20), SECRET, ("expired", "renew", "rke2-server")),
    ("the address changed: API", rename, SERVING, ("names", "renew", "api-server")),
    ("the address changed: etcd", rename, f"{TLS}etcd/peer-server-client.crt", ("names", "renew", "etcd")),
    ("the address changed: kubelet", rename, "agent/serving-kubelet.crt", ("names", "restart", "kubelet")),
    ("an agent's leaf has ended", issue(KUBELET, ends=-1), KUBELET, ("expired", "restart", "kubelet")),
    ("an agent's leaf is another cluster's", issue(KUBELET, cas=theirs), KUBELET, ("foreign", "restart", "kubelet")),
    ("an agent's copy of an authority", put("agent/server-ca.crt", b"x"), "agent/server-ca.crt",
     ("unreadable", "restart", None)),
    ("another authority on disk", put(SERVER_CA), SERVER_CA, ("foreign", "restore", None)),
    ("an authority is gone", lose(SERVER_CA), SERVER_CA, ("missing", "restore", None)),
    ("an authority is no certificate", put(SERVER_CA, b"x"), SERVER_CA, ("unreadable", "restore", None)),
    ("the copy without chain", put(f"{TLS}server-ca.nochain.crt", b"x"), f"{TLS}server-ca.nochain.crt",
     ("unreadable", "restart", None)),
    ("another key of an authority", put(f"{TLS}client-ca.key", b"x"), f"{TLS}client-ca.key",
     ("foreign", "restore", None)),
    ("service.key is lost", lose(f"{TLS}service.key"), f"{TLS}service.key", ("missing", "restore", None)),
    ("service.key was made anew", put(f"{TLS}service.key", b"new"), f"{TLS}service.key", ("foreign", "restore", None)),
    ("passwd is lost", lose("server/cred/passwd"), "server/cred/passwd", ("missing", "restore", None)),
    ("a kubeconfig is lost", lose("server/cred/scheduler.kubeconfig"), "server/cred/scheduler.kubeconfig",
     ("missing", "renew", "scheduler")),
    ("a kubeconfig of another folder", put("server/cred/admin.kubeconfig", b"  client-certificate: /old/x.crt\n"),
     "server/cred/admin.kubeconfig", ("foreign", "renew", "admin")),
    ("a kubelet's kubeconfig is lost", lose("agent/kubelet.kubeconfig"), "agent/kubelet.kubeconfig",
     ("missing", "restart", "kubelet")),
]  # fmt: skip


@pytest.mark.parametrize(("change", "path", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_one_file_is_wrong(change: Callable[[Node], None], path: str, expected: tuple[str, str, str | None]) -> None:
    node = Node()
    change(node)
    found = judged(node)
    assert wrong(found)[path] == expected
    others = {judgement.state for other, judgement in found.items() if other != path}
    assert others <= ({"ok", "names"} if change is rename else {"ok"}), wrong(found)


@pytest.mark.parametrize(("change", "path", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_without_bootstrap_data_a_leaf_is_measured_by_the_disk(
    change: Callable[[Node], None], path: str, expected: tuple[str, str, str | None]
) -> None:
    node = Node()
    change(node)
    found = wrong(judged(node, known=False))
    # What only a comparison shows is not seen.
    compared = expected[0] == "foreign" and (node.table[path].kind == "key" or path == SERVER_CA)
    assert compared or found[path] == expected


def test_a_kubeconfig_with_old_certificates_is_written_anew_by_a_start() -> None:
    path, node = "/etc/rancher/rke2/rke2.yaml", Node()
    for change, state in ((issue(ADMIN, ends=-1), "expired"), (issue(ADMIN, cas=theirs), "foreign")):
        change(node)
        node.files[path] = node.kubeconfig(node.table[path])
        node.issue(ADMIN)
        assert wrong(judged(node)) == {path: (state, "restart", "admin")}
    node.files[path] = b"clusters: []\n"
    assert wrong(judged(node)) == {path: ("unreadable", "restart", "admin")}
    del node.files[path]
    assert wrong(judged(node)) == {}


def test_the_datastore_decides_whose_authorities_are_right() -> None:
    """A server that made authorities of its own, and leaves under them: its files go, those of the datastore come."""
    found = judged(Node(cas=theirs()))
    for path in _tls_files.AUTHORITIES:
        assert (found[path].state, found[path].remedy) == ("foreign", "restore")
    leaves = [j for j in found.values() if j.kind == "leaf"]
    assert {j.state for j in leaves} == {"foreign"} and {j.remedy for j in leaves} == {"renew", "restart"}


def test_leaves_of_the_cluster_stay_beside_a_foreign_authority() -> None:
    node = Node()
    for path in _tls_files.AUTHORITIES:
        node.files[path] = theirs()[path].pem
    found = judged(node)
    assert {j.path for j in found.values() if j.state != "ok"} == set(_tls_files.AUTHORITIES)
    assert {j.state for j in judged(node, known=False).values() if j.kind == "leaf" and j.remedy == "renew"} == {
        "foreign"
    }


def test_an_authority_that_ends() -> None:
    for ends, state in ((364, "soon"), (-1, "expired")):
        cas = certs.authorities("ending", ends=ends)
        found = _tls.judge(Node(cas=cas).document(), certs.bootstrap(cas), now=NOW, days=30)
        of_ca = {(j.state, j.remedy) for j in found if j.path in _tls_files.AUTHORITIES}
        assert of_ca == {(state, "rotate_ca")}
        assert {j.state for j in found if j.kind == "leaf"} == {"ok"}
    # One that ends on the disk alone is restored, not rotated.
    old = Node(cas=certs.authorities("ending", ends=-1))
    assert {judged(old)[path].remedy for path in _tls_files.AUTHORITIES} == {"restore"}


def test_what_the_datastore_does_not_hold_is_lost() -> None:
    node, authorities = Node(), certs.bootstrap(certs.authorities())
    del authorities[f"{TLS}service.key"], node.files[f"{TLS}service.key"]
    found = _tls.judge(node.document(), authorities, now=NOW, days=30)
    assert [(j.path, j.remedy) for j in found if j.state != "ok"] == [(f"{TLS}service.key", "lost")]


def test_the_files_of_encryption_are_missed_only_where_the_cluster_has_them() -> None:
    authorities = certs.bootstrap(certs.authorities()) | {_tls_files.ENCRYPTION[0]: {"sha256": "x", "text": None}}
    found = _tls.judge(Node().document(), authorities, now=NOW, days=30)
    assert [(j.path, j.state, j.remedy) for j in found if j.state != "ok"] == [
        (_tls_files.ENCRYPTION[0], "missing", "restore")
    ]


def self_signed(ends: int) -> bytes:
    key = certs.ec.generate_private_key(certs.ec.SECP256R1())
    cert = certs.make("localhost@1795551000", key, starts=NOW - DAY, ends=NOW + ends * DAY)
    return cert.public_bytes(certs.serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("version", "ends", "expected"),
    [
        ("v1.34.3+rke2r1", 300, ("self_signed", "renew", "scheduler")),
        ("v1.31.9+rke2r1", 300, ("self_signed", "renew", "scheduler")),
        (OLD, 300, None),  # that is how these versions have it
        ("v1.31.8+rke2r1", -1, ("expired", "renew", None)),  # `certificate rotate` leaves it alone there
        (OLD, 20, ("soon", "renew", None)),
    ],
)
def test_components_that_sign_for_themselves(version: str, ends: int, expected: tuple[str, str, str | None]) -> None:
    node = Node(version=version)
    node.files[SCHEDULER] = self_signed(ends)
    del node.keys[SCHEDULER]
    assert wrong(judged(node)) == ({SCHEDULER: expected} if expected else {})


@pytest.mark.parametrize("san", ["api.example.org", "192.0.2.9"])
def test_every_serving_certificate_of_a_server_has_the_names_of_tls_san(san: str) -> None:
    node = Node()
    names = {"node_name": "r1", "address": "10.0.0.1", "sans": [san]}
    etcd = [f"{TLS}etcd/{name}.crt" for name in ("peer-server-client", "server-client")]
    found = judged(node, names=names)
    assert wrong(found) == {
        SERVING: ("names", "renew", "api-server"), **dict.fromkeys(etcd, ("names", "renew", "etcd"))
    }  # fmt: skip
    assert found[SERVING].why == f"it lacks {san}"
    for path in (SERVING, *etcd):
        node.issue(path, names=("r1", "10.0.0.1", "127.0.0.1", "localhost", san))
    assert wrong(judged(node, names=names)) == {}


@pytest.mark.parametrize(
    ("ends", "state"), [((300,), "ok"), ((-1,), "expired"), ((10,), "soon"), ((-1, 300), "ok"), ((), "unreadable")]
)
def test_what_webhooks_trust_is_shown_and_left_to_its_owner(ends: tuple[int, ...], state: str) -> None:
    path = "trust/ValidatingWebhookConfiguration/rancher.cattle.io"
    cas = [certs.authorities(f"webhook{end}", ends=end)[SERVER_CA] for end in ends]
    document = Node().document()
    text = b"".join(ca.pem for ca in cas).decode()
    document["files"].append({"path": path, "sha256": None, "key_id": None, "text": text})
    found = {j.path: j for j in _tls.judge(document, None, now=NOW, days=30)}
    assert wrong(found) == ({} if state == "ok" else {path: (state, "owner", None)})
    assert found[path].ends == (NOW + max(ends) * DAY if ends else None)
    if state == "expired":
        assert "1 by its owner, no restart" in _tls_words.table([found[path]])


def test_a_missing_key_is_none_that_fits() -> None:
    document = Node().document()
    next(row for row in document["files"] if row["path"] == ADMIN)["key_id"] = ""
    found = _tls.judge(document, None, now=NOW, days=30)
    assert [(j.path, j.state, j.remedy) for j in found if j.state != "ok"] == [(ADMIN, "key", "renew")]


def test_a_server_may_run_without_an_agent_and_without_etcd() -> None:
    node = Node(distro="k3s")
    node.files = {path: content for path, content in node.files.items() if not path.startswith("agent/")}
    del node.files[f"{TLS}etcd/server-client.crt"]
    assert wrong(judged(node)) == {}


@pytest.mark.parametrize(("days", "state"), [(30, "ok"), (90, "soon")])
def test_the_threshold_is_the_users(days: int, state: str) -> None:
    found = judged(Node(ends=60), days=days)
    assert {j.state for j in found.values() if j.kind == "leaf"} == {state}
    renewed = "any start renews it, from 120 days on" in found[ADMIN].why
    assert renewed == (state == "soon")


@pytest.mark.parametrize(
    ("version", "days"),
    [(OLD, 90), ("v1.30.12+k3s1", 90), ("v1.30.13+k3s1", 120), ("v1.33.0+rke2r1", 90), ("v1.35.0+rke2r1", 120)],
)
def test_when_a_start_renews(version: str, days: int) -> None:
    assert _tls_files.renewal_days(version) == days


@pytest.mark.parametrize(
    ("skews", "named"),
    [
        ({"r1": 0.2, "r2": -3.0, "a1": None}, []),
        ({"r1": 0.2, "r2": 3600.0}, ["r2 is 3600 s ahead"]),
        ({"r1": -86400.0, "r2": -86401.0}, ["All hosts are 86400 s behind", "controller's clock"]),
        ({"r1": 86400.0}, ["by the controller's r1 is 86400 s ahead."]),
        ({"r1": -86400.0, "r2": -80000.0}, ["r1 is 86400 s behind", "r2 is 80000 s behind."]),
        ({"r1": 40.0, "r2": -40.0}, ["r1 is 40 s ahead", "r2 is 40 s behind"]),
        ({}, []),
    ],
)
def test_clocks_come_first(skews: dict[str, float | None], named: list[str]) -> None:
    said = _tls.cause([{"name": name, "clock_skew": skew} for name, skew in skews.items()])
    assert bool(said) == bool(named) and all(words in said for words in named)


def test_the_newest_bootstrap_data_count() -> None:
    nodes = [{"bootstrap": {"revision": n, "authorities": {"n": n}}} for n in (3, 9, 5)] + [{"bootstrap": None}]
    assert _tls.common(nodes) == {"n": 9}
    assert _tls.common([{"bootstrap": None}, {}]) is None


# --- sets at random

_LEAVES = [file.path for file in _tls_files.files("rke2") if file.kind == "leaf"]
_FAULTS: dict[str, Callable[[Node, str], None]] = {
    "expired": lambda node, path: node.issue(path, ends=-1),
    "soon": lambda node, path: node.issue(path, ends=10),
    "foreign": lambda node, path: node.issue(path, cas=theirs()),
    "unreadable": lambda node, path: node.files.__setitem__(path, b"-----BEGIN"),
    "key": lambda node, path: node.keys.__setitem__(path, certs.ec.generate_private_key(certs.ec.SECP256R1())),
    "missing": lambda node, path: node.files.__delitem__(path),
    "names": lambda node, path: node.issue(path, names=("other",)),
}
_CA_FAULTS: dict[str, Callable[[Node, str], None]] = {
    "foreign": lambda node, path: node.files.__setitem__(path, theirs()[path].pem),
    "expired": lambda node, path: node.files.__setitem__(path, certs.authorities("old", ends=-9)[path].pem),
    "unreadable": lambda node, path: node.files.__setitem__(path, b"x"),
    "missing": lambda node, path: node.files.__delitem__(path),
}


@settings(max_examples=40)
@given(
    leaves=st.dictionaries(st.sampled_from(_LEAVES), st.sampled_from(sorted(_FAULTS)), max_size=8),
    cas=st.dictionaries(st.sampled_from(_tls_files.AUTHORITIES), st.sampled_from(sorted(_CA_FAULTS)), max_size=5),
    known=st.booleans(),
)
def test_authorities_come_only_from_the_datastore_and_bad_leaves_get_a_remedy(
    leaves: dict[str, str], cas: dict[str, str], known: bool
) -> None:
    node, authorities = Node(), certs.bootstrap(certs.authorities())
    for path, fault in leaves.items():
        _FAULTS[fault](node, path)
    for path, fault in cas.items():
        _CA_FAULTS[fault](node, path)
    found = judged(node, known)
    for path in _tls_files.AUTHORITIES:
        judgement = found[path]
        on_disk = node.files.get(path)
        assert judgement.remedy in ("", "restore", "rotate_ca") and judgement.service is None
        if known and (on_disk or b"").decode() != authorities[path]["text"]:
            assert judgement.remedy == "restore"
        elif known:
            assert judgement.remedy == ""
    for path, fault in leaves.items():
        if fault == "names" and not node.table[path].names:
            continue
        if (fault == "missing" and node.table[path].optional) or (fault == "key" and path in (DYNAMIC, SECRET)):
            continue  # their keys lie in the same file
        signer = node.table[path].signer
        blind = not known and cas.get(signer) in ("foreign", "expired") and fault in ("foreign", "soon", "names")
        assert blind or found[path].remedy in ("renew", "restart"), (path, fault)
    if known:
        mended = {path for path, judgement in found.items() if judgement.remedy in ("renew", "restart")}
        for path in set(_LEAVES) - mended - set(leaves):
            leaf = _x509.first(node.files[path].decode())
            assert leaf and leaf.signed_by(_first(node.cas[node.table[path].signer].pem)) and leaf.ends > NOW


def _first(pem: bytes) -> _x509.Certificate:
    found = _x509.first(pem.decode())
    assert found
    return found


# --- certificates of a real server, whose authorities have serial number 0


def real() -> dict[str, str]:
    with tarfile.open(DATA / "rke2-certificates.tar.xz") as archive:
        files = {member.name: archive.extractfile(member) for member in archive if member.name.endswith(".crt")}
        return {f"server/{name}": file.read().decode() for name, file in files.items() if file}


def test_a_real_server_by_its_real_datastore() -> None:
    db = (unpacked() / "r1/etcd/member/snap/db").read_bytes()
    offsets = [match.start() for match in re.finditer(rb"/bootstrap/[0-9a-f]{12}", db)]
    answers = _bbolt.local(lambda offset, size: db[offset : offset + size])
    bootstrap = _bbolt.drive(_bootstrap_find.newest(offsets, {_bootstrap.name("sekret123")}), answers)
    assert bootstrap and bootstrap.revision == 2
    authorities = _bootstrap.authorities(bootstrap.value, "sekret123")
    node = Node(name="r1", address="10.89.0.21").document(keys=False)
    node["files"] = [
        {"path": path, "text": text, "sha256": hashlib.sha256(text.encode()).hexdigest(), "key_id": None}
        for path, text in real().items()
    ]
    found = _tls.judge(node, authorities, now=1795560000, days=30)
    assert len([j for j in found if j.state == "ok"]) == len(real()) == 20
    assert {j.state for j in found} == {"ok", "missing"}
    assert not any("PRIVATE" in str(part) for part in authorities.values())
    assert set(authorities) == set(_bootstrap.FILES.values())


@pytest.mark.parametrize("strict", [False, True])
def test_serial_number_zero(monkeypatch: pytest.MonkeyPatch, strict: bool) -> None:
    """Neither the warning of today nor the exception that it announces."""
    load = x509.load_der_x509_certificate

    def refuse(data: bytes) -> x509.Certificate:
        loaded = load(data)
        if strict and loaded.serial_number == 0:
            raise ValueError("invalid serial number")
        return loaded

    monkeypatch.setattr(x509, "load_der_x509_certificate", refuse)
    _x509.certificates.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        texts = real()
        authority, leaf = _x509.first(texts[SERVER_CA]), _x509.first(texts[SERVING])
    _x509.certificates.cache_clear()
    assert authority and leaf and authority.authority and not leaf.authority
    assert leaf.signed_by(authority) and leaf.akid == authority.skid
    assert authority.skid == "a1220e8aae24899c0d39ebca6c05fa0f59ec1200"
    assert {"r1", "10.89.0.21", "::1", "kubernetes.default.svc"} <= leaf.names
    assert len(_x509.certificates(texts[SERVING])) == 2


@given(st.one_of(st.text(), st.binary().map(lambda raw: base64.b64encode(raw).decode())))
def test_nothing_that_is_read_raises(text: str) -> None:
    pem = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    assert _x509.certificates(text + pem) == ()
    _x509.kubeconfig(f"client-certificate-data: {text}\n{text}")


def test_the_table_has_each_path_once_and_every_signer_in_it() -> None:
    for distro in ("rke2", "k3s"):
        table = {file.path: file for file in _tls_files.files(distro)}
        assert len(table) == len(_tls_files.files(distro))
        assert all(file.signer in table for file in table.values() if file.signer)
        assert set(_bootstrap.FILES.values()) <= set(table)


# --- in words


def test_the_table_says_what_becomes_of_each_file_and_what_restarts() -> None:
    bad, good = Node(name="r2"), Node(name="r1")
    bad.issue(ADMIN, ends=-1)
    bad.files[SERVER_CA] = theirs()[SERVER_CA].pem
    found = [*judged(good).values(), *judged(bad).values()]
    assert _tls_words.table(found, ["r2", "r1"]).split("\n") == [
        "NODE  FILE                         STATE    ENDS        WHAT BECOMES OF IT  WHY",
        "r2    server/tls/server-ca.crt     foreign  2036-10-22  restored            the datastore has another one",
        "r2    server/tls/client-admin.crt  expired  2026-11-23  renewed (admin)     it ended 24.0 hours ago",
        "r2: 44 of 46 are valid; 1 renewed, 1 restored, it restarts; the first leaf ends 2026-11-23.",
        "r1: 46 of 46 are valid; no restart; the first leaf ends 2027-11-24.",
    ]
    assert len(_tls_words.table(found, everything=True).split("\n")) == 1 + 92 + 2
    assert _tls_words.table([], ["a1"]) == "a1: its certificates could not be read."
