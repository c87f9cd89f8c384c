"""Logs at the edge of what statistics can be made of: nobody, everybody, one value for all."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from experiments.assignment.assign import assign
from tests.unit.experiments.analysis.log.logs import (
    START,
    Event,
    make_event,
    make_experiment,
    make_items,
    make_slate,
    make_tap,
    write_log,
)

EXPERIMENT = make_experiment(name="exp", planned_weeks=1, pre_period_days=7)
DEFINITION = """
name = "exp"
hypothesis = "The new encoder is tapped more often."
arms = [{name = "control"}, {name = "treatment"}]
start = 2026-11-02
planned_weeks = 1
pre_period_days = 7
minimum_detectable_effect = 0.05
"""
Numbers = tuple[float | None, ...]


@dataclass(frozen=True)
class Shape:
    """Of a log. What is a tuple is gone through from slate to slate, user by user."""

    users: tuple[int, int] = (110, 110)
    """Of control and treatment."""
    days: int = 7
    """With a slate of every user each."""
    before: int = 0
    """Days of the same before the start."""
    taps: tuple[bool, ...] = (True, False, False)
    """Of the slates, those with a tap."""
    purchases: bool = True
    """After every tap."""
    empty: tuple[bool, ...] = (False,)
    took_ms: Numbers = (8.0, 12.0, 9.0)
    price: Numbers = (900.0, 1500.0)
    """Of items and of purchases."""
    sellers: int = 3
    positions: tuple[int | None, ...] = (1, 2, 3)
    randomised: bool = False
    bots: bool = False
    """All users are shown a thousand slates a day."""
    treatment_taps: tuple[bool, ...] | None = None
    """Where the arms differ."""
    treatment_took_ms: Numbers | None = None


def users_of(shape: Shape) -> list[tuple[str, str]]:
    """(user, arm), the wanted number of each arm."""
    found: list[tuple[str, str]] = []
    wanted, number = dict(zip(("control", "treatment"), shape.users, strict=True)), 0
    while any(wanted.values()):
        user = f"{number:032x}"
        number += 1
        arm = assign(EXPERIMENT, user, EXPERIMENT.start)
        assert arm is not None
        if wanted[arm.name]:
            wanted[arm.name] -= 1
            found.append((user, arm.name))
    return found


def write_degenerate(folder: Path, shape: Shape) -> Path:
    """A log of that shape."""
    slates: list[Event] = []
    taps: list[Event] = []
    purchases: list[Event] = []
    views: list[Event] = []
    for user, arm in users_of(shape):
        for day in range(-shape.before, shape.days):
            nth = len(slates)
            slate = _slate(shape, user, arm, day, nth)
            slates.append(slate)
            tapped = shape.taps
            if arm == "treatment" and shape.treatment_taps is not None:
                tapped = shape.treatment_taps
            if not slate["items"] or not _of(tapped, nth):
                continue
            price = _of(shape.price, nth)
            taps.append(make_tap(slate, "a"))
            views.append(make_event(user, slate))
            purchases += [make_event(user, slate, price=price, seller_id="s0")] if shape.purchases else []
    slates += [
        make_slate(slate["user_id"], None, time=slate["time"], arms=slate["arms"])
        for slate in (slates if shape.bots else [])
        for _ in range(1001)
    ]
    return write_log(folder, slates, taps=taps, item_views=views, purchases=purchases)


def _slate(shape: Shape, user: str, arm: str, day: int, nth: int) -> dict[str, Any]:
    took = shape.took_ms
    if arm == "treatment" and shape.treatment_took_ms is not None:
        took = shape.treatment_took_ms
    items = [
        item | {"price": _of(shape.price, place), "seller_id": f"s{place % shape.sellers}", "position": at}
        for place, (item, at) in enumerate(zip(make_items("abc"), shape.positions, strict=True))
    ]
    return make_slate(
        user,
        arm if day >= 0 else None,
        time=START + timedelta(days=day, hours=12),
        items=[] if _of(shape.empty, nth) else items,
        took_ms=_of(took, nth),
        query_price=_of(shape.price, nth),
        randomised=shape.randomised,
    )


def _of(values: tuple[Any, ...], nth: int) -> Any:
    return values[nth % len(values)]
