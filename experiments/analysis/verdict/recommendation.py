"""The recommendation: one sentence from all results. The whole policy is in this module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from console.percentage import percent
from experiments.analysis.verdict.effects import Constant
from experiments.analysis.verdict.guardrails import GuardrailResult, State
from experiments.analysis.verdict.missing_assignment import MissingAssignment
from experiments.analysis.verdict.sample_ratio import SampleRatio
from experiments.analysis.verdict.wording import figure, interval, listed, probability

WEEK: Final = 7
"""Days before an arm can win, so that weekdays and weekends are both covered."""


class Decision(StrEnum):
    """The recommended decision."""

    SHIP = "ship"
    DO_NOT_SHIP = "do not ship"
    NOT_ENOUGH_YET = "not enough yet"
    DO_NOT_READ = "do not read"


@dataclass(frozen=True)
class Primary:
    """The primary metric of one arm, with the interval that holds at every look."""

    title: str
    lift: float
    low: float
    high: float


@dataclass(frozen=True)
class Unvaried:
    """The primary metric of one arm, if users do not vary in it."""

    title: str
    constant: Constant

    @property
    def lift(self) -> float:
        """0, for choosing between arms."""
        return 0.0


@dataclass(frozen=True)
class ArmResult:
    """Everything that decides about one arm. primary: None if too few users or events were logged."""

    arm: str
    primary: Primary | Unvaried | None
    guardrails: Sequence[GuardrailResult] = ()

    def named(self, state: State) -> list[str]:
        """The names of the guardrails in a state."""
        return [_name(each) for each in self.guardrails if each.state is state]

    @property
    def placeholders(self) -> str:
        """The end of a sentence about times that do not vary, which real times always do."""
        names = [_name(each) for each in self.guardrails if each.relative and not each.varies]
        return f"; {listed(names)} does not vary, check how it is logged" if names else ""


def _name(guardrail: GuardrailResult) -> str:
    return guardrail.guardrail.value.replace("_", " ")


@dataclass(frozen=True)
class Plan:
    """The plan of the experiment, and how much of it has passed."""

    days: int
    """Whole days read so far."""
    planned_days: int
    minimum_detectable_effect: float

    @property
    def over(self) -> bool:
        """Whether all planned days have passed."""
        return self.days >= self.planned_days


@dataclass(frozen=True)
class Recommendation:
    """A decision, its arm if it is about one arm, and the reason in one sentence."""

    decision: Decision
    arm: str | None
    sentence: str


def recommend(
    ratio: SampleRatio, missing: MissingAssignment, arms: Sequence[ArmResult], plan: Plan, unreadable: int = 0
) -> Recommendation:
    """Recommend the best arm that may be shipped, else wait for one that may still win, else none.

    unreadable: the number of files that could not be read.
    """
    found = _of_arms(ratio, missing, arms, plan)
    if not unreadable:
        return found
    files = "1 file" if unreadable == 1 else f"{unreadable:,} files"
    return replace(found, sentence=f"{found.sentence} {files} of the log could not be read.")


def _of_arms(
    ratio: SampleRatio, missing: MissingAssignment, arms: Sequence[ArmResult], plan: Plan
) -> Recommendation:
    broken = distrust(ratio, missing)
    if broken:
        return Recommendation(Decision.DO_NOT_READ, None, f"Do not read this experiment: {broken}.")
    recommendations = [recommendation_for(arm, plan) for arm in arms]
    lifts = {arm.arm: arm.primary.lift if arm.primary else 0.0 for arm in arms}
    for decision in (Decision.SHIP, Decision.NOT_ENOUGH_YET):
        fitting = [each for each in recommendations if each.decision is decision]
        if fitting:
            return max(fitting, key=lambda each: lifts[str(each.arm)])
    if len(recommendations) == 1:
        return recommendations[0]
    return Recommendation(Decision.DO_NOT_SHIP, None, " ".join(each.sentence for each in recommendations))


def distrust(ratio: SampleRatio, missing: MissingAssignment) -> str | None:
    """Why the sample is not as planned; None if it is."""
    if ratio.trusted and missing.trusted:
        return None
    if ratio.trusted:
        shares = ", ".join(
            f"{percent(share, signed=False)} of {arm}" for arm, share in missing.shares.items()
        )
        return (
            "the arms compare different items: their shares of slates without an assignment differ "
            f"({shares}; p {probability(missing.p_value)})"
        )
    if ratio.even:
        return f"{ratio.misassigned:,} users were not shown their assigned arm, or saw two arms"
    users = ", ".join(
        f"{arm} has {count:,} where {ratio.expected[arm]:,.0f} were expected"
        for arm, count in ratio.users.items()
    )
    return (
        f"the numbers of users do not match the weights of the arms ({users}; p {probability(ratio.p_value)})"
    )


def recommendation_for(arm: ArmResult, plan: Plan) -> Recommendation:
    """The recommendation for one arm."""
    decision, reason = _decided(arm, plan)
    opening = {
        Decision.SHIP: "Ship",
        Decision.DO_NOT_SHIP: "Do not ship",
        Decision.NOT_ENOUGH_YET: "Not enough yet for",
    }[decision]
    return Recommendation(decision, arm.arm, f"{opening} {arm.arm}: {reason}.")


def _decided(arm: ArmResult, plan: Plan) -> tuple[Decision, str]:
    """The decision about one arm, and the reason."""
    worse, primary = arm.named(State.WORSE), arm.primary
    if worse:
        return Decision.DO_NOT_SHIP, f"{listed(worse)} got worse by more than the margin"
    if primary is None:
        return Decision.NOT_ENOUGH_YET, "too few users or events were logged for an interval"
    if isinstance(primary, Unvaried):
        return _unvaried(arm.arm, primary, plan)
    if primary.high < 0:
        return Decision.DO_NOT_SHIP, f"it lowers {_found(primary)}"
    if primary.low > 0:
        return _winning(arm, primary, plan)
    return _open(primary, plan)


def _unvaried(arm: str, primary: Unvaried, plan: Plan) -> tuple[Decision, str]:
    """Without an interval no arm wins; one that equals control until the planned end is not shipped."""
    title, control, treatment = primary.title, primary.constant.control, primary.constant.treatment
    if not primary.constant.equal:
        return Decision.NOT_ENOUGH_YET, (
            f"{title} does not vary between the users of an arm ({figure(control)} in control, "
            f"{figure(treatment)} in {arm}), so there is no interval to decide by; check how it is logged"
        )
    same = f"{title} does not vary: it is {figure(control)} for all users of both arms"
    if plan.over:
        return Decision.DO_NOT_SHIP, f"it makes no difference; {same}"
    return Decision.NOT_ENOUGH_YET, f"no difference on day {plan.days} of {plan.planned_days}; {same}"


def _winning(arm: ArmResult, primary: Primary, plan: Plan) -> tuple[Decision, str]:
    raises, unknown = f"it raises {_found(primary)}", listed(arm.named(State.UNKNOWN) or [""])
    if plan.days < WEEK:
        early = f"less than a whole week has passed (day {plan.days} of {WEEK})"
        return Decision.NOT_ENOUGH_YET, f"{raises}, but {early}"
    if not unknown:
        return Decision.SHIP, f"{raises}, and every guardrail holds{arm.placeholders}"
    if not plan.over:
        missing = f"there is not enough data yet on {unknown}; day {plan.days} of {plan.planned_days}"
        return Decision.NOT_ENOUGH_YET, f"{raises}, but {missing}{arm.placeholders}"
    missing = f"no guardrail is shown to be worse; on {unknown} there is not enough data"
    return Decision.SHIP, f"{raises}, and {missing}{arm.placeholders}"


def _open(primary: Primary, plan: Plan) -> tuple[Decision, str]:
    """0 is inside the interval."""
    found, effect = _found(primary), plan.minimum_detectable_effect
    sought = percent(effect, signed=False)
    if not plan.over:
        day = f"on day {plan.days} of {plan.planned_days}"
        return Decision.NOT_ENOUGH_YET, f"{day} nothing is decided about {found}"
    if primary.high < effect:
        ruled_out = f"a rise of the {sought} sought is ruled out"
        return Decision.DO_NOT_SHIP, f"{found} is not shown to rise, and {ruled_out}"
    return Decision.NOT_ENOUGH_YET, (
        f"the planned weeks are over and {found} may be nothing or the {sought} sought: "
        "there were fewer users than needed; plan a longer experiment"
    )


def _found(primary: Primary) -> str:
    return f"{primary.title} ({percent(primary.lift)}, interval {interval(primary.low, primary.high)})"
