"""Parameters of the ground truth are checked, and nothing is clipped."""

from __future__ import annotations

import pytest

from demo.simulation.errors import ImpossibleTruth
from demo.simulation.ground_truth import GroundTruth


def test_parameters_are_changed_as_json():
    """Numbers, switches and the week."""
    truth = GroundTruth.of({"tap_lift": "1.5", "single_unit": "false", "weekdays": "[1,1,1,1,1,2,2]"})
    assert (truth.tap_lift, truth.single_unit, truth.weekdays[-1]) == (1.5, False, 2)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("tap_lfit", "1", "no parameter 'tap_lfit'"),
        ("tap_lift", "much", "valid number"),
        ("single_unit", "1", "valid boolean"),
        ("slate_length", "2.5", "valid integer"),
        ("weekdays", "[1, 2]", "at least 7 items"),
        ("tap_lift", "3", "exceeds 1"),
        ("tap_rate", "1.1", "less than or equal to 1"),
        ("tap_lift", "NaN", "finite number"),
        ("slates_per_day", "0", "greater than 0"),
        ("mean_depth", "3", "expected mean_depth above"),
        ("activity_shape", "-1", "greater than 0"),
    ],
)
def test_impossible_values_are_refused(name, text, said):
    """With the name and what was expected."""
    with pytest.raises(ImpossibleTruth, match=name) as caught:
        GroundTruth.of({name: text})
    assert said in str(caught.value)


def test_every_parameter_is_recorded():
    """So that the same log can be drawn again."""
    stated = GroundTruth(tap_lift=1.5).to_json()
    assert GroundTruth(**stated) == GroundTruth(tap_lift=1.5)
