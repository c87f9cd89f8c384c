"""Forgetting in files: parquet shards, and proof from the files of Elasticsearch."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from events.parquet_rows import count_rows, delete_rows
from indexer.errors import UnreadableFile
from indexer.jobs.forget_subject import Subject
from mappings.errors import failure_of

T = TypeVar("T")


@dataclass(frozen=True)
class ForgottenShards:
    """The rows of a subject in the parquet files of some folders, by `item_id` and `seller_id`."""

    folders: Collection[Path]
    name: str = "parquet_rows"

    def forget(self, subject: Subject) -> int:
        """Delete them, and return how many there were.

        Raises:
            UnreadableFile: a file cannot be read. Those before it are done.
        """
        return sum(self._each(delete_rows, subject))

    def remaining(self, subject: Subject) -> int:
        """Return how many there are.

        Raises:
            UnreadableFile: a file cannot be read.
        """
        return sum(found for found, _ in self._each(count_rows, subject))

    def _each(
        self, function: Callable[[Path, Mapping[str, Collection[str]]], T], subject: Subject
    ) -> Iterator[T]:
        values = {"item_id": subject.item_ids, "seller_id": [subject.seller_id] if subject.seller_id else []}
        for path in sorted(path for folder in self.folders for path in folder.rglob("*.parquet")):
            try:
                yield function(path, values)
            except (OSError, KeyError, ValueError) as error:  # ArrowInvalid is a ValueError
                raise UnreadableFile(
                    f"{path} cannot be read: {failure_of(error)}; repair or delete it, then try again"
                ) from error


def files_with(folder: Path, traces: Iterable[bytes]) -> list[Path]:
    """Return the files below a folder that have one of the traces in them, as they are on disk.

    Vectors are stored as they are. Titles are compressed by LZ4, which leaves a text as it is where it
    repeats nothing before it. So a title that is not found proves little, unless it was found before.
    """
    wanted = [trace for trace in traces if trace]
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and _has_any(path, wanted)]


def _has_any(path: Path, traces: Iterable[bytes]) -> bool:
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                return False
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return any(content.find(trace) >= 0 for trace in traces)
    except (FileNotFoundError, ValueError):  # a merge deleted or emptied it meanwhile
        return False
