"""Reading a corpus: photos with captions, from listings, pair shards and class folders."""

import math
import re
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from console.counts import by_name
from ml.artifact import Preprocessing
from ml.data.corpus import Corpus
from ml.data.listing_events import RESERVED_TITLE, Event, check_not_table, key_of, listing_events
from ml.data.near_identical import (
    PRINT_SIZE,
    PhotoPrints,
    digest_of,
    thumbnail,
)
from ml.data.pair_shards import read_shards
from ml.data.pairs import SHARDS_REPORT, SURROGATE, Labels, NoPairs, Pair
from ml.data.prefetch import prefetch
from ml.data.splits import groups, split_pairs
from ml.errors import MlError
from ml.inference.photo_files import files_under
from ml.inference.preprocess import UnusablePhoto, decode_as, photo_hash


@dataclass(frozen=True)
class DecodedPhoto:
    """A photo decoded in one or more ways."""

    squares: list[NDArray[np.uint8]]
    """Pixels (image_size, image_size, 3) uint8 for each way."""
    digest: int
    """Hash of the file's bytes, see digest_of."""


class DiskFull(MlError):
    """A disk without space for the pixels."""


def read_corpus(paths: Sequence[Path], size: int, *, crop: float | None = None, threads: int = 1) -> Corpus:
    """Decode and split everything under `paths`: listing JSONL files, folders of one folder per class, or
    folders that `nitamono ml pairs` wrote, whose splits stay as they are.

    crop: share of the shorter side of photos that is kept, see ml.inference.preprocess.decode_photo.

    Raises:
        NoPairs: nothing usable was found; the message has the reasons.
        NoListings: a CSV or parquet file.
        BadPairShard: a folder of `nitamono ml pairs` is damaged or incomplete.
        DiskFull: the pixels do not fit on the disk of temporary files.
    """
    dropped: Counter[str] = Counter()
    preprocessing = Preprocessing(image_size=size, crop=crop)
    pairs = list(read_pairs(paths, dropped))
    try:
        with tempfile.TemporaryFile() as spool:
            kept, photos, prints = decode_pairs(pairs, preprocessing, dropped, threads, spool)
            spool.flush()
            pixels = mapped(spool, (len(kept), size, size, 3))
    except OSError as error:
        raise DiskFull(
            f"{tempfile.gettempdir()}: pixels of {len(pairs)} photos cannot be stored ({error}); they need "
            f"{len(pairs) * size * size * 3 / 2**20:.0f} MiB: free disk space, or set TMPDIR to a folder on "
            "a larger disk"
        ) from error
    if not kept:
        where = ", ".join(map(str, paths))
        raise NoPairs(
            f"no usable pair in {where}: {by_name(dropped)}; expected a listings JSONL or CLASS/photo.jpg"
        )
    return Corpus(kept, pixels, split_pairs(kept, groups(kept, prints)), photos, dropped, crop)


def mapped(spool: BinaryIO, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Map a file as an array (shape) uint8, copy-on-write; the file may be closed afterwards."""
    return np.memmap(spool, np.uint8, "c", shape=shape) if shape[0] else np.empty(shape, np.uint8)


def read_pairs(
    paths: Sequence[Path], dropped: Counter[str], reserved: re.Pattern[str] = RESERVED_TITLE
) -> Iterator[Pair]:
    """Yield the pairs of data paths of any kind, one per item, from its newest event.

    Paths are read twice, so that only 16 bytes and a bit per event are held in memory. `dropped` counts
    events without a pair by reason.
    """
    for path, newest in zip(paths, newest_events(paths, reserved), strict=True):
        # Lines that are added to a file between the two passes are ignored.
        for event, counts in zip(read_events(path, reserved), newest, strict=False):
            outcome = event.outcome if counts else "earlier_event_of_item"
            if isinstance(outcome, Pair):
                yield outcome
            else:
                dropped[outcome] += 1


def newest_events(paths: Sequence[Path], reserved: re.Pattern[str]) -> list[NDArray[np.bool_]]:
    """For each path (n,) bool: whether each of its events is the newest of its item."""
    items, updated, ends = array("Q"), array("d"), []
    for path in paths:
        for event in read_events(path, reserved):
            items.append(digest_of(event.item.encode(errors="surrogatepass")))
            updated.append(event.updated)
        ends.append(len(items))
    keys = np.array(items, dtype=np.uint64)
    order = np.lexsort((np.array(updated), keys))  # stable: of equal times the later event comes last
    newest = np.ones(len(keys), bool)
    newest[order[:-1]] = keys[order[:-1]] != keys[order[1:]]
    return np.split(newest, ends[:-1])


def read_events(path: Path, reserved: re.Pattern[str]) -> Iterator[Event]:
    """Yield the events of a data path of any kind.

    Pairs of shards count as newer than any line, so that their splits are kept.
    """
    if not path.is_dir():
        check_not_table(path)
        yield from listing_events(path, reserved)
    elif (path / SHARDS_REPORT).exists():
        yield from (Event(key_of(pair), math.inf, pair) for pair in read_shards(path))
    else:
        for number, outcome in enumerate(read_class_folders(path)):
            key = f"{path}:{number}" if isinstance(outcome, str) else key_of(outcome)
            yield Event(key, -math.inf, outcome)


def read_class_folders(folder: Path) -> Iterator[Pair | str]:
    """Yield a pair for each photo of folder/CLASS/*, captioned by its class; for other files a reason code.

    The photos are meant to be ones that people took themselves, not product photos.
    """
    files = files_under(folder)
    yield from files.left_out.values()
    for photo in files.photos:
        name = photo.parent.name
        if SURROGATE.search(name):  # tokenizers reject it
            yield "class_name_not_utf8"
            continue
        caption = f"a photo of a {name}, people's own photo"
        item_id = photo.relative_to(folder).with_suffix("").as_posix()
        yield Pair(item_id, photo, "", (caption,), Labels(name), str(folder))


def decode_pairs(
    pairs: Sequence[Pair],
    preprocessing: Preprocessing,
    dropped: Counter[str],
    threads: int,
    spool: BinaryIO,
) -> tuple[tuple[Pair, ...], NDArray[np.uint64], PhotoPrints]:
    """Return the usable pairs, digests (n,) uint64 and prints of their photos; write the pixels to spool."""
    kept, photos, prints = [], [], []
    with ThreadPoolExecutor(threads) as pool:
        # The prints have a size of their own: splits must not change with the encoder's.
        decoded = prefetch(pool, lambda pair: decode_or_reason(pair.photo, PRINT, preprocessing), pairs)
        progress = tqdm(zip(pairs, decoded, strict=True), "decoding", len(pairs), unit="photo", disable=None)
        for pair, outcome in progress:
            if isinstance(outcome, str):
                dropped[outcome] += 1
                continue
            small, square = outcome.squares
            kept.append(pair)
            photos.append(outcome.digest)
            prints.append(photo_print(small))
            spool.write(square.tobytes())
    return tuple(kept), np.array(photos, dtype=np.uint64), PhotoPrints.of(prints)


PRINT: Final = Preprocessing(image_size=PRINT_SIZE)
"""The conversion of a photo that is compared with others."""


def decode_or_reason(photo: Path, *ways: Preprocessing) -> DecodedPhoto | str:
    """Decode a photo in each way, or return the reason code why it cannot be."""
    try:
        data = photo.read_bytes()
    except (OSError, ValueError):  # a ValueError of a path with a null byte
        return "photo_unreadable"
    try:
        return DecodedPhoto([decode_as(way, data) for way in ways], digest_of(data))
    except UnusablePhoto as error:
        return error.reason


def photo_print(photo: NDArray[np.uint8]) -> tuple[int, NDArray[np.uint8]]:
    """Hash and thumbnail (16, 16, 3) uint8 of a photo (PRINT_SIZE, PRINT_SIZE, 3) uint8."""
    return int(photo_hash(photo), 16), thumbnail(photo)
