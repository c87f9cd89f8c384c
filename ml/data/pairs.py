"""Photo-caption pairs."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from ml.errors import MlError

Split = Literal["train", "validation", "test"]

SHARDS_REPORT: Final = "report.json"
"""File that marks a folder as written by `nitamono ml pairs`: see ml/data/pair_shards.py."""

SURROGATE: Final = re.compile("[\ud800-\udfff]")
"""Matches a byte of a file name that is not UTF-8 (PEP 383)."""


class NoPairs(MlError):
    """Data without a usable pair, or with too few."""


@dataclass(frozen=True)
class Labels:
    """The labels that relevance is graded by. Empty if unknown."""

    type: str
    gender: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Pair:
    """A photo and the captions that match it, from the most to the least specific."""

    item_id: str
    photo: Path
    title: str
    """Empty if the captions come from a class folder."""
    captions: tuple[str, ...]
    labels: Labels
    source: str
    """The file or folder of the pair; metrics are reported for each source."""
    price: float | None = None
    """None if unknown."""
    created: datetime | None = None
    """With a time zone; None if unknown."""
    split: Split | None = None
    """None until all pairs are known: duplicates share a split."""
