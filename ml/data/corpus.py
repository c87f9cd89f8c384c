"""A corpus of decoded pairs, and the names of its sources."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.artifact import Preprocessing
from ml.data.pairs import Pair


@dataclass(frozen=True)
class Corpus:
    """Decoded pairs: row i of every array belongs to pairs[i]."""

    pairs: tuple[Pair, ...]
    pixels: NDArray[np.uint8]
    """(n, s, s, 3) uint8, RGB; may be mapped from a file, since they may exceed memory."""
    splits: NDArray[np.str_]
    """(n,) str, the Split of each pair."""
    photos: NDArray[np.uint64]
    """(n,) uint64 digests of the photos' bytes, which do not depend on the size of the pixels."""
    dropped: Counter[str]
    """Counts of events that were left out, by reason."""
    crop: float | None = None
    """Share of the shorter side of each photo that its pixels show: see ml.inference.preprocess."""

    def rows(self, split: str, source: str | None = None) -> NDArray[np.int64]:
        """(m,) int64 rows of a Split or of "all", of one source if given."""
        kept = np.ones(len(self.pairs), bool) if split == "all" else self.splits == split
        if source is not None:
            kept &= np.array([pair.source == source for pair in self.pairs])
        return np.flatnonzero(kept)

    def part(self, rows: NDArray[np.int64]) -> "Corpus":
        """The corpus of some rows (m,) int64."""
        pairs = tuple(self.pairs[row] for row in rows)
        return Corpus(pairs, self.pixels[rows], self.splits[rows], self.photos[rows], self.dropped, self.crop)

    @property
    def size(self) -> int:
        """Pixels per side."""
        return int(self.pixels.shape[1])

    @property
    def preprocessing(self) -> Preprocessing:
        """The conversion of photos to its pixels."""
        return Preprocessing(image_size=self.size, crop=self.crop)

    @property
    def sources(self) -> list[str]:
        """Every source, sorted."""
        return sorted({pair.source for pair in self.pairs})

    @property
    def fingerprint(self) -> str:
        """16 hex digits that change with any pair, photo or split, but not with the size of the pixels."""
        digest = hashlib.sha256()
        for pair, split, photo in zip(self.pairs, self.splits, self.photos, strict=True):
            digest.update(
                f"{pair.item_id}\0{pair.captions}\0{split}\0{photo:016x}\n".encode(errors="surrogatepass")
            )
        return digest.hexdigest()[:16]


def evenly(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """(≤ count,) int64: rows (n,) int64 evenly spaced, so that all sources are represented."""
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(np.int64)]


def short_name(source: str) -> str:
    """The name of the folder that holds a listing file or class folders, without its path on this machine."""
    return Path(source).absolute().parent.name


def describe(corpus: Corpus) -> str:
    """Counts of a corpus's pairs, splits, sources and dropped events, as JSON."""
    counts = {
        "pairs": len(corpus.pairs),
        "splits": dict(Counter(corpus.splits.tolist())),
        "sources": dict(Counter(pair.source for pair in corpus.pairs)),
        "dropped": dict(corpus.dropped),
    }
    return json.dumps(counts, ensure_ascii=False)


def unique_names(sources: Sequence[str]) -> dict[str, str]:
    """Map each source to its shortest name that fits no other source."""
    return {
        source: unique_name(source, [other for other in sources if other != source]) for source in sources
    }


def unique_name(source: str, others: Sequence[str]) -> str:
    """The shortest name of a source that fits none of the others; else the source itself."""
    taken = {name for other in others for name in names_of(other)}
    return next((name for name in names_of(source) if name not in taken), source)


def names_of(source: str) -> list[str]:
    """short_name, then path endings of growing length: shop, shop/a.jsonl, home/shop/a.jsonl."""
    parts = Path(source).absolute().parts
    return [short_name(source), *("/".join(parts[-count:]) for count in range(2, len(parts)))]
