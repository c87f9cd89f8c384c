"""Charts of experiment reports: SVG inside the page, drawn by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final, Protocol

from markupsafe import Markup

from console.percentage import percent
from experiments.analysis.verdict.wording import interval
from ml.evaluation.charts import inline_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_MARGIN: Final = 3.0
"""In half-widths of the median interval: how far beyond the outermost lift an axis reaches."""
GREY: Final = "#8b8f96"
BLUE: Final = "#3f7fd6"
GREEN: Final = "#2f9e4f"
COLOURS: Final = (GREY, BLUE, "#d1483f", GREEN, "#b5651d", "#8a5fbf", "#2a9d9d", "#c2a000")
"""Of arms in the order of the definition, which has eight at most; legible on white and on black."""


class Interval(Protocol):
    """A relative lift with its interval."""

    @property
    def lift(self) -> float:
        """0.05 is five per cent more."""
        ...

    @property
    def low(self) -> float:
        """Lower bound."""
        ...

    @property
    def high(self) -> float:
        """Upper bound."""
        ...


@dataclass(frozen=True)
class ForestRow:
    """One interval of a forest chart, or why there is none."""

    label: str
    effect: Interval | None
    missing: str = ""
    strong: bool = False

    @property
    def note(self) -> str:
        """The text to the right of the interval."""
        effect = self.effect
        return f"{percent(effect.lift)} ({interval(effect.low, effect.high)})" if effect else self.missing


def forest_chart(title: str, rows: Sequence[ForestRow]) -> Markup:
    """Intervals below each other on one axis; in colour where 0 is outside."""
    figure, axes = _figure(0.3 * len(rows) + 0.5)
    for position, row in enumerate(rows):
        axes.text(1.02, position, row.note, transform=axes.get_yaxis_transform(), va="center")
        if row.effect is not None:
            low, high = row.effect.low, row.effect.high
            colour = BLUE if low > 0 or high < 0 else GREY
            axes.plot([low, high], [position] * 2, color=colour, linewidth=2.5)
            axes.plot(row.effect.lift, position, "o", color=colour, markersize=8 if row.strong else 6)
    axes.set_yticks(range(len(rows)), [row.label for row in rows], parse_math=False)
    axes.set(xlim=lift_limits(row.effect for row in rows), ylim=(len(rows) - 0.5, -0.5))
    axes.tick_params(labeltop=True, labelbottom=False)
    axes.grid(axis="x", alpha=0.3)
    axes.axvline(0, color=GREY)
    axes.xaxis.set_major_formatter(lambda value, _: percent(value))
    return inline_svg(figure, title)


def looks_chart(
    title: str,
    days: Sequence[int],
    looks: Sequence[Interval],
    fixed: Sequence[tuple[float, float]],
    *,
    planned_days: int,
    sought: float,
) -> Markup:
    """The lift up to each day: a wide band that holds at all looks, and a narrow one of fixed intervals.

    days: of the looks, from 1. sought: the lift that the experiment was planned for.
    """
    figure, axes = _figure(2.8)
    axes.fill_between(
        days, [each.low for each in looks], [each.high for each in looks], color=BLUE, alpha=0.15
    )
    axes.fill_between(days, [low for low, _ in fixed], [high for _, high in fixed], color=BLUE, alpha=0.2)
    axes.plot(days, [each.lift for each in looks], "o-", color=BLUE, markersize=4)
    axes.axhline(sought, color=GREEN, linestyle="--")
    axes.text(planned_days, sought, f"sought: {percent(sought)}", ha="right", va="bottom")
    step = 7 if planned_days <= 56 else 28
    ticks = [1, *range(step, planned_days + 1, step)]
    axes.set_xticks(ticks, [f"day {day}" for day in ticks])
    axes.set_xlim(1, max(planned_days, 2))
    # The intervals of the first days are as wide as the page, so the later half sets the axis.
    _lift_axis(axes, looks[len(looks) // 2 :], also=(sought,))
    return inline_svg(figure, title)


def parts_chart(title: str, parts: Sequence[str], effects: Sequence[Interval | None]) -> Markup:
    """An interval for each part in order, such as a day; parts without an effect stay empty."""
    figure, axes = _figure(2.8)
    for position, effect in enumerate(effects):
        if effect is not None:
            axes.plot([position] * 2, [effect.low, effect.high], color=GREY, linewidth=2.5)
            axes.plot(position, effect.lift, "o", color=BLUE)
    step = -(-len(parts) // 9) or 1
    axes.set_xticks(
        range(0, len(parts), step), [each.removeprefix("20") for each in parts[::step]], parse_math=False
    )
    axes.set_xlim(-0.5, max(len(parts), 1) - 0.5)
    _lift_axis(axes, effects)
    return inline_svg(figure, title)


def lorenz_chart(curves: Mapping[str, Sequence[tuple[float, float]]]) -> Markup:
    """Arm to its Lorenz curve, each a sequence of (share of the sellers, their share of items shown)."""
    figure, axes = _figure(4, width=4)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    for (name, points), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot([x for x, _ in points], [y for _, y in points], color=colour, label=name)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: percent(value, signed=False))
    axes.grid(alpha=0.3)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="sellers, from fewest impressions")
    axes.legend(frameon=False)
    return inline_svg(figure, "Share of items shown that the sellers with least have, by arm")


def positions_chart(curves: Mapping[str, Sequence[tuple[float, tuple[float, float]]]]) -> Markup:
    """Source to how often each position is looked at, with intervals; NaN where nothing was tapped."""
    figure, axes = _figure(2.8)
    for number, (source, curve) in enumerate(curves.items()):
        values, (lows, highs) = [value for value, _ in curve], zip(*(each for _, each in curve), strict=True)
        places = [position + 0.1 * (2 * number - len(curves) + 1) for position in range(1, len(curve) + 1)]
        colour = COLOURS[number + 1]
        axes.vlines(places, lows, highs, color=colour)
        axes.plot(places, values, "o", color=colour, markersize=5, label=source)
    # The axis holds every interval but those above 2.
    bounds = [min(high, 2.0) for curve in curves.values() for _, (_, high) in curve if not math.isnan(high)]
    axes.set(ylim=(0, 1.05 * max([1.0, *bounds])), xlabel="position")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    return inline_svg(figure, "How often each position is looked at")


def lift_limits(effects: Iterable[Interval | None], *, also: Sequence[float] = ()) -> tuple[float, float]:
    """The ends of an axis that shows 0, every lift, and intervals unless they are extremely wide."""
    found = [each for each in effects if each is not None and math.isfinite(each.high)]
    points = [0.0, *also, *(each.lift for each in found)]
    margin = MAX_MARGIN * median([(each.high - each.low) / 2 for each in found]) if found else 0.3
    low = max(min(points) - margin, min([*points, *(each.low for each in found)]))
    high = min(max(points) + margin, max([*points, *(each.high for each in found)]))
    padding = 0.04 * (high - low) or 0.01
    return low - padding, high + padding


def _lift_axis(axes: Axes, effects: Iterable[Interval | None], *, also: Sequence[float] = ()) -> None:
    axes.set_ylim(*lift_limits(effects, also=also))
    axes.grid(axis="y", alpha=0.3)
    axes.axhline(0, color=GREY)
    axes.yaxis.set_major_formatter(lambda value, _: percent(value))


def _figure(height: float, *, width: float = 9.8) -> tuple[Figure, Axes]:
    """An empty chart without a frame; width and height in inches."""
    from matplotlib.figure import Figure  # noqa: PLC0415  heavy, and needed by reports alone

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure, axes
