"""A marketplace on disk: listings.jsonl and its photos."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

import orjson
from tqdm import tqdm

from demo.marketplace.listings import ListingEvent, generate, item_id, photos_at
from demo.marketplace.photos import encode_photo
from events.log_tables import replacing

LISTINGS = "listings.jsonl"
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


def write_marketplace(
    folder: Path,
    count: int,
    seed: int,
    photo_size: int = 320,
    *,
    photos: bool = True,
    force: bool = False,
    processes: int | None = None,
) -> Written:
    """Write `images/<id>-<n>.jpg`, unless `photos` is off, and `listings.jsonl`.

    The listings are written last: once the file exists, so do all the photos that it names.

    Raises FolderNotEmpty where the folder holds anything and `force` is off, OSError.
    """
    listings = generate(count, seed)
    prepare_folder(folder, force=force)
    drawn = write_photos(folder, count, seed, photo_size, processes or half_the_processors()) if photos else 0
    return Written(_write_lines(folder / LISTINGS, listings, count), drawn)


def prepare_folder(folder: Path, *, force: bool) -> None:
    """Make the folder and delete an earlier marketplace from it; other files stay.

    Raises FolderNotEmpty where it holds anything and `force` is off.
    """
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise FolderNotEmpty(
            f"{folder} is not empty; choose another folder, or pass --force to overwrite what is in it"
        )
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    for left in (folder / LISTINGS, *(folder / IMAGES).glob("d*-[123].jpg")):
        left.unlink(missing_ok=True)


def half_the_processors() -> int:
    """Return how many processes draw, which leaves the other half to the demo's services."""
    return max(1, (cpu_count() or 1) // 2)


def write_photos(folder: Path, count: int, seed: int, size: int, processes: int) -> int:
    """Draw every photo of the first `count` listings; the number of photos written."""
    draw = partial(_write_chunk, folder, seed, size)
    chunks = [range(start, min(start + CHUNK, count + 1)) for start in range(1, count + 1, CHUNK)]
    written = 0
    with tqdm(total=count, unit=" listings", desc="photos", delay=PROGRESS_AFTER, disable=None) as bar:
        for drawn, chunk in zip(_mapped(draw, chunks, processes), chunks, strict=True):
            written += drawn
            bar.update(len(chunk))
    return written


def _mapped(draw: "partial[int]", chunks: list[range], processes: int) -> Iterator[int]:
    if processes == 1 or len(chunks) == 1:
        yield from map(draw, chunks)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(draw, chunks)


def _write_chunk(folder: Path, seed: int, size: int, numbers: range) -> int:
    return sum(_write_listing_photos(folder, seed, size, number) for number in numbers)


def _write_listing_photos(folder: Path, seed: int, size: int, number: int) -> int:
    specs = photos_at(number, seed)
    for nth, spec in enumerate(specs, 1):
        (folder / IMAGES / f"{item_id(number)}-{nth}.jpg").write_bytes(encode_photo(spec, size))
    return len(specs)


def _write_lines(file: Path, written: Iterable[ListingEvent], total: int) -> int:
    """Write one JSON object a line, atomically; the number of lines."""
    bar = tqdm(written, total=total, unit=" lines", desc=file.stem, delay=PROGRESS_AFTER, disable=None)
    with replacing(file) as unfinished, unfinished.open("wb") as out:
        out.writelines(orjson.dumps(event) + b"\n" for event in bar)
    return total
