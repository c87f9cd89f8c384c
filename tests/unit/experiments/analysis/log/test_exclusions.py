"""Excluded events and their counts: a case for every reason."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from experiments.analysis.log.exclusions import Exclusion, Reason, Rules
from experiments.analysis.log.read import open_log
from experiments.assignment.assign import arm_array
from tests.unit.experiments.analysis.log.logs import (
    START,
    Event,
    at,
    make_event,
    make_experiment,
    make_items,
    make_slate,
    make_tap,
    write_log,
)


def summed(
    folder: Path, *, until: date | None = None, **rules: Any
) -> tuple[tuple[Exclusion, ...], dict[str, float]]:
    """The exclusions of a log, and what is left: users, slates, taps, views and purchases of all arms."""
    with open_log(folder, threads=1) as log:
        clean = log.clean(make_experiment(), until, now=at(13), rules=Rules(**rules))
        moments = clean.moments().values()
        left = {
            name: sum(each.total(name) for each in moments)
            for name in ("slates", "taps", "views", "purchases")
        }
        return clean.exclusions, {"users": sum(clean.users_per_arm().values())} | left


def left(users: int, slates: int, taps: int = 0, views: int = 0, purchases: int = 0) -> dict[str, float]:
    return {"users": users, "slates": slates, "taps": taps, "views": views, "purchases": purchases}


def test_a_valid_log_has_no_exclusions(tmp_path: Path) -> None:
    """Randomised slates and events without a slate are part of it."""
    slate = make_slate("u", randomised=True)
    write_log(tmp_path, [slate], taps=[make_tap(slate)], item_views=[make_event("u")])
    assert summed(tmp_path) == ((), left(1, 1, taps=1, views=1))


def test_events_without_an_id_are_incomplete(tmp_path: Path) -> None:
    """Several of them are not repetitions of each other."""
    slate = make_slate("u")
    write_log(
        tmp_path,
        [slate, make_slate("u", event_id=None), make_slate("u", event_id=None), make_slate(None)],  # type: ignore[arg-type]
        taps=[make_tap(slate, position=None)],
        purchases=[make_event("u", item_id=None, price=1.0)],
    )
    (exclusion,), rest = summed(tmp_path)
    assert (exclusion.reason, exclusion.count) == (Reason.INCOMPLETE, 5)
    assert rest == left(1, 1)


def test_of_repeated_events_the_first_by_time_counts(tmp_path: Path) -> None:
    """In whatever order they were written."""
    slate = make_slate("u")
    view = make_event("u", event_id="twice", time=at(3))
    write_log(
        tmp_path,
        [slate, slate, slate],
        item_views=[view | {"time": at(4)}, view, view | {"time": at(5)}],
    )
    exclusions, rest = summed(tmp_path)
    assert [(each.reason, each.count, each.users) for each in exclusions] == [(Reason.REPEATED_EVENT, 4, 1)]
    assert exclusions[0].example in {"twice", slate["event_id"]}
    assert rest == left(1, 1, views=1)
    assert summed(tmp_path, until=date(2026, 11, 5))[1] == left(1, 1, views=1)
    assert summed(tmp_path, until=date(2026, 11, 4))[1] == left(1, 1)


def test_a_slate_shown_under_two_event_ids_counts_once(tmp_path: Path) -> None:
    """As when a page is loaded again."""
    slate = make_slate("u")
    again = slate | {"event_id": "again", "time": at(0.7)}
    write_log(tmp_path, [again, slate], taps=[make_tap(slate), make_tap(slate, "b")])
    assert summed(tmp_path) == (
        (Exclusion(Reason.REPEATED_SLATE, 1, 1, "again"),),
        left(1, 1, taps=2),
    )


def test_events_from_the_future_and_from_before_the_pre_period_are_excluded(tmp_path: Path) -> None:
    """The future begins now, or after the day until which the log is read if that is earlier."""
    events = [
        make_event("u", event_id="later", time=at(13.1)),
        make_event("u", event_id="last", time=at(12.9)),
        make_event("u", event_id="old", time=at(-14.1)),
    ]
    write_log(tmp_path, [make_slate("u")], item_views=events)
    later = Exclusion(Reason.FUTURE, 1, 1, "later")
    old = Exclusion(Reason.TOO_OLD, 1, 1, "old")
    assert summed(tmp_path) == ((later, old), left(1, 1, views=1))
    assert summed(tmp_path, until=date(2026, 11, 30)) == ((later, old), left(1, 1, views=1))
    (earlier, _), rest = summed(tmp_path, until=date(2026, 11, 13))
    assert (earlier.reason, earlier.count, rest) == (Reason.FUTURE, 2, left(1, 1))


@pytest.mark.parametrize("arms", [["exp:lost"], ["exp:control", "exp:lost"]])
def test_an_unknown_arm_excludes_the_slate_and_its_events(tmp_path: Path, arms: list[str]) -> None:
    """The user's other slates count."""
    slate = make_slate("u", event_id="lost", arms=arms)
    write_log(
        tmp_path,
        [slate, make_slate("u")],
        taps=[make_tap(slate, event_id="tap")],
        item_views=[make_event("u")],
    )
    assert summed(tmp_path) == (
        (Exclusion(Reason.UNKNOWN_ARM, 1, 1, "lost"), Exclusion(Reason.SLATE_EXCLUDED, 1, 1, "tap")),
        left(1, 1, views=1),
    )


def test_arms_of_other_experiments_are_ignored(tmp_path: Path) -> None:
    """Also of one whose name begins like this one's."""
    slates = [make_slate("u", arms=["exp:control", "other:x"]), make_slate("v", arms=["exp-2:x"], time=at(1))]
    write_log(tmp_path, slates)
    assert summed(tmp_path) == ((), left(1, 1))


def test_an_arm_before_the_start_is_excluded(tmp_path: Path) -> None:
    """It is neither exposure nor pre-period."""
    slates = [make_slate("u", time=at(-0.1), event_id="early"), make_slate("u")]
    write_log(tmp_path, slates)
    assert summed(tmp_path) == ((Exclusion(Reason.ARM_BEFORE_START, 1, 1, "early"),), left(1, 1))


def test_testers_are_excluded_with_all_their_events(tmp_path: Path) -> None:
    """Of one override, whatever else they did."""
    slate = make_slate("tester", "treatment", override=True)
    write_log(
        tmp_path,
        [slate, make_slate("tester"), make_slate("u")],
        taps=[make_tap(slate)],
        purchases=[make_event("tester", price=1.0)],
    )
    assert summed(tmp_path) == ((Exclusion(Reason.OVERRIDE, 4, 1, "tester"),), left(1, 1))


@pytest.mark.parametrize(
    "arms",
    [
        [["exp:control"], ["exp:treatment"]],
        [["exp:treatment", "exp:control"], ["exp:treatment"]],
        [["exp:control", "exp:treatment", "exp:control"], ["exp:control"]],
    ],
)
def test_users_in_two_arms_are_excluded_with_all_their_events(tmp_path: Path, arms: list[list[str]]) -> None:
    """On two slates or on one; before the start too."""
    slates = [make_slate("both", arms=each) for each in arms]
    write_log(
        tmp_path,
        [*slates, make_slate("both", None, time=at(-1)), make_slate("u")],
        taps=[make_tap(slates[0])],
        item_views=[make_event("both"), make_event("u")],
    )
    assert summed(tmp_path) == ((Exclusion(Reason.TWO_ARMS, 5, 1, "both"),), left(1, 1, views=1))


def test_of_an_unlogged_slate_only_taps_are_excluded(tmp_path: Path) -> None:
    """What a user bought is bought, though its link leads nowhere; all are counted."""
    lost = make_slate("u", slate_id="lost")
    write_log(
        tmp_path,
        [make_slate("u")],
        taps=[make_tap(lost, event_id="e-a")],
        item_views=[make_event("u", lost)],
        purchases=[make_event("u", lost, price=1.0), make_event("u", lost, time=at(0.1), price=1.0)],
        complaints=[make_event("u", lost)],
    )
    (exclusion,), rest = summed(tmp_path)
    assert (exclusion.reason, exclusion.count, exclusion.users) == (Reason.UNKNOWN_SLATE, 5, 1)
    assert rest == left(1, 1, views=1, purchases=1)


def test_events_of_another_users_slate_are_excluded(tmp_path: Path) -> None:
    """As when a link with a slate id is passed on."""
    slate = make_slate("u")
    write_log(tmp_path, [slate, make_slate("v")], taps=[make_tap(slate, user_id="v", event_id="tap")])
    assert summed(tmp_path) == ((Exclusion(Reason.OTHER_USER, 1, 1, "tap"),), left(2, 2))


def test_taps_before_their_impression_are_excluded_beyond_the_skew_of_clocks(tmp_path: Path) -> None:
    """Five minutes are allowed; the order in which events arrive is of no matter."""
    slate = make_slate("u")
    taps = [
        make_tap(slate, item, event_id=item, time=slate["time"] - timedelta(minutes=minutes))
        for item, minutes in (("a", 5), ("b", 5.1))
    ]
    write_log(tmp_path, [slate], taps=taps)
    assert summed(tmp_path) == ((Exclusion(Reason.BEFORE_IMPRESSION, 1, 1, "b"),), left(1, 1, taps=1))
    assert summed(tmp_path, clock_skew=timedelta(minutes=6)) == ((), left(1, 1, taps=2))


@pytest.mark.parametrize("wrong", [{"item_id": "z"}, {"position": 2}])
def test_taps_on_what_the_slate_did_not_show_are_excluded(tmp_path: Path, wrong: Event) -> None:
    """Another item, or the right one at another position."""
    slate, empty = make_slate("u"), make_slate("u", items=make_items(""))
    write_log(
        tmp_path, [slate, empty], taps=[make_tap(slate, "a", event_id="tap") | wrong, make_tap(slate, "a")]
    )
    assert summed(tmp_path) == ((Exclusion(Reason.NOT_SHOWN, 1, 1, "tap"),), left(1, 2, taps=1))


def test_further_taps_of_a_slate_on_an_item_count_once(tmp_path: Path) -> None:
    """On another item, or of another slate, they count."""
    slate, other = make_slate("u"), make_slate("u")
    again = make_tap(slate, event_id="again", time=at(0.6))
    write_log(
        tmp_path, [slate, other], taps=[again, make_tap(slate), make_tap(slate, "b"), make_tap(other, "a")]
    )
    assert summed(tmp_path) == ((Exclusion(Reason.REPEATED_TAP, 1, 1, "again"),), left(1, 2, taps=3))


def test_users_with_too_many_slates_a_day_are_suspected_bots(tmp_path: Path) -> None:
    """On one day; as many over two days are none."""
    slates = [make_slate("bot", time=at(1, minutes=n)) for n in range(4)]
    people = [make_slate("u", time=at(n / 2)) for n in range(4)]
    write_log(tmp_path, slates + people, item_views=[make_event("bot")])
    assert summed(tmp_path, bot_slates_a_day=3) == ((Exclusion(Reason.BOT, 5, 1, "bot"),), left(1, 4))
    assert summed(tmp_path, bot_slates_a_day=4) == ((), left(2, 8, views=0))


def test_users_who_tap_too_fast_are_suspected_bots(tmp_path: Path) -> None:
    """More taps in a minute of the clock than the rule allows; repeated ones count for it."""
    slate = make_slate("bot")
    taps = [make_tap(slate, time=at(0.5, seconds=n)) for n in range(5)]
    write_log(tmp_path, [slate], taps=taps)
    exclusions, rest = summed(tmp_path, bot_taps_a_minute=4)
    assert [(each.reason, each.count) for each in exclusions] == [(Reason.REPEATED_TAP, 4), (Reason.BOT, 2)]
    assert rest == left(0, 0)
    assert summed(tmp_path, bot_taps_a_minute=5)[1] == left(1, 1, taps=1)


def test_moments_can_include_suspected_bots(tmp_path: Path) -> None:
    """So that a reader sees whether the rule decides the verdict."""
    write_log(tmp_path, [make_slate("bot"), make_slate("bot", time=at(0.6)), make_slate("u")])
    with open_log(tmp_path) as log:
        clean = log.clean(make_experiment(), now=at(13), rules=Rules(bot_slates_a_day=1))
        assert clean.moments()["control"].total("slates") == 1
        assert clean.moments(bots=True)["control"].total("slates") == 3


def test_every_reason_has_a_meaning() -> None:
    """For the report."""
    assert all(len(reason.meaning) > 10 for reason in Reason)


def users_by_arm(*, share: float = 1.0) -> dict[int, list[str]]:
    """Arm number, or -1 for no arm, to some of 40 users that assignment puts there."""
    names = [f"user-{n}" for n in range(40)]
    arms = arm_array(make_experiment(), names, share)
    return {arm: [name for name, own in zip(names, arms, strict=True) if own == arm] for arm in (-1, 0, 1)}


def test_slates_without_the_arm_of_their_user_are_unassigned(tmp_path: Path) -> None:
    """Of exposed users and others, up to the last slate with an arm; what they buy stays in the sums."""
    users = users_by_arm()
    (control, never), treated = users[0][:2], users[1][0]
    lost = make_slate(treated, None, time=at(1), event_id="lost")
    slates = [
        make_slate(control),
        make_slate(control, time=at(2)),
        make_slate(treated, "treatment"),
        lost,
        make_slate(treated, None, time=at(1.5)),
        make_slate(never, None, time=at(0.1)),
        make_slate(treated, None, time=at(-1)),
        make_slate(treated, None, time=at(2.1)),
    ]
    write_log(tmp_path, slates, purchases=[make_event(treated, lost, price=1.0)])
    with open_log(tmp_path) as log:
        clean = log.clean(make_experiment(enabled=False), now=at(13))
        assert clean.attributed_slates() == {"control": 2, "treatment": 1}
        assert clean.unassigned_slates() == {"control": 1, "treatment": 2}
        assert [(each.reason, each.count, each.users) for each in clean.exclusions] == [
            (Reason.ARM_MISSING, 3, 2)
        ]
        assert clean.moments()["treatment"].total("purchases") == 1


def test_users_outside_the_experiment_have_no_unassigned_slates(tmp_path: Path) -> None:
    """In other buckets, not yet in the ramp, testers, in two arms, or bots."""
    early, late = users_by_arm(share=0.5)[0][0], users_by_arm(share=0.5)[-1][0]
    ramp = ({"from_day": START.date(), "share": 0.5}, {"from_day": at(2).date(), "share": 1.0})
    slates = [make_slate(early), make_slate(early, time=at(3))]
    slates += [make_slate(user, None, time=at(day)) for user in (early, late) for day in (1, 2.5)]
    slates += [make_slate("tester", override=True), make_slate("tester", None, time=at(0.7))]
    slates += [make_slate("bot", None, time=at(0.2, minutes=n)) for n in range(9)]
    write_log(tmp_path, slates)
    with open_log(tmp_path) as log:
        ramped = make_experiment(ramp=ramp)
        clean = log.clean(ramped, now=at(13), rules=Rules(bot_slates_a_day=8))
        assert sum(clean.unassigned_slates().values()) == 3
        nobody = make_experiment(buckets=(0.0, 1e-9))
        clean = log.clean(nobody, now=at(13), rules=Rules(bot_slates_a_day=8))
        assert clean.unassigned_slates() == {"control": 0, "treatment": 0}
