"""Files of listings on this machine, or copied to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from indexer.intake.files import Selection, SkippedFile, checked, read_rows, records, select
from indexer.intake.listing_map import ListingMap
from indexer.intake.row import Checked, Row
from indexer.intake.sources.source import Preview
from indexer.intake.sources.watermarks import Watermarks


@dataclass(frozen=True)
class FileSource:
    """Selected files, and what relative photo paths start from; None: the folder of each file, or its URL."""

    name: str
    selection: Selection
    root: Path | str | None = None
    url: str | None = None
    """Where the selected folder was copied from; None if it is this machine's."""

    @classmethod
    def at(cls, path: Path, root: Path | str | None, rules: ListingMap) -> Self:
        """Return the files of listings at a path.

        Raises:
            UnreadableFile: there is none.
        """
        return cls(str(path), select(path, rules), root.resolve() if isinstance(root, Path) else root)

    @property
    def photo_folder(self) -> Path | None:
        """The folder of photos: `root`, the selected folder, or that of the file."""
        if self.root is not None:
            return self.root if isinstance(self.root, Path) else None
        if self.url is not None:
            return None
        return self.selection.folder.resolve()

    @property
    def skipped_files(self) -> tuple[SkippedFile, ...]:
        """The files that are not read."""
        return self.selection.skipped_files

    def check(self, rules: ListingMap) -> Preview:
        """Check that all files can be read.

        Raises:
            UnreadableFile: one cannot.
        """
        found = {self.selection.name_of(file): checked(file, rules) for file in self.selection.files}
        rows = [each.rows for each in found.values()]
        notes = [note for name, each in found.items() for note in notes_of(name, each)]
        return Preview(sum(rows) if all(rows) else 0, tuple(notes))

    def sample(self, rules: ListingMap) -> Iterator[Row]:
        """Yield the rows of the first file by column."""
        return records(self.selection.files[0], rules)

    def read(self, rules: ListingMap) -> Iterator[Row]:
        """Yield the rows of all files."""
        for file in self.selection.files:
            yield from read_rows(file, self._root_of(file), rules, name=self.selection.name_of(file))

    def continue_from(self, watermarks: Watermarks, *, full: bool) -> str:  # noqa: ARG002  as of every source
        """Return an empty text: files are read whole."""
        return ""

    def accepted(self) -> None:
        """Do nothing: files are read whole."""

    def _root_of(self, file: Path) -> Path | str:
        if self.root is not None:
            return self.root
        if self.url is None:
            return file.parent.resolve()
        return "/".join((self.url, *file.parent.relative_to(self.selection.folder).parts))


def notes_of(name: str, found: Checked) -> Iterator[str]:
    """Yield what was decided about a file that its user may correct."""
    if found.encoding:
        yield f"{name} is in {found.encoding}; if it is not, pass --encoding."
    if found.wrapping is not None:
        yield f"{name}: the listings are in {found.wrapping!r}."
