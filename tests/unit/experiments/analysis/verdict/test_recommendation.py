"""Every way to a verdict, and the sentence that says it."""

from __future__ import annotations

import pytest

from experiments.analysis.verdict.guardrails import GuardrailResult, State
from experiments.analysis.verdict.missing_assignment import MissingAssignment, missing_assignment
from experiments.analysis.verdict.recommendation import ArmResult, Decision, Plan, Primary, recommend
from experiments.analysis.verdict.sample_ratio import SampleRatio, sample_ratio
from experiments.assignment.definition import Guardrail

EVEN = sample_ratio({"old": 5000, "new": 5000}, {"old": 1, "new": 1})
WHOLE = missing_assignment({"old": 0, "new": 0}, {"old": 50_000, "new": 50_000})
UP = Primary("taps per slate", 0.08, 0.03, 0.13)
DOWN = Primary("taps per slate", -0.08, -0.13, -0.03)
OPEN = Primary("taps per slate", 0.02, -0.03, 0.07)
NARROW = Primary("taps per slate", 0.005, -0.01, 0.02)
EARLY, WEEK, OVER = Plan(3, 14, 0.05), Plan(7, 14, 0.05), Plan(14, 14, 0.05)


def new(primary: Primary | None, *states: State, arm: str = "new") -> ArmResult:
    """An arm with guardrails in these states; by default one that holds."""
    named = zip(Guardrail, states or (State.OK,), strict=False)
    return ArmResult(
        arm,
        primary,
        [GuardrailResult(guardrail, "", state, 0.1, relative=True) for guardrail, state in named],
    )


@pytest.mark.parametrize(
    ("arm", "plan", "decision", "why"),
    [
        (new(UP), OVER, Decision.SHIP, "raises taps per slate (+8.0 %, interval +3.0 % to +13 %), and every"),
        (new(UP), WEEK, Decision.SHIP, "every guardrail holds"),
        (new(UP), EARLY, Decision.NOT_ENOUGH_YET, "less than a whole week has passed (day 3 of 7)"),
        (
            new(UP, State.UNKNOWN),
            WEEK,
            Decision.NOT_ENOUGH_YET,
            "not enough data yet on latency; day 7 of 14",
        ),
        (new(UP, State.UNKNOWN), OVER, Decision.SHIP, "on latency there is not enough data"),
        (new(UP, State.WORSE), OVER, Decision.DO_NOT_SHIP, "latency got worse by more than the margin"),
        (
            new(None, State.OK, State.WORSE, State.WORSE),
            EARLY,
            Decision.DO_NOT_SHIP,
            "empty answers and complaints got worse",
        ),
        (new(None), OVER, Decision.NOT_ENOUGH_YET, "too few users or events"),
        (new(DOWN), EARLY, Decision.DO_NOT_SHIP, "lowers taps per slate (−8.0 %, interval −13 % to −3.0 %)"),
        (
            new(OPEN),
            WEEK,
            Decision.NOT_ENOUGH_YET,
            "on day 7 of 14 nothing is decided about taps per slate (+2.0 %",
        ),
        (new(OPEN), OVER, Decision.NOT_ENOUGH_YET, "the planned weeks are over"),
        (new(NARROW), OVER, Decision.DO_NOT_SHIP, "a rise of the 5.0 % sought is ruled out"),
        (new(NARROW), WEEK, Decision.NOT_ENOUGH_YET, "nothing is decided"),
    ],
)
def test_one_arm(arm: ArmResult, plan: Plan, decision: Decision, why: str) -> None:
    """Each branch of the policy."""
    found = recommend(EVEN, WHOLE, [arm], plan)
    assert found.decision is decision
    assert found.arm == "new"
    assert why in found.sentence
    assert found.sentence.endswith(".")


@pytest.mark.parametrize(
    ("ratio", "missing", "why"),
    [
        (
            sample_ratio({"old": 5300, "new": 4700}, {"old": 1, "new": 1}),
            WHOLE,
            "old has 5,300 where 5,000 were expected, new has 4,700 where 5,000 were expected; p < 0.0001",
        ),
        (
            sample_ratio({"old": 5000, "new": 5000}, {"old": 1, "new": 1}, misassigned=1200),
            WHOLE,
            "1,200 users were not shown their assigned arm",
        ),
        (
            EVEN,
            missing_assignment({"old": 100, "new": 7500}, {"old": 49_900, "new": 42_500}),
            "the arms compare different items: their shares of slates without an assignment differ "
            "(0.2 % of old, 15 % of new; p < 0.0001)",
        ),
    ],
)
def test_a_broken_sample_is_not_read(ratio: SampleRatio, missing: MissingAssignment, why: str) -> None:
    """However good the metric looks."""
    found = recommend(ratio, missing, [new(UP)], OVER)
    assert found.decision is Decision.DO_NOT_READ
    assert why in found.sentence


@pytest.mark.parametrize(
    ("state", "plan"), [(State.OK, WEEK), (State.UNKNOWN, WEEK), (State.UNKNOWN, OVER)], ids=str
)
def test_times_that_do_not_vary_are_in_the_sentence(state: State, plan: Plan) -> None:
    """A placeholder in the log would otherwise pass for a measured latency; a rate of 0 is one."""
    latency = GuardrailResult(Guardrail.LATENCY, "", state, 0.1, relative=True, varies=False)
    empty = GuardrailResult(Guardrail.EMPTY_ANSWERS, "", State.OK, 0.005, relative=False, varies=False)
    found = recommend(EVEN, WHOLE, [ArmResult("new", UP, [latency, empty])], plan)
    assert found.sentence.endswith("; latency does not vary, check how it is logged.")


def test_of_several_arms_the_best_that_may_be_shipped() -> None:
    """A larger lift that breaks a guardrail loses to a smaller one that holds them."""
    best = Primary("taps per slate", 0.2, 0.1, 0.3)
    arms = [new(UP, arm="one"), new(best, arm="two"), new(best, State.WORSE, arm="three")]
    found = recommend(EVEN, WHOLE, arms, OVER)
    assert (found.decision, found.arm) == (Decision.SHIP, "two")


def test_an_arm_that_may_still_win_is_waited_for() -> None:
    """One has lost, the other is open."""
    found = recommend(EVEN, WHOLE, [new(DOWN, arm="one"), new(OPEN, arm="two")], WEEK)
    assert (found.decision, found.arm) == (Decision.NOT_ENOUGH_YET, "two")


def test_all_arms_that_lost_are_named() -> None:
    """No arm is singled out."""
    found = recommend(EVEN, WHOLE, [new(DOWN, arm="one"), new(NARROW, arm="two")], OVER)
    assert (found.decision, found.arm) == (Decision.DO_NOT_SHIP, None)
    assert "Do not ship one" in found.sentence
    assert "Do not ship two" in found.sentence


@pytest.mark.parametrize(
    ("files", "said"),
    [(1, "1 file of the log could not be read"), (12, "12 files of the log could not be read")],
)
def test_files_that_cannot_be_read_are_in_the_sentence(files: int, said: str) -> None:
    """Whatever it decides: days may lack taps that their slates led to."""
    plain, found = (recommend(EVEN, WHOLE, [new(UP)], OVER, unreadable=number) for number in (0, files))
    assert found.decision is plain.decision is Decision.SHIP
    assert found.sentence.startswith(plain.sentence)
    assert said in found.sentence
