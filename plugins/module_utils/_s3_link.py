# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Requests to a bucket: with a deadline, retries, and errors that say what to do. boto3 (the extra `s3`) does them."""

from __future__ import annotations

import io
import sys
import time
import typing as t

from ._errors import RequorumError
from ._s3_settings import KEYS, Settings

SAY_EVERY = 5.0
TRIES = 5
"""Requests that fail in a row before the store counts as out of reach (15 s of pauses)."""
TRANSIENT = {"BadDigest", "RequestTimeout", "SlowDown", "XAmzContentSHA256Mismatch"}
"""Besides status 429 and 5xx."""
HINTS = {
    "NoSuchBucket": "Make the bucket or correct requorum_s3_bucket.",
    "InvalidAccessKeyId": KEYS,
    "SignatureDoesNotMatch": KEYS,
    "AccessDenied": "The keys need the rights to list, read, write and delete in this bucket.",
    "403": "The keys need the rights to list, read, write and delete in this bucket.",
    "RequestTimeTooSkewed": "Set the clock of this machine.",
    "AuthorizationHeaderMalformed": "Correct requorum_s3_region.",
    "PermanentRedirect": "Correct requorum_s3_region.",
    "301": "Correct requorum_s3_region.",
    "PreconditionFailed": "Somebody has just replaced it. Run the same command again.",
    "NoSuchUpload": "Somebody aborted this upload. Run the same command again.",
}
Say = t.Callable[[str], None]


class Patience:
    """Deadline of one call, what it is about, how far it is."""

    def __init__(self, link: Link, what: str, seconds: float) -> None:
        self.link, self.what, self.seconds = link, what, seconds
        self.begun = self.spoken = link.clock()
        self.failed = 0
        self.seen = "nothing done yet"

    def tick(self, seen: str | None = None) -> None:
        """Something went well, or is under way: ends at the deadline, else says how far it is every 5 s."""
        if seen is not None:
            self.seen, self.failed = seen, 0
        now = self.link.clock()
        if now - self.begun >= self.seconds:
            self.fail(f"not within {self.seconds:.0f} s; {self.seen}", "Run the same command again: it goes on there.")
        if now - self.spoken >= SAY_EVERY:
            self.link.say(f"S3, {now - self.begun:.0f} s of {self.seconds:.0f} s: {self.what}: {self.seen}")
            self.spoken = now

    def endure(self, error: Exception) -> None:
        """A failed request: pause before the next try, or the end."""
        self.tick()
        self.failed += 1
        text, hint = _words(error)
        if not _transient(error) or self.failed >= TRIES:
            self.fail(text, hint)
        pause = min(2.0 ** (self.failed - 1), max(0.0, self.begun + self.seconds - self.link.clock()))
        self.link.say(self.link.settings.hide(f"S3: {self.what}: {text}; again in {pause:.0f} s"))
        self.link.sleep(pause)

    def fail(self, text: str, hint: str) -> t.NoReturn:
        """The error of this call. `from None`: the original holds the request with its signature."""
        settings = self.link.settings
        raise RequorumError(f"S3, {settings.where}: {self.what}: {settings.hide(text).rstrip('.')}.", hint) from None


class _Body(io.BytesIO):
    """What is sent; a line so slow that the deadline passes within one part is noticed too."""

    def __init__(self, content: bytes, tick: t.Callable[[], None]) -> None:
        super().__init__(content)
        self.tick = tick

    def read(self, size: int | None = -1, /) -> bytes:
        self.tick()
        return super().read(size)


class Link:
    """Requests to the bucket of `settings`."""

    def __init__(
        self,
        settings: Settings,
        *,
        seconds: float,
        say: Say,
        clock: t.Callable[[], float] = time.monotonic,
        sleep: t.Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            import boto3
            import botocore.config
            import botocore.exceptions
        except ImportError:
            hint = f"Type: {sys.executable} -m pip install 'requorum[s3]'"
            raise RequorumError("S3 needs boto3, which this Python does not have.", hint) from None
        self.settings, self.seconds, self.say, self.clock, self.sleep = settings, seconds, say, clock, sleep
        self.faults: tuple[type[Exception], ...] = (
            botocore.exceptions.BotoCoreError,
            botocore.exceptions.ClientError,
        )
        config = botocore.config.Config(
            connect_timeout=min(10, seconds),
            read_timeout=min(60, seconds),
            retries={"total_max_attempts": 1},  # Patience does it, and says it
            s3={"addressing_style": "path" if settings.path_style else "virtual"},
            # Newer checksums are sent in a form that many stores other than AWS refuse; `_s3` compares MD5 and sha256.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            session = boto3.session.Session(settings.access_key, settings.secret_key, settings.session_token)
            self.client: t.Any = session.client(
                "s3",
                region_name=settings.region,
                endpoint_url=settings.endpoint,
                verify=settings.ca_file,
                config=config,
            )
        except (*self.faults, ValueError) as error:
            Patience(self, "settings", seconds).fail(str(error), "Correct requorum_s3_endpoint and _region.")

    def patience(self, what: str) -> Patience:
        """For one call; its deadline runs from now."""
        return Patience(self, what, self.seconds)

    def ask(self, patience: Patience, operation: str, *absent: str, body: bytes | None = None, **more: t.Any) -> t.Any:
        """Answer of one request; None when the store answers with one of the codes in `absent`."""
        while True:
            patience.tick()
            if body is not None:
                more["Body"] = _Body(body, patience.tick)
            try:
                return getattr(self.client, operation)(Bucket=self.settings.bucket, **more)
            except self.faults as error:
                if _code(error) in absent:
                    return None
                patience.endure(error)


def _answer(error: Exception) -> dict[str, t.Any]:
    """What the store said; empty when it said nothing."""
    answer: dict[str, t.Any] = getattr(error, "response", None) or {}
    return answer


def _code(error: Exception) -> str:
    return str(_answer(error).get("Error", {}).get("Code", ""))


def _transient(error: Exception) -> bool:
    """Whether the same request may do later."""
    from botocore import exceptions

    if _answer(error):
        status = _answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return _code(error) in TRANSIENT or status == 429 or status >= 500
    lost = (exceptions.ConnectionError, exceptions.HTTPClientError, exceptions.IncompleteReadError)
    return isinstance(error, lost) and not isinstance(error, exceptions.SSLError)


def _words(error: Exception) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    from botocore import exceptions

    code = _code(error)
    if code:
        text = f"{code}: {_answer(error)['Error'].get('Message') or 'no more is said'}"
        return text, HINTS.get(code, "Look into the log of the store.")
    if isinstance(error, exceptions.SSLError):
        return str(error), "Set requorum_s3_ca_file to the file with the authority of its certificate."
    if _transient(error):
        return str(error), "Look whether this machine reaches requorum_s3_endpoint, then run it again."
    return str(error), "Correct the variables requorum_s3_*."
