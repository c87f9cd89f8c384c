"""Each rule of the verdict, on scores whose intervals are known to be clear."""

import pytest

from ml.evaluation.check.verdict import avoided, verdict
from tests.unit.ml.evaluation.check.conftest import MakeMeasured


@pytest.mark.parametrize(
    ("shares", "outcome", "words"),
    [
        (
            {"encoder": 0.9, "colours": 0.4},
            "fits",
            "The encoder fits: it avoids 78 % to 88 % of the neighbours",
        ),
        ({"encoder": 0.6, "colours": 0.4}, "helps", "better than colour alone, but may not be enough"),
        ({"encoder": 0.4, "colours": 0.4}, "no_better_than_colours", "no better than colour alone"),
        ({"encoder": 0.2, "colours": 0.4}, "no_better_than_colours", "no better than colour alone"),
        ({"encoder": 0.9, "colours": 0.4, "frozen": 0.8}, "fits", "The encoder fits"),
        ({"encoder": 0.8, "colours": 0.4, "frozen": 0.9}, "frozen_is_better", "(difference in agreement −0."),
    ],
)
def test_the_verdict_follows_from_the_intervals(
    make_measured: MakeMeasured, shares: dict[str, float], outcome: str, words: str
) -> None:
    """The sentence has the interval that decided."""
    found = verdict(make_measured(**shares))
    assert found.outcome == outcome
    assert words in found.sentence


def test_a_share_above_half_that_is_not_certain_does_not_fit(make_measured: MakeMeasured) -> None:
    """Of 60 wrong neighbours in 100, 32 are avoided: 53 %, but the interval reaches below half."""
    measured = make_measured(encoder=0.72, colours=0.4)
    low, high = avoided(measured)
    assert low < 0.5 < high
    assert verdict(measured).outcome == "helps"


@pytest.mark.parametrize(
    ("categories", "words"),
    [
        (("Belts", "Skirts", "Ties") * 66, "Too few listings to say: 198 share a category"),
        (("Belts", "Skirts") * 100, "Too few categories to say: 2 with 6 listings or more"),
        (("Belts", "Skirts") * 100 + ("Ties",) * 5, "Too few categories to say: 2 with 6 listings or more"),
    ],
)
def test_too_little_data_gives_no_verdict(
    make_measured: MakeMeasured, categories: tuple[str, ...], words: str
) -> None:
    """However good the scores are."""
    found = verdict(make_measured(categories=categories))
    assert found.outcome == "too_few"
    assert words in found.sentence


def test_listings_alone_in_their_category_do_not_count(make_measured: MakeMeasured) -> None:
    """They have no right neighbour to find."""
    alone = tuple(f"category {number}" for number in range(300))
    found = verdict(make_measured(categories=("Belts", "Skirts", "Ties") * 60 + alone))
    assert "Too few listings to say: 180" in found.sentence
