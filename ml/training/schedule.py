"""How far a run is, and what its progress does to the learning rate and the teacher's weight."""

import math
import time
from dataclasses import dataclass

from ml.training.config import FinetuneConfig


@dataclass(frozen=True)
class Schedule:
    """How far a run is: by steps, or by the clock where it must end at a given time.

    Only a run by steps can be repeated to the bit, for no two runs take the same time for a step.
    """

    steps: int
    minutes: float | None
    started: float
    """time.monotonic()"""

    def progress(self, step: int) -> float:
        """0 at the start, 1 or more at the end."""
        return step / self.steps if self.minutes is None else self.seconds() / (60 * self.minutes)

    def seconds(self) -> float:
        """Training time so far."""
        return time.monotonic() - self.started


def learning_rate(config: FinetuneConfig, progress: float) -> float:
    """At a share 0 to 1 of the run: a linear warm-up, then a cosine to zero."""
    if progress < config.warm_up:
        return config.learning_rate * max(progress / config.warm_up, 0.01)
    rest = (progress - config.warm_up) / (1 - config.warm_up)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * rest))


def feature_weight(config: FinetuneConfig, progress: float) -> float:
    """At a share 0 to 1 of the run: a straight line between the configured ends."""
    return config.feature_weight + progress * (config.feature_weight_end - config.feature_weight)
