"""Downloads a file and verifies its published SHA-512."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from demo.local_services.errors import ChecksumMismatch, DownloadFailed, NoDiskSpace
from demo.local_services.progress import Step

CHUNK = 1 << 20  # bytes
TIMEOUT_S = 10.0


def fetch_verified(url: str, target: Path, step: Step) -> None:
    """Download `url` to `target` and verify it by `url`.sha512.

    Raises DownloadFailed, ChecksumMismatch or NoDiskSpace, and then leaves no file.
    """
    expected = published_sha512(url)
    draft = target.with_name(f"{target.name}.part")
    try:
        _fetch(url, draft, step)
        verify_sha512(draft, url, expected)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def published_sha512(url: str) -> str:
    """Return the SHA-512, in hex, that the publisher gives for the file of `url`. Raises DownloadFailed."""
    text = _open(f"{url}.sha512").read(4096).decode("ascii", errors="replace")
    words = text.split()
    if not words or len(words[0]) != 128:
        raise DownloadFailed(f"{url}.sha512", f"found {text[:40]!r}, expected a SHA-512")
    return words[0].lower()


def verify_sha512(file: Path, name: str, expected: str) -> None:
    """Raise ChecksumMismatch, with the file's `name`, unless it has the SHA-512 `expected` (hex)."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha512").hexdigest()
    if found != expected:
        raise ChecksumMismatch(name, found, expected)


def require_disk_space(folder: Path, needed: int, purpose: str) -> None:
    """Raise NoDiskSpace if the disk of `folder` has fewer than `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoDiskSpace(folder, needed, free, purpose)


def _fetch(url: str, draft: Path, step: Step) -> None:
    size = 0
    with _open(url) as answer, draft.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        require_disk_space(draft.parent, 3 * total, "The archive of Elasticsearch, packed and unpacked,")
        try:
            while chunk := answer.read(CHUNK):
                size += file.write(chunk)
                step.tick(f"{size / 1e6:.0f} of {total / 1e6:.0f} MB")
        except (OSError, http.client.HTTPException) as error:
            raise DownloadFailed(url, f"it broke off after {size} bytes: {error}") from error
    if total and size != total:
        raise DownloadFailed(url, f"it broke off after {size} of {total} bytes")


def _open(url: str) -> http.client.HTTPResponse:
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=TIMEOUT_S)  # noqa: S310 - the operator names the scheme
    except urllib.error.HTTPError as error:
        raise DownloadFailed(url, f"the server says {error.code} {error.reason}") from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise DownloadFailed(url, str(getattr(error, "reason", error))) from error
    return answer
