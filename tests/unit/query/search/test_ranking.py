"""How category and price are weighed, by numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from query.search.ranking import CATEGORY_SPREADS, PRICE_SPREADS, Calibration, cosine, shared_depth
from tests.factories import make_identity

CALIBRATION = Calibration(category_weight=0.06, price_weight=0.02)


def test_weights_are_in_units_of_the_encoders_spread() -> None:
    """An encoder whose cosines lie twice as close together gets weights half as large."""
    wide = Calibration.of(make_identity(similarity_spread=0.08))
    narrow = Calibration.of(make_identity(similarity_spread=0.04))
    assert wide.category_weight == pytest.approx(CATEGORY_SPREADS * 0.08)
    assert wide.price_weight == pytest.approx(PRICE_SPREADS * 0.08)
    assert narrow.category_weight == pytest.approx(wide.category_weight / 2)
    assert narrow.price_weight == pytest.approx(wide.price_weight / 2)


@pytest.mark.parametrize(
    ("path", "other", "depth"),
    [
        (("Apparel", "Bottomwear", "Skirts"), ("Apparel", "Bottomwear", "Skirts"), 3),
        (("Apparel", "Bottomwear", "Skirts"), ("Apparel", "Bottomwear", "Shorts"), 2),
        (("Apparel", "Bottomwear", "Skirts"), ("Apparel", "Topwear", "Skirts"), 1),
        (("Apparel", "Bottomwear", "Skirts"), ("Home", "Bottomwear", "Skirts"), 0),
        (("Apparel",), ("Apparel", "Bottomwear"), 1),
        (("Apparel", "Bottomwear"), ("Apparel",), 1),
    ],
)
def test_depth_counts_from_the_root(path: tuple[str, ...], other: tuple[str, ...], depth: int) -> None:
    """A name in common below a difference counts for nothing."""
    assert shared_depth(path, other) == depth


@pytest.mark.parametrize(("shared", "term"), [(0, 0.0), (1, 0.02), (2, 0.04), (3, 0.06)])
def test_each_shared_level_adds_an_equal_step(shared: int, term: float) -> None:
    """Three levels share the weight of 0.06 between them."""
    assert CALIBRATION.category_term(shared, 3) == pytest.approx(term)


@pytest.mark.parametrize(
    ("candidate", "term"),
    [
        (1000, 0.02),  # the own price: the whole weight
        (1500, 0.01),  # half as much more: half of it
        (500, 0.01),  # half as much less: half of it
        (2000, 0.00125),  # twice the distance: 2 ** -4 of it
        (1250, 0.0168179),  # half the distance: 2 ** -0.25 of it
    ],
)
def test_price_term_falls_with_distance(candidate: float, term: float) -> None:
    """A Gaussian around the own price of 1,000, half of it left at 500 to either side."""
    assert CALIBRATION.price_term(1000, candidate) == pytest.approx(term, abs=1e-7)


def test_a_price_far_off_adds_nothing_and_overflows_nothing() -> None:
    """A yen against a trillion."""
    assert CALIBRATION.price_term(1, 1e12) == 0


@given(st.lists(st.floats(-1, 1, width=32), min_size=8, max_size=8), st.floats(0.5, 2))
def test_a_cosine_is_never_above_one(values: list[float], length: float) -> None:
    """Nor below it for a vector and itself, of whatever length."""
    assume(math.hypot(*values) > 0.01)
    assert cosine(values, [length * value for value in values]) == pytest.approx(1, abs=1e-9)
    assert cosine(values, [length * value for value in values]) <= 1
    assert cosine(values, [-value for value in values]) == pytest.approx(-1, abs=1e-9)


def test_a_cosine_is_worked_out() -> None:
    """By hand."""
    assert cosine((0.6, 0.8), (1.0, 0.0)) == pytest.approx(0.6)
    assert cosine((0.6, 0.8), (-0.8, 0.6)) == pytest.approx(0)
    assert cosine((3.0, 4.0), (30.0, 40.0)) == 1
