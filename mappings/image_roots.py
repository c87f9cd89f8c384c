"""The folders that photos may be read from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator

from mappings.errors import UnsafePhotoPath
from settings.environment import Variable, read_settings
from settings.services_file import state_folder

_HAS_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")
_BUCKET = re.compile(r"(s3|gs)://", re.IGNORECASE)
_REMOTE = re.compile(r"https?:", re.IGNORECASE)


def is_remote(reference: str) -> bool:
    """Return whether the reference is an http or https URL."""
    # Not by urlsplit, which raises for a malformed host. The rest of the URL is checked when it is fetched.
    return _REMOTE.match(reference) is not None


def is_in_bucket(reference: str) -> bool:
    """Return whether the reference is an object of S3 or Google Cloud Storage."""
    return _BUCKET.match(reference) is not None


def folders(text: str) -> tuple[str, ...]:
    """Return the folders in a list such as `PATH`."""
    return tuple(filter(None, text.split(os.pathsep)))


@dataclass(frozen=True)
class ImageRoots:
    """The folders from which an operator allows photos to be read.

    `file` lists further ones, one on each line. It is read on each use, so that `nitamono index --root` can
    allow a folder while workers and API are running.
    """

    folders: Annotated[
        tuple[Path, ...],
        BeforeValidator(folders),
        Variable(
            "NITAMONO_IMAGE_ROOTS",
            "The folders that photos may be read from, separated by colons.",
            expected="folders separated by colons",
        ),
    ] = ()
    file: Annotated[
        Path | None,
        Variable(
            "NITAMONO_IMAGE_ROOTS_FILE",
            "A file with more such folders, one per line. `nitamono index --root` adds to it.",
            default="`image-roots` in `NITAMONO_STATE_DIR`",
        ),
    ] = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ImageRoots:
        """Read NITAMONO_IMAGE_ROOTS and NITAMONO_IMAGE_ROOTS_FILE.

        The default file is one that worker, API and command line share.
        """
        file = state_folder(environ) / "image-roots"
        return read_settings(cls, environ, {"NITAMONO_IMAGE_ROOTS_FILE": str(file)})

    def allowed(self) -> tuple[Path, ...]:
        """Return the folders that are allowed now, resolved."""
        return tuple(folder.resolve() for folder in (*self.folders, *self._from_file()))

    def allow(self, folder: Path) -> None:
        """Add the folder to the file, unless it is allowed already.

        Raises:
            ValueError: no file is configured.
        """
        if self.file is None:
            raise ValueError("set NITAMONO_IMAGE_ROOTS_FILE to the file that lists the allowed folders")
        resolved = folder.resolve()
        if resolved not in self.allowed():
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with self.file.open("a", encoding="utf-8") as lines:
                lines.write(f"{resolved}\n")

    def resolve(self, reference: str) -> Path:
        """Return the regular file at a path inside one of the allowed folders, with symbolic links followed.

        A relative path is tried below each folder in turn.

        Raises:
            UnsafePhotoPath: it has a scheme, is outside the folders, or is not an existing regular file.
        """
        try:
            return self._resolved(reference)
        # A name that is too long, a loop of links, or a character that no file name can have.
        except (OSError, RuntimeError, UnicodeError) as error:
            raise UnsafePhotoPath(
                reference, "photo_unreadable", f"a path that can be followed ({error})"
            ) from error

    def _resolved(self, reference: str) -> Path:
        if _HAS_SCHEME.match(reference) or "\x00" in reference:
            raise UnsafePhotoPath(reference, "photo_scheme_not_allowed", "http, https or a path")
        roots = self.allowed()
        inside = [path for root in roots if (path := (root / reference).resolve()).is_relative_to(root)]
        if not inside:
            allowed = ", ".join(map(str, roots)) or "no folder is allowed; set NITAMONO_IMAGE_ROOTS"
            raise UnsafePhotoPath(
                reference, "photo_outside_roots", f"a path below an allowed folder ({allowed})"
            )
        for path in inside:
            if path.is_file():
                return path
        reason = "photo_not_a_file" if any(path.exists() for path in inside) else "photo_not_found"
        raise UnsafePhotoPath(reference, reason, "an existing regular file")

    def _from_file(self) -> tuple[Path, ...]:
        try:
            text = self.file.read_text(encoding="utf-8") if self.file else ""
        except FileNotFoundError:
            return ()
        return tuple(Path(line) for line in text.splitlines() if line.strip())
