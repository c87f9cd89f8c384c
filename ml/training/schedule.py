"""Progress of a run, and the learning rate and weights that depend on it."""

import math
import time
from dataclasses import dataclass

from ml.training.config import FinetuneConfig


@dataclass(frozen=True)
class Schedule:
    """Progress of a run, by steps, or by time if its duration is limited.

    Only runs by steps are reproducible to the bit, since the time per step varies.
    """

    steps: int
    minutes: float | None
    started: float
    """Start by time.monotonic(), in seconds."""

    def progress(self, step: int) -> float:
        """Progress, from 0 at the start to 1 or more at the end."""
        if self.steps == 0:
            return 1.0
        return step / self.steps if self.minutes is None else self.seconds() / (60 * self.minutes)

    def seconds(self) -> float:
        """Training time so far, in seconds."""
        return time.monotonic() - self.started


def learning_rate(config: FinetuneConfig, progress: float) -> float:
    """The learning rate at progress 0 to 1: a linear warm-up, then a cosine to zero."""
    if progress < config.warm_up:
        return config.learning_rate * max(progress / config.warm_up, 0.01)
    rest = (progress - config.warm_up) / (1 - config.warm_up)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * rest))
