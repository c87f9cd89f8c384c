"""From hand-made logs to slates: what counts, what is left out, what was popular when."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from experiments.analysis.log.exclusions import Rules
from experiments.analysis.log.read import open_log
from experiments.analysis.offline.slates import Counts, Exposures, Slates, TappedLog
from tests.unit.experiments.analysis.log.logs import (
    Event,
    at,
    make_event,
    make_items,
    make_slate,
    make_tap,
    write_log,
)


def read(log: Path, rules: Rules = Rules()) -> tuple[Slates, Counts]:  # noqa: B008  # frozen
    with open_log(log, threads=1) as events:
        tapped = TappedLog(events.workspace(), rules, now=at(30))
        return tapped.slates(), tapped.counts()


def test_a_slate_is_read_as_it_was_shown(tmp_path: Path) -> None:
    """Items by position whatever their order in the file, with taps, purchases and the query's facts."""
    slate = make_slate("u", items=make_items("abc")[::-1], randomised=True)
    bought = make_event("u", slate, item_id="c", price=900.0)
    write_log(tmp_path, [slate], taps=[make_tap(slate, "c"), make_tap(slate, "a")], purchases=[bought])
    slates, counts = read(tmp_path)
    assert [slates.item_ids[code] for code in slates.items[0]] == ["a", "b", "c"]
    assert slates.item_ids[slates.query[0]] == "q"
    assert slates.positions.tolist() == [[1, 2, 3]]
    assert slates.tapped.tolist() == [[True, False, True]]
    assert slates.bought.tolist() == [[False, False, True]]
    assert (slates.day[0], slates.category[0], slates.price[0]) == (
        "2026-11-02",
        "Apparel › Skirts",
        "¥1,000 to ¥2,999",
    )
    assert slates.randomised.tolist() == [True]
    assert (counts.logged, counts.used) == (1, 1)


def test_shorter_slates_are_padded(tmp_path: Path) -> None:
    """By -1, and never tapped."""
    long, short = make_slate("u"), make_slate("v", items=make_items("a"), time=at(0.6))
    write_log(tmp_path, [long, short], taps=[make_tap(long, "c"), make_tap(short)])
    slates, _ = read(tmp_path)
    assert (slates.items >= 0).tolist() == [[True] * 3, [True, False, False]]
    assert slates.tapped.tolist() == [[False, False, True], [True, False, False]]


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    """Untapped, tapped on what it did not show, by another user; a tester's; logged again; without a user."""
    good = make_slate("u")
    untapped, strange, foreign = (make_slate("u") for _ in range(3))
    tester = make_slate("t", override=True)
    again = good | {"event_id": "other", "time": at(0.9), "items": make_items("xyz")}
    anonymous = make_slate("u") | {"user_id": None}
    taps = [
        make_tap(good),
        make_tap(strange, "z"),
        make_tap(foreign) | {"user_id": "v"},
        make_tap(tester),
    ]
    write_log(tmp_path, [good, untapped, strange, foreign, tester, again, anonymous], taps=taps)
    slates, counts = read(tmp_path)
    assert len(slates) == 1
    assert slates.item_ids == ["a", "b", "c", "q"], "the first of the two is kept"
    assert counts == Counts(
        logged=7, incomplete=1, repeated=1, override=1, bots=0, untapped=3, without_vector=0, used=1
    )


def test_users_who_look_like_bots_are_left_out(tmp_path: Path) -> None:
    """More slates a day than the rule allows."""
    slates = [make_slate("bot") for _ in range(4)] + [make_slate("u")]
    write_log(tmp_path, slates, taps=[make_tap(slate) for slate in slates])
    _, counts = read(tmp_path, Rules(bot_slates_a_day=3))
    assert (counts.bots, counts.used) == (4, 1)


def test_what_is_logged_twice_makes_no_bot(tmp_path: Path) -> None:
    """Two slates and two taps, each logged three times, are two."""
    slates = [make_slate("u") for _ in range(2)]
    taps = [make_tap(slate) for slate in slates]
    write_log(tmp_path, slates * 3, taps=taps * 3)
    _, counts = read(tmp_path, Rules(bot_slates_a_day=2, bot_taps_a_minute=2))
    assert (counts.bots, counts.repeated, counts.used) == (0, 4, 2)


def test_wrong_clocks_and_repeated_ids_are_left_out(tmp_path: Path) -> None:
    """A slate of ten years ahead, one under another's event id, and a tap ten minutes before its slate."""
    good, early = make_slate("u"), make_slate("w")
    future = make_slate("u", time=at(3650))
    again = make_slate("v", time=at(0.9)) | {"event_id": good["event_id"]}
    taps = [make_tap(slate) for slate in (good, future, again)]
    taps.append(make_tap(early, time=early["time"] - timedelta(minutes=10)))
    write_log(tmp_path, [good, early, future, again], taps=taps)
    slates, counts = read(tmp_path)
    assert len(slates) == 1
    assert counts == Counts(
        logged=4, incomplete=0, repeated=1, override=0, bots=0, untapped=1, future=1, used=1
    )


def test_only_who_tapped_can_then_have_bought(tmp_path: Path) -> None:
    """Not a stranger, and not the same user three weeks before the tap."""
    slate = make_slate("u")
    bought = make_event("u", slate, item_id="a", price=900.0)
    taps = [make_tap(slate, item) for item in "abc"]
    others = [
        bought | {"event_id": "stranger", "user_id": "v", "item_id": "b"},
        bought | {"event_id": "before", "time": at(-21), "item_id": "c"},
    ]
    write_log(tmp_path, [slate], taps=taps, purchases=[bought, *others])
    slates, _ = read(tmp_path)
    assert slates.bought.tolist() == [[True, False, False]]


def test_popularity_knows_nothing_of_the_future(tmp_path: Path) -> None:
    """Taps before the slate was shown, by anybody; not its own, not at its very moment, not later ones."""
    first, second, third = (make_slate(f"u{hour}", time=at(0, hours=hour)) for hour in (1, 2, 3))
    taps = [
        make_tap(first, "a"),
        make_tap(first, "b", time=second["time"]),
        make_tap(second, "a"),
        make_tap(third, "c"),
    ]
    write_log(tmp_path, [third, first, second], taps=taps)
    slates, _ = read(tmp_path)
    assert slates.popularity.tolist() == [[0, 0, 0], [1, 0, 0], [2, 1, 0]]


def test_a_log_without_taps_has_no_slates(tmp_path: Path) -> None:
    """Nor purchases: the folders are not even there."""
    write_log(tmp_path, [make_slate("u")])
    slates, counts = read(tmp_path)
    assert len(slates) == 0
    assert (counts.untapped, counts.used) == (1, 0)


def cells(exposures: Exposures) -> dict[tuple[int, int], tuple[int, int]]:
    """(group, position) to shown and tapped, of all users."""
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for group, position, shown, tapped in zip(
        exposures.group, exposures.position, exposures.shown, exposures.tapped, strict=True
    ):
        before = found.get((int(group), int(position)), (0, 0))
        found[int(group), int(position)] = before[0] + int(shown), before[1] + int(tapped)
    return found


def test_exposures_of_shuffled_slates_are_by_length(tmp_path: Path) -> None:
    """Two slates of three and one of one; those in the production order say nothing."""
    shuffled = [make_slate(f"u{n}", randomised=True) for n in range(2)]
    short = make_slate("v", randomised=True, items=make_items("a"))
    other = make_slate("w")
    write_log(tmp_path, [*shuffled, short, other], taps=[make_tap(shuffled[0], "b"), make_tap(other, "a")])
    with open_log(tmp_path, threads=1) as events:
        found = cells(TappedLog(events.workspace()).shuffled())
    assert found == {(0, 1): (1, 0), (1, 1): (2, 0), (1, 2): (2, 1), (1, 3): (2, 0)}


def test_exposures_of_swaps_are_of_tapped_items_that_moved(tmp_path: Path) -> None:
    """Only a was tapped and shown at two positions for one query item: twice at 1, once at 3."""
    shown = [make_slate(f"u{n}", time=at(0.5) + timedelta(hours=n)) for n in range(2)]
    moved = make_slate("v", items=make_items("cba"))
    other_query = make_slate("w", items=make_items("cba"), query_item_id="r")
    taps = [
        make_tap(shown[0], "a"),
        make_tap(moved, "a"),
        make_tap(shown[1], "b"),
        make_tap(other_query, "c"),
    ]
    write_log(tmp_path, [*shown, moved, other_query], taps=taps)
    with open_log(tmp_path, threads=1) as events:
        found = cells(TappedLog(events.workspace()).swapped())
    assert found == {(0, 1): (2, 1), (0, 3): (1, 1)}


def test_users_fall_into_blocks_whole(tmp_path: Path) -> None:
    """A user's slates are in one block, and many users in many."""
    slates: list[Event] = [make_slate(f"u{n % 40}", randomised=True) for n in range(80)]
    write_log(tmp_path, slates, taps=[make_tap(slates[0])])
    with open_log(tmp_path, threads=1) as events:
        exposures = TappedLog(events.workspace()).shuffled()
    assert (exposures.shown % 2 == 0).all()
    assert len(np.unique(exposures.block)) > 10
    assert exposures.without(int(exposures.block[0])).shown.sum() < exposures.shown.sum()
    assert exposures.block.max() < 20


@pytest.mark.parametrize("kept", [[True, False], [False, True]])
def test_a_part_has_the_slates_asked_for(tmp_path: Path, kept: list[bool]) -> None:
    """In all arrays."""
    slates = [make_slate(user, time=at(day)) for user, day in (("u", 0), ("v", 1))]
    write_log(tmp_path, slates, taps=[make_tap(slate) for slate in slates])
    whole, _ = read(tmp_path)
    part = whole.part(np.array(kept))
    assert part.day.tolist() == [["2026-11-02"], ["2026-11-03"]][kept.index(True)]
    assert len(part) == len(part.items) == len(part.tapped) == 1
