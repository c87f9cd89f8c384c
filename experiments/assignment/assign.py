"""Who sees which arm: a pure function of the experiment's file and the hash of the user.

docs/experiments.md specifies it for other implementations. Three hash buckets in [0, 1), each from its own
hash, decide in turn: layer (may the user take part, given that experiments of one layer exclude each other),
ramp (already on this day), and arms. They are independent, so neither a ramp nor another experiment
influences who is in which arm.
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

_BITS: Final = 53  # of precision in a double


@dataclass(frozen=True)
class HashBuckets:
    """A user's three hash buckets in [0, 1) for one experiment."""

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
        """`experiment:arm`, as in responses and events."""
        return f"{self.experiment.name}:{self.arm.name}"


def hash_bucket(key: str, user: str) -> float:
    """The hash bucket of a user in [0, 1) for a key.

    The first 8 bytes of SHA-256 of `key/user` in UTF-8, as a big-endian integer without its 11 lowest bits,
    divided by 2 ** 53.
    """
    whole = int.from_bytes(_digest(key, user)[:8], "big") >> (64 - _BITS)
    return whole / (1 << _BITS)


def hash_buckets(experiment: Experiment, user: str) -> HashBuckets:
    """The three hash buckets of a user; `user` is the salted hash of the id."""
    return HashBuckets(*(hash_bucket(key, user) for key in _keys(experiment)))


def assign(experiment: Experiment, user: str, day: date) -> Arm | None:
    """The arm of a user on a day (in UTC), or None if the user does not take part."""
    return arm_at(experiment, hash_buckets(experiment, user), experiment.share_on(day))


def arm_at(experiment: Experiment, at: HashBuckets, share: float) -> Arm | None:
    """The arm for three hash buckets while `share` of the experiment's users takes part."""
    low, high = experiment.buckets
    if not low <= at.layer < high or at.ramp >= share:
        return None
    return experiment.arms[bisect_right(_inner_bounds(experiment), at.arms)]


def assignments(experiments: Iterable[Experiment], user: str, day: date) -> tuple[Assignment, ...]:
    """The arms of a user in all experiments on a day: at most one in each layer."""
    arms = ((experiment, assign(experiment, user, day)) for experiment in experiments)
    return tuple(Assignment(experiment, arm) for experiment, arm in arms if arm is not None)


def hash_bucket_array(key: str, users: Iterable[str]) -> NDArray[np.float64]:
    """`hash_bucket` of many users: (users,) float64.

    One call of SHA-256 for each user is faster than its 64 rounds in NumPy.
    """
    digests = b"".join(_digest(key, user)[:8] for user in users)
    return (np.frombuffer(digests, dtype=">u8") >> (64 - _BITS)) / float(1 << _BITS)


def arm_array(experiment: Experiment, users: Iterable[str], share: float = 1.0) -> NDArray[np.int8]:
    """Number of each user's arm, from 0 for control, or NO_ARM: (users,) int8.

    share: of the experiment's users that takes part, see `Experiment.share_on`. It does not change the arm of
    a user, so 1 gives the arm of all users who ever take part.
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
