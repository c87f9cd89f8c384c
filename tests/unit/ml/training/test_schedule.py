"""Progress and learning rate."""

from dataclasses import replace

import pytest

from ml.configs.siglip_lite import SMOKE
from ml.training.schedule import Schedule, learning_rate


def test_schedules_start_and_end_where_they_should() -> None:
    """The learning rate rises, then falls to zero."""
    config = replace(SMOKE, learning_rate=1.0, warm_up=0.1)
    assert learning_rate(config, 0.05) == pytest.approx(0.5)
    assert learning_rate(config, 0.1) == pytest.approx(1.0)
    assert learning_rate(config, 0.55) == pytest.approx(0.5)
    assert learning_rate(config, 1.0) == pytest.approx(0.0)


def test_a_run_ends_by_steps_or_by_the_clock() -> None:
    """If minutes are given, steps are ignored."""
    assert Schedule(steps=10, minutes=None, started=0).progress(5) == 0.5
    assert Schedule(steps=10, minutes=1e-9, started=0).progress(0) > 1
    assert Schedule(steps=0, minutes=None, started=0).progress(0) == 1, "nothing is trained"
