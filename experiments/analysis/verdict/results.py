"""All figures of a report, computed from the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from scipy.special import ndtri

from experiments.analysis.log.cleaning import BY_USER
from experiments.analysis.log.exclusions import Exclusion, Reason
from experiments.analysis.moments import Moments
from experiments.analysis.verdict import guardrails, sequential
from experiments.analysis.verdict.breakdowns import Arms, PartResult, Trend, break_down, trends_of
from experiments.analysis.verdict.effects import (
    ALPHA,
    MEASURES,
    Comparison,
    Effect,
    Measure,
    adjusted,
    constant_of,
    effect_of,
    lift_of,
    narrowed_by_cuped,
)
from experiments.analysis.verdict.evidence import Evidence, planned_end
from experiments.analysis.verdict.guardrails import GuardrailResult, guarded, guarded_sellers, unguarded
from experiments.analysis.verdict.missing_assignment import (
    MissingAssignment,
    missing_assignment,
    slates_alike,
)
from experiments.analysis.verdict.recommendation import (
    ArmResult,
    Plan,
    Primary,
    Recommendation,
    Unvaried,
    recommend,
)
from experiments.analysis.verdict.sample_ratio import SampleRatio, sample_ratio
from experiments.assignment.definition import Guardrail


@dataclass(frozen=True, kw_only=True)
class MetricResult(Comparison):
    """One metric of one arm. The primary metric is not adjusted, because it has its own error rate."""

    metric: str
    title: str
    primary: bool
    narrowed: float | None
    """The share by which CUPED narrowed the interval."""
    detectable: float | None
    """The lift found by this many users with a power of 80 %; for the primary metric on the last day."""


@dataclass(frozen=True)
class Look:
    """The primary metric of one arm up to a day, with the interval that holds at every look."""

    day: date
    number: int
    lift: float
    low: float
    high: float
    fixed_low: float
    fixed_high: float


@dataclass(frozen=True)
class ExperimentResults:
    """Results of one experiment. If the sample is not trusted, all fields after `missing` are empty."""

    evidence: Evidence
    plan: Plan
    recommendation: Recommendation
    ratio: SampleRatio
    missing: MissingAssignment
    metrics: tuple[MetricResult, ...] = ()
    guardrails: Mapping[str, tuple[GuardrailResult, ...]] | None = None
    """By arm."""
    looks: Mapping[str, tuple[Look, ...]] | None = None
    """By arm."""
    breakdowns: Mapping[str, tuple[PartResult, ...]] | None = None
    """Name of each of `BREAKDOWNS` to the primary metric in its parts."""
    trends: Mapping[str, Mapping[str, Trend | None]] | None = None
    """By arm, then by breakdown over time."""
    with_bots: Mapping[str, Effect | None] | None = None
    """By arm: the primary metric including suspected bots; None if there are none."""

    @property
    def trusted(self) -> bool:
        """Whether the sample is as planned."""
        return self.ratio.trusted and self.missing.trusted


def read(evidence: Evidence) -> ExperimentResults:
    """All results of the evidence; only those about the sample if it is not trusted."""
    experiment = evidence.experiment
    weights = {arm.name: arm.weight for arm in experiment.arms}
    ratio = sample_ratio(evidence.users, weights, evidence.misassigned)
    alike = slates_alike(evidence.totals.values())
    missing = missing_assignment(evidence.unassigned_slates, evidence.attributed_slates, alike)
    days = len(evidence.up_to)
    plan = Plan(days, 7 * experiment.planned_weeks, experiment.minimum_detectable_effect)
    if not (ratio.trusted and missing.trusted):
        return ExperimentResults(
            evidence, plan, recommend(ratio, missing, (), plan, len(evidence.faulty)), ratio, missing
        )
    looks = {arm: looks_of(evidence, arm, plan) for arm in treatments(evidence)}
    guarded_by = {arm: guardrails_of(evidence, arm, plan) for arm in treatments(evidence)}
    decided = [ArmResult(arm, primary_of(evidence, looks[arm], arm), guarded_by[arm]) for arm in looks]
    breakdowns = break_down(evidence.breakdowns, primary_measure(evidence))
    return ExperimentResults(
        evidence,
        plan,
        recommend(ratio, missing, decided, plan, len(evidence.faulty)),
        ratio,
        missing,
        metrics_of(evidence),
        guarded_by,
        looks,
        breakdowns,
        trends_of(breakdowns, treatments(evidence)),
        with_bots_of(evidence),
    )


def treatments(evidence: Evidence) -> list[str]:
    """The arms other than control."""
    return [arm.name for arm in evidence.experiment.arms[1:]]


def primary_measure(evidence: Evidence) -> Measure:
    """The measure of the primary metric."""
    return MEASURES[evidence.experiment.primary.value]


def against_control(evidence: Evidence, arms: Arms, arm: str, measure: Measure) -> Effect | None:
    """The effect of an arm on a measure, for the moments given."""
    return effect_of(measure, *_pair(evidence, arms, arm))


def _pair(evidence: Evidence, arms: Arms, arm: str) -> tuple[Moments, Moments]:
    """The moments of control and of an arm."""
    return arms[evidence.experiment.control.name], arms[arm]


def looks_of(evidence: Evidence, arm: str, plan: Plan) -> tuple[Look, ...]:
    """One look for each day with an effect. All arms and days share the error rate."""
    measure = primary_measure(evidence)
    found = [
        (number, day, effect)
        for number, (day, arms) in enumerate(evidence.up_to.items(), start=1)
        if (effect := against_control(evidence, arms, arm, measure)) is not None
    ]
    critical = sequential.critical_values(
        [number for number, _, _ in found],
        [effect.log_error**-2 for _, _, effect in found],
        plan.planned_days,
        sequential.ALPHA / len(treatments(evidence)),
    )
    return tuple(
        Look(day, number, effect.lift, *effect.interval(float(bound)), effect.low, effect.high)
        for (number, day, effect), bound in zip(found, critical, strict=True)
    )


def primary_of(evidence: Evidence, looks: Sequence[Look], arm: str) -> Primary | Unvaried | None:
    """The primary metric at the last look; None without one."""
    measure = primary_measure(evidence)
    constant = constant_of(measure, *_pair(evidence, evidence.totals, arm))
    if constant is not None:
        return Unvaried(measure.phrase, constant)
    return Primary(measure.phrase, looks[-1].lift, looks[-1].low, looks[-1].high) if looks else None


def guardrails_of(evidence: Evidence, arm: str, plan: Plan) -> tuple[GuardrailResult, ...]:
    """The guardrails of the experiment. Each has its own error rate, shared by all days."""
    critical = sequential.planned_critical_value(plan.days, plan.planned_days, guardrails.ALPHA)
    return tuple(_guardrail(evidence, arm, each, critical) for each in evidence.experiment.guardrails)


def _guardrail(evidence: Evidence, arm: str, guardrail: Guardrail, critical: float) -> GuardrailResult:
    control = evidence.experiment.control.name
    if guardrail is Guardrail.COMPLAINTS and not evidence.complaints_logged:
        return unguarded(guardrail)
    if guardrail is not Guardrail.SELLER_EXPOSURE:
        return guarded(guardrail, evidence.totals[control], evidence.totals[arm], critical)
    return guarded_sellers(evidence.sellers, control, arm, critical)


def metrics_of(evidence: Evidence) -> tuple[MetricResult, ...]:
    """Every measure of every arm, the primary one first."""
    primary = primary_measure(evidence)
    decisive = sequential.last_critical_value(
        7 * evidence.experiment.planned_weeks, len(treatments(evidence))
    )
    plain = float(ndtri(1 - ALPHA / 2))
    arms, others = treatments(evidence), [each for each in MEASURES.values() if each is not primary]
    return (
        *(metric_of(evidence, primary, arm, decisive) for arm in arms),
        *adjusted([metric_of(evidence, each, arm, plain) for each in others for arm in arms]),
    )


def metric_of(evidence: Evidence, measure: Measure, arm: str, critical: float) -> MetricResult:
    """One measure of one arm, not adjusted. critical: standard errors from 0 at which it is significant."""
    control, treatment = _pair(evidence, evidence.totals, arm)
    effect = effect_of(measure, control, treatment)
    return MetricResult(
        metric=measure.name,
        title=measure.title,
        arm=arm,
        primary=measure is primary_measure(evidence),
        effect=effect,
        narrowed=narrowed_by_cuped(measure, control, treatment),
        detectable=detectable(effect, critical) if effect else None,
        constant=constant_of(measure, control, treatment),
    )


def detectable(effect: Effect, critical: float) -> float:
    """The lift that at this precision is `critical` standard errors from 0 with a power of 80 %."""
    return lift_of((critical + float(ndtri(sequential.POWER))) * effect.log_error)


def with_bots_of(evidence: Evidence) -> dict[str, Effect | None] | None:
    """The primary metric including suspected bots, for information; None if there are none."""
    if all(each.reason is not Reason.BOT for each in evidence.exclusions):
        return None
    measure = primary_measure(evidence)
    return {arm: against_control(evidence, evidence.with_bots, arm, measure) for arm in treatments(evidence)}


def example_of(exclusion: Exclusion) -> str | None:
    """The id of an example event; None if there is none, or if it would identify a user."""
    return None if exclusion.reason in BY_USER else exclusion.example or None


def as_json(results: ExperimentResults) -> dict[str, Any]:
    """The report as JSON values; docs/reading-a-report.md lists the keys."""
    evidence = results.evidence
    return {
        "schema_version": 1,
        "experiment": evidence.experiment.model_dump(mode="json"),
        "simulated": evidence.simulated,
        "period": {
            "from": evidence.experiment.start,
            "until": evidence.until,
            "days": results.plan.days,
            "planned_days": results.plan.planned_days,
            "planned_end": planned_end(evidence.experiment),
        },
        "recommendation": results.recommendation,
        "sample_ratio": vars(results.ratio) | {"trusted": results.ratio.trusted},
        "missing_assignment": vars(results.missing)
        | {"shares": results.missing.shares, "trusted": results.missing.trusted},
        "metrics": results.metrics,
        "guardrails": results.guardrails,
        "looks": results.looks,
        "breakdowns": results.breakdowns,
        "trends": results.trends,
        "latency_ms": evidence.latencies if results.trusted else None,
        "sellers": evidence.sellers if results.trusted else None,
        "with_bots": results.with_bots,
        "exclusions": [
            vars(each) | {"example": example_of(each), "meaning": each.reason.meaning}
            for each in evidence.exclusions
        ],
        "faulty_files": [{"path": str(each.path), "reason": each.reason} for each in evidence.faulty],
    }
