"""Which prices count as about the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query.search.price_band import BUCKET, WIDER_RATIOS, price_band, widening_bands

prices = st.floats(min_value=0.01, max_value=1e12)
ratios = st.floats(min_value=1.0, max_value=100.0, exclude_min=True)


def steps_of(bound: float) -> float:
    return math.log(bound, BUCKET)


@given(price=prices, ratio=ratios)
def test_a_band_holds_all_it_was_asked_for(price: float, ratio: float) -> None:
    """The own price and every price within the ratio lie inside: bounds are rounded outward, never inward."""
    band = price_band(price, ratio)
    assert price in band
    assert price / ratio in band
    assert price * ratio in band


@given(price=prices, ratio=ratios)
def test_a_band_is_at_most_a_bucket_wider_at_either_end(price: float, ratio: float) -> None:
    """Rounding outward costs less than one more bucket."""
    band = price_band(price, ratio)
    assert band.low > price / ratio / BUCKET / (1 + 1e-9)
    assert band.high < price * ratio * BUCKET * (1 + 1e-9)


@given(price=prices, ratio=ratios)
def test_bounds_are_powers_of_the_bucket(price: float, ratio: float) -> None:
    """So that near prices ask for the very same range, which Elasticsearch remembers."""
    band = price_band(price, ratio)
    for bound in (band.low, band.high):
        assert steps_of(bound) == pytest.approx(round(steps_of(bound)), abs=1e-9)


@given(price=prices, narrow=ratios, wide=ratios)
def test_a_larger_ratio_never_gives_a_narrower_band(price: float, narrow: float, wide: float) -> None:
    """Widening only ever adds candidates."""
    narrow, wide = sorted((narrow, wide))
    small, large = price_band(price, narrow), price_band(price, wide)
    assert large.low <= small.low
    assert large.high >= small.high


def test_near_prices_share_a_band() -> None:
    """1,300 and 1,500 yen ask for one and the same range."""
    one, other = price_band(1300, 2), price_band(1500, 2)
    assert (one.low, one.high) == (other.low, other.high)
    assert one.low == pytest.approx(646.23, abs=0.01)  # 1.25 ** 29; half of 1,300 is 650
    assert one.high == pytest.approx(3081.49, abs=0.01)  # 1.25 ** 36; twice 1,500 is 3,000


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(1.5, (1.5, 2, 3, 5, 10)), (2, (2, 3, 5, 10)), (4, (4, 5, 10)), (10, (10,)), (50, (50,))],
)
def test_the_ladder_starts_where_it_was_asked_to(asked: float, expected: tuple[float, ...]) -> None:
    """The band asked for comes first, then every wider step and none narrower."""
    assert tuple(band.ratio for band in widening_bands(1000, asked)) == expected


def test_the_steps_of_the_ladder_grow() -> None:
    """Each step is wider than the one before."""
    assert list(WIDER_RATIOS) == sorted(set(WIDER_RATIOS))
