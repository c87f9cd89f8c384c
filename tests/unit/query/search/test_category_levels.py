"""Which levels of a category are searched, from counts of their offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from mappings.listing import CATEGORY_SEPARATOR
from query.search.builder import EXACT_SEARCH_LIMIT, Emphasis, Level, counted_filters, offers_body
from query.search.category_levels import (
    CACHE_TTL_S,
    DEFAULT_EMPHASIS,
    CategoryCounts,
    emphasis_of,
    levels_of,
)
from query.search.price_band import price_band
from query.search.ranking import Ranking
from query.search.reader import Answer, RequestDeadline
from query.search.request import SimilarRequest
from tests.factories import make_document

LEAF = "Apparel > Bottomwear > Skirts"
PARENT = "Apparel > Bottomwear"
PLENTY = EXACT_SEARCH_LIMIT + 1
BOUND = PLENTY * 11 // 10 + 10


class Counting:
    """A reader that answers with counts of one offer in the item's band and one far outside it."""

    def __init__(self, **counts: int) -> None:
        self.counts = {"leaf": PLENTY, "parent": PLENTY, "root": PLENTY, "all": PLENTY} | counts
        self.asked: list[str] = []

    def search_all(
        self, index: str, bodies: Sequence[dict[str, Any]], deadline: object, *, copy: str
    ) -> tuple[Answer, ...]:
        """Count the offers below the category of each body."""
        del index, deadline, copy
        return tuple(map(self.answer, bodies))

    def answer(self, body: dict[str, Any]) -> Answer:
        """Count the offers below the category that the body asks about."""
        kept = body["query"]["bool"]["filter"]
        paths = [each["term"].get("category_paths") for each in kept if "term" in each]
        path = next(filter(None, paths), None)
        depth = path.count(CATEGORY_SEPARATOR) + 1 if path else 0
        level = ("all", "root", "parent", "leaf")[depth]
        self.asked.append(level)
        buckets = [
            {"key": "on_sale|JPY|32", "doc_count": self.counts[level]},
            {"key": "on_sale|JPY|90", "doc_count": 10**6},
        ]
        return Answer((), None, {"offers": {"buckets": buckets}})


def levels(
    reader: Counting,
    request: SimilarRequest | None = None,
    *,
    emphasis: Emphasis = DEFAULT_EMPHASIS,
    **changes: Any,
) -> tuple[Level, ...]:
    """The levels for a skirt of 1,290 yen."""
    item = make_document(**changes)
    asked = request or SimilarRequest()
    counts = CategoryCounts(reader).of("i", item, asked, RequestDeadline(5))  # type: ignore[arg-type]
    return levels_of(item, price_band(1290, 2.0), counts, emphasis)


def paths(*arguments: Any, **changes: Any) -> list[str | None]:
    """Their paths alone."""
    return [level.path for level in levels(*arguments, **changes)]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, [None, LEAF]),
        ({"leaf": 800}, [None, LEAF, PARENT]),
        ({"leaf": 3, "parent": 950}, [None, LEAF, PARENT]),
        ({"leaf": 3, "parent": 40}, [None, PARENT, "Apparel"]),  # all of the parent are re-ranked anyway
        ({"leaf": 3, "parent": 40, "root": 50}, [None, "Apparel"]),
        ({"leaf": 0, "parent": 0, "root": 0, "all": 0}, [None]),
    ],
)
def test_levels_are_added_upward_until_one_has_enough(
    counts: dict[str, int], expected: list[str | None]
) -> None:
    """What is sold, or priced outside the band, does not count."""
    assert paths(Counting(**counts)) == expected


def test_a_level_knows_how_many_candidates_it_may_have() -> None:
    """With room for those that were listed since they were counted."""
    assert [level.max_candidates for level in levels(Counting(leaf=600))] == [BOUND, 670, BOUND]


def test_everything_is_supplementary_where_a_level_has_enough() -> None:
    """And is searched in full where none has."""
    assert levels(Counting())[0].supplementary
    assert not levels(Counting(leaf=5, parent=60, root=70))[0].supplementary


def test_candidates_are_counted_under_the_filters_of_the_request() -> None:
    """But for sellers, who have few of them, and would be counted anew for each item."""
    reader = Counting()
    counts = CategoryCounts(reader)  # type: ignore[arg-type]
    for asked in (
        SimilarRequest(),
        SimilarRequest(exclude_seller=("s1",)),
        SimilarRequest(attribute=("colour:Red",)),
    ):
        counts.of("i", make_document(), asked, RequestDeadline(5))
    assert reader.asked == ["all", "root", "parent", "leaf"] * 2
    assert offers_body(LEAF, "JPY", counted_filters(asked))["query"]["bool"]["filter"] == [
        {"term": {"category_paths": LEAF}},
        {"term": {"attributes.colour": "Red"}},
        {"prefix": {"offer": "on_sale|JPY|"}},
    ]


@pytest.mark.parametrize("leaf", [2_000, PLENTY])
def test_a_large_leaf_is_searched_for_the_items_gender_as_well(leaf: int) -> None:
    """One of which all are re-ranked is not, nor is any where gender does not rank."""
    own = {"gender": "Women"}
    last = levels(Counting(leaf=leaf), attributes=own)[-1]
    assert (last.path, last.attribute) == (LEAF, "gender:Women")
    assert all(level.attribute is None for level in levels(Counting(leaf=5), attributes=own))
    assert all(level.attribute is None for level in levels(Counting(leaf=leaf), attributes={}))
    unweighed = levels(Counting(leaf=leaf), emphasis=Emphasis(gender=False), attributes=own)
    assert all(level.attribute is None for level in unweighed)


def test_every_level_is_searched_where_the_category_does_not_lead() -> None:
    """A ranking file or arm may weigh it little; sellers that are left out may have most of a level."""
    found = levels(Counting(), emphasis=Emphasis(category_leads=False))
    assert [level.path for level in found] == [None, LEAF, PARENT, "Apparel"]
    assert not found[0].supplementary


def test_a_category_learned_to_be_alike_is_searched() -> None:
    """Its best are not among the few that everything adds."""
    assert levels(Counting(), emphasis=Emphasis(learned=("Home > Bags",)))[-1] == Level("Home > Bags")


@pytest.mark.parametrize(
    ("weight", "asked", "leads"),
    [(0.8, {}, True), (0.31, {}, True), (0.2, {}, False), (0.8, {"exclude_seller": ("s1",)}, False)],
)
def test_the_category_leads_if_a_level_outweighs_a_spread(
    weight: float, asked: dict[str, Any], leads: bool
) -> None:
    """Of three levels each adds a third of the weight; the spread is 0.1."""
    weights = {"category": weight, "gender": 0.0}
    ranking = Ranking(learned={("Apparel", "Bottomwear", "Skirts"): {("Home", "Bags"): 0.7, ("Toys",): 0.2}})
    found = emphasis_of(make_document(), SimilarRequest(**asked), ranking, weights, 0.1)
    assert found == Emphasis(leads, gender=False, learned=("Home > Bags",))


def test_counts_are_kept_for_a_minute() -> None:
    """Then they are counted anew."""
    now, reader = [0.0], Counting()
    counts = CategoryCounts(reader, clock=lambda: now[0])  # type: ignore[arg-type]
    for moment in (0.0, CACHE_TTL_S - 1, CACHE_TTL_S + 1):
        now[0] = moment
        counts.of("i", make_document(), SimilarRequest(), RequestDeadline(5))
    assert reader.asked == ["all", "root", "parent", "leaf"] * 2
