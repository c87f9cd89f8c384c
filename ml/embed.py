"""Photos named on a command line, in folders or in listing files, to vectors with ids."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError
from tqdm import tqdm

from ml.artifact import Preprocessing
from ml.encoder import BATCH, ImageEncoder
from ml.errors import MlError
from ml.files import replaced, writing
from ml.pairs import SHARDS_REPORT, photos_under, refuse_table
from ml.prefetch import ahead
from ml.preprocess import MAX_BYTES, UnusablePhoto


class TooFewPhotos(MlError):
    """Fewer photos than are needed could be decoded."""


class ListedPhoto(BaseModel):
    """What embedding needs of a listing event; its other fields are the indexer's to judge."""

    item_id: str = Field(min_length=1)
    images: list[str] = Field(min_length=1)


@dataclass(frozen=True)
class Source:
    """A photo to embed under an id; `photo` is None where the line named none."""

    item_id: str
    photo: Path | None


@dataclass
class Embedded:
    """What came of the photos given."""

    vectors: NDArray[np.float32]
    """(n, dims), unit norm."""
    ids: list[str]
    """(n,), a row of vectors each."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Id to the reason code and what was found."""

    @property
    def reasons(self) -> Counter[str]:
        return Counter(reason.partition(":")[0] for reason in self.left_out.values())


def photo_sources(paths: Sequence[Path]) -> Iterator[Source]:
    """The photos of listing files (the first of each listing), of folders, and those named themselves.

    The id is the listing's item_id, also in a folder of `nitamono ml pairs`, or else the photo's path.

    Raises:
        NoListings: a CSV or parquet file.
        BadPairShard: a folder of `nitamono ml pairs` is damaged or incomplete.
    """
    for path in paths:
        refuse_table(path)
        if (path / SHARDS_REPORT).exists():
            from ml.pair_shards import read_shards  # noqa: PLC0415  # parquet takes a while to import

            yield from (Source(pair.item_id, pair.photo) for pair in read_shards(path))
        elif path.is_dir():
            yield from (Source(str(photo), photo) for photo in photos_under(path))
        elif path.suffix == ".jsonl":
            yield from listed_sources(path)
        else:
            yield Source(str(path), path)


def listed_sources(path: Path) -> Iterator[Source]:
    with path.open("rb") as lines:  # a line that is not UTF-8 is then one bad line, not the end
        for number, line in enumerate(lines, start=1):
            try:
                listed = ListedPhoto.model_validate_json(line)
            except ValidationError:
                yield Source(f"{path}:{number}", None)
            else:
                yield Source(listed.item_id, path.parent / listed.images[0])


def embed_photos(
    sources: Sequence[Source], encoder: ImageEncoder, preprocessing: Preprocessing, *, threads: int = 1
) -> Embedded:
    """Vectors of every photo that can be used; the others are named with their reasons.

    Photos are decoded on `threads` threads while the encoder works on those before.
    """
    done = Embedded(np.empty((0, encoder.dims), np.float32), [])
    vectors = [done.vectors]
    progress = tqdm(total=len(sources), desc="embedding", unit="photo", disable=None)
    with ThreadPoolExecutor(threads) as pool, progress:
        outcomes = ahead(pool, lambda source: (source, read(source, preprocessing)), sources)
        while batch := list(islice(outcomes, BATCH)):
            pixels = []
            for source, outcome in batch:
                if isinstance(outcome, str):
                    done.left_out[source.item_id] = outcome
                else:
                    done.ids.append(source.item_id)
                    pixels.append(outcome)
            if pixels:
                vectors.append(encoder.encode(np.stack(pixels)))
            progress.update(len(batch))
    done.vectors = np.concatenate(vectors)
    return done


def read(source: Source, preprocessing: Preprocessing) -> NDArray[np.uint8] | str:
    """Pixels (image_size, image_size, 3), or the reason code with what was found."""
    if source.photo is None:
        return "not_a_listing: no JSON object with item_id and images"
    try:
        with source.photo.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # a ValueError of a path with a null byte
        return f"photo_unreadable: {source.photo}: {error}"
    try:
        return preprocessing.decode(data)
    except UnusablePhoto as error:
        return str(error)


def ids_path(vectors: Path) -> Path:
    """Where the ids of vectors.npy lie: vectors.ids.txt beside it, one a line in the order of the rows."""
    return vectors.with_suffix(".ids.txt")


def save_embedded(embedded: Embedded, out: Path) -> None:
    """Write the vectors to `out`, a .npy file, and their ids beside it.

    Raises:
        NotWritten: there is no room for one of them, or their folder cannot be made.
    """
    with writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with replaced(out) as file:
        np.save(file, embedded.vectors)
    with replaced(ids_path(out)) as file:
        file.write("".join(f"{item_id}\n" for item_id in embedded.ids).encode())
