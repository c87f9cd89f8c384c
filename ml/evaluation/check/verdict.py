"""The sentence that a check ends with, by a rule on 95 % intervals."""

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from console.percentage import percent
from ml.evaluation.check.agreement import Measured, Method
from ml.metrics.ranking import bootstrap_interval, ratio_interval
from ml.metrics.retrieval import DEPTH

Outcome = Literal["fits", "helps", "frozen_is_better", "no_better_than_colours", "too_few"]

MIN_LISTINGS: Final = 200
"""Listings that share a category with another. The interval of a mean of n shares is at most
2 · 1.96 · 0.5 / √n wide: 0.14 for 200."""
MIN_CATEGORIES: Final = 3
"""Categories of at least DEPTH + 1 listings. With two, half of a random order is right."""
ENOUGH: Final = 0.5
"""Share of colour's wrong neighbours that an encoder that fits avoids, at the lower end of the interval."""
PAGE: Final = "docs/choosing-an-encoder.md"


@dataclass(frozen=True)
class Verdict:
    """Whether the encoder fits the listings."""

    outcome: Outcome
    sentence: str


def verdict(measured: Measured) -> Verdict:
    """Decide by the first rule that applies; docs/choosing-an-encoder.md has them in words."""
    too_few = shortage(measured)
    if too_few:
        return Verdict("too_few", too_few)
    gain = difference(measured.encoder, measured.colours)
    if not gain[0] > 0:
        return Verdict(
            "no_better_than_colours",
            "The encoder tells these photos apart no better than colour alone (difference in agreement "
            f"{between(gain)}): fine-tune it or import SigLIP ({PAGE}).",
        )
    if measured.frozen and (lead := difference(measured.encoder, measured.frozen))[1] < 0:
        return Verdict(
            "frozen_is_better",
            "The encoder does not fit: a network that has seen none of these photos finds better neighbours "
            f"(difference in agreement {between(lead)}): fine-tune it or import SigLIP ({PAGE}).",
        )
    return by_share(avoided(measured))


def by_share(share: tuple[float, float]) -> Verdict:
    """The verdict by the interval of the share of colour's wrong neighbours that the encoder avoids."""
    found = f"{percent(share[0], signed=False)} to {percent(share[1], signed=False)}"
    if share[0] >= ENOUGH:
        return Verdict(
            "fits",
            f"The encoder fits: it avoids {found} of the neighbours that colour alone takes from a wrong "
            "category, at least half of them.",
        )
    return Verdict(
        "helps",
        f"The encoder is better than colour alone, but may not be enough: it avoids {found} of the "
        "neighbours that colour takes from a wrong category, and half is not certain. Compare it with "
        f"SigLIP, or fine-tune it ({PAGE}).",
    )


def shortage(measured: Measured) -> str:
    """What there is too little of to decide; empty if there is enough."""
    listings = int((~np.isnan(measured.best)).sum())
    counts = Counter(measured.sample.categories.tolist())
    categories = sum(count > DEPTH for count in counts.values())
    if listings < MIN_LISTINGS:
        return (
            f"Too few listings to say: {listings:,} share a category with another, and at least "
            f"{MIN_LISTINGS} are needed."
        )
    if categories < MIN_CATEGORIES:
        return (
            f"Too few categories to say: {categories} with {DEPTH + 1} listings or more, and at least "
            f"{MIN_CATEGORIES} are needed."
        )
    return ""


def difference(one: Method, other: Method) -> tuple[float, float]:
    """95 % interval of the difference in mean agreement, paired: both search the same listings."""
    return bootstrap_interval(one.scores - other.scores)


def avoided(measured: Measured) -> tuple[float, float]:
    """95 % interval of the share of colour's wrong neighbours that the encoder avoids, paired.

    Neighbours that are wrong in a perfect order too, because the category has too few listings, count for
    neither.
    """
    low, high = ratio_interval(
        measured.best - measured.encoder.scores, measured.best - measured.colours.scores
    )
    return 1 - high, 1 - low


def between(interval: tuple[float, float]) -> str:
    """An interval of differences as text."""
    low, high = (f"{bound:+.3f}".replace("-", "−") for bound in interval)
    return f"{low} to {high}"
