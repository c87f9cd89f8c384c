"""Assignment is uniform, independent, stable, and never takes back what it gave."""

from __future__ import annotations

import hashlib
import hmac
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from events.user_ids import user_hash
from experiments.assignment.assign import (
    NO_ARM,
    HashBuckets,
    arm_array,
    arm_at,
    assign,
    assignments,
    hash_bucket,
    hash_bucket_array,
    hash_buckets,
)
from experiments.assignment.definition import Experiment, RampStep
from tests.factories import make_experiment

DAY = date(2026, 11, 9)
USERS = [user_hash("a salt", f"u{number}") for number in range(200_000)]
NEVER_BY_CHANCE = 1e-4  # users and hashes are fixed, so a test passes always or never


@cache
def everybodys(key: str) -> np.ndarray:
    """The places (users,) of all users under a key."""
    return hash_bucket_array(key, USERS)


def share(experiment: Experiment, users: list[str] = USERS) -> list[float]:
    """Of all users, how many are in each arm."""
    arms = arm_array(experiment, users)
    return [float((arms == number).mean()) for number in range(len(experiment.arms))]


def independent(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether the chi-square test of the two-way table finds nothing."""
    table = np.unique(np.stack([one, other]), axis=1, return_counts=True)[1].reshape(len(np.unique(one)), -1)
    return bool(stats.chi2_contingency(table).pvalue > NEVER_BY_CHANCE)


@pytest.mark.parametrize(
    ("number", "expected", "arm"),
    [
        (0, HashBuckets(0.3565784691665931, 0.3009352426256183, 0.9370897940046036), "siglip"),
        (1, HashBuckets(0.709978251760317, 0.03355550896707282, 0.292003657924225), "control"),
        (2, HashBuckets(0.4325587774448181, 0.9398489427271906, 0.030619721551909285), "control"),
    ],
)
def test_hash_buckets_never_change(number: int, expected: HashBuckets, arm: str) -> None:
    """To the last bit, in any release: a running experiment's users stay where they are."""
    experiment = make_experiment()
    assert hash_buckets(experiment, USERS[number]) == expected
    chosen = assign(experiment, USERS[number], DAY)
    assert chosen is not None
    assert chosen.name == arm


@pytest.mark.parametrize("key", ["layer/similar-items", "ramp/new-encoder", "arms/new-encoder"])
def test_hash_buckets_are_uniform(key: str) -> None:
    """Chi-square over a thousand equal parts of [0, 1)."""
    found = everybodys(key)
    assert found.min() >= 0
    assert found.max() < 1
    assert stats.chisquare(np.bincount((found * 1000).astype(int))).pvalue > NEVER_BY_CHANCE


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("layer/similar-items", "layer/search"),
        ("layer/similar-items", "arms/new-encoder"),
        ("layer/similar-items", "ramp/new-encoder"),
        ("ramp/new-encoder", "arms/new-encoder"),
        ("arms/new-encoder", "arms/new-weights"),
        ("arms/new-encoder", "arms/new-encoder-2"),
    ],
)
def test_hash_buckets_of_different_keys_are_independent(one: str, other: str) -> None:
    """Layers, experiments and ramps do not pick each other's users: chi-square of twenty by twenty parts."""
    assert independent((everybodys(one) * 20).astype(int), (everybodys(other) * 20).astype(int))


def test_consecutive_ids_are_assigned_evenly() -> None:
    """A caller whose ids are their own hashes, such as numbers, loses nothing."""
    numbers = [str(number) for number in range(200_000)]
    found = hash_bucket_array("arms/new-encoder", numbers)
    assert stats.chisquare(np.bincount((found * 1000).astype(int))).pvalue > NEVER_BY_CHANCE
    assert independent((found[:-1] * 20).astype(int), (found[1:] * 20).astype(int))


def test_users_are_divided_by_the_weights() -> None:
    """Two to one to one, by chi-square."""
    arms = ({"name": "control", "weight": 2}, {"name": "a", "weight": 1}, {"name": "b", "weight": 1})
    counts = np.bincount(arm_array(make_experiment(arms=arms), USERS))
    expected = np.array([0.5, 0.25, 0.25]) * len(USERS)
    assert stats.chisquare(counts, expected).pvalue > NEVER_BY_CHANCE


@pytest.mark.parametrize(
    ("at", "arm"), [(0.0, "control"), (0.4999999, "control"), (0.5, "b"), (0.75, "c"), (1 - 2**-53, "c")]
)
def test_an_arm_begins_where_the_previous_one_ends(at: float, arm: str) -> None:
    """Lower bounds belong to the arm, upper ones to the next; the last arm reaches to the end."""
    arms = ({"name": "control", "weight": 2}, {"name": "b"}, {"name": "c"})
    chosen = arm_at(make_experiment(arms=arms), HashBuckets(0.5, 0.5, at), share=1)
    assert chosen is not None
    assert chosen.name == arm


def test_arrays_agree_with_single_users() -> None:
    """The check of logged arms and the simulator use the one, the API the other."""
    experiment = make_experiment(
        buckets=(0.2, 0.9),
        arms=({"name": "control", "weight": 3}, {"name": "a"}, {"name": "b", "weight": 0.7}),
        ramp=(RampStep(from_day=date(2026, 11, 2), share=0.4),),
    )
    numbers = {arm.name: number for number, arm in enumerate(experiment.arms)}
    single = [assign(experiment, user, DAY) for user in USERS[:5000]]
    assert list(arm_array(experiment, USERS[:5000], share=0.4)) == [
        NO_ARM if arm is None else numbers[arm.name] for arm in single
    ]
    assert [hash_bucket("any", user) for user in USERS[:100]] == list(hash_bucket_array("any", USERS[:100]))
    assert arm_array(experiment, []).shape == (0,)


def test_a_ramp_only_ever_adds_users() -> None:
    """Nobody drops out or changes arms as it grows, and the shares are those of the file."""
    days = [date(2026, 11, day) for day in (2, 4, 6, 8)]
    steps = tuple(
        RampStep(from_day=day, share=part) for day, part in zip(days, (0.01, 0.1, 0.5, 1), strict=True)
    )
    experiment = make_experiment(ramp=steps)
    users = USERS[:20_000]
    grown = [{user: arm.name for user in users if (arm := assign(experiment, user, day))} for day in days]
    for before, after in pairwise(grown):
        assert before.items() <= after.items()
    assert [len(taking_part) / len(users) for taking_part in grown] == pytest.approx(
        [0.01, 0.1, 0.5, 1], abs=0.01
    )
    assert len(grown[-1]) == len(users)


def test_nobody_takes_part_before_the_start_or_when_it_is_off() -> None:
    """Whatever the ramp says."""
    user = USERS[0]
    assert assign(make_experiment(), user, date(2026, 11, 1)) is None
    assert assign(make_experiment(), user, date(2026, 11, 2)) is not None
    assert assign(make_experiment(enabled=False), user, DAY) is None
    late = (RampStep(from_day=date(2026, 11, 5), share=1),)
    assert assign(make_experiment(ramp=late), user, date(2026, 11, 4)) is None


def test_experiments_of_a_layer_exclude_each_other_and_leave_nobody_between() -> None:
    """A user is in the one whose buckets hold the place in the layer."""
    one = make_experiment(name="one", buckets=(0, 0.3))
    other = make_experiment(name="other", buckets=(0.3, 1))
    in_one, in_other = (arm_array(each, USERS) != NO_ARM for each in (one, other))
    assert not (in_one & in_other).any()
    assert (in_one | in_other).all()
    assert in_one.mean() == pytest.approx(0.3, abs=0.005)
    assert {len(assignments((one, other), user, DAY)) for user in USERS[:1000]} == {1}


def test_layers_and_experiments_are_independent() -> None:
    """Arms of two experiments that run at once, in two layers, cross each other evenly."""
    one, other = make_experiment(), make_experiment(name="new-weights", layer="ranking")
    assert independent(arm_array(one, USERS), arm_array(other, USERS))
    (first, second) = assignments((one, other), USERS[0], DAY)
    assert (first.label, second.experiment.name) == ("new-encoder:siglip", "new-weights")


def test_the_next_experiment_in_the_same_buckets_shuffles_the_users() -> None:
    """What an arm did to its users does not become one arm's head start in the next experiment."""
    assert independent(arm_array(make_experiment(), USERS), arm_array(make_experiment(name="next"), USERS))
    assert share(make_experiment(name="next")) == pytest.approx([0.5, 0.5], abs=0.005)


def test_the_documentation_suffices_to_compute_the_same_arms() -> None:
    """Its five steps, written down once more without our code; and its table is what they give."""

    def documented(user_id: str) -> tuple[str, list[float], str]:
        user = hmac.digest(b"a salt of 16 characters", user_id.encode(), "sha256").hex()[:32]
        keys = ("layer/similar-items", "ramp/new-encoder", "arms/new-encoder")
        digests = (hashlib.sha256(f"{key}/{user}".encode()).digest() for key in keys)
        found = [(int.from_bytes(digest[:8], "big") >> 11) / 2**53 for digest in digests]
        return user, found, "control" if found[2] < 0.5 else "siglip"

    for number in range(1000):
        user = user_hash("a salt of 16 characters", f"u{number}")
        hashed, found, arm = documented(f"u{number}")
        chosen = assign(make_experiment(), user, DAY)
        assert chosen is not None
        assert (hashed, HashBuckets(*found), arm) == (
            user,
            hash_buckets(make_experiment(), user),
            chosen.name,
        )
    page = (Path(__file__).parents[4] / "docs" / "experiments.md").read_text(encoding="utf-8")
    for user_id in ("u0", "u1", "u2"):
        user, found, arm = documented(user_id)
        buckets = " | ".join(f"{place:.6f}" for place in found)
        assert f"| {user_id} | {user} | {buckets} | {arm} |" in page
