# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Snapshots in an S3 bucket: list, put, get, remove. What breaks off is continued by the next call.

What proves that the store holds our file, part for part:
- a part is sent with its MD5, and the store refuses one that does not fit; the ETag it answers is that MD5 again;
- the end of an upload names the ETag of every part, and the whole gets an ETag made of them (MD5 of the parts' MD5s);
  size, that ETag and the sha256 in the user metadata are read back and compared with the file;
- where ETags are something else (SSE-KMS, SSE-C), and with `verify`, the whole content is read back and hashed.
That the store keeps it unharmed for years only `verify` and `get` show.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import posixpath
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ._errors import RequorumError
from ._s3_link import Link, Patience, Say
from ._s3_settings import Settings
from ._s3_stored import BLOCK, METADATA, PART, Stored, Sums

__all__ = ["Fetched", "Sent", "Settings", "Store", "Stored"]


@dataclass(frozen=True)
class Sent:
    """What `put` did: `sent` of `parts` were sent now, none when all was there. `proof` content: it was read back."""

    stored: Stored
    parts: int
    sent: int
    proof: t.Literal["etag", "content"]


@dataclass(frozen=True)
class Fetched:
    """What `get` did. `proof` None: the store has nothing to compare with; the snapshot's own trailer has to do."""

    stored: Stored
    received: int
    proof: t.Literal["sha256", "etag"] | None


class Store:
    """The snapshots of a bucket's folder. Every call has `seconds`; `say` hears every 5 s how far it is."""

    def __init__(self, settings: Settings, *, seconds: float = 3600, say: Say = lambda _: None, **more: t.Any) -> None:
        self.settings = settings
        self.link = Link(settings, seconds=seconds, say=say, **more)

    def entries(self) -> list[Stored]:
        """All of them, newest first."""
        patience, items, more = self.link.patience("list"), list[dict[str, t.Any]](), dict[str, t.Any]()
        prefix = f"{self.settings.folder}/" if self.settings.folder else ""
        while True:
            answer = self.link.ask(patience, "list_objects_v2", Prefix=prefix, **more)
            items += [item for item in answer.get("Contents", ()) if item["Size"]]
            patience.tick(f"{len(items)} names")
            if not answer.get("IsTruncated"):
                break
            more = {"ContinuationToken": answer["NextContinuationToken"]}
        items = [item for item in items if METADATA not in item["Key"].split("/")]
        # User metadata takes one request per object, also in RKE2 itself. One that is refused hides no snapshot.
        with ThreadPoolExecutor(8) as pool:
            heads = list(pool.map(lambda item: self._head(patience, item["Key"], "400", "403"), items))
        found = [head or self._stored(item["Key"], item, item["Size"]) for head, item in zip(heads, items, strict=True)]
        return sorted(found, key=lambda one: (one.time, one.name), reverse=True)

    def put(self, path: str, name: str, *, metadata: t.Mapping[str, str] | None = None, verify: bool = False) -> Sent:
        """Send a file, or the parts that an upload broken off has not sent; nothing when it is there already.

        An upload that is continued keeps the `metadata` with which it was begun: let it depend on the file alone.
        """
        patience, key = self.link.patience(f"{path} to {name}"), self._key(name)
        with _local(path), open(path, "rb") as file:
            sums, sent = Sums.of(file), 0
            if not sums.size:
                raise RequorumError(f"{path} is empty.", "Nothing was sent.")
            there = self._find(patience, key)
            if there is None:
                sent = self._send(patience, key, file, sums, {**(metadata or {}), "sha256": sums.sha256})
                there = self._find(patience, key)
        if there is None or (there.bytes, there.sha256) != (sums.size, sums.sha256):
            held = f"holds {there.bytes} bytes, sha256 {there.sha256 or 'unknown'}" if there else "holds nothing"
            text = f"the store {held} under this name, the file has {sums.size} bytes, sha256 {sums.sha256}"
            patience.fail(text, "Nothing was replaced: remove it there first or use another name.")
        if sums.fits(there.etag) and not verify:
            return Sent(there, len(sums.parts), sent, "etag")
        digest = hashlib.sha256()
        for chunk in self._content(patience, there, 0):
            digest.update(chunk)
        if digest.hexdigest() != sums.sha256:
            text = f"what the store gives back has sha256 {digest.hexdigest()}, the file {sums.sha256}"
            patience.fail(text, "This copy is worthless: remove it there, look after the store, and put it again.")
        return Sent(there, len(sums.parts), sent, "content")

    def get(self, name: str, path: str) -> Fetched:
        """Fetch into `path`, by way of `path.part`, which a later call continues."""
        patience, key = self.link.patience(f"{name} to {path}"), self._key(name)
        there = self._find(patience, key)
        if there is None:
            patience.fail("it is not there", "List the bucket to see what is.")
        part = f"{path}.part"
        with _local(part):
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with open(descriptor, "r+b") as file:
                os.fchmod(descriptor, 0o600)
                had = os.fstat(descriptor).st_size
                if had > there.bytes:
                    file.truncate(had := 0)
                proof, received = self._fill(patience, there, file, had)
                if not proof and had:  # what was there was of another object
                    file.truncate(0)
                    proof, received = self._fill(patience, there, file, 0)
                os.fsync(descriptor)
            if there.sha256 and proof != "sha256":
                os.unlink(part)
                text = f"the content does not have the sha256 that was stored with it ({there.sha256})"
                patience.fail(text, "The copy in the store is damaged: use another one.")
            os.replace(part, path)
        return Fetched(there, received, proof)

    def remove(self, name: str) -> bool:
        """Whether it was there; RKE2's extra metadata goes with it."""
        patience, key = self.link.patience(f"removal of {name}"), self._key(name)
        found = self._find(patience, key) is not None
        folder, base = posixpath.split(key)
        for each in (key, posixpath.join(folder, METADATA, base)):
            self.link.ask(patience, "delete_object", "404", "NoSuchKey", Key=each)
        return found

    def _key(self, name: str) -> str:
        parts = name.split("/")
        if any(part in ("", ".", "..", METADATA) for part in parts) or not name.isprintable():
            raise RequorumError(f"S3: {name!r} cannot be the name of a snapshot.", "It is like prod/snapshot.db.")
        return posixpath.join(self.settings.folder, name)

    def _find(self, patience: Patience, key: str) -> Stored | None:
        # A refused HEAD has no body that says why, so the list is asked first. The key itself sorts before any longer.
        listed = self.link.ask(patience, "list_objects_v2", Prefix=key, MaxKeys=1)
        return self._head(patience, key) if [o for o in listed.get("Contents", ()) if o["Key"] == key] else None

    def _head(self, patience: Patience, key: str, *refused: str) -> Stored | None:
        answer = self.link.ask(patience, "head_object", "404", "NoSuchKey", *refused, Key=key)
        return self._stored(key, answer, answer["ContentLength"]) if answer else None

    def _stored(self, key: str, answer: dict[str, t.Any], size: int) -> Stored:
        metadata = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}  # MinIO answers Sha256
        name = key.removeprefix(f"{self.settings.folder}/") if self.settings.folder else key
        modified, etag = int(answer["LastModified"].timestamp()), answer["ETag"].strip('"')
        return Stored(name, size, modified, etag, metadata.get("sha256"), metadata)

    def _send(self, patience: Patience, key: str, file: t.IO[bytes], sums: Sums, metadata: dict[str, str]) -> int:
        """Upload in parts; how many had to be sent."""
        ask = self.link.ask
        pending = self._pending(patience, key)
        ours = {upload: have for upload, have in pending.items() if sums.begin(have)}
        upload = max(ours, key=lambda one: len(ours[one]), default=None)
        etags = dict(ours[upload]) if upload else {}
        if upload is None:
            kind = "application/zip" if key.endswith(".zip") else "application/octet-stream"
            created = ask(patience, "create_multipart_upload", Key=key, Metadata=metadata, ContentType=kind)
            upload = created["UploadId"]
        missing = [number for number in range(1, len(sums.parts) + 1) if number not in etags]
        for number in missing:
            patience.tick(f"{len(etags)} of {len(sums.parts)} parts are there")
            md5, content = sums.parts[number - 1], os.pread(file.fileno(), PART, (number - 1) * PART)
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
                patience.fail("the file has changed while it was sent", "Put a file that nobody writes to.")
            check = base64.b64encode(bytes.fromhex(md5)).decode()
            part: dict[str, t.Any] = {"Key": key, "UploadId": upload, "PartNumber": number}
            answer = ask(patience, "upload_part", **part, ContentMD5=check, body=content)
            etags[number] = answer["ETag"].strip('"')
        patience.tick(f"all {len(sums.parts)} parts are there")
        named = [{"PartNumber": number, "ETag": f'"{etags[number]}"'} for number in sorted(etags)]
        # NoSuchUpload: the answer to an earlier try got lost. What the store holds is looked at in any case.
        whole: dict[str, t.Any] = {"Key": key, "UploadId": upload, "MultipartUpload": {"Parts": named}}
        ask(patience, "complete_multipart_upload", "NoSuchUpload", **whole)
        for other in pending.keys() - {upload}:  # they cost money and nobody sees them
            ask(patience, "abort_multipart_upload", "NoSuchUpload", "AccessDenied", Key=key, UploadId=other)
        return len(missing)

    def _pending(self, patience: Patience, key: str) -> dict[str, dict[int, str]]:
        """Uploads of this key that broke off: id -> number of a part -> its ETag. Not every key may see them."""
        listed = self.link.ask(patience, "list_multipart_uploads", "AccessDenied", Prefix=key) or {}
        found = {}
        for upload in (each["UploadId"] for each in listed.get("Uploads", ()) if each["Key"] == key):
            # One page is 1000 parts, 16 GiB.
            answer = self.link.ask(patience, "list_parts", "NoSuchUpload", "AccessDenied", Key=key, UploadId=upload)
            found[upload] = {part["PartNumber"]: part["ETag"].strip('"') for part in (answer or {}).get("Parts", ())}
        return found

    def _fill(
        self, patience: Patience, there: Stored, file: t.IO[bytes], had: int
    ) -> tuple[t.Literal["sha256", "etag"] | None, int]:
        """Bring a file that has `had` bytes to its full size; (what proves it, bytes received)."""
        file.seek(had)
        for chunk in self._content(patience, there, had):
            file.write(chunk)
        sums = Sums.of(file)
        if there.sha256:
            return "sha256" if there.sha256 == sums.sha256 else None, there.bytes - had
        return "etag" if sums.fits(there.etag) else None, there.bytes - had

    def _content(self, patience: Patience, there: Stored, offset: int) -> t.Iterator[bytes]:
        """The content from `offset` on, asked for again from where a connection broke."""
        key = posixpath.join(self.settings.folder, there.name)
        while offset < there.bytes:
            # If-Match: never the rest of another version
            answer = self.link.ask(patience, "get_object", Key=key, Range=f"bytes={offset}-", IfMatch=f'"{there.etag}"')
            if answer["ResponseMetadata"]["HTTPStatusCode"] != 206 and offset:
                patience.fail("the store does not give parts of objects", "Remove the .part file and run it again.")
            try:
                with contextlib.closing(answer["Body"]) as body:
                    for chunk in body.iter_chunks(BLOCK):
                        offset += len(chunk)
                        patience.tick(f"{offset >> 20} of {there.bytes >> 20} MiB are here")
                        yield chunk
            except self.link.faults as error:
                patience.endure(error)


@contextlib.contextmanager
def _local(path: str) -> t.Iterator[None]:
    """Errors of this machine's files in the collection's words."""
    try:
        yield
    except OSError as error:
        raise RequorumError(f"{path}: {error.strerror}.", "Look at the file and the room on its disk.") from error
