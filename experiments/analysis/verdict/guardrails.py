"""Guardrails: tests of non-inferiority, each with a margin fixed in advance."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from scipy.special import log_ndtr, ndtri

from experiments.analysis.moments import Moments
from experiments.analysis.sellers import SellerSide
from experiments.analysis.verdict.effects import MIN_USERS, lift_of, relative_error
from experiments.assignment.definition import Guardrail

ALPHA: Final = 0.10
"""Over all daily looks and both sides: 5 % on each side, the usual level of a non-inferiority test."""
MIN_SELLERS: Final = 100
MIN_SHOWN: Final = 1000
"""Items shown in each arm before their spread over sellers means anything."""


class State(StrEnum):
    """The state of a guardrail."""

    OK = "ok"
    """The whole interval is within the margin."""
    WORSE = "worse"
    """The whole interval is beyond the margin."""
    UNKNOWN = "not enough data"


@dataclass(frozen=True)
class Limit:
    """What a guardrail measures, and by how much it may rise. Lower is always better."""

    title: str
    numerator: str
    denominator: str
    margin: float
    relative: bool
    """Whether the margin is a share of control, or in the unit of the guardrail."""


LIMITS: Final = {
    # An answer that takes a tenth longer is not noticed; the target of the API leaves that much room.
    Guardrail.LATENCY: Limit("Time per answer, ms", "took_ms", "timed_slates", 0.10, relative=True),
    # Rates near 0 have no stable ratio, so these two are bounded in points.
    Guardrail.EMPTY_ANSWERS: Limit(
        "Empty answers, per slate", "empty_slates", "slates", 0.005, relative=False
    ),
    Guardrail.COMPLAINTS: Limit("Complaints, per slate", "complaints", "slates", 0.001, relative=False),
}
GINI_TITLE: Final = "Gini of items shown, over sellers"
GINI_MARGIN: Final = 0.02
"""A change that moves some two per cent of all exposure from small sellers to large ones."""


@dataclass(frozen=True)
class GuardrailResult:
    """One guardrail of one arm. change, low and high are in the unit of the margin.

    They are None if nothing was measured.
    """

    guardrail: Guardrail
    title: str
    state: State
    margin: float
    relative: bool
    control: float | None = None
    treatment: float | None = None
    change: float | None = None
    low: float | None = None
    high: float | None = None
    varies: bool = True
    """False: all users of each arm have the same value. For times, low and high then equal the change."""


def unguarded(guardrail: Guardrail) -> GuardrailResult:
    """The result of a guardrail without data."""
    if guardrail is Guardrail.SELLER_EXPOSURE:
        return GuardrailResult(guardrail, GINI_TITLE, State.UNKNOWN, GINI_MARGIN, relative=False)
    limit = LIMITS[guardrail]
    return GuardrailResult(guardrail, limit.title, State.UNKNOWN, limit.margin, limit.relative)


def guarded(guardrail: Guardrail, control: Moments, treatment: Moments, critical: float) -> GuardrailResult:
    """The result of a guardrail over users' totals. critical: standard errors on each side."""
    limit, result = LIMITS[guardrail], unguarded(guardrail)
    arms = (control, treatment)
    if any(arm.count < MIN_USERS or arm.total(limit.denominator) == 0 for arm in arms):
        return result
    if limit.relative and any(arm.total(limit.numerator) == 0 for arm in arms):
        return result
    return _measured(result, limit, control, treatment, critical)


def _measured(
    result: GuardrailResult, limit: Limit, control: Moments, treatment: Moments, critical: float
) -> GuardrailResult:
    before, after = ratios = [arm.ratio(limit.numerator, limit.denominator) for arm in (control, treatment)]
    variances = [
        arm.variance(ratio.weights) / arm.count
        for arm, ratio in zip((control, treatment), ratios, strict=True)
    ]
    result = replace(result, varies=any(variances))
    if limit.relative:
        logarithm = math.log(after.value) - math.log(before.value)
        half = critical * math.hypot(relative_error(before, control), relative_error(after, treatment))
        change, low, high = map(lift_of, (logarithm, logarithm - half, logarithm + half))
        found = judged(result, before.value, after.value, change, low, high)
        # Real times vary, so two constants are no measurement and their difference shows nothing.
        differ = not result.varies and not math.isclose(before.value, after.value) and found.state is State.OK
        return replace(found, state=State.UNKNOWN) if differ else found
    difference = after.value - before.value
    less, more = [critical * math.sqrt(sum(variances))] * 2
    if not result.varies:
        less, more = _unseen(limit, control, treatment, critical)
    return judged(result, before.value, after.value, difference, difference - less, difference + more)


def _unseen(limit: Limit, control: Moments, treatment: Moments, critical: float) -> tuple[float, float]:
    """How far below and above the difference of two rates the truth may be, if users do not vary.

    By the rule of three, events of a share of -log(error) / users may have been missed. Counted by users, not
    slates, because the slates of one user may fail together.
    """
    most = -float(log_ndtr(-critical))  # 3 at an error of 5 %
    per_user = max(arm.total(limit.denominator) / arm.count for arm in (control, treatment))
    return most / control.count / per_user, most / treatment.count / per_user


def judged(
    result: GuardrailResult, control: float, treatment: float, change: float, low: float, high: float
) -> GuardrailResult:
    """The result with its figures and the state that follows from them."""
    kept, broken = high <= result.margin, low > result.margin
    state = State.OK if kept else State.WORSE if broken else State.UNKNOWN
    return replace(
        result, state=state, control=control, treatment=treatment, change=change, low=low, high=high
    )


def guarded_sellers(side: SellerSide, control: str, arm: str, critical: float) -> GuardrailResult:
    """The result of seller exposure of an arm; its interval, over sellers, is widened for daily looks."""
    result, found = unguarded(Guardrail.SELLER_EXPOSURE), side.against_control[arm]
    exposures = [side.arms[name].exposure for name in (control, arm)]
    if side.sellers < MIN_SELLERS or any(each.total < MIN_SHOWN for each in exposures):
        return result
    if math.isnan(found.difference):  # too few users to compare with
        return result
    before, change, wider = exposures[0].gini, found.difference, critical / float(ndtri(0.975))
    low, high = change - wider * (change - found.low), change + wider * (found.high - change)
    return judged(result, before, before + change, change, low, high)
