"""Whom newly tagged images are told to: a command or a URL, named once and checked before a watch.

A URL gets signed requests as the Standard Webhooks specification says
(https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from curate import __version__
from curate.errors import CurateError, UsageError

SECRET = "CURATE_WEBHOOK_SECRET"  # noqa: S105  (the variable's name)
COMMAND_SECONDS = 60.0
REQUEST_SECONDS = 10.0
BODY_READ = 1_024
Row = Mapping[str, object]


class NotAccepted(CurateError):
    """A delivery was not accepted; `str()` says why, without the address or the command."""


class Target(Protocol):
    """Whoever is told."""

    def deliver(self, rows: Sequence[Row]) -> None:
        """Tell of some images; raises NotAccepted."""


def target_of(text: str, environment: Mapping[str, str]) -> Target:
    """A URL where it begins as one, else a command; raises UsageError for what cannot be called."""
    if "://" in text.split(" ", 1)[0]:
        return Url(_checked(text), _secret(environment))
    return Command(tuple(_words(text)))


@dataclass(frozen=True)
class Command:
    """A program that reads JSON Lines, the rows of `curate export -f jsonl`, and exits with 0."""

    words: tuple[str, ...]

    def deliver(self, rows: Sequence[Row]) -> None:
        """Run it, without a shell; raises NotAccepted."""
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        with TemporaryFile() as errors:
            try:
                done = subprocess.run(  # noqa: S603  (what the user asked to be run)
                    self.words,
                    input=lines.encode(),
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    timeout=COMMAND_SECONDS,
                )
            except subprocess.TimeoutExpired as error:
                raise NotAccepted(f"the command took over {COMMAND_SECONDS:.0f} s") from error
            except OSError as error:
                raise NotAccepted(f"the command could not run: {error.strerror}") from error
            if done.returncode:
                errors.seek(0)
                said = errors.read(BODY_READ).decode(errors="replace").strip().split("\n")[-1]
                raise NotAccepted(f"the command ended with {done.returncode}: {said}".rstrip(": "))


@dataclass(frozen=True)
class Url:
    """Where a POST of JSON goes, and the key that signs it."""

    address: SplitResult
    key: bytes

    def deliver(self, rows: Sequence[Row]) -> None:
        """Send it; only a status of 2xx accepts it, a redirect is not followed."""
        now = datetime.now(UTC)
        told = {"type": "image.tagged", "timestamp": now.isoformat(), "data": {"images": rows}}
        body = json.dumps(told).encode()
        headers = signed(message_id(rows), int(now.timestamp()), body, self.key)
        made = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        host, port = str(self.address.hostname), self.address.port
        connection = made[self.address.scheme](host, port, timeout=REQUEST_SECONDS)
        try:
            connection.request("POST", _resource(self.address), body, headers)
            answer = connection.getresponse()
            answer.read(BODY_READ)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise NotAccepted(f"no answer from {host}: {reason}") from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise NotAccepted(f"{host} answered {answer.status} {answer.reason}".rstrip())


def message_id(rows: Sequence[Row]) -> str:
    """The same for the same images, so that who is told twice can know it."""
    names = "".join(str(row["sha256"]) for row in rows)
    return f"msg_{hashlib.sha256(names.encode()).hexdigest()[:32]}"


def signed(identity: str, seconds: int, body: bytes, key: bytes) -> dict[str, str]:
    """The headers of a request, signed as Standard Webhooks says."""
    content = f"{identity}.{seconds}.".encode() + body
    signature = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    return {
        "content-type": "application/json",
        "user-agent": f"curate/{__version__}",
        "webhook-id": identity,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{signature}",
    }


def _resource(address: SplitResult) -> str:
    query = f"?{address.query}" if address.query else ""
    return (address.path or "/") + query


def _checked(text: str) -> SplitResult:
    try:
        address = urlsplit(text)
        usable = bool(address.hostname) and address.port != 0
    except ValueError as error:
        raise UsageError(f"--on-tag: {text!r} is no URL: {error}") from error
    if address.scheme not in ("http", "https") or not usable:
        raise UsageError(f"--on-tag: {text!r} is no http or https URL")
    if address.username is not None:
        raise UsageError(f"--on-tag: a URL must hold no password; {SECRET} signs what is sent")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"--on-tag: {text!r} holds characters that must be percent-encoded")
    return address


def _secret(environment: Mapping[str, str]) -> bytes:
    """The key: what stands in base64 behind "whsec_", else the secret as it is."""
    secret = environment.get(SECRET, "")
    try:
        coded = secret.startswith("whsec_")
        key = base64.b64decode(secret[6:], validate=True) if coded else secret.encode()
    except (binascii.Error, UnicodeError) as error:
        raise UsageError(f"{SECRET} begins with whsec_ but is no base64 behind it") from error
    if not key:
        raise UsageError(f"--on-tag with a URL signs what it sends; set {SECRET} to the secret")
    return key


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--on-tag: {text!r} has a quote that is not closed") from error
    if not words or shutil.which(words[0]) is None:
        raise UsageError(f"--on-tag: there is no program {(words or [''])[0]!r} to run")
    return words
