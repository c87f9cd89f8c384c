"""Sums, means and quantiles of samples."""

from __future__ import annotations

import pytest

from monitoring.samples import Sample, Samples

BUCKETS = {"0.1": 2, "0.5": 6, "1.0": 8, "+Inf": 10}
LAGS = Samples(
    [
        *(Sample("lag_bucket", {"le": bound, "queue": "q"}, count) for bound, count in BUCKETS.items()),
        Sample("lag_sum", {"queue": "q"}, 9.0),
        Sample("lag_count", {"queue": "q"}, 10.0),
    ]
)
EVENTS = Samples(
    [
        Sample("events_total", {"outcome": "indexed", "reason": ""}, 7),
        Sample("events_total", {"outcome": "rejected", "reason": "price_missing"}, 2),
        Sample("events_total", {"outcome": "rejected", "reason": "no_photo"}, 1),
    ]
)


def test_sums_by_labels() -> None:
    """The largest first."""
    assert EVENTS.total("events_total") == 10
    assert EVENTS.total("events_total", outcome="rejected") == 3
    assert EVENTS.by("events_total", "outcome") == {"indexed": 7, "rejected": 3}
    assert (EVENTS + EVENTS).total("events_total") == 20
    assert EVENTS.total("another") == 0


@pytest.mark.parametrize(
    ("share", "expected"), [(0.1, 0.05), (0.2, 0.1), (0.4, 0.3), (0.5, 0.4), (0.8, 1.0), (0.99, 1.0)]
)
def test_quantiles_are_linear_within_a_bucket(share: float, expected: float) -> None:
    """By hand: 2 of 10 up to 0.1, 4 more up to 0.5. Above the last bound there is only the bound."""
    assert LAGS.quantile("lag", share) == pytest.approx(expected)


def test_an_empty_histogram_has_no_figures() -> None:
    """A dash rather than a zero."""
    empty = Samples([Sample("lag_bucket", {"le": "+Inf"}, 0.0), Sample("lag_count", {}, 0.0)])
    assert empty.quantile("lag", 0.5) is None
    assert empty.mean("lag") is None
    assert Samples().quantile("lag", 0.5) is None
    assert LAGS.mean("lag", queue="q") == 0.9


def test_samples_go_through_json() -> None:
    """Only those that are named."""
    both = EVENTS + LAGS
    again = Samples.from_json(both.to_json(["events_total"]))
    assert again.by("events_total", "reason") == EVENTS.by("events_total", "reason")
    assert again.total("lag_sum") == 0
    with pytest.raises(ValueError, match="unpack"):
        Samples.from_json([["events_total", {}]])
