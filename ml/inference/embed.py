"""Embedding of photos that are named by path, in folders or in listing files."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError
from tqdm import tqdm

from ml.artifact import Preprocessing
from ml.atomic_files import flush, replaced, writing
from ml.data.json_lines import SUFFIXES, json_lines
from ml.data.listing_events import check_not_table
from ml.data.pairs import SHARDS_REPORT, SURROGATE
from ml.data.prefetch import prefetch
from ml.errors import MlError
from ml.inference.encoder import ImageEncoder
from ml.inference.graph import BATCH
from ml.inference.photo_files import files_under
from ml.inference.preprocess import MAX_BYTES, UnusablePhoto, decode_as

LEFT_OUT: Final = {
    "not_a_photo": "neither its suffix nor its first bytes are those of a photo",
    "link_to_folder": "links to folders are not followed; give the folder itself",
    "folder_unreadable": "the folder cannot be listed; check its permissions",
}
"""Meaning of each reason code of ml.inference.photo_files.files_under."""


class TooFewPhotos(MlError):
    """Too few photos that can be decoded."""


class ListedPhoto(BaseModel):
    """The fields of a listing event that embedding needs; the indexer validates the rest."""

    item_id: str = Field(min_length=1)
    images: list[str] = Field(min_length=1)


@dataclass(frozen=True)
class Source:
    """A photo to embed under an id, or the reason why there is none."""

    item_id: str
    photo: Path | None
    reason: str = ""
    """If there is no photo: a reason code and what was found."""


@dataclass
class Embedded:
    """The vectors of photos, and the photos that were left out."""

    vectors: NDArray[np.float32]
    """(n, dims) float32, unit norm."""
    ids: list[str]
    """(n,) ids of the rows of `vectors`."""
    left_out: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of an id, and the reason code with what was found."""

    @property
    def reasons(self) -> Counter[str]:
        """Number of photos left out by reason code."""
        return Counter(reason.partition(":")[0] for _, reason in self.left_out)


def photo_sources(paths: Sequence[Path]) -> Iterator[Source]:
    """Yield the photos of listing files (the first of each listing), of folders, and single photos.

    The id is the listing's item_id, also in a folder of `nitamono ml pairs`, or else the photo's path. Files
    that are not photos have a source too, with the reason.

    Raises:
        NotUtf8: a listing file in UTF-16.
        NoListings: a CSV or parquet file.
        BadPairShard: a folder of `nitamono ml pairs` is damaged or incomplete.
    """
    for path in paths:
        check_not_table(path)
        if (path / SHARDS_REPORT).exists():
            from ml.data.pair_shards import read_shards  # noqa: PLC0415  # parquet takes a while to import

            yield from (Source(pair.item_id, pair.photo) for pair in read_shards(path))
        elif path.is_dir():
            yield from folder_sources(path)
        elif path.suffix.lower() in SUFFIXES:
            yield from listed_sources(path)
        else:
            yield Source(str(path), path)


def folder_sources(folder: Path) -> Iterator[Source]:
    """Yield a source for each file of a folder and its sub-folders."""
    files = files_under(folder)
    yield from (Source(str(photo), photo) for photo in files.photos)
    for path, code in files.left_out.items():
        yield Source(str(path), None, f"{code}: {LEFT_OUT[code]}")


def listed_sources(path: Path) -> Iterator[Source]:
    """Yield a source for each line of a JSONL file: the first photo of its listing."""
    for number, line in json_lines(path):
        try:
            listed = ListedPhoto.model_validate_json(line)
        except ValidationError:
            yield Source(
                f"{path}:{number}", None, "not_a_listing: expected a JSON object with item_id and images"
            )
        else:
            yield Source(listed.item_id, path.parent / listed.images[0])


def embed_photos(
    sources: Sequence[Source], encoder: ImageEncoder, preprocessing: Preprocessing, *, threads: int = 1
) -> Embedded:
    """Embed every photo that can be decoded, and list the others with their reasons.

    Photos are decoded on `threads` threads while the encoder processes earlier ones.
    """
    done = Embedded(np.empty((0, encoder.dims), np.float32), [])
    vectors = [done.vectors]
    progress = tqdm(total=len(sources), desc="embedding", unit="photo", disable=None)
    with ThreadPoolExecutor(threads) as pool, progress:
        outcomes = prefetch(pool, lambda source: (source, read(source, preprocessing)), sources)
        while batch := list(islice(outcomes, BATCH)):
            pixels = []
            for source, outcome in batch:
                if isinstance(outcome, str):
                    done.left_out.append((source.item_id, outcome))
                else:
                    done.ids.append(source.item_id)
                    pixels.append(outcome)
            if pixels:
                vectors.append(encoder.encode(np.stack(pixels)))
            progress.update(len(batch))
    done.vectors = np.concatenate(vectors)
    return done


def read(source: Source, preprocessing: Preprocessing) -> NDArray[np.uint8] | str:
    """Read pixels (image_size, image_size, 3) uint8, or the reason code with what was found."""
    if source.photo is None:
        return source.reason
    try:
        with source.photo.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # a ValueError of a path with a null byte
        return f"photo_unreadable: {str(source.photo)!r}: {error}"
    try:
        return decode_as(preprocessing, data)
    except UnusablePhoto as error:
        return str(error)


def ids_path(vectors: Path) -> Path:
    """The path of the ids of NAME.npy: NAME.ids.txt in the same folder, one id per line, in row order."""
    return vectors.with_suffix(".ids.txt")


def id_line(item_id: str) -> str:
    """The id itself, or a JSON string if it is not one line of UTF-8 or begins with a quote.

    A file name may hold line breaks and, as surrogates, bytes that are not UTF-8 (PEP 383).
    """
    odd = item_id.startswith('"') or item_id.splitlines() != [item_id] or SURROGATE.search(item_id)
    return json.dumps(item_id) if odd else item_id


def read_ids(path: Path) -> list[str]:
    """Read the ids that save_embedded wrote.

    Raises:
        OSError, UnicodeDecodeError: the file cannot be read, or is not UTF-8.
    """
    return [id_of(line) for line in path.read_text(encoding="utf-8-sig").splitlines()]


def id_of(line: str) -> str:
    """Parse a line that id_line wrote."""
    if not line.startswith('"'):
        return line
    try:
        return str(json.loads(line))
    except ValueError:  # an id that begins with a quote, in a file by another program
        return line


def save_embedded(embedded: Embedded, out: Path) -> None:
    """Write the vectors to `out`, a .npy file, and their ids to ids_path(out).

    Vectors and ids of different runs are never combined: those of an earlier run are removed, then the ids
    are moved, then the vectors.

    Raises:
        NotWritten: the disk is full, or the folder cannot be created. Then neither file is written.
    """
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with replaced(out) as vectors, replaced(ids_path(out)) as ids:
        np.save(vectors, embedded.vectors)
        ids.write("".join(f"{id_line(item_id)}\n" for item_id in embedded.ids).encode())
        for file in (vectors, ids):
            flush(file)
        out.unlink(missing_ok=True)
