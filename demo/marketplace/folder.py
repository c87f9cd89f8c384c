"""A marketplace on disk: listings.jsonl, its photos, and what happens later."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

from tqdm import tqdm

from demo.marketplace.listings import ListingEvent, events, generate, item_id, photos_at
from demo.marketplace.photos import encode_photo

LISTINGS = "listings.jsonl"
EVENTS = "events.jsonl"
IMAGES = "images"
CHUNK = 64  # listings a process draws before it reports back
PROGRESS_AFTER = 2  # seconds


class FolderNotEmpty(FileExistsError):
    """The folder holds something already, and overwriting was not asked for."""


@dataclass(frozen=True)
class Written:
    """What was written."""

    listings: int
    photos: int
    events: int


def write_marketplace(
    folder: Path,
    count: int,
    seed: int,
    photo_size: int = 320,
    *,
    photos: bool = True,
    later_events: bool = False,
    force: bool = False,
    processes: int | None = None,
) -> Written:
    """Write `listings.jsonl`, `images/<id>-<n>.jpg` (unless `photos` is off) and, if asked, `events.jsonl`.

    Raises FolderNotEmpty where the folder holds anything and `force` is off.
    """
    prepare_folder(folder, force=force)
    listed = _write_lines(folder / LISTINGS, generate(count, seed), count, "listings")
    happened = (
        _write_lines(folder / EVENTS, events(generate(count, seed), seed), None, "events")
        if later_events
        else 0
    )
    drawn = write_photos(folder, count, seed, photo_size, processes or polite_processes()) if photos else 0
    return Written(listed, drawn, happened)


def prepare_folder(folder: Path, *, force: bool) -> None:
    """Make the folder.

    Raises FolderNotEmpty where it holds anything and `force` is off.
    """
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise FolderNotEmpty(
            f"{folder} is not empty; choose another folder, or pass --force to overwrite in it"
        )
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)


def polite_processes() -> int:
    """Half of the processors: drawing shares the machine with the services of the demo."""
    return max(1, (cpu_count() or 1) // 2)


def write_photos(folder: Path, count: int, seed: int, size: int, processes: int) -> int:
    """Draw every photo of the first `count` listings; the number of photos written."""
    draw = partial(_write_chunk, folder, seed, size)
    starts = range(1, count + 1, CHUNK)
    chunks = [range(start, min(start + CHUNK, count + 1)) for start in starts]
    with tqdm(total=count, unit=" listings", desc="photos", delay=PROGRESS_AFTER) as bar:
        return sum(
            _advanced(bar, drawn, len(chunk))
            for drawn, chunk in zip(_mapped(draw, chunks, processes), chunks, strict=True)
        )


def _mapped(draw: "partial[int]", chunks: list[range], processes: int) -> Iterator[int]:
    if processes == 1 or len(chunks) == 1:
        yield from map(draw, chunks)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(draw, chunks)


def _advanced(bar: "tqdm[object]", drawn: int, listings: int) -> int:
    bar.update(listings)
    return drawn


def _write_chunk(folder: Path, seed: int, size: int, numbers: range) -> int:
    return sum(_write_listing_photos(folder, seed, size, number) for number in numbers)


def _write_listing_photos(folder: Path, seed: int, size: int, number: int) -> int:
    specs = photos_at(number, seed)
    for nth, spec in enumerate(specs, 1):
        (folder / IMAGES / f"{item_id(number)}-{nth}.jpg").write_bytes(encode_photo(spec, size))
    return len(specs)


def _write_lines(file: Path, written: Iterable[ListingEvent], total: int | None, label: str) -> int:
    """One JSON object a line; the number of lines."""
    lines = 0
    with file.open("w", encoding="utf-8") as out:
        for event in tqdm(written, total=total, unit=" lines", desc=label, delay=PROGRESS_AFTER):
            out.write(json.dumps(event, ensure_ascii=False) + "\n")
            lines += 1
    return lines
