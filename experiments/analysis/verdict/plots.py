"""Where things go in a plot: scales from values to pixels. The templates draw."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Protocol

MOST_TICKS: Final = 7
REACH: Final = 3.0
"""In half-widths of the median interval: how far beyond the farthest lift a scale goes."""


class Interval(Protocol):
    """A lift with its interval."""

    @property
    def lift(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


@dataclass(frozen=True)
class Scale:
    """Values from low to high, onto pixels from start to end (which may go backwards)."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value; of one beyond the scale, its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[float]:
        """Round values inside, at most MOST_TICKS."""
        step = _round_step((self.high - self.low) / (MOST_TICKS - 1))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 12) for number in range(first, last + 1)]


def _round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def lift_scale(shown: Iterable[Interval], start: float, end: float, *, also: Sequence[float] = ()) -> Scale:
    """A scale that shows 0, every lift, and intervals as far as they are not absurdly wide."""
    intervals = [each for each in shown if math.isfinite(each.high)]
    points = [0.0, *also, *(each.lift for each in intervals)]
    half = median([(each.high - each.low) / 2 for each in intervals]) if intervals else 0.1
    low = max(min(points) - REACH * half, min([*points, *(each.low for each in intervals)]))
    high = min(max(points) + REACH * half, max([*points, *(each.high for each in intervals)]))
    margin = 0.04 * (high - low) or 0.01
    return Scale(low - margin, high + margin, start, end)


def band(xs: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> str:
    """The points of a polygon: along the highs, and back along the lows."""
    there = [f"{x},{y}" for x, y in zip(xs, highs, strict=True)]
    back = [f"{x},{y}" for x, y in zip(reversed(xs), reversed(lows), strict=True)]
    return " ".join([*there, *back])


def line(xs: Sequence[float], ys: Sequence[float]) -> str:
    """The points of a line."""
    return " ".join(f"{x},{y}" for x, y in zip(xs, ys, strict=True))
