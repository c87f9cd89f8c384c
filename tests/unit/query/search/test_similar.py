"""Which step of the ladder is taken, and when a picture cannot be asked about."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from indexer.worker.pipeline.documents import EncodedPhoto, PhotoProblem, PhotoResult, to_document
from mappings.listing import category_paths
from query.search.builder import SimilarQuery
from query.search.duplicates import DuplicateThresholds
from query.search.hits import Hit, RankedHit
from query.search.policy import Rule, Selection, select
from query.search.price_band import widening_bands
from query.search.reader import Answer, RequestDeadline
from query.search.request import SimilarRequest
from query.search.result_policy import ResultPolicy
from query.search.similar import (
    WIDER,
    Attempt,
    SimilarService,
    above_floor,
    attempt_at,
    best_attempt,
    fallback_reason,
    found_whole,
    further_attempts,
    narrowest_sufficient,
)
from tests.factories import make_calibration, make_document, make_listing

PICTURE = EncodedPhoto((1.0, 0.0, 0.0, 0.0), "0" * 16)


@pytest.mark.parametrize(
    ("counts", "step"),
    [
        ([24], 0),
        ([200, 200], 0),
        ([10, 24, 24], 1),
        ([10, 20, 23], 2),
        ([10, 20, 20], 1),  # the widest finds no more, so the narrower one is honest
        ([0, 0, 0], 0),
    ],
)
def test_the_narrowest_band_that_fills_the_answer_is_taken(counts: list[int], step: int) -> None:
    """Or else the narrowest of those that come closest to filling it."""
    assert narrowest_sufficient(counts, 24) == step


@pytest.mark.parametrize(
    ("status", "photo", "reason"),
    [
        ("on_sale", PICTURE, None),
        ("sold_out", PICTURE, None),
        ("reserved", PICTURE, None),
        ("on_sale", None, "not_encoded"),
        ("on_sale", PhotoProblem("photo_truncated", "…"), "photo_truncated"),
        ("on_sale", PhotoProblem("no_photo", "…"), "no_photo"),
        ("removed", PICTURE, "removed"),
        ("removed", PhotoProblem("photo_truncated", "…"), "removed"),
    ],
)
def test_a_fallback_has_its_reason(status: str, photo: PhotoResult, reason: str | None) -> None:
    """A sold item still answers by its picture; one without a picture says why."""
    item = to_document(make_listing(status=status), photo, "colour-00000001")
    assert fallback_reason(item) == reason


def selection(sellers: str) -> Selection:
    """The selection of one attempt with one candidate for each letter, the letter its seller."""
    hits = [
        RankedHit(make_document(item_id=f"{seller}{place}", seller_id=seller), {"similarity": 0.9})
        for place, seller in enumerate(sellers)
    ]
    item = make_document(item_id="asked")
    return select(hits, item, ResultPolicy(collapse_duplicates=False), 6, 0.0, DuplicateThresholds())


@pytest.mark.parametrize(
    ("attempts", "chosen"),
    [
        (["aaabbb", "aaabbbccc"], 0),
        (["aaaaaa", "aaabbb"], 1),  # a wider band fills the answer under the cap
        (["aaaa", "aaaaaa"], 1),  # without the cap, the wider one does
        (["aaaaaa", "aaaaaaaa"], 0),
        (["ab", "ab"], 0),
    ],
)
def test_the_seller_cap_yields_last(attempts: list[str], chosen: int) -> None:
    """After every band was tried under it."""
    assert best_attempt([selection(sellers) for sellers in attempts], 6) == chosen


@pytest.mark.parametrize(("again", "steps"), [(False, [1, 2, 3]), (True, [0, 1, 2, 3])])
def test_a_short_answer_is_searched_wider(again: bool, steps: list[int]) -> None:
    """And once more in its own band, if there may be more to find."""
    others = wider_attempts(again=again)
    assert [each.step for each in others] == steps
    assert {(each.query.depth, each.query.floor) for each in others} == {(WIDER, 0.6)}


def first_attempt() -> tuple[Attempt, dict[str | None, dict[str, int]]]:
    """That of an item of 1,000 yen in a catalogue of many, and the counts."""
    item = make_document(price=1000)
    path_counts = {path: {"on_sale|JPY|30": 900_000} for path in (None, *category_paths(item.category))}
    query = SimilarQuery(item, SimilarRequest(), make_calibration())
    return attempt_at(query, 0, widening_bands(item.price, 2.0)[0], path_counts), path_counts


@pytest.mark.parametrize(("hits", "whole"), [(24, True), (25, False), (49, False)])
def test_an_attempt_with_fewer_hits_than_it_may_have_found_all(hits: int, whole: bool) -> None:
    """`k` of the search over everything is 25 for an answer of 24, if a level has enough; the window is 49.

    Hits below the floor do not count less: in a full window they have taken the places of others.
    """
    first, _ = first_attempt()
    answer = Answer(tuple(Hit(first.query.item) for _ in range(hits)), None, {})
    assert found_whole(first, answer) is whole


def test_hits_above_the_floor_are_counted() -> None:
    """By what the rule has removed."""
    answer = Answer(tuple(Hit(make_document()) for _ in range(49)), None, {})
    removed = {f"m{number}": Rule.MIN_SIMILARITY for number in range(24)}
    assert above_floor(answer, Selection((), removed)) == 25


class Answering:
    """A reader whose searches find listings at these prices, and which counts its round trips."""

    def __init__(self, *prices: float) -> None:
        self.prices = prices
        self.searches: list[int] = []

    def search(self, index: str, body: object, deadline: object, *, copy: str) -> Answer:
        """The listings, whichever band was asked for."""
        del index, body, deadline, copy
        self.searches.append(1)
        return self.answer()

    def search_all(
        self, index: str, bodies: Sequence[object], deadline: object, *, copy: str
    ) -> tuple[Answer, ...]:
        """The same for each of several searches."""
        del index, deadline, copy
        self.searches.append(len(bodies))
        return tuple(self.answer() for _ in bodies)

    def answer(self) -> Answer:
        """A hit for each price."""
        documents = [make_document(item_id=f"m{price}", price=price) for price in self.prices]
        return Answer(tuple(Hit(each) for each in documents), None, {})


def wider_attempts(*, again: bool = False) -> list[Attempt]:
    """Those after the first attempt."""
    first, path_counts = first_attempt()
    bands = widening_bands(first.query.item.price, 2.0)
    return list(further_attempts(first, bands, path_counts, floor=0.6, again=again, depth=WIDER))


def test_a_search_of_the_widest_band_that_finds_all_answers_for_every_band() -> None:
    """In one round trip: what it found is in the narrower bands, or is not."""
    reader = Answering(1000, 2900, 4900, 9900)
    service = SimilarService(reader)  # type: ignore[arg-type]  # all that it calls
    answers = service._answers("i", wider_attempts(), RequestDeadline(5))
    assert [len(each.hits) for each in answers] == [2, 3, 4]
    assert reader.searches == [1]


def test_where_the_widest_band_has_more_each_is_searched() -> None:
    """The nearest of a wider band may leave out some of a narrower one."""
    reader = Answering(*range(1000, 1050))
    service = SimilarService(reader)  # type: ignore[arg-type]  # all that it calls
    answers = service._answers("i", wider_attempts(), RequestDeadline(5))
    assert [len(each.hits) for each in answers] == [50, 50, 50]
    assert reader.searches == [1, 2]
