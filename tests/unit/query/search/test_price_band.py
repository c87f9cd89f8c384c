"""Which prices count as about the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.offer import STEP, offer, price_step
from query.search.price_band import WIDER_RATIOS, price_band, widening_bands

prices = st.floats(min_value=0.01, max_value=1e12)
ratios = st.floats(min_value=1.0, max_value=100.0, exclude_min=True)


@given(price=prices, ratio=ratios)
def test_a_band_holds_all_it_was_asked_for(price: float, ratio: float) -> None:
    """The own price and every price within the ratio: steps are whole, never cut."""
    band = price_band(price, ratio)
    assert price in band
    assert price / ratio in band
    assert price * ratio in band


@given(price=prices, ratio=ratios)
def test_a_band_is_at_most_a_step_wider_at_either_end(price: float, ratio: float) -> None:
    """Rounding outward costs at most one step."""
    band = price_band(price, ratio)
    assert band.low > price / ratio / STEP / (1 + 1e-9)
    assert band.high <= price * ratio * STEP * (1 + 1e-9)


@given(price=prices, ratio=ratios, other=prices)
def test_offers_and_prices_agree(price: float, ratio: float, other: float) -> None:
    """A listing is among a band's offers if and only if its price is in the band."""
    band = price_band(price, ratio)
    own = offer("on_sale", "JPY", price_step(other))
    assert (own in band.offers("JPY")) is (other in band)
    assert own not in band.offers("USD")


@given(price=prices, narrow=ratios, wide=ratios)
def test_a_larger_ratio_never_gives_a_narrower_band(price: float, narrow: float, wide: float) -> None:
    """Widening only ever adds candidates."""
    narrow, wide = sorted((narrow, wide))
    small, large = price_band(price, narrow), price_band(price, wide)
    assert large.first <= small.first
    assert large.last >= small.last


@pytest.mark.parametrize("price", [0.0, None])
def test_without_a_price_there_is_no_band(price: float | None) -> None:
    """Everything for sale in the currency is in the answer, and nothing is wider."""
    (band,) = widening_bands(price, 2)
    assert price in band
    assert 0.01 in band
    assert 1e12 in band
    offers = band.offers("JPY")
    assert {"on_sale|JPY|unpriced", offer("on_sale", "JPY", price_step(1e12))} <= set(offers)
    assert len(offers) == len(set(offers)) < 200


def test_what_has_no_price_is_in_no_band() -> None:
    """Nor is what is free: neither costs about as much."""
    band = price_band(1290, 2)
    assert None not in band
    assert 0 not in band
    assert "on_sale|JPY|unpriced" not in band.offers("JPY")


def test_near_prices_share_a_band() -> None:
    """1,300 and 1,500 yen ask for the very same offers."""
    one, other = price_band(1300, 2), price_band(1500, 2)
    assert (one.first, one.last) == (other.first, other.last) == (29, 35)
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
