# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# PRIVATE to the collection: it may change at any time.
"""Where a bucket is: the variables `requorum_s3_*`. Keys come from files or the environment, and go into no output."""

from __future__ import annotations

import os
import typing as t
import urllib.parse
from dataclasses import dataclass, field

from ._errors import RequorumError

KEYS = (
    "Correct the keys: files requorum_s3_access_key_file and requorum_s3_secret_key_file, "
    "else the environment's AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
)
IN_ENVIRONMENT = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
KEYS_FILE = "REQUORUM_S3_KEYS"
"""Environment: a file with lines `NAME=value` of these, where the environment itself is written down by somebody."""


@dataclass(frozen=True)
class Settings:
    """Where the bucket is and how it is asked."""

    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    """Temporary keys have one; only from the environment."""
    endpoint: str | None = None
    """None is AWS. RKE2's form without a scheme (`host:9000`) means https."""
    folder: str = ""
    region: str = "us-east-1"
    path_style: bool = False
    ca_file: str | None = None

    @classmethod
    def of(cls, variables: t.Mapping[str, t.Any], environ: t.Mapping[str, str]) -> Settings:
        """From the variables `requorum_s3_*`; reads the key files and nothing else."""

        def text(name: str) -> str:
            return str(variables.get(f"requorum_s3_{name}") or "").strip()

        if not text("bucket"):
            raise RequorumError("S3: no bucket is named.", "Set requorum_s3_bucket.")
        if bool(text("access_key_file")) != bool(text("secret_key_file")):
            raise RequorumError("S3: one key file without the other.", KEYS)
        files = bool(text("access_key_file"))
        environ = environ if files else _given(environ)
        access = _read(text("access_key_file")) if files else environ.get("AWS_ACCESS_KEY_ID", "")
        secret = _read(text("secret_key_file")) if files else environ.get("AWS_SECRET_ACCESS_KEY", "")
        if not (access and secret):
            raise RequorumError("S3: there are no keys.", KEYS)
        if text("ca_file") and not os.path.isfile(text("ca_file")):
            raise RequorumError(f"S3: {text('ca_file')} is no file.", "Correct requorum_s3_ca_file.")
        endpoint = _endpoint(text("endpoint"))
        style = text("path_style").lower()
        return cls(
            text("bucket"),
            access,
            secret,
            None if files else environ.get("AWS_SESSION_TOKEN") or None,
            endpoint,
            text("folder").strip("/"),
            text("region") or "us-east-1",
            # Names of buckets are names of hosts at AWS only; other stores need a wildcard certificate for that.
            style in ("true", "yes", "on", "1") if style else bool(endpoint and "amazonaws.com" not in endpoint),
            text("ca_file") or None,
        )

    @property
    def where(self) -> str:
        """For people."""
        return f"bucket {self.bucket} at {self.endpoint or 'AWS ' + self.region}"

    def hide(self, text: str) -> str:
        """A text from elsewhere, in one line and without the keys."""
        for key in (self.access_key, self.secret_key, self.session_token):
            text = text.replace(key, "***") if key else text
        return " ".join(text.split())


def _given(environ: t.Mapping[str, str]) -> t.Mapping[str, str]:
    """The environment with the keys of its file."""
    path = environ.get(KEYS_FILE)
    pairs = (line.partition("=") for line in _read(path).splitlines()) if path else ()
    return {**environ, **{name: value for name, _equals, value in pairs}}


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise RequorumError(f"S3: key file {path} cannot be read: {reason}.", KEYS) from None


def _endpoint(text: str) -> str | None:
    if not text:
        return None
    try:
        url = urllib.parse.urlsplit(text if "://" in text else f"https://{text}")
        good = url.scheme in ("http", "https") and url.hostname and (url.port or True)
    except ValueError:
        good = False
    if not good or url.username is not None or url.path.strip("/") or url.query or url.fragment:
        raise RequorumError("S3: requorum_s3_endpoint is no address.", "It is like https://s3.example.org:9000.")
    return f"{url.scheme}://{url.netloc}"
