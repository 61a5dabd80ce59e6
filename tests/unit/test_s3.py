# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""S3, against moto's server: what breaks is continued, what is damaged is found, keys are never shown."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import random
import re
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions
import botocore.loaders
import botocore.session
import moto.s3.models
import pytest
from moto.core.authorization import enable_iam_authentication
from moto.s3.models import s3_backends
from moto.server import ThreadedMotoServer

from ansible_collections.requorum.cluster.plugins.module_utils import _s3, _s3_stored
from ansible_collections.requorum.cluster.plugins.module_utils._errors import RequorumError
from tests.unit.s3_server import Line, certificate

KIBIBYTE, MEBIBYTE = 1 << 10, 1 << 20
ACCESS, SECRET = "AKIAREQUORUMTEST", "s3cr3t/never+shown"
KEYS = {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
UID = "ac37934f-15bf-4bd6-9a13-6f84aafbfafd"
RKE2 = {"Rke2-Cluster-Id": UID, "Rke2-Node-Name": "r1", "Rke2-Token-Hash": "e2e269d4f6ec"}


PART = 256 * KIBIBYTE
LOADER = botocore.loaders.create_loader()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # botocore parses its 1 MiB description of S3 anew for every client, which is most of the time of these tests
    monkeypatch.setattr(botocore.session, "create_loader", lambda _: LOADER)
    for name in [name for name in os.environ if name.startswith("AWS_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


def boto(service: str, port: int) -> Any:
    return boto3.client(service, "us-east-1", endpoint_url=f"http://127.0.0.1:{port}",
                        aws_access_key_id=ACCESS, aws_secret_access_key=SECRET)  # fmt: skip


@pytest.fixture(scope="session")
def client(port: int) -> Any:
    return boto("s3", port)


@pytest.fixture
def raw(client: Any) -> Any:
    """A client that the code under test knows nothing of, and a new bucket."""
    s3_backends.reset()
    client.create_bucket(Bucket="backups")
    return client


@pytest.fixture
def line(raw: Any, port: int) -> Iterator[Line]:
    line = Line(port)
    yield line
    line.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 256 KiB, so that much happens in little data."""
    monkeypatch.setattr(moto.s3.models, "S3_UPLOAD_PART_MIN_SIZE", 1)
    for module in (_s3, _s3_stored):
        monkeypatch.setattr(module, "PART", PART)


def store(address: str, *, seconds: float = 30, said: list[str] | None = None, **more: Any) -> _s3.Store:
    endpoint = address if "//" in address else f"http://{address}"
    variables = {"endpoint": endpoint, "bucket": "backups", "folder": "rke2", **more}
    settings = _s3.Settings.of({f"requorum_s3_{name}": value for name, value in variables.items()}, KEYS)
    said = [] if said is None else said
    return _s3.Store(settings, seconds=seconds, say=said.append, sleep=lambda _: None)


def snapshot(folder: Path, size: int = 700 * KIBIBYTE, seed: int = 1) -> Path:
    path = folder / f"snapshot-{seed}.db"
    path.write_bytes(random.Random(seed).randbytes(size))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def error(act: Callable[[], object]) -> str:
    with pytest.raises(RequorumError) as raised:
        act()
    text = str(raised.value)
    assert ACCESS not in text and SECRET not in text and "\n" not in text
    return text


def refuse(code: str, status: int) -> Callable[..., Any]:
    """A request that the store refuses."""

    def request(**_: Any) -> Any:
        said = {"Code": code, "Message": "as it wants"}
        answer = {"Error": said, "ResponseMetadata": {"HTTPStatusCode": status}}
        raise botocore.exceptions.ClientError(answer, "request")

    return request


def damage(name: str) -> None:
    """Flip a bit in what the server holds; size, ETag and metadata stay."""
    key = s3_backends["123456789012"]["aws"].buckets["backups"].keys[name]
    content = bytearray(key.value)
    content[len(content) // 2] ^= 1
    key._value_buffer.seek(0)
    key._value_buffer.write(content)


# Settings


def test_settings_from_variables_and_environment() -> None:
    variables = {"requorum_s3_bucket": "backups", "requorum_s3_endpoint": "s3.example.org:9000",
                 "requorum_s3_folder": "/rke2/prod/", "requorum_s3_region": "eu-1"}  # fmt: skip
    settings = _s3.Settings.of(variables, {**KEYS, "AWS_SESSION_TOKEN": "session"})
    assert dataclasses.asdict(settings) == {
        "bucket": "backups", "access_key": ACCESS, "secret_key": SECRET, "session_token": "session",
        "endpoint": "https://s3.example.org:9000", "folder": "rke2/prod", "region": "eu-1", "path_style": True,
        "ca_file": None,
    }  # fmt: skip
    assert settings.where == "bucket backups at https://s3.example.org:9000"


def test_key_files_go_before_the_environment_and_nothing_is_shown(tmp_path: Path) -> None:
    (tmp_path / "access").write_text(f"{ACCESS}\n")
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    variables = {"bucket": "backups", "access_key_file": tmp_path / "access", "secret_key_file": tmp_path / "secret"}
    settings = _s3.Settings.of({f"requorum_s3_{name}": value for name, value in variables.items()},
                               {"AWS_ACCESS_KEY_ID": "other", "AWS_SESSION_TOKEN": "of the other"})  # fmt: skip
    assert (settings.access_key, settings.secret_key, settings.session_token) == (ACCESS, SECRET, None)
    assert ACCESS not in repr(settings) and SECRET not in repr(settings)


@pytest.mark.parametrize(
    ("variables", "style"),
    [
        ({}, False),
        ({"endpoint": "minio:9000"}, True),
        ({"endpoint": "minio:9000", "path_style": False}, True),
        ({"endpoint": "minio:9000", "path_style": "false"}, False),
        ({"endpoint": "s3.eu-central-1.amazonaws.com"}, False),
        ({"path_style": True}, True),
    ],
)
def test_path_style_is_for_other_stores_than_aws(variables: dict[str, Any], style: bool) -> None:
    given = {f"requorum_s3_{name}": value for name, value in {"bucket": "b", **variables}.items()}
    assert _s3.Settings.of(given, KEYS).path_style is style


@pytest.mark.parametrize(
    ("variables", "environ", "text"),
    [
        ({}, KEYS, "S3: no bucket is named. Set requorum_s3_bucket."),
        ({"bucket": "b"}, {}, "S3: there are no keys. Correct the keys: files"),
        ({"bucket": "b"}, {"AWS_ACCESS_KEY_ID": "a"}, "S3: there are no keys."),
        ({"bucket": "b", "access_key_file": "/k"}, KEYS, "S3: one key file without the other."),
        ({"bucket": "b", "access_key_file": "/a", "secret_key_file": "/b"}, KEYS, "/a cannot be read: No such file"),
        ({"bucket": "b", "ca_file": "/no/ca.crt"}, KEYS, "/no/ca.crt is no file. Correct requorum_s3_ca_file."),
        *(
            ({"bucket": "b", "endpoint": endpoint}, KEYS, "requorum_s3_endpoint is no address. It is like https://")
            for endpoint in ("ftp://x", "http://", f"https://{ACCESS}:{SECRET}@x", "x/y", "x:port", "x:99999", "[")
        ),
    ],
)
def test_settings_that_cannot_be(variables: dict[str, str], environ: dict[str, str], text: str) -> None:
    given = {f"requorum_s3_{name}": value for name, value in variables.items()}
    assert text in error(lambda: _s3.Settings.of(given, environ))


def test_without_boto3_one_is_told_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    text = error(lambda: store("127.0.0.1:1"))
    assert text.startswith("S3 needs boto3") and text.endswith("-m pip install 'requorum[s3]'")


@pytest.mark.parametrize(
    ("style", "url"), [("true", "minio.example:9000/backups/rke2/x"), ("false", "backups.minio.example:9000/rke2/x")]
)
def test_style_of_addresses_and_a_port(style: str, url: str) -> None:
    client = store("minio.example:9000", path_style=style).link.client
    where = client.generate_presigned_url("get_object", Params={"Bucket": "backups", "Key": "rke2/x"})
    assert where.startswith(f"http://{url}?")


# Whole ways


def test_a_large_file_goes_there_and_back(line: Line, tmp_path: Path) -> None:
    path, there = snapshot(tmp_path, 33 * MEBIBYTE), store(line.address)
    sent = there.put(str(path), "prod/snapshot.db", metadata={"requorum-node-name": "n1"})
    assert (sent.parts, sent.sent, sent.proof, line.parts()) == (3, 3, "etag", [1, 2, 3])
    assert there.entries() == [sent.stored]
    assert (sent.stored.name, sent.stored.bytes) == ("prod/snapshot.db", 33 * MEBIBYTE)
    assert sent.stored.sha256 == sha256(path)
    assert (sent.stored.node, sent.stored.maker) == ("n1", "requorum")
    got = there.get("prod/snapshot.db", str(tmp_path / "back"))
    assert (got.received, got.proof, sha256(tmp_path / "back")) == (33 * MEBIBYTE, "sha256", sha256(path))
    assert stat.S_IMODE((tmp_path / "back").stat().st_mode) == 0o600
    assert sorted(os.listdir(tmp_path)) == ["back", "snapshot-1.db"]


@pytest.mark.parametrize("size", [1, PART - 1, PART, PART + 1, 2 * PART])
@pytest.mark.usefixtures("small")
def test_sizes_about_the_ends_of_parts(line: Line, tmp_path: Path, size: int) -> None:
    sent = store(line.address).put(str(snapshot(tmp_path, size)), "a.db")
    assert (sent.stored.bytes, sent.sent, sent.proof) == (size, -(-size // PART), "etag")


@pytest.mark.usefixtures("small")
def test_the_second_time_nothing_is_sent(line: Line, tmp_path: Path) -> None:
    path, there = snapshot(tmp_path), store(line.address)
    there.put(str(path), "a.db")
    again = there.put(str(path), "a.db")
    assert (again.sent, again.proof, line.parts()) == (0, "etag", [1, 2, 3])


@pytest.mark.usefixtures("small")
def test_another_file_of_the_same_name_is_not_replaced(line: Line, tmp_path: Path) -> None:
    there = store(line.address)
    there.put(str(snapshot(tmp_path)), "a.db")
    text = error(lambda: there.put(str(snapshot(tmp_path, seed=2)), "a.db"))
    assert "the store holds 716800 bytes, sha256" in text and "Nothing was replaced" in text
    assert there.entries()[0].sha256 == sha256(tmp_path / "snapshot-1.db")


def test_names_that_cannot_be(tmp_path: Path) -> None:
    there, path = store("127.0.0.1:9"), snapshot(tmp_path, 9)
    for name in ("", "/a", "a//b", "../a", "a/../b", "a/", ".metadata/a", "a\nb"):
        assert "cannot be the name of a snapshot" in error(lambda name=name: there.put(str(path), name))


def test_files_that_cannot_be_sent_or_written(line: Line, tmp_path: Path) -> None:
    there = store(line.address)
    (tmp_path / "empty").touch()
    assert "empty is empty. Nothing was sent." in error(lambda: there.put(str(tmp_path / "empty"), "a.db"))
    assert "No such file" in error(lambda: there.put(str(tmp_path / "none"), "a.db"))
    there.put(str(snapshot(tmp_path, 9)), "a.db")
    assert "/no/x.part: No such file" in error(lambda: there.get("a.db", "/no/x"))


# Broken lines


@pytest.mark.usefixtures("small")
def test_a_connection_that_breaks_costs_one_part(line: Line, tmp_path: Path) -> None:
    said: list[str] = []
    line.up = 400 * KIBIBYTE
    sent = store(line.address, said=said).put(str(snapshot(tmp_path)), "a.db")
    assert (sent.sent, sent.proof, line.parts()) == (3, "etag", [1, 2, 2, 3])
    assert len(said) == 1 and "again in 1 s" in said[0]


@pytest.mark.usefixtures("small")
def test_an_upload_that_died_is_continued(line: Line, raw: Any, tmp_path: Path) -> None:
    path = snapshot(tmp_path, 1100 * KIBIBYTE)
    line.up, line.dead = 850 * KIBIBYTE, True
    text = error(lambda: store(line.address).put(str(path), "a.db"))
    assert "bucket backups at http://127.0.0.1:" in text and "Look whether this machine reaches" in text
    line.up, line.sent, line.heads = None, 0, []
    sent = store(line.address).put(str(path), "a.db")
    assert (sent.parts, sent.sent, sent.proof, line.parts()) == (5, 2, "etag", [4, 5])
    assert line.sent < 400 * KIBIBYTE
    assert "Uploads" not in raw.list_multipart_uploads(Bucket="backups")


@pytest.mark.usefixtures("small")
def test_an_upload_of_another_file_is_not_continued(line: Line, raw: Any, tmp_path: Path) -> None:
    for key in ("rke2/a.db", "rke2/a.db.zip"):
        begun = raw.create_multipart_upload(Bucket="backups", Key=key)["UploadId"]
        raw.upload_part(Bucket="backups", Key=key, UploadId=begun, PartNumber=1, Body=b"another")
    raw.create_multipart_upload(Bucket="backups", Key="rke2/a.db")
    path = snapshot(tmp_path)
    sent = store(line.address).put(str(path), "a.db", verify=True)
    assert (sent.sent, sent.proof, sent.stored.sha256) == (3, "content", sha256(path))
    assert [one["Key"] for one in raw.list_multipart_uploads(Bucket="backups")["Uploads"]] == ["rke2/a.db.zip"]


@pytest.mark.usefixtures("small")
def test_a_lost_answer_to_the_end_of_an_upload_is_no_error(line: Line, tmp_path: Path) -> None:
    there = store(line.address)
    client, complete = there.link.client, there.link.client.complete_multipart_upload

    def lose_the_answer(**arguments: Any) -> None:
        complete(**arguments)
        client.complete_multipart_upload = refuse("NoSuchUpload", 404)
        raise botocore.exceptions.ConnectionClosedError(endpoint_url="http://store")

    client.complete_multipart_upload = lose_the_answer
    assert there.put(str(snapshot(tmp_path)), "a.db").proof == "etag"


@pytest.mark.usefixtures("small")
def test_a_file_that_changes_meanwhile_is_refused(line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, there = snapshot(tmp_path), store(line.address)
    pending = there._pending

    def write(*arguments: Any) -> Any:
        snapshot(tmp_path).write_bytes(b"x" * path.stat().st_size)
        return pending(*arguments)

    monkeypatch.setattr(there, "_pending", write)
    assert "the file has changed while it was sent" in error(lambda: there.put(str(path), "a.db"))
    assert there.entries() == []


def test_a_download_that_breaks_goes_on_from_there(line: Line, tmp_path: Path) -> None:
    path, there = snapshot(tmp_path, 6 * MEBIBYTE), store(line.address)
    there.put(str(path), "a.db")
    line.received, line.down = 0, 3500 * KIBIBYTE
    assert there.get("a.db", str(tmp_path / "back")).proof == "sha256"
    assert sha256(tmp_path / "back") == sha256(path)
    assert line.received < 8 * MEBIBYTE


def test_a_download_that_died_is_continued(line: Line, tmp_path: Path) -> None:
    path, there = snapshot(tmp_path, 6 * MEBIBYTE), store(line.address)
    there.put(str(path), "a.db")
    line.down, line.dead = 3500 * KIBIBYTE, True
    text = error(lambda: there.get("a.db", str(tmp_path / "back")))
    assert "Look whether this machine reaches" in text
    line.down = None
    assert not (tmp_path / "back").exists()
    assert stat.S_IMODE((tmp_path / "back.part").stat().st_mode) == 0o600
    got = there.get("a.db", str(tmp_path / "back"))
    assert got.received < 4 * MEBIBYTE and sha256(tmp_path / "back") == sha256(path)


@pytest.mark.parametrize("size", [1 * MEBIBYTE, 6 * MEBIBYTE, 7 * MEBIBYTE])
def test_the_rest_of_another_download_is_thrown_away(line: Line, tmp_path: Path, size: int) -> None:
    path, there = snapshot(tmp_path, 6 * MEBIBYTE), store(line.address)
    there.put(str(path), "a.db")
    (tmp_path / "back.part").write_bytes(bytes(size))
    assert there.get("a.db", str(tmp_path / "back")).received == path.stat().st_size
    assert sha256(tmp_path / "back") == sha256(path)


def test_nobody_there(raw: Any) -> None:
    said: list[str] = []
    text = error(store("127.0.0.1:9", said=said).entries)
    assert "list: Could not connect to the endpoint URL" in text and "reaches requorum_s3_endpoint" in text
    assert len(said) == 4


@pytest.mark.usefixtures("small")
def test_a_slow_line_ends_at_the_deadline_and_is_continued(line: Line, tmp_path: Path) -> None:
    path = snapshot(tmp_path, 4 * MEBIBYTE)
    line.pause = 0.1
    text = error(lambda: store(line.address, seconds=2).put(str(path), "a.db"))
    assert text.endswith("Run the same command again: it goes on there.")
    there = re.search(r"not within 2 s; (\d+) of 16 parts are there", text)
    assert there
    line.pause = 0
    assert 10 <= store(line.address).put(str(path), "a.db").sent <= 16 - int(there[1])


def test_a_server_that_hangs_does_not_hang_us() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        text = error(store(f"127.0.0.1:{mute.getsockname()[1]}", seconds=1).entries)
    assert "not within 1 s; nothing done yet" in text


def test_the_deadline_holds_for_many_small_requests(line: Line, raw: Any) -> None:
    for number in range(5):
        raw.put_object(Bucket="backups", Key=f"rke2/{number}", Body=b"x")
    there = store(line.address, seconds=4)
    now = iter(range(100))
    there.link.clock = lambda: next(now)
    assert "list: not within 4 s; 5 names" in error(there.entries)


def test_progress_is_said_every_five_seconds(line: Line, tmp_path: Path) -> None:
    said: list[str] = []
    there = store(line.address, said=said, seconds=10**6)
    now = iter(range(10**6))
    there.link.clock = lambda: next(now)
    there.put(str(snapshot(tmp_path, MEBIBYTE)), "a.db")
    assert any(text.endswith("0 of 1 parts are there") for text in said)
    assert said[0].startswith("S3, 5 s of 1000000 s: ")


# What the store holds


@pytest.mark.usefixtures("small")
def test_damage_in_the_store_is_found(line: Line, tmp_path: Path) -> None:
    path, there = snapshot(tmp_path), store(line.address)
    there.put(str(path), "a.db")
    damage("rke2/a.db")
    assert "what the store gives back has sha256" in error(lambda: there.put(str(path), "a.db", verify=True))
    assert "does not have the sha256 that was stored" in error(lambda: there.get("a.db", str(tmp_path / "back")))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.usefixtures("small")
def test_where_etags_prove_nothing_the_content_is_read_back(
    line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_s3_stored.Sums, "fits", lambda sums, etag: False)
    there = store(line.address)
    assert there.put(str(snapshot(tmp_path)), "a.db").proof == "content"
    damage("rke2/a.db")
    assert "what the store gives back" in error(lambda: there.put(str(tmp_path / "snapshot-1.db"), "a.db"))


def test_snapshots_of_rke2_are_recognised(line: Line, raw: Any, tmp_path: Path) -> None:
    path = snapshot(tmp_path, 17 * MEBIBYTE)
    first = "etcd-snapshot-r1-1764028800"
    as_rke2 = boto3.s3.transfer.TransferConfig(16 * MEBIBYTE, multipart_chunksize=16 * MEBIBYTE)
    raw.upload_file(str(path), "backups", f"rke2/{first}", ExtraArgs={"Metadata": RKE2}, Config=as_rke2)
    raw.put_object(Bucket="backups", Key="rke2/on-demand-harvester-node-2-1764115200.zip", Body=b"zip")
    raw.put_object(Bucket="backups", Key=f"rke2/.metadata/{first}", Body=b"{}")
    raw.put_object(Bucket="backups", Key="rke2/", Body=b"")
    raw.put_object(Bucket="backups", Key="rke2-old/etcd-snapshot-r9-1764028800", Body=b"of another folder")
    there = store(line.address)
    newest, oldest = there.entries()
    assert (newest.name, newest.node, newest.maker, newest.time) == (
        "on-demand-harvester-node-2-1764115200.zip", "harvester-node-2", None, 1764115200)  # fmt: skip
    assert (oldest.name, oldest.node, oldest.maker, oldest.time) == (first, "r1", "rke2", 1764028800)
    assert (oldest.cluster, oldest.token_hash, oldest.sha256) == (UID, "e2e269d4f6ec", None)
    assert there.get(first, str(tmp_path / "back")).proof == "etag"
    assert there.remove(first) and not there.remove(first)
    assert {item["Key"] for item in raw.list_objects_v2(Bucket="backups", Prefix="rke2/")["Contents"]} == {
        "rke2/", "rke2/on-demand-harvester-node-2-1764115200.zip"}  # fmt: skip


def test_a_store_that_writes_names_of_metadata_in_capitals(line: Line, raw: Any) -> None:
    raw.put_object(Bucket="backups", Key="rke2/a.db", Body=b"12345")
    there = store(line.address)
    head = there.link.client.head_object
    there.link.client.head_object = lambda **asked: {**head(**asked), "Metadata": {**RKE2, "Sha256": "ab"}}  # as MinIO
    assert [(one.cluster, one.maker, one.sha256) for one in there.entries()] == [(UID, "rke2", "ab")]


def test_a_snapshot_without_any_hash_is_fetched_and_said_so(line: Line, raw: Any, tmp_path: Path) -> None:
    path = snapshot(tmp_path, 17 * MEBIBYTE)
    raw.upload_file(str(path), "backups", "rke2/a.db")  # parts of 8 MiB
    assert store(line.address).get("a.db", str(tmp_path / "back")).proof is None
    assert sha256(tmp_path / "back") == sha256(path)


def test_a_snapshot_whose_metadata_is_refused_is_listed_all_the_same(line: Line, raw: Any) -> None:
    raw.put_object(Bucket="backups", Key="rke2/etcd-snapshot-r1-1764028800", Body=b"12345", Metadata=RKE2)
    there = store(line.address)
    there.link.client.head_object = refuse("403", 403)
    assert [(one.name, one.bytes, one.node) for one in there.entries()] == [("etcd-snapshot-r1-1764028800", 5, "r1")]
    text = error(lambda: there.get("etcd-snapshot-r1-1764028800", "/no"))
    assert "403: as it wants. The keys need the rights" in text


def test_long_lists_come_in_pages(line: Line, raw: Any) -> None:
    for number in range(5):
        raw.put_object(Bucket="backups", Key=f"rke2/{number}", Body=b"x")
    there = store(line.address)
    there.link.client.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: {**params, "MaxKeys": 2}
    )
    assert sorted(item.name for item in there.entries()) == list("01234")


# Refused


def test_an_absent_bucket_and_an_absent_snapshot(line: Line, tmp_path: Path) -> None:
    nowhere, there = store(line.address, bucket="elsewhere"), store(line.address)
    acts: list[Callable[[], object]] = [
        nowhere.entries,
        lambda: nowhere.put(str(snapshot(tmp_path, 9)), "a.db"),
        lambda: nowhere.get("a.db", str(tmp_path / "back")),
        lambda: nowhere.remove("a.db"),
    ]
    for act in acts:
        text = error(act)
        assert text.startswith(f"S3, bucket elsewhere at http://{line.address}: ")
        assert "NoSuchBucket: " in text and text.endswith("Make the bucket or correct requorum_s3_bucket.")
    assert "it is not there. List the bucket" in error(lambda: there.get("a.db", str(tmp_path / "back")))


def test_keys_that_nobody_knows_and_a_wrong_secret(line: Line, raw: Any, port: int, tmp_path: Path) -> None:
    there, path = store(line.address), snapshot(tmp_path, 9)
    acts: list[Callable[[], object]] = [
        there.entries, lambda: there.put(str(path), "a.db"), lambda: there.get("a.db", str(tmp_path / "back")),
    ]  # fmt: skip
    iam = boto("iam", port)
    iam.create_user(UserName="backup")
    known = iam.create_access_key(UserName="backup")["AccessKey"]["AccessKeyId"]
    wrong = _s3.Store(dataclasses.replace(there.settings, access_key=known), seconds=30)
    with enable_iam_authentication():
        for act in acts:
            text = error(act)
            assert "InvalidAccessKeyId: " in text and "Correct the keys: files" in text
        text = error(wrong.entries)
        assert "SignatureDoesNotMatch: " in text and "Correct the keys" in text and known not in text


def test_a_key_that_the_store_repeats_is_hidden(line: Line) -> None:
    there = store(line.address)
    patience = there.link.patience("list")
    assert "the key *** is bad" in error(lambda: patience.fail(f"the key {ACCESS}\n is bad", "Correct it."))


# TLS


def test_a_store_with_an_authority_of_its_own(raw: Any, port: int, tmp_path: Path) -> None:
    authority, server = certificate(tmp_path)
    line = Line(port, server)
    try:
        assert store(f"https://{line.address}", ca_file=authority).entries() == []
        text = error(store(f"https://{line.address}").entries)
        assert "certificate verify failed" in text and "Set requorum_s3_ca_file" in text
        assert len(line.heads) == 1
    finally:
        line.close()
