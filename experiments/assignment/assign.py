"""Who sees which arm: a pure function of the experiment's file and the hash of the user.

docs/experiments.md says it in the words that another implementation needs. Three places in [0, 1), each from
a hash of its own, decide one after the other: that in the layer (may the user take part at all, with
experiments of the same layer excluding each other), that in the ramp (already today?), that among the arms.
They are independent of each other, so that neither a ramp nor a neighbouring experiment picks who is in an
arm.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.assignment.definition import Arm, Experiment

NO_ARM: Final = -1
"""In arrays: the arm of users who do not take part."""

_BITS: Final = 53  # what a double holds exactly


@dataclass(frozen=True)
class HashBuckets:
    """A user's three places in [0, 1) for one experiment."""

    layer: float
    ramp: float
    arms: float


@dataclass(frozen=True)
class Assignment:
    """A user's arm in one experiment."""

    experiment: Experiment
    arm: Arm

    @property
    def label(self) -> str:
        """`experiment:arm`, as answers and events tell it."""
        return f"{self.experiment.name}:{self.arm.name}"


def hash_bucket(key: str, user: str) -> float:
    """The place of a user in [0, 1) under a key.

    The first 8 bytes of SHA-256 of `key/user` in UTF-8, as a big-endian integer without its 11 lowest bits,
    divided by 2 ** 53.
    """
    whole = int.from_bytes(_digest(key, user)[:8], "big") >> (64 - _BITS)
    return whole / (1 << _BITS)


def hash_buckets(experiment: Experiment, user: str) -> HashBuckets:
    """The three places of a user; `user` is the salted hash, of which the id cannot be told."""
    return HashBuckets(*(hash_bucket(key, user) for key in _keys(experiment)))


def assign(experiment: Experiment, user: str, day: date) -> Arm | None:
    """The arm of a user on a day (in UTC), or None if the user does not take part."""
    return arm_at(experiment, hash_buckets(experiment, user), experiment.share_on(day))


def arm_at(experiment: Experiment, at: HashBuckets, share: float) -> Arm | None:
    """The arm for three places while `share` of the experiment's users takes part."""
    low, high = experiment.buckets
    if not low <= at.layer < high or at.ramp >= share:
        return None
    return experiment.arms[bisect_right(_inner_bounds(experiment), at.arms)]


def assignments(experiments: Iterable[Experiment], user: str, day: date) -> tuple[Assignment, ...]:
    """The arms of a user in all experiments on a day: at most one of each layer."""
    arms = ((experiment, assign(experiment, user, day)) for experiment in experiments)
    return tuple(Assignment(experiment, arm) for experiment, arm in arms if arm is not None)


def hash_bucket_array(key: str, users: Iterable[str]) -> NDArray[np.float64]:
    """`place` of many users: (users,).

    One SHA-256 a user, in the processor's own instructions; written in NumPy its 64 rounds are slower.
    """
    digests = b"".join(_digest(key, user)[:8] for user in users)
    return (np.frombuffer(digests, dtype=">u8") >> (64 - _BITS)) / float(1 << _BITS)


def arm_array(experiment: Experiment, users: Iterable[str], share: float = 1.0) -> NDArray[np.int8]:
    """Number of each user's arm, from 0 for control, or NO_ARM: (users,).

    share: of the experiment's users that takes part, as `share_on` has it for a day. Which arm a user has
    does not depend on it, so 1 gives the arm of all who ever take part.
    """
    users = list(users)
    in_layer, in_ramp, among_arms = (hash_bucket_array(key, users) for key in _keys(experiment))
    low, high = experiment.buckets
    takes_part = (in_layer >= low) & (in_layer < high) & (in_ramp < share)
    arm = np.searchsorted(_inner_bounds(experiment), among_arms, side="right")
    return np.where(takes_part, arm, NO_ARM).astype(np.int8)


def _keys(experiment: Experiment) -> tuple[str, str, str]:
    return f"layer/{experiment.layer}", f"ramp/{experiment.name}", f"arms/{experiment.name}"


def _inner_bounds(experiment: Experiment) -> list[float]:
    """Where in [0, 1) one arm ends and the next begins."""
    *inner, total = accumulate(arm.weight for arm in experiment.arms)
    return [bound / total for bound in inner]


def _digest(key: str, user: str) -> bytes:
    return hashlib.sha256(f"{key}/{user}".encode()).digest()
