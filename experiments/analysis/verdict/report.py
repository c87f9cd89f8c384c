"""ExperimentResults as one HTML page without outside resources, as JSON, and as lines for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined

from events.log_tables import replacing
from experiments.analysis.sellers import SellerSide
from experiments.analysis.verdict.effects import ALPHA, Constant, Effect
from experiments.analysis.verdict.plots import Scale, band, lift_scale, line
from experiments.analysis.verdict.recommendation import distrust
from experiments.analysis.verdict.results import (
    ExperimentResults,
    Look,
    MetricResult,
    PartResult,
    as_json,
    example_of,
    primary_measure,
    treatments,
)
from experiments.analysis.verdict.wording import figure, interval, listed, percent, probability

PAGE: Final = "report.html"
JSON: Final = "report.json"

LABELS: Final = 320
"""Pixels left of a plot's intervals."""
WIDTH: Final = 940
FIGURES: Final = 190
"""Pixels right of them."""
HEIGHT: Final = 260
"""Of a plot over days."""
MOST_TERMINAL_ROWS: Final = 12
SLICE_NAMES: Final = {
    "category": "Category of the item looked at",
    "price": "Price of the item looked at",
    "new_user": "New or returning user",
}


@dataclass(frozen=True)
class Row:
    """One interval of a plot, or why there is none."""

    label: str
    effect: Effect | None
    missing: str = ""
    strong: bool = False


@dataclass(frozen=True)
class Forest:
    """Intervals below each other."""

    title: str
    rows: tuple[Row, ...]
    scale: Scale

    @property
    def shown(self) -> bool:
        """Whether there is any interval to draw."""
        return any(row.effect is not None for row in self.rows)


@dataclass(frozen=True)
class Days:
    """A lift that moves: points over days, with a band where the results hold together."""

    title: str
    x: Scale
    y: Scale
    labels: tuple[tuple[float, str], ...]
    """(pixel, text) below the axis."""
    points: tuple[tuple[float, float, float, float], ...]
    """(x, y, y of the low end, y of the high end)."""
    band: str = ""
    inner: str = ""
    line: str = ""
    sought: float | None = None
    """The lift that the experiment was planned for."""


def write_report(results: ExperimentResults, folder: Path) -> None:
    """Writes PAGE and JSON into the folder, each whole or not at all.

    Raises:
        OSError: the folder cannot be made or written to.
    """
    for name, text in ((PAGE, page(results).encode()), (JSON, json_text(results))):
        with replacing(folder / name) as unfinished:
            unfinished.write_bytes(text)


def json_text(results: ExperimentResults) -> bytes:
    """JSON in UTF-8; what is not finite is null."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(as_json(results), option=options) + b"\n"


def page(results: ExperimentResults) -> str:
    """The page."""
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            results=results,
            evidence=results.evidence,
            experiment=results.evidence.experiment,
            arms=treatments(results.evidence),
            distrust=distrust(results.ratio, results.missing),
            metrics=metrics_plot(results) if results.metrics else None,
            looks={arm: looks_plot(results, arm) for arm, looks in (results.looks or {}).items() if looks},
            moving=moving_plots(results),
            slices=slice_plots(results),
            clear=clear_slices(results),
            slice_names=SLICE_NAMES,
            curves=curves(results.evidence.sellers),
            primary=primary_measure(results.evidence),
            definition=definition(results),
            width=WIDTH,
            labels=LABELS,
        )
    )


def missing(constant: Constant | None) -> str:
    """Why there is no interval."""
    if constant is None:
        return "too few users or events"
    if constant.equal:
        return f"does not vary: {figure(constant.control)} in both arms"
    return f"does not vary: {figure(constant.control)} in control, {figure(constant.treatment)} in this arm"


def definition(results: ExperimentResults) -> str:
    """What was planned, as indented JSON without what was left to its default."""
    planned = results.evidence.experiment.model_dump(mode="json", exclude_defaults=True)
    return orjson.dumps(planned, option=orjson.OPT_INDENT_2).decode()


def curves(side: SellerSide) -> dict[str, tuple[tuple[float, float], ...]]:
    """Arm to its Lorenz curve of items shown; empty if no arm has one."""
    found = {name: arm.exposure.lorenz for name, arm in side.arms.items()}
    return found if any(found.values()) else {}


def bands_of(side: SellerSide, shown: str, sold: str) -> list[str]:
    """The bands of which any arm showed or sold anything, in their order. shown, sold: fields of an arm."""
    found = [getattr(arm, field) for arm in side.arms.values() for field in (shown, sold)]
    return list(dict.fromkeys(band for shares in found for band in shares))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("experiments.analysis.verdict"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "figure": figure,
        "probability": probability,
        "example": example_of,
        "missing": missing,
        "bands": bands_of,
    }
    environment.globals |= {"interval": interval, "listed": listed}
    return environment


def metrics_plot(results: ExperimentResults) -> Forest:
    """All metrics of all arms; the primary one is strong."""
    several = len(treatments(results.evidence)) > 1
    rows = [
        Row(
            f"{each.title}{f', {each.arm}' if several else ''}",
            each.effect,
            missing(each.constant),
            each.primary,
        )
        for each in results.metrics
    ]
    return forest("Lift of each metric over control, with 95 % intervals", rows)


def forest(title: str, rows: Sequence[Row]) -> Forest:
    """Rows on one scale."""
    shown = [row.effect for row in rows if row.effect is not None]
    return Forest(title, tuple(rows), lift_scale(shown, LABELS, WIDTH - FIGURES))


def looks_plot(results: ExperimentResults, arm: str) -> Days:
    """The primary lift up to each day, in the interval that holds at every look and in the fixed one."""
    looks = (results.looks or {})[arm]
    sought, planned = results.plan.minimum_detectable_effect, results.plan.planned_days
    x = Scale(1, max(planned, 2), 60, WIDTH - 20)
    y = lift_scale(_lately(looks), HEIGHT - 30, 12, also=(sought,))
    xs = [x.at(look.number) for look in looks]

    def around(lows: Sequence[float], highs: Sequence[float]) -> str:
        return band(xs, [y.at(low) for low in lows], [y.at(high) for high in highs])

    return Days(
        f"Lift of {arm} up to each day",
        x,
        y,
        tuple((x.at(number), f"day {number}") for number in _round_days(planned)),
        tuple((x.at(look.number), y.at(look.lift), y.at(look.low), y.at(look.high)) for look in looks),
        around([look.low for look in looks], [look.high for look in looks]),
        around([look.fixed_low for look in looks], [look.fixed_high for look in looks]),
        line(xs, [y.at(look.lift) for look in looks]),
        sought,
    )


def _lately(looks: Sequence[Look]) -> Sequence[Look]:
    """The later half, which sets the scale: the first days' intervals are as wide as the page."""
    return looks[len(looks) // 2 :]


def _round_days(planned: int) -> list[int]:
    """The first day and the last of each week, or of every other one where they are many."""
    step = 7 if planned <= 56 else 28
    return [1, *range(step, planned + 1, step)]


def moving_plots(results: ExperimentResults) -> dict[str, tuple[Days, ...]]:
    """Arm to its lift on each day, and on each day since the first exposure."""
    pairs = ((results.by_day, "on each day"), (results.by_exposure, "by days since the first exposure"))
    return {
        arm: tuple(_parts_plot(f"Lift of {arm} {how}", found, arm) for found, how in pairs)
        for arm in results.looks or {}
    }


def _parts_plot(title: str, found: Sequence[PartResult], arm: str) -> Days:
    own = [each for each in found if each.arm == arm]
    shown = [(place, each.effect) for place, each in enumerate(own) if each.effect is not None]
    x = Scale(-0.5, max(len(own), 1) - 0.5, 60, WIDTH - 20)
    y = lift_scale([effect for _, effect in shown], HEIGHT - 30, 12)
    every = -(-len(own) // 14) or 1
    return Days(
        title,
        x,
        y,
        tuple((x.at(place), own[place].part.removeprefix("20")) for place in range(0, len(own), every)),
        tuple((x.at(at), y.at(each.lift), y.at(each.low), y.at(each.high)) for at, each in shown),
    )


def clear_slices(results: ExperimentResults) -> list[str]:
    """The slices whose adjusted p-value is below 5 %."""
    several = len(treatments(results.evidence)) > 1
    return [
        f"{each.part} ({each.arm})" if several else each.part
        for each in results.slices
        if each.p_adjusted is not None and each.p_adjusted < ALPHA
    ]


def slice_plots(results: ExperimentResults) -> dict[str, Forest]:
    """Slice to the intervals of its values."""
    several = len(treatments(results.evidence)) > 1
    by_slice: dict[str, list[Row]] = {}
    for each in results.slices:
        label = f"{each.part}{f', {each.arm}' if several else ''}"
        by_slice.setdefault(str(each.slice), []).append(Row(label, each.effect, missing(each.constant)))
    return {name: forest(SLICE_NAMES.get(name, name), rows) for name, rows in by_slice.items()}


def text(results: ExperimentResults) -> str:
    """The report for a terminal: the verdict first."""
    evidence, plan = results.evidence, results.plan
    lines = [
        *([evidence.simulated, ""] if evidence.simulated else []),
        results.recommendation.sentence,
        "",
        f"{evidence.experiment.name}, {evidence.experiment.start} to {evidence.until}: day {plan.days} of "
        f"{plan.planned_days}; users: "
        + ", ".join(f"{arm} {count:,}" for arm, count in results.ratio.users.items())
        + f" (sample ratio p {probability(results.ratio.p_value)}); slates without an arm: "
        + ", ".join(f"{arm} {percent(share, signed=False)}" for arm, share in results.missing.shares.items()),
    ]
    if results.trusted:
        lines += ["", *(_metric_line(each) for each in results.metrics), "", *_guardrail_lines(results)]
    lines += ["", *_exclusion_lines(results)]
    return "\n".join(lines).rstrip()


def _metric_line(each: MetricResult) -> str:
    name = f"{'* ' if each.primary else '  '}{each.title} ({each.arm})"
    if each.effect is None:
        return f"{name:<58} {missing(each.constant)}"
    effect = each.effect
    adjusted = f", adjusted {probability(each.p_adjusted)}" if each.p_adjusted is not None else ""
    return (
        f"{name:<58} {percent(effect.lift):>8}  {interval(effect.low, effect.high):<20} "
        f"p {probability(effect.p_value)}{adjusted}"
    )


def _guardrail_lines(results: ExperimentResults) -> list[str]:
    return [
        f"  {each.title + f' ({arm})':<56} {each.state.value}{'' if each.varies else ', does not vary'}"
        for arm, found in (results.guardrails or {}).items()
        for each in found
    ]


def _exclusion_lines(results: ExperimentResults) -> list[str]:
    evidence = results.evidence
    excluded = [
        f"  {each.count:,} events of {each.users:,} users: {each.reason.meaning}"
        for each in evidence.exclusions
    ]
    faulty = [f"  {each.path}: {each.reason}" for each in evidence.faulty[:MOST_TERMINAL_ROWS]]
    return [
        *(["Excluded events:", *excluded] if excluded else ["No events were excluded."]),
        *(_with_bots_line(results, arm, effect) for arm, effect in (results.with_bots or {}).items()),
        *(["Files that could not be read:", *faulty] if faulty else []),
    ]


def _with_bots_line(results: ExperimentResults, arm: str, effect: Effect | None) -> str:
    found = f"{percent(effect.lift)} ({interval(effect.low, effect.high)})" if effect else "no interval"
    return f"  with suspected bots in, {primary_measure(results.evidence).phrase} of {arm}: {found}"
