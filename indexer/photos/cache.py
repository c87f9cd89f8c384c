"""Photos kept on disk with the validators of their responses, for conditional requests (RFC 9110, 13).

Every use asks the host whether the photo is still the same, so one that was replaced is noticed, and one that
was deleted is gone.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

log = logging.getLogger(__name__)

LARGEST: Final = 8_000_000
"""Larger photos are not kept: each thread may hold one besides the one that it fetches."""
PRUNED_TO: Final = 0.9
"""Share of the limit that is left after deleting the photos that were used least recently."""
WRITTEN_BETWEEN: Final = 0.05
"""Share of the limit that a process writes before it looks at the folder again: as much may be too much."""


@dataclass(frozen=True)
class Validators:
    """What identifies the version of a photo."""

    etag: str = ""
    last_modified: str = ""

    def __bool__(self) -> bool:
        return bool(self.etag or self.last_modified)

    def condition(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of a request for the photo unless it is still this version.

        A host that knows entity tags ignores the date (RFC 9110, 13.1.3).
        """
        found = ((b"If-None-Match", self.etag), (b"If-Modified-Since", self.last_modified))
        return [(name, value.encode("latin-1")) for name, value in found if value]


@dataclass(frozen=True)
class KeptPhoto:
    """A photo on disk."""

    url: str
    """Where it was found, after redirects."""
    validators: Validators
    data: bytes


@dataclass
class PhotoCache:
    """Photos in a folder, which the processes of a machine share, or of several with one file system. Without
    a folder none are kept."""

    folder: Path | None
    max_bytes: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _unpruned: float = float("inf")
    """Bytes written since this process last looked at the folder."""

    def get(self, reference: str) -> KeptPhoto | None:
        """Return the photo of a reference, if it is kept and undamaged."""
        path = self._path(reference)
        if path is None:
            return None
        try:
            content = path.read_bytes()
            os.utime(path)  # when it was last used
        except OSError:
            return None
        return _parse(content, reference)

    def put(self, reference: str, url: str, validators: Validators, data: bytes) -> None:
        """Keep the photo of a reference that was found at a URL. If the disk is full or read-only, log it."""
        path = self._path(reference)
        if path is None or not validators or len(data) > LARGEST:
            return
        header = {
            "reference": reference,
            "url": url,
            "etag": validators.etag,
            "last_modified": validators.last_modified,
            "checksum": zlib.crc32(data),
        }
        try:
            _replace(path, orjson.dumps(header) + b"\n" + data)
            self._prune_after(len(data))
        except OSError as error:
            log.warning("photo_not_kept folder=%s detail=%s", self.folder, error)

    def forget(self, references: Iterable[str]) -> int:
        """Delete the photos of the references and return how many were kept."""
        return sum(_delete(path) for path in map(self._path, references) if path)

    def _path(self, reference: str) -> Path | None:
        if self.folder is None:
            return None
        name = hashlib.sha256(reference.encode()).hexdigest()
        return self.folder / name[:2] / name[2:]

    def _prune_after(self, written: int) -> None:
        with self._lock:
            self._unpruned += written
            if self._unpruned < self.max_bytes * WRITTEN_BETWEEN:
                return
            self._unpruned = 0
        self._prune()

    def _prune(self) -> None:
        """Delete what was used least recently, if there is more than the limit."""
        files = sorted(self._files())
        excess: float = sum(size for _, size, _ in files) - self.max_bytes
        if excess <= 0:
            return
        excess += self.max_bytes * (1 - PRUNED_TO)
        for _, size, path in files:
            if excess <= 0:
                return
            excess -= size if _delete(path) else 0

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Yield when each file was last used, its size on disk, and its path."""
        for path in self.folder.glob("??/*") if self.folder else ():
            with suppress(OSError):  # another process deleted it
                status = path.stat()
                yield status.st_mtime, status.st_size, path


def _parse(content: bytes, reference: str) -> KeptPhoto | None:
    """Return the photo in a file; None if it is damaged, as after a power failure."""
    line, _, data = content.partition(b"\n")
    try:
        header: dict[str, Any] = orjson.loads(line)
        validators = Validators(header["etag"], header["last_modified"])
        kept = KeptPhoto(header["url"], validators, data)
        intact = header["checksum"] == zlib.crc32(data) and header["reference"] == reference
    except (ValueError, KeyError, TypeError):
        return None
    return kept if intact else None


def _replace(path: Path, content: bytes) -> None:
    """Write a file as a whole: a reader sees the old content or the new."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # readable by this user alone
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _delete(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        return False
    return True
