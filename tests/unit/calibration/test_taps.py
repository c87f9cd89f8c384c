"""Tapped slates of a log as judged items."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from calibration.errors import TooLittleData
from calibration.taps import TapLog, collect_slates, read_taps
from experiments.errors import UnreadableLog
from tests.unit.calibration.tapped_shop import SHOWN, Buyers, documents, live, tapped_log


def test_a_tap_counts_by_how_seldom_its_position_is_looked_at(tap_log: TapLog) -> None:
    """Position k is looked at with the chance 1 / k, which shuffled slates show."""
    assert tap_log.propensities is not None
    assert tap_log.importance.mean() == pytest.approx(1)
    single = tap_log.slates.tapped.sum(axis=1) == 1
    place = tap_log.slates.positions[single][tap_log.slates.tapped[single]]
    first, third = (tap_log.importance[single][place == each].mean() for each in (1, 3))
    assert third / first == pytest.approx(3, rel=0.2)


def test_slates_become_judged_items(tap_log: TapLog) -> None:
    """With who saw them and when; the tapped items have grade 1."""
    collected = collect_slates(live(), tap_log, 0)
    assert len(collected.judged) == len(tap_log.slates)
    one, slates = collected.judged[7], tap_log.slates
    ids = {slates.item_ids[code]: hit for code, hit in zip(slates.items[7], slates.tapped[7], strict=True)}
    assert [each.item_id for each in one.candidates] == sorted(ids)
    assert {each.item_id: grade for each, grade in zip(one.candidates, one.grades, strict=True)} == ids
    assert one.user == slates.user[7]
    assert one.importance == tap_log.importance[7]
    assert f"{one.seen:%Y-%m-%d}" == slates.day[7]


def test_items_that_are_gone_leave_the_rest_of_a_slate(tap_log: TapLog) -> None:
    """And slates of a query item that is gone, or whose other items were all tapped or none, are left out."""
    kept = documents()[::2]
    collected = collect_slates(live(*kept), tap_log, 0)
    known = {each.item_id for each in kept}
    assert collected.unknown == len(documents()) - len(kept)
    assert collected.undecided > 0
    assert all(one.informative and one.item.item_id in known for one in collected.judged)
    assert max(len(one.candidates) for one in collected.judged) < SHOWN + 1


def test_of_a_long_log_slates_are_drawn(tap_log: TapLog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ones for the same seed."""
    monkeypatch.setattr("calibration.taps.MOST_SLATES", 50)
    drawn = [collect_slates(live(), tap_log, seed).judged for seed in (0, 0, 1)]
    assert [len(each) for each in drawn] == [50, 50, 50]
    assert drawn[0] == drawn[1] != drawn[2]


def test_without_shuffled_slates_or_swaps_taps_count_as_logged(tmp_path: Path) -> None:
    """Too few taps say how often positions are looked at."""
    log = read_taps(tapped_log(tmp_path, Buyers(slates=300, shuffled=False)))
    assert log.propensities is None
    assert np.unique(log.importance).tolist() == [1]


def test_a_log_without_taps_is_refused(tmp_path: Path) -> None:
    """With what it holds and what to do."""
    folder = tapped_log(tmp_path, Buyers(slates=30, tap=0.0))
    with pytest.raises(TooLittleData, match=r"no slate has a tap, of 30 \(30 without a tap\); send taps"):
        read_taps(folder)
    with pytest.raises(UnreadableLog, match="no impressions can be read"):
        read_taps(tmp_path / "taps")
