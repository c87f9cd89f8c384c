"""Whether what must not get worse got worse: non-inferiority, each with a margin stated beforehand."""

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
"""Of all daily looks together and both sides: each errs in 5 %, the usual size of a non-inferiority test."""
MIN_SELLERS: Final = 100
MIN_SHOWN: Final = 1000
"""Items shown in each arm before their spread over sellers means anything."""


class State(StrEnum):
    """Of a guardrail."""

    OK = "ok"
    """It is shown that the margin is kept."""
    WORSE = "worse"
    """It is shown that the margin is not kept."""
    UNKNOWN = "not enough data"


@dataclass(frozen=True)
class Limit:
    """What a guardrail measures, and by how much it may rise. Lower is better for all of them."""

    title: str
    numerator: str
    denominator: str
    margin: float
    relative: bool
    """The margin is a share of control; else it is in the unit of the guardrail."""


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

    They are None where nothing was measured.
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
    """False: all users of an arm have one value, in both arms. Of times, low and high are then the change."""


def unguarded(guardrail: Guardrail) -> GuardrailResult:
    """The reading of a guardrail of which nothing is known."""
    if guardrail is Guardrail.SELLER_EXPOSURE:
        return GuardrailResult(guardrail, GINI_TITLE, State.UNKNOWN, GINI_MARGIN, relative=False)
    limit = LIMITS[guardrail]
    return GuardrailResult(guardrail, limit.title, State.UNKNOWN, limit.margin, limit.relative)


def guarded(guardrail: Guardrail, control: Moments, treatment: Moments, critical: float) -> GuardrailResult:
    """The reading of a guardrail that users' totals tell. critical: standard errors on each side."""
    limit, reading = LIMITS[guardrail], unguarded(guardrail)
    arms = (control, treatment)
    if any(arm.count < MIN_USERS or arm.total(limit.denominator) == 0 for arm in arms):
        return reading
    if limit.relative and any(arm.total(limit.numerator) == 0 for arm in arms):
        return reading
    return _measured(reading, limit, control, treatment, critical)


def _measured(
    reading: GuardrailResult, limit: Limit, control: Moments, treatment: Moments, critical: float
) -> GuardrailResult:
    before, after = ratios = [arm.ratio(limit.numerator, limit.denominator) for arm in (control, treatment)]
    variances = [
        arm.variance(ratio.weights) / arm.count
        for arm, ratio in zip((control, treatment), ratios, strict=True)
    ]
    reading = replace(reading, varies=any(variances))
    if limit.relative:
        logarithm = math.log(after.value) - math.log(before.value)
        half = critical * math.hypot(relative_error(before, control), relative_error(after, treatment))
        change, low, high = map(lift_of, (logarithm, logarithm - half, logarithm + half))
        found = judged(reading, before.value, after.value, change, low, high)
        # Times always vary, so two constants are no measurement and their difference shows nothing.
        differ = (
            not reading.varies and not math.isclose(before.value, after.value) and found.state is State.OK
        )
        return replace(found, state=State.UNKNOWN) if differ else found
    difference = after.value - before.value
    less, more = [critical * math.sqrt(sum(variances))] * 2
    if not reading.varies:
        less, more = _unseen(limit, control, treatment, critical)
    return judged(reading, before.value, after.value, difference, difference - less, difference + more)


def _unseen(limit: Limit, control: Moments, treatment: Moments, critical: float) -> tuple[float, float]:
    """How far below and above the difference of two rates the truth may be, where users do not vary.

    The rule of three: of users who would have one event more or less, a share of -log(error) / users seen may
    have been missed. By users and not slates, since one user's slates may fail together.
    """
    most = -float(log_ndtr(-critical))  # 3 at an error of 5 %
    per_user = max(arm.total(limit.denominator) / arm.count for arm in (control, treatment))
    return most / control.count / per_user, most / treatment.count / per_user


def judged(
    reading: GuardrailResult, control: float, treatment: float, change: float, low: float, high: float
) -> GuardrailResult:
    """The reading with its figures, and what they say about the margin."""
    kept, broken = high <= reading.margin, low > reading.margin
    state = State.OK if kept else State.WORSE if broken else State.UNKNOWN
    return replace(
        reading, state=state, control=control, treatment=treatment, change=change, low=low, high=high
    )


def guarded_sellers(side: SellerSide, control: str, arm: str, critical: float) -> GuardrailResult:
    """The reading of seller exposure, of an arm against control; its interval, over sellers, is widened."""
    reading, found = unguarded(Guardrail.SELLER_EXPOSURE), side.against_control[arm]
    exposures = [side.arms[name].exposure for name in (control, arm)]
    if side.sellers < MIN_SELLERS or any(each.total < MIN_SHOWN for each in exposures):
        return reading
    if math.isnan(found.difference):  # an arm of few users is compared by no more of the others'
        return reading
    before, change, wider = exposures[0].gini, found.difference, critical / float(ndtri(0.975))
    low, high = change - wider * (change - found.low), change + wider * (found.high - change)
    return judged(reading, before, before + change, change, low, high)
