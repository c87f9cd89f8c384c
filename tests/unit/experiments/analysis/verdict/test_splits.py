"""The whole way from parquet: users who are split again and again, where nothing differs."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from experiments.analysis.log.read import open_log
from experiments.analysis.log.sums import CleanLog
from experiments.analysis.moments import Moments
from experiments.analysis.verdict.effects import MEASURES, effect_of
from experiments.analysis.verdict.evidence import misassigned
from experiments.analysis.verdict.missing_assignment import missing_assignment, slates_alike
from experiments.analysis.verdict.sample_ratio import sample_ratio
from experiments.assignment.assign import arm_array
from tests.unit.experiments.analysis.log.logs import at, make_experiment, make_slate, make_tap, write_log

SPLITS = [make_experiment(name=f"split-{number}") for number in range(40)]
USERS = 600


def log_of(folder: Path) -> Path:
    """Some ten slates a user, of users who differ in how often they look and in how often they tap.

    Each slate tells the arm that each split has for its user.
    """
    rng = np.random.default_rng(1)
    users = [f"{number:032x}" for number in range(USERS)]
    numbers = np.array([arm_array(split, users) for split in SPLITS]).T
    slates, taps = [], []
    for user, arms in zip(users, numbers, strict=True):
        names = [f"{split.name}:{split.arms[arm].name}" for split, arm in zip(SPLITS, arms, strict=True)]
        taste = rng.beta(0.5, 4.5)
        for _ in range(rng.poisson(rng.gamma(0.7, 10 / 0.7))):
            slate = make_slate(user, arms=names, time=at(float(rng.uniform(0, 13.9))))
            slates.append(slate)
            taps += [make_tap(slate)] if rng.random() < taste else []
    return write_log(folder, slates, taps=taps)


def sound(clean: CleanLog, arms: dict[str, Moments]) -> bool:
    """Whether the report would be read."""
    ratio = sample_ratio(
        clean.users_per_arm(), {"control": 1, "treatment": 1}, misassigned(clean.experiment, clean.assigned())
    )
    missing = missing_assignment(
        clean.unassigned_slates(), clean.attributed_slates(), slates_alike(arms.values())
    )
    return ratio.trusted and missing.trusted


def naive(arms: dict[str, Moments]) -> float:
    """The z of a test that takes each slate for a user of its own."""
    slates, taps = ([arm.total(name) for arm in arms.values()] for name in ("slates", "taps"))
    pooled = sum(taps) / sum(slates)
    error = math.sqrt(pooled * (1 - pooled) * sum(1 / each for each in slates))
    return (taps[1] / slates[1] - taps[0] / slates[0]) / error


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bool, float, float]]:
    """Of each split: whether it is sound, the z of its CTR, and that of the naive test."""
    splits = []
    with open_log(log_of(tmp_path_factory.mktemp("log")), threads=1) as log:
        for split in SPLITS:
            clean = log.clean(split)
            arms = clean.moments()
            effect = effect_of(MEASURES["ctr"], *arms.values())
            assert effect is not None
            splits.append((sound(clean, arms), math.log1p(effect.lift) / effect.log_error, naive(arms)))
    return splits


def test_every_split_is_trusted(found: list[tuple[bool, float, float]]) -> None:
    """Users are where assignment puts them, in even numbers, and no slate lost its arm."""
    assert all(sound for sound, _, _ in found)


def test_lifts_vary_as_their_intervals_imply(found: list[tuple[bool, float, float]]) -> None:
    """The squared z of 40 splits sum to a chi-square of 40 degrees; over slates, to more than that."""
    of_users, of_slates = (float(np.square(z).sum()) for z in list(zip(*found, strict=True))[1:])
    low, high = chi2.ppf([0.005, 0.995], len(SPLITS))
    assert low < of_users < high
    assert of_slates > high
