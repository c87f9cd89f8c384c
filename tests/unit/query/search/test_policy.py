"""The result policy, on candidates worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from query.search.duplicates import DuplicateThresholds
from query.search.hits import RankedHit
from query.search.policy import Rule, Selection, cap_for, filled_up, select
from query.search.result_policy import ResultPolicy
from tests.factories import make_document

ANGLE = {"a": 0.0, "b": 0.4, "c": 0.8, "d": 1.2}


def hit(item_id: str, similarity: float, *, seller: str = "", angle: float | None = None) -> RankedHit:
    """A candidate with this similarity, from a seller of its own, with the vector at this angle."""
    place = ANGLE.get(item_id[0], 0.0) if angle is None else angle
    vector = np.array([np.cos(place), np.sin(place), 0, 0], dtype=np.float32)
    document = make_document(item_id=item_id, seller_id=seller or f"seller-{item_id}")
    return RankedHit(document, {"similarity": similarity}, vector)


def choose(
    *candidates: RankedHit, size: int = 24, floor: float = 0.0, status: str = "on_sale", **rules: Any
) -> Selection:
    """The selection for an item that is like none of the candidates, under these rules alone."""
    item = make_document(item_id="asked", vector=(0.0, 0.0, 1.0, 0.0), status=status)
    policy = ResultPolicy(**{"collapse_duplicates": False, "seller_cap": 0, **rules})
    return select(candidates, item, policy, size, floor, DuplicateThresholds())


def ids(selection: Selection) -> list[str]:
    """The items shown."""
    return [each.document.item_id for each in selection.shown]


def test_without_rules_the_best_are_shown() -> None:
    """And what did not fit was removed by no rule."""
    selection = choose(hit("a", 0.9), hit("b", 0.8), hit("c", 0.7), size=2)
    assert ids(selection) == ["a", "b"]
    assert set(selection.counts().values()) == {0}


def test_nothing_below_the_floor_is_shown() -> None:
    """An answer may be short; a candidate on the floor stays."""
    selection = choose(hit("a", 0.9), hit("b", 0.6), hit("c", 0.59), floor=0.6)
    assert ids(selection) == ["a", "b"]
    assert selection.removed == {"c": Rule.MIN_SIMILARITY}


def test_a_fallback_has_no_floor() -> None:
    """Without vectors there is nothing to compare."""
    bare = RankedHit(make_document(item_id="a"), {"category": 0.1})
    assert ids(choose(bare, floor=0.6)) == ["a"]


def test_the_best_of_near_identical_photos_stands_for_the_others() -> None:
    """Twenty copies are one item of the answer."""
    copies = [hit(f"a{number}", 0.9 - number / 100) for number in range(20)]
    selection = choose(*copies, hit("b", 0.5), collapse_duplicates=True)
    assert ids(selection) == ["a0", "b"]
    assert selection.stands_for == {"a0": 19}
    assert selection.counts()["collapse_duplicates"] == 19


def test_the_items_own_photo_is_not_shown_again() -> None:
    """The rule says so by a name of its own."""
    twin = RankedHit(
        make_document(item_id="copy"), {"similarity": 1.0}, np.array([0, 0, 1, 0], dtype=np.float32)
    )
    selection = choose(twin, hit("a", 0.9), collapse_duplicates=True)
    assert ids(selection) == ["a"]
    assert selection.removed == {"copy": Rule.DUPLICATE_OF_ITEM}


def test_a_sold_item_is_offered_from_another_seller() -> None:
    """One copy of its photo is shown, and stands for the others."""
    copies = [
        RankedHit(make_document(item_id=name), {"similarity": 1.0}, np.array([0, 0, 1, 0], dtype=np.float32))
        for name in ("copy1", "copy2")
    ]
    selection = choose(*copies, hit("a", 0.9), status="sold_out", collapse_duplicates=True)
    assert ids(selection) == ["copy1", "a"]
    assert selection.stands_for == {"copy1": 1}


def test_a_seller_has_at_most_so_many_items() -> None:
    """The next best of others take their places."""
    own = [hit(f"a{number}", 0.9, seller="s1") for number in range(5)]
    selection = choose(*own, hit("b", 0.5), size=4, seller_cap=3)
    assert ids(selection) == ["a0", "a1", "a2", "b"]
    assert selection.counts()["seller_cap"] == 2


def test_the_seller_cap_yields_where_an_answer_would_be_short() -> None:
    """A shop with one seller has whole answers; what comes back counts as removed no more."""
    selection = choose(*(hit(f"a{number}", 0.9, seller="s1") for number in range(5)), size=4, seller_cap=3)
    whole = filled_up(selection, 4)
    assert ids(whole) == ["a0", "a1", "a2", "a3"]
    assert whole.counts()["seller_cap"] == 1


@pytest.mark.parametrize(("size", "cap"), [(1, 3), (24, 3), (48, 6), (100, 12)])
def test_the_cap_grows_with_the_answer(size: int, cap: int) -> None:
    """Three of 24, and never fewer than asked for."""
    assert cap_for(3, size) == cap
    assert cap_for(0, size) == 0


def test_diversity_places_unlike_items_first() -> None:
    """After the best, the one least like it: 0.5 · 0.7 - 0.5 · cos 1.2 beats 0.5 · 0.89 - 0.5 · cos 0.1."""
    candidates = (hit("a", 0.9), hit("near", 0.89, angle=0.1), hit("d", 0.7))
    assert ids(choose(*candidates, diversity=0.5)) == ["a", "d", "near"]
    assert ids(choose(*candidates, diversity=0.0)) == ["a", "near", "d"]
    assert ids(choose(*candidates, diversity=1.0))[:2] == ["a", "d"]


def test_rules_apply_one_after_the_other() -> None:
    """What is below the floor stands for nobody and counts against no seller."""
    selection = choose(
        hit("a0", 0.9, seller="s1"),
        hit("a1", 0.5, seller="s1"),
        hit("b", 0.8, seller="s1"),
        floor=0.6,
        collapse_duplicates=True,
        seller_cap=1,
    )
    assert ids(selection) == ["a0"]
    assert selection.removed == {"a1": Rule.MIN_SIMILARITY, "b": Rule.SELLER_CAP}
    assert selection.stands_for == {}
