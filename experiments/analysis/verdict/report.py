"""Experiment results as a self-contained HTML page, as JSON, and as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from console.percentage import percent
from events.log_tables import replacing
from experiments.analysis.charts import ForestRow, forest_chart, looks_chart, lorenz_chart, parts_chart
from experiments.analysis.sellers import SellerSide
from experiments.analysis.verdict.breakdowns import BREAKDOWNS, PartResult, Trend
from experiments.analysis.verdict.effects import ALPHA, Constant, Effect
from experiments.analysis.verdict.recommendation import distrust
from experiments.analysis.verdict.results import (
    ExperimentResults,
    MetricResult,
    as_json,
    example_of,
    primary_measure,
    treatments,
)
from experiments.analysis.verdict.wording import figure, interval, listed, probability

PAGE: Final = "report.html"
JSON: Final = "report.json"

MOST_TERMINAL_ROWS: Final = 12


@dataclass(frozen=True)
class BreakdownChart:
    """What the page shows of a breakdown: one arm over time, or all arms side by side."""

    title: str
    chart: Markup | None
    """None without any interval."""
    rows: Sequence[ForestRow] = ()
    """To list instead of a chart."""
    arm: str = ""
    trend: Trend | None = None
    """Of the arm over time; None for too few days."""


def write_report(results: ExperimentResults, folder: Path) -> None:
    """Write PAGE and JSON to the folder, each atomically.

    Raises:
        OSError: the folder cannot be created or written.
    """
    for name, text in ((PAGE, page(results).encode()), (JSON, json_text(results))):
        with replacing(folder / name) as unfinished:
            unfinished.write_bytes(text)


def json_text(results: ExperimentResults) -> bytes:
    """JSON in UTF-8; values that are not finite are null."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return orjson.dumps(as_json(results), option=options) + b"\n"


def page(results: ExperimentResults) -> str:
    """The HTML page."""
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            results=results,
            evidence=results.evidence,
            experiment=results.evidence.experiment,
            arms=treatments(results.evidence),
            distrust=distrust(results.ratio, results.missing),
            metrics=metrics_chart(results),
            looks=look_charts(results),
            breakdowns=breakdown_charts(results),
            definitions=BREAKDOWNS,
            significant=significant_parts(results),
            lorenz=lorenz(results.evidence.sellers),
            primary=primary_measure(results.evidence),
            definition=definition(results),
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
    """The definition as indented JSON, without defaults."""
    planned = results.evidence.experiment.model_dump(mode="json", exclude_defaults=True)
    return orjson.dumps(planned, option=orjson.OPT_INDENT_2).decode()


def lorenz(side: SellerSide) -> Markup | None:
    """The Lorenz curves of items shown; None if no arm has one."""
    curves = {name: arm.exposure.lorenz for name, arm in side.arms.items()}
    return lorenz_chart(curves) if any(curves.values()) else None


def bands_of(side: SellerSide, by: str) -> list[str]:
    """The bands, by price or age, of which any arm showed or sold anything, in their order."""
    found = [shares[by] for arm in side.arms.values() for shares in (arm.exposure_by, arm.sales_by)]
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


def metrics_chart(results: ExperimentResults) -> Markup | None:
    """All metrics of all arms, with a larger dot for the primary one; None without any interval."""
    rows = [
        ForestRow(_label(results, each.title, each.arm), each.effect, missing(each.constant), each.primary)
        for each in results.metrics
    ]
    return _forest("Lift of each metric over control, with 95 % intervals", rows)


def _label(results: ExperimentResults, name: str, arm: str) -> str:
    """The name, with the arm if there are several."""
    return f"{name}, {arm}" if len(treatments(results.evidence)) > 1 else name


def _forest(title: str, rows: Sequence[ForestRow]) -> Markup | None:
    return forest_chart(title, rows) if any(row.effect is not None for row in rows) else None


def look_charts(results: ExperimentResults) -> dict[str, Markup]:
    """Arm, if it has a look, to its primary lift up to each day."""
    return {
        arm: looks_chart(
            f"Lift of {arm} up to each day",
            [look.number for look in looks],
            looks,
            [(look.fixed_low, look.fixed_high) for look in looks],
            planned_days=results.plan.planned_days,
            sought=results.plan.minimum_detectable_effect,
        )
        for arm, looks in (results.looks or {}).items()
        if looks
    }


def breakdown_charts(results: ExperimentResults) -> dict[str, list[BreakdownChart]]:
    """Breakdown to its charts: one for each arm if it is over time, otherwise one for all arms."""
    found: dict[str, list[BreakdownChart]] = {}
    for name, parts in (results.breakdowns or {}).items():
        breakdown = BREAKDOWNS[name]
        if not breakdown.over_time:
            rows = [
                ForestRow(_label(results, each.part, each.arm), each.effect, missing(each.constant))
                for each in parts
            ]
            found[name] = [BreakdownChart(breakdown.title, _forest(breakdown.title, rows), rows)]
            continue
        for arm in treatments(results.evidence):
            title = f"Lift of {arm} {breakdown.title}"
            chart = _over_time(title, [each for each in parts if each.arm == arm])
            trend = (results.trends or {})[arm][name]
            found.setdefault(name, []).append(BreakdownChart(title, chart, arm=arm, trend=trend))
    return found


def _over_time(title: str, parts: Sequence[PartResult]) -> Markup | None:
    effects = [each.effect for each in parts]
    return parts_chart(title, [each.part for each in parts], effects) if any(effects) else None


def significant_parts(results: ExperimentResults) -> list[str]:
    """The parts whose adjusted p-value is below 5 %."""
    return [
        f"{each.part} ({each.arm})" if len(treatments(results.evidence)) > 1 else each.part
        for parts in (results.breakdowns or {}).values()
        for each in parts
        if each.p_adjusted is not None and each.p_adjusted < ALPHA
    ]


def text(results: ExperimentResults) -> str:
    """The report for a terminal, with the recommendation first."""
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
    return f"  including suspected bots, {primary_measure(results.evidence).phrase} of {arm}: {found}"
