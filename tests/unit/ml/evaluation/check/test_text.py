"""What the command prints."""

import numpy as np

from ml.evaluation.check.agreement import Similarities
from ml.evaluation.check.text import bar, check_text, extremes, histogram
from ml.evaluation.rows import Slice
from tests.unit.ml.evaluation.check.conftest import MakeMeasured


def test_the_text_has_every_row_and_ends_with_the_verdict(make_measured: MakeMeasured) -> None:
    """Means with intervals, categories with counts."""
    text = check_text(make_measured(encoder=0.9, colours=0.4, frozen=0.8))
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert "400 photos of 400 listings in 4 leaf categories" in text
    assert "0.400" in lines["colour alone"]
    assert "0.800" in lines["EfficientNet-Lite 0, frozen"]
    assert "0.900" in lines["small-1"]
    assert "–" in lines["small-1"]
    assert "1.000" in lines["best possible"]
    assert {"Belts", "Skirts", "Ties", "Toys"} <= set(lines)
    assert text.splitlines()[-1].startswith("The encoder fits")


def test_without_the_frozen_network_the_text_says_how_to_get_it(make_measured: MakeMeasured) -> None:
    """And has no row for it."""
    text = check_text(make_measured())
    assert "EfficientNet-Lite 0, frozen: not measured" in text
    assert "`make train` installs what it needs" in text


def test_bars_are_shares_of_their_own_kind() -> None:
    """All neighbours in the last bin, random pairs in the first and the middle."""
    found = Similarities(np.ones(8, np.float32), np.array([0, 0, 0, 0.55], np.float32))
    lines = histogram(found).splitlines()[1:]
    assert len(lines) == 12
    assert lines[0].endswith(f"{'█' * 22} 75 %"), "three of four"
    assert "25 %" in lines[6]
    assert f"{'█' * 30} 100 %" in lines[-1]
    assert bar(0.001, 1) == "0 %"
    assert bar(0, 1) == ""


def test_no_category_is_among_both_weakest_and_strongest() -> None:
    """Three categories: two and one; twenty: five and five."""
    slices = [Slice("category", str(number), 30, number / 20, (0, 1)) for number in range(20)]
    weak, strong = extremes(slices[:3])
    assert [[one.value for one in part] for part in (weak, strong)] == [["0", "1"], ["2"]]
    weak, strong = extremes(slices)
    assert [one.value for one in weak] == ["0", "1", "2", "3", "4"]
    assert [one.value for one in strong] == ["19", "18", "17", "16", "15"]


def test_small_categories_are_not_shown(make_measured: MakeMeasured) -> None:
    """Their intervals would span half the scale."""
    names = [f"c{number}" for number in range(25)] * 10
    assert "No category has 20 listings" in check_text(make_measured(categories=names))
