"""Relative lifts with intervals at the level of users, computed from moments.

Users are randomised, so users are the unit of sampling: taps per slate are a ratio of two means over
users, whose variance experiments.analysis.moments computes. This module defines the metrics.
See docs/decisions/163-verdict-statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np
from scipy.special import ndtr, ndtri

from experiments.analysis.moments import ROUNDING, Moments, Ratio
from ml.metrics import significance

C = TypeVar("C", bound="Comparison")

ALPHA: Final = 0.05
"""Of a single look, two-sided; experiments.analysis.verdict.sequential has that of all looks."""
CONFIDENCE: Final = 1 - ALPHA
MIN_USERS: Final = 100
"""In each arm; with fewer, the normal approximation is too poor."""


@dataclass(frozen=True)
class Measure:
    """A ratio of two totals over users, or a mean per user."""

    name: str
    title: str
    phrase: str
    """For use inside a sentence."""
    numerator: str
    denominator: str | None = None
    """None: per user."""
    least: int = 20
    """Events of the numerator that each arm needs. The Poisson error of 20 is 22 %."""
    pre_numerator: str | None = None
    pre_denominator: str | None = None
    """The covariate for CUPED, from before the start."""

    def of(self, arm: Moments) -> Ratio:
        """The value in an arm with a denominator above 0."""
        return arm.ratio(self.numerator, self.denominator)

    @property
    def plain(self) -> Measure:
        """The measure without the covariate."""
        return replace(self, pre_numerator=None, pre_denominator=None)


MEASURES: Final = {
    measure.name: measure
    for measure in (
        Measure(
            "ctr",
            "CTR: taps per slate",
            "taps per slate",
            "taps",
            "slates",
            pre_numerator="pre_taps",
            pre_denominator="pre_slates",
        ),
        Measure(
            "cvr_clicks",
            "CVR: purchases from taps, per tap",
            "purchases per tap",
            "tap_purchases",
            "taps",
            pre_numerator="pre_purchases",
            pre_denominator="pre_taps",
        ),
        Measure(
            "cvr_views",
            "CVR: purchases per item-page view",
            "purchases per item-page view",
            "purchases",
            "views",
            pre_numerator="pre_purchases",
            pre_denominator="pre_views",
        ),
        Measure(
            "purchases",
            "Purchases of all kinds, per user",
            "purchases per user",
            "purchases",
            pre_numerator="pre_purchases",
        ),
        # Prices are skewed: with 70 purchases an arm, 6.6 % of A/A tests were significant (decision 163).
        Measure(
            "spend",
            "Spend per user",
            "spend per user",
            "spend",
            least=200,
            pre_numerator="pre_purchases",
        ),
    )
}
"""By name; the first four are those of experiments.assignment.definition.Metric."""


@dataclass(frozen=True)
class Effect:
    """The effect of one arm against control on one measure. Relative: 0.05 is five per cent more."""

    control: float
    treatment: float
    lift: float
    low: float
    high: float
    p_value: float
    log_error: float
    """Standard error of the logarithm of treatment over control."""

    @property
    def log_ratio(self) -> float:
        """The logarithm of treatment over control, which is finite for any lift."""
        return math.log(self.treatment) - math.log(self.control)

    def interval(self, critical: float) -> tuple[float, float]:
        """The lift's interval at `critical` standard errors."""
        centre, half = self.log_ratio, critical * self.log_error
        return lift_of(centre - half), lift_of(centre + half)


@dataclass(frozen=True)
class Constant:
    """A measure that does not vary between the users of either arm.

    Without a spread there is no interval and no p-value, however much the arms differ.
    """

    control: float
    treatment: float

    @property
    def equal(self) -> bool:
        """Whether both arms have the same value up to rounding."""
        return math.isclose(self.control, self.treatment, rel_tol=math.sqrt(ROUNDING))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One measure of one arm against control."""

    arm: str
    effect: Effect | None
    """None if there are too few users or events, or users do not vary."""
    constant: Constant | None
    """Instead of an effect, where users do not vary."""
    p_adjusted: float | None = None
    """By Holm's method over all comparisons of its kind; None for those that are not adjusted."""


def effect_of(
    measure: Measure, control: Moments, treatment: Moments, *, confidence: float = CONFIDENCE
) -> Effect | None:
    """The lift of treatment over control, or None.

    None if an arm has too few users or events, or if the measure does not vary between the users of either
    arm. Uses CUPED (Deng et al., WSDM 2013) if both arms have a pre-period: linearised for ratios, with one
    coefficient over both arms.
    """
    if not all(enough(measure, arm) for arm in (control, treatment)):
        return None
    if constant_of(measure, control, treatment) is not None:  # a covariate would lend it its own spread
        return None
    adjusted = _analyse(adjustable(measure, control, treatment), control, treatment, confidence)
    # With few users, a covariate can push a small mean below 0 or explain all variance.
    return adjusted or _analyse(measure.plain, control, treatment, confidence)


def constant_of(measure: Measure, control: Moments, treatment: Moments) -> Constant | None:
    """The values of a measure that does not vary in either arm; None if it varies or users are too few."""
    arms = (control, treatment)
    if not all(enough(measure, arm) for arm in arms):
        return None
    ratios = [measure.of(arm) for arm in arms]
    if any(arm.variance(ratio.weights) for arm, ratio in zip(arms, ratios, strict=True)):
        return None
    return Constant(*(ratio.value for ratio in ratios))


def narrowed_by_cuped(measure: Measure, control: Moments, treatment: Moments) -> float | None:
    """The share by which CUPED narrows the interval; None without a pre-period or an interval."""
    adjusted = effect_of(measure, control, treatment)
    plain = effect_of(measure.plain, control, treatment)
    if adjusted is None or plain is None or adjustable(measure, control, treatment) == measure.plain:
        return None
    return 1 - adjusted.log_error / plain.log_error


def adjustable(measure: Measure, control: Moments, treatment: Moments) -> Measure:
    """The measure with its covariate if that varies in both arms, otherwise without."""
    columns = [column for column in (measure.pre_numerator, measure.pre_denominator) if column]
    arms = (control, treatment)
    varies = all(arm.variance(arm.ratio(column).weights) for arm in arms for column in columns)
    return measure if varies else measure.plain


def enough(measure: Measure, arm: Moments) -> bool:
    """Whether an arm has enough users and events for an interval."""
    base = arm.total(measure.denominator) if measure.denominator else arm.count
    some = arm.total(measure.numerator) > 0  # purchases at a price of 0 are events, but no spend
    return arm.count >= MIN_USERS and base > 0 and some and _events(measure, arm) >= measure.least


def relative_error(ratio: Ratio, arm: Moments) -> float:
    """The standard error of a ratio other than 0, as a share of it."""
    return math.sqrt(arm.variance(ratio.weights) / arm.count) / ratio.value


def lift_of(logarithm: float) -> float:
    """The lift of a log ratio, capped to the range of a float."""
    return float(np.expm1(min(logarithm, 700.0)))


def adjusted(comparisons: Sequence[C]) -> list[C]:
    """The comparisons with Holm's p-values, valid under any dependence, over those with an effect."""
    p_values = iter(significance.holm([each.effect.p_value for each in comparisons if each.effect]))
    return [replace(each, p_adjusted=next(p_values)) if each.effect else each for each in comparisons]


def _events(measure: Measure, arm: Moments) -> float:
    """The number of events of the numerator; for spend, of purchases."""
    return arm.total("purchases" if measure.numerator == "spend" else measure.numerator)


def _analyse(measure: Measure, control: Moments, treatment: Moments, confidence: float) -> Effect | None:
    """The effect as tea_tasting.RatioOfMeans computes it with use_t=False (compared by a test).

    None if a mean is not positive, or if users do not vary.
    """
    arms, coefficient, centre = (control, treatment), 0.0, 0.0
    if measure.pre_numerator is not None:
        coefficient, centre = _covariate(measure, measure.pre_numerator, control + treatment)
    before, after = values = [_adjusted(measure, arm, coefficient, centre) for arm in arms]
    if any(ratio.value <= ROUNDING * measure.of(arm).value for ratio, arm in zip(values, arms, strict=True)):
        return None
    log_ratio = math.log(after.value) - math.log(before.value)
    log_error = math.hypot(*(relative_error(ratio, arm) for ratio, arm in zip(values, arms, strict=True)))
    if log_error == 0:
        return None
    half = float(ndtri((1 + confidence) / 2)) * log_error
    # The p-value is on the scale of the interval, so that "excludes 0" and "p below 5 %" agree.
    p_value = 2 * float(ndtr(-abs(log_ratio) / log_error))
    low, high = lift_of(log_ratio - half), lift_of(log_ratio + half)
    return Effect(before.value, after.value, lift_of(log_ratio), low, high, p_value, log_error)


def _covariate(measure: Measure, pre_numerator: str, both: Moments) -> tuple[float, float]:
    """CUPED's coefficient (0 if the covariate does not vary) and the covariate's mean, over both arms."""
    now, before = measure.of(both), both.ratio(pre_numerator, measure.pre_denominator)
    variance = both.variance(before.weights)
    covariance = float(now.weights @ both.covariance @ before.weights)
    return covariance / variance if variance else 0.0, before.value


def _adjusted(measure: Measure, arm: Moments, coefficient: float, centre: float) -> Ratio:
    """The measure in an arm minus what the covariate explains."""
    now = measure.of(arm)
    if not coefficient or measure.pre_numerator is None:
        return now
    before = arm.ratio(measure.pre_numerator, measure.pre_denominator)
    return Ratio(now.value - coefficient * (before.value - centre), now.less(coefficient, before))
