"""Example slates: photos of the items shown, in the order of each row, with taps marked."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from experiments.analysis.offline.evaluation import Ranked
from ml.evaluation.gallery import (
    SHOWN,
    THUMBNAIL,
    Example,
    GalleryResult,
    data_url,
    sample_queries,
    thumbnail,
)
from ml.inference.embed import listed_sources
from ml.inference.preprocess import MAX_BYTES, UnusablePhoto, decode_photo

GREY: Final = np.full((THUMBNAIL, THUMBNAIL, 3), 221, dtype=np.uint8)
"""(THUMBNAIL, THUMBNAIL, 3) uint8: shown instead of a photo that cannot be read."""


def photos_of(listings: Path) -> dict[str, Path]:
    """Item id to its first photo, from a JSONL of listing events."""
    return {source.item_id: source.photo for source in listed_sources(listings) if source.photo is not None}


def examples_of(ranked: Ranked, photos: Mapping[str, Path]) -> list[Example]:
    """Slates spread evenly over the log, with their first items in each order."""
    slates = ranked.slates

    @cache
    def photo_url(code: int) -> str:
        return data_url_of(photos.get(slates.item_ids[code]))

    def found(slate: int, place: int) -> GalleryResult:
        code, gain = int(slates.items[slate, place]), float(ranked.gains[slate, place])
        return GalleryResult(slates.item_ids[code], photo_url(code), gain, gain > 0)

    def example(slate: int) -> Example:
        query, length = int(slates.query[slate]), int((slates.items[slate] >= 0).sum())
        results = {
            name: [found(slate, place) for place in order[slate, : min(SHOWN, length)].tolist()]
            for name, order in ranked.orders.items()
        }
        return Example(f"{slates.item_ids[query]}, {slates.day[slate]}", photo_url(query), results)

    return [example(slate) for slate in sample_queries(np.arange(len(slates))).tolist()]


def data_url_of(photo: Path | None) -> str:
    """A data URL of the photo, or of a grey square."""
    try:
        if photo is None:
            return data_url(thumbnail(GREY))
        with photo.open("rb") as file:
            return data_url(thumbnail(decode_photo(file.read(MAX_BYTES + 1), THUMBNAIL)))
    except (OSError, UnusablePhoto):
        return data_url(thumbnail(GREY))
