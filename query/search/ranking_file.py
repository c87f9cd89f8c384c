"""Ranking files: weights, floor, duplicate thresholds and category similarities, fitted for an encoder.

NITAMONO_RANKING_FILE and an arm of an experiment name one (docs/result-policy.md).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
)
from pydantic_core import PydanticCustomError

from mappings.json_problems import NOT_JSON, not_json
from mappings.listing import CategoryName
from mappings.problems import expecting, problem_of_file, shown
from mappings.values import CATEGORY_SEPARATOR
from query.search.duplicates import DuplicateThresholds
from query.search.ranking import ADJUSTABLE, Ranking, weights_with
from query.search.request import MAX_WEIGHT
from query.search.terms.category import LearnedSimilarities
from query.search.terms.category import Path as CategoryPath
from query.search.terms.freshness import HALF_LIFE_DAYS
from query.search.terms.popularity import FULL_POPULARITY
from settings.errors import UserError

VERSION: Final = 1
"""Of the file's format."""

_HASH_LENGTH: Final = 8

_SEE: Final = "docs/result-policy.md has the fields of ranking files"


def _term_with_a_weight(name: str) -> str:
    if name not in ADJUSTABLE:
        expected = f"a ranking term with a weight, one of {', '.join(ADJUSTABLE)}"
        raise PydanticCustomError("unusable", "{expected}", {"expected": expected})
    return name


def _as_tuple(value: object) -> object:
    """Return a list as a tuple: behind `expecting`, a strict validation takes JSON's lists for Python's."""
    return tuple(value) if isinstance(value, list) else value


Share = Annotated[float, Field(ge=0, le=1), expecting("a number from 0 to 1")]
Weight = Annotated[float, Field(ge=0, le=MAX_WEIGHT), expecting(f"a number from 0 to {MAX_WEIGHT:g}")]
TermName = Annotated[str, AfterValidator(_term_with_a_weight)]
CategoryNames = Annotated[
    tuple[CategoryName, ...],
    Field(min_length=1, max_length=5),
    BeforeValidator(_as_tuple),
    expecting("a list of one to five names of categories, from the root"),
]


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

    version: Annotated[Literal[1], expecting(f"{VERSION}")] = VERSION
    encoder_id: Annotated[str, Field(min_length=1), expecting("the encoder_id of an encoder, as text")]
    weights: dict[TermName, Weight]
    """Ranking term to its weight, in the encoder's spreads of similarity; others keep their default."""
    min_similarity: Share | None = None
    duplicates: Thresholds = Thresholds()
    freshness_half_life_days: Annotated[
        float, Field(ge=0.01, le=10_000), expecting("a number of days from 0.01 to 10,000")
    ] = HALF_LIFE_DAYS
    popularity_full: Annotated[float, Field(gt=0, le=1e12), expecting("a number above 0, at most 10^12")] = (
        FULL_POPULARITY
    )
    categories: tuple[Pair, ...] = ()
    fitted: dict[str, Any] = {}
    """What it was fitted on, when, and its figures. For people: nothing reads it."""

    @field_validator("categories")
    @classmethod
    def _consistent(cls, categories: tuple[Pair, ...]) -> tuple[Pair, ...]:
        pairs = Counter((pair.item, pair.other) for pair in categories)
        if repeated := next((pair for pair, count in pairs.items() if count > 1), None):
            item, other = map(CATEGORY_SEPARATOR.join, repeated)
            raise ValueError(f"the similarity of {item!r} to {other!r} is given more than once")
        if fault := next(_overlaps(_by_item(categories)), None):
            raise ValueError(fault)
        return categories

    def learned(self) -> LearnedSimilarities:
        """Return the category similarities as the category term reads them."""
        return _by_item(self.categories)

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
        UnusableRanking: the file cannot be read, or has another version, unknown or repeated fields, or
            values of the wrong type or out of range. It names all of them.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
        fields = json.loads(text, object_pairs_hook=_Fields)
    except OSError as error:
        raise UnusableRanking(f"{path}: {error.strerror}; expected a ranking file") from error
    except NOT_JSON as error:
        raise UnusableRanking(f"{path}: found {not_json(error)}, expected a ranking file") from error
    if problems := tuple(_problems(fields, text)):
        raise UnusableRanking(f"{path}: {'; '.join(problems)}; {_SEE}")
    file = RankingFile.model_validate_json(text, strict=True)
    return file.ranking(f"{path.stem}-{hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]}")


class _Fields(dict[str, Any]):
    """A JSON object that knows which of its fields came more than once; `json` keeps the last."""

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        pairs = list(pairs)
        super().__init__(pairs)
        self.repeated = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]


def _problems(fields: object, text: str) -> Iterator[str]:
    """Yield what is wrong with the content of a file, given as fields and as their JSON."""
    if not isinstance(fields, _Fields):
        expected = f"an object with the fields {', '.join(RankingFile.model_fields)}"
        yield f"found {shown(fields)}, expected {expected}"
        return
    if fields.get("version") != VERSION:  # a file of another version has other fields
        found = shown(fields["version"]) if "version" in fields else "nothing"
        yield f"version: found {found}, expected {VERSION}"
        return
    yield from (f"{place}: found twice, expected once" for place in _repeated(fields))
    try:
        RankingFile.model_validate_json(text, strict=True)
    except ValidationError as error:
        yield from (problem_of_file(RankingFile, each) for each in error.errors(include_url=False))


def _repeated(value: object, place: str = "") -> Iterator[str]:
    """Yield the place of each field that came more than once."""
    if isinstance(value, _Fields):
        dot = f"{place}." if place else ""
        yield from (f"{dot}{name}" for name in value.repeated)
        for name, each in value.items():
            yield from _repeated(each, f"{dot}{name}")
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _repeated(each, f"{place}[{number}]")


def _by_item(pairs: Iterable[Pair]) -> LearnedSimilarities:
    table: defaultdict[CategoryPath, dict[CategoryPath, float]] = defaultdict(dict)
    for pair in pairs:
        table[pair.item][pair.other] = pair.similarity
    return dict(table)


def _overlaps(learned: LearnedSimilarities) -> Iterator[str]:
    """Yield a sentence for each two categories of one item of which one is the other or below it."""
    for item, others in learned.items():
        for one, other in permutations(others, 2):
            if other[: len(one)] == one:
                paths = [CATEGORY_SEPARATOR.join(path) for path in (item, other, one)]
                yield "to {!r}, {!r} lies below {!r}; give one of them".format(*paths)
