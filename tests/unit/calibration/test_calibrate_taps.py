"""From planted taps to a ranking file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from calibration.calibrate import Calibrated
from calibration.calibrate_taps import calibrate_taps, unidentifiable
from calibration.errors import TooLittleData
from calibration.output import write
from calibration.report import text
from calibration.taps import TapLog, read_taps
from query.search.ranking import ADJUSTABLE, Ranking, weights_with
from query.search.ranking_file import read_ranking
from tests.unit.calibration.arrays import make_questions
from tests.unit.calibration.tapped_shop import SKIRTS, VASES, Buyers, documents, live, tapped_log

NOW = Ranking(weights=weights_with({"category": 2.0, "freshness": 1.5, "popularity": 0.5}), name="ours-1")


@pytest.fixture(scope="module")
def done(tap_log: TapLog) -> Calibrated:
    return calibrate_taps(live(), tap_log, NOW, folds=2, seed=0)


def test_planted_wishes_are_found_and_noise_is_left_out(done: Calibrated, tmp_path: Path) -> None:
    """The colour, the category and vases beside skirts; not the price."""
    path = tmp_path / "ranking.json"
    write(done.file("log"), path)
    ranking = read_ranking(path)
    assert ranking.weights["colour"] >= 1
    assert ranking.weights["category"] >= 1
    assert ranking.weights["price"] == 0
    assert list(ranking.learned) == [SKIRTS]
    assert ranking.learned[SKIRTS] == {VASES: pytest.approx(0.9, abs=0.15)}
    assert done.effect.gain.low > 0


def test_what_taps_cannot_tell_stays(done: Calibrated) -> None:
    """Listings of one age and one brand, the popularity that taps raise, floor and duplicates."""
    assert set(done.fixed) == {"gender", "brand", "freshness", "popularity"}
    file = done.file("log")
    assert (file.weights["freshness"], file.weights["popularity"]) == (1.5, 0.5)
    assert file.min_similarity is None
    assert file.fitted["users"] == len({one.user for one in done.collected.judged})
    assert file.fitted["propensities_from"] == "shuffled slates"
    assert file.fitted["categories_learned"] == 1


def test_the_report_says_what_was_used_and_learned(done: Calibrated) -> None:
    """Slates and users, the weighting, each term, and the pairs."""
    lines = text(done).splitlines()
    assert lines[0].startswith("Simulated: ")
    assert done.taps is not None
    assert f"slates with a tap of {done.taps.users} users, " in lines[1]
    assert lines[2].startswith("Excluded of 4,000 slates: ")
    assert lines[3].startswith("Taps count by how seldom their position is looked at, at most 20 times")
    rows = {line.split()[0]: line for line in lines if line}
    assert rows["colour"].endswith("kept")
    assert rows["brand"].endswith("not fitted: items differ in it on 0 % of the slates")
    assert rows["popularity"].endswith("not fitted: the taps themselves raised it")
    assert any(
        line.startswith("Similarities of categories: 1 pair learned, gain in nDCG +") for line in lines
    )
    assert any("Apparel > Bottomwear > Skirts  Home > Vases" in line for line in lines)
    assert rows["Floor"].endswith("unchanged (the encoder's); an item without a tap is not an unlike one")


def test_without_propensities_and_pairs_the_report_says_so(tmp_path: Path) -> None:
    """Few taps: nothing is learned of categories, and how often a position is looked at is unknown."""
    log = read_taps(tapped_log(tmp_path, Buyers(slates=150, shuffled=False)))
    report = text(calibrate_taps(live(), log, NOW, folds=2, seed=0))
    assert "\nTaps count as logged, as if every position were looked at equally: no slates" in report
    assert "\nSimilarities of categories: unchanged; no pair has enough evidence" in report


def test_pairs_that_do_not_help_are_left_out(done: Calibrated) -> None:
    """The report says how many there were; the file keeps what it had."""
    assert done.taps is not None
    assert done.taps.learned.gain is not None
    learned = replace(done.taps.learned, gain=done.taps.learned.gain._replace(low=-0.1))
    other = replace(done, taps=replace(done.taps, learned=learned))
    assert "unchanged; 1 pair found, not shown to help" in text(other)
    assert other.file("log").categories == ()


def test_too_few_users_are_refused(tap_log: TapLog) -> None:
    """As where the log is of another index."""
    with pytest.raises(
        TooLittleData,
        match=r"0 users with a tap .* expected 20 .*left out: 87.*slates where all items or none were tapped",
    ):
        calibrate_taps(live(*documents()[:3]), tap_log, NOW, folds=5, seed=0)


def test_a_term_that_few_slates_vary_in_is_not_fitted() -> None:
    """Here one slate in twenty has items of two genders."""
    values = np.random.default_rng(0).random((len(ADJUSTABLE), 20, 3))
    values[ADJUSTABLE.index("gender"), 1:] = 0.1
    fixed = unidentifiable(make_questions(np.zeros((20, 3)), values, np.zeros((20, 3))))
    assert fixed["gender"] == "items differ in it on 5.0 % of the slates"
    assert set(fixed) == {"gender", "popularity"}
