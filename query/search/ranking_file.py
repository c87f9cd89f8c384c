"""Ranking files: weights, floor, duplicate thresholds and category similarities, fitted for an encoder.

NITAMONO_RANKING_FILE and an arm of an experiment name one (docs/result-policy.md).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from mappings.listing import CATEGORY_SEPARATOR, CategoryName
from mappings.problems import unknown_field
from query.search.duplicates import DuplicateThresholds
from query.search.ranking import Ranking, UnknownTerm, weights_with
from query.search.request import MAX_WEIGHT
from query.search.terms.category import LearnedSimilarities
from query.search.terms.category import Path as CategoryPath
from query.search.terms.freshness import HALF_LIFE_DAYS
from query.search.terms.popularity import FULL_POPULARITY
from settings.errors import UserError

VERSION: Final = 1
"""Of the file's format."""

_HASH_LENGTH: Final = 8

Share = Annotated[float, Field(ge=0, le=1)]
CategoryNames = Annotated[tuple[CategoryName, ...], Field(min_length=1, max_length=5)]


class UnusableRanking(UserError):
    """A ranking file that cannot be used: every problem that was found."""


class Part(BaseModel):
    """Part of a ranking file; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Thresholds(Part):
    """When two photos are near-identical: see DuplicateThresholds."""

    overlap: Share = DuplicateThresholds.overlap
    cosine: Share = DuplicateThresholds.cosine
    same_cosine: Share = DuplicateThresholds.same_cosine
    mirrored_cosine: Share = DuplicateThresholds.mirrored_cosine


class Pair(Part):
    """The similarity of one category to another, as a user of an item of the first sees it."""

    item: CategoryNames
    other: CategoryNames
    similarity: Share


class RankingFile(Part):
    """The fields of a ranking file."""

    version: Literal[1] = VERSION
    encoder_id: Annotated[str, Field(min_length=1)]
    weights: dict[str, Annotated[float, Field(ge=0, le=MAX_WEIGHT)]]
    """Ranking term to its weight, in the encoder's spreads of similarity; others keep their default."""
    min_similarity: Share | None = None
    duplicates: Thresholds = Thresholds()
    freshness_half_life_days: Annotated[float, Field(ge=0.01, le=10_000)] = HALF_LIFE_DAYS
    popularity_full: Annotated[float, Field(gt=0, le=1e12)] = FULL_POPULARITY
    categories: tuple[Pair, ...] = ()
    fitted: dict[str, Any] = {}
    """What it was fitted on, when, and its figures. For people: nothing reads it."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        try:
            weights_with(self.weights)
        except UnknownTerm as error:
            raise ValueError(str(error)) from error
        pairs = Counter((pair.item, pair.other) for pair in self.categories)
        if repeated := next((pair for pair, count in pairs.items() if count > 1), None):
            item, other = map(CATEGORY_SEPARATOR.join, repeated)
            raise ValueError(f"categories: the similarity of {item!r} to {other!r} is given more than once")
        if fault := next(_overlaps(self.learned()), None):
            raise ValueError(fault)
        return self

    def learned(self) -> LearnedSimilarities:
        """Return the category similarities as the category term reads them."""
        table: defaultdict[CategoryPath, dict[CategoryPath, float]] = defaultdict(dict)
        for pair in self.categories:
            table[pair.item][pair.other] = pair.similarity
        return dict(table)

    def to_json(self) -> str:
        """Return the file's text."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=2) + "\n"

    def ranking(self, name: str) -> Ranking:
        """Return the ranking that the file says."""
        return Ranking(
            weights=weights_with(self.weights),
            min_similarity=self.min_similarity,
            duplicates=DuplicateThresholds(**self.duplicates.model_dump()),
            learned=self.learned(),
            half_life_days=self.freshness_half_life_days,
            full_popularity=self.popularity_full,
            name=name,
            encoder_id=self.encoder_id,
            otherwise=Ranking(),
        )


def read_ranking(path: Path) -> Ranking:
    """Return the ranking of a file, named after it and its content: `ranking-1b2c3d4e`.

    Raises:
        UnusableRanking: the file cannot be read, or has another version, unknown fields or terms, or values
            out of range.
    """
    try:
        content = path.read_bytes()
        fields = json.loads(content)
    except (OSError, ValueError) as error:
        raise UnusableRanking(f"{path}: {error}; expected a ranking file, as JSON") from error
    if isinstance(fields, dict) and fields.get("version") != VERSION:
        found = fields.get("version", "none")
        raise UnusableRanking(
            f"{path}: version {found}, expected {VERSION}; see docs/result-policy.md for its fields"
        )
    try:
        file = RankingFile.model_validate(fields)
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors(include_url=False))
        raise UnusableRanking(f"{path}: {problems}") from error
    return file.ranking(f"{path.stem}-{hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]}")


def _problem(detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return str(unknown_field(RankingFile, detail))
    place = ".".join(map(str, detail["loc"]))
    message = detail["msg"].removeprefix("Value error, ")
    return f"{place}: {message}" if place else message


def _overlaps(learned: LearnedSimilarities) -> Iterator[str]:
    """Yield a sentence for each two categories of one item of which one is the other or below it."""
    for item, others in learned.items():
        for one, other in permutations(others, 2):
            if other[: len(one)] == one:
                paths = [CATEGORY_SEPARATOR.join(path) for path in (item, other, one)]
                yield "categories: to {!r}, {!r} lies below {!r}; give one of them".format(*paths)
