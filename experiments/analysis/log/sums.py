"""A clean log's sums by arm, by day and by slice: what every verdict is computed from."""

# ruff: noqa: S608  # what is put into SQL are our own words, and names that a definition has checked

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations_with_replacement
from typing import Any, Final, TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray

from experiments.analysis.log.cleaning import Window
from experiments.analysis.log.exclusions import Exclusion
from experiments.analysis.moments import COLUMNS, Moments
from experiments.assignment.definition import Experiment

T = TypeVar("T")
K = TypeVar("K")
Sums = dict[tuple[K, int], NDArray[np.float64]]
"""Value and arm to a count, the sums of the columns, and the sums of the products of `PAIRS`."""

SINCE: Final = {
    "slates": "count(*) FILTER (kind = 'slate' AND NOT pre)",
    "taps": "count(*) FILTER (kind = 'tap' AND NOT pre)",
    "views": "count(*) FILTER (kind = 'view' AND NOT pre)",
    "purchases": "count(*) FILTER (kind = 'purchase' AND NOT pre)",
    "tap_purchases": "count(*) FILTER (kind = 'purchase' AND NOT pre AND flag)",
    "spend": "sum(amount) FILTER (kind = 'purchase' AND NOT pre)",
    "empty_slates": "count(*) FILTER (kind = 'slate' AND NOT pre AND flag)",
    "took_ms": "sum(amount) FILTER (kind = 'slate' AND NOT pre)",
    "timed_slates": "count(amount) FILTER (kind = 'slate' AND NOT pre)",
    "complaints": "count(*) FILTER (kind = 'complaint' AND NOT pre)",
}
"""Columns since the first exposure, over a user's facts."""
BEFORE: Final = {
    "pre_slates": "count(*) FILTER (kind = 'slate' AND pre)",
    "pre_taps": "count(*) FILTER (kind = 'tap' AND pre)",
    "pre_views": "count(*) FILTER (kind = 'view' AND pre)",
    "pre_purchases": "count(*) FILTER (kind = 'purchase' AND pre)",
}
"""Columns before the start."""
PAIRS: Final = tuple(combinations_with_replacement(range(len(COLUMNS)), 2))
OF_USERS: Final = np.array(
    [
        True,
        *(name in BEFORE for name in COLUMNS),
        *(COLUMNS[one] in BEFORE and COLUMNS[other] in BEFORE for one, other in PAIRS),
    ]
)
"""Of a count, the columns and the products of `PAIRS`: what is of users, and not of what they did since."""
NONE: Final = Moments.of({"slates": np.zeros(0)})
"""Of no users."""
SLICES: Final = ("category", "price", "new_user", "day_since_first")


@dataclass(frozen=True)
class Assigned:
    """Which arm each user was shown."""

    users: NDArray[np.object_]
    """(users,) str: the salted hashes, sorted."""
    arms: NDArray[np.object_]
    """(users,) str."""


class CleanLog:
    """What counts of a log for one experiment.

    A user takes part from the first impression that carries one of its arms: exposure, not assignment,
    because who was assigned but shown nothing cannot have been changed, and only dilutes. Totals are of a
    user since then:

    - slates: impressions with the arm; empty_slates, took_ms and timed_slates are of these.
    - taps: on such slates, one an item and slate.
    - views, purchases, spend, complaints: all of the user's, whatever they came from, so that a gain that
      another surface loses is not one.
    - tap_purchases: of items that the user tapped on such a slate, and that carry this slate.
    - pre_*: before experiment.start, within pre_period_days, whatever was shown.

    Suspected bots are left out of all, but for `moments(bots=True)`.
    """

    def __init__(
        self,
        db: duckdb.DuckDBPyConnection,
        experiment: Experiment,
        window: Window,
        exclusions: tuple[Exclusion, ...],
    ) -> None:
        self.experiment = experiment
        self.window = window
        self.exclusions = exclusions
        self._db = db
        db.execute(f"""
            CREATE TABLE totals AS
            SELECT user_id, any_value(arm) AS arm, any_value(bot) AS bot, any_value(first_day) AS first_day,
                   {_aggregates(SINCE | BEFORE)}
            FROM facts GROUP BY user_id
            """)

    def columns(self, query: str) -> dict[str, NDArray[Any]]:
        """What SQL finds in the tables of `clean_tables` and in `totals`, as arrays (rows,)."""
        found: dict[str, NDArray[Any]] = self._db.execute(query).fetchnumpy()
        return found

    def users_per_arm(self) -> dict[str, int]:
        """Arm to its exposed users."""
        return self._counted("SELECT arm, count(*) FROM totals WHERE NOT bot")

    def attributed_slates(self) -> dict[str, int]:
        """Arm to the slates that tell it, which are those that count."""
        return self._counted("SELECT arm, count(*) FROM facts WHERE kind = 'slate' AND NOT pre AND NOT bot")

    def unassigned_slates(self) -> dict[str, int]:
        """Arm to the slates that should tell it, for it is the user's by assignment, but tell none."""
        return self._counted("SELECT arm, count(*) FROM lost")

    def _counted(self, query: str) -> dict[str, int]:
        return self._named(dict(self._db.execute(f"{query} GROUP BY arm").fetchall()), 0)

    def assigned(self) -> Assigned:
        """The exposed users with their arms."""
        found = self.columns("""
            SELECT name, arm FROM (SELECT DISTINCT user_id AS name FROM raw.impressions)
            JOIN totals t ON hash(name) = t.user_id WHERE NOT bot ORDER BY name
            """)
        names = np.array(["", *(arm.name for arm in self.experiment.arms)], dtype=object)
        return Assigned(np.asarray(found["name"], dtype=object), names[np.asarray(found["arm"], dtype=int)])

    def moments(self, *, bots: bool = False) -> dict[str, Moments]:
        """Arm to the moments of its users' totals; with suspected bots if wanted, so that a reader sees
        whether the rule decides the verdict."""
        query = f"SELECT 0, arm, count(*), {_sums()} FROM totals WHERE {bots} OR NOT bot GROUP BY arm"
        return self._sorted(query).get(0) or self._named({}, NONE)

    def moments_by_day(self, cumulative: bool) -> dict[date, dict[str, Moments]]:
        """Day, from the start to the last with an event, to the moments of each arm.

        Of the users first exposed by then: of their totals up to that day if cumulative, otherwise of that
        day alone, with zeros for those who did nothing, because an arm can change who comes. pre_* are the
        user's own in both.
        """
        self._make_daily()
        return self._up_to_each_day() if cumulative else self._each_day()

    def moments_by(self, slice: str) -> dict[str, dict[str, Moments]]:  # noqa: A002
        """Value of a slice to the moments of each arm.

        slice: "category" (root of the query item's), "price" (quartiles of the query items' prices over the
        arms' slates), "new_user" ("new" without an event before the start, else "returning"), or
        "day_since_first" (whole days from the day of exposure to that of the event; of all users exposed so
        long before the last day, zeros included). Of category and price, only what came from a slate can be
        told, pre_* too; users count where they were shown a slate.
        """
        if slice == "new_user":
            return self._by_new_user()
        if slice == "day_since_first":
            return self._by_day_since_first()
        if slice == "category":
            return self._by_category()
        if slice == "price":
            return self._by_price()
        raise ValueError(f"no slice {slice!r}; known: {', '.join(SLICES)}")

    def latencies(self) -> dict[str, dict[str, float]]:
        """Arm to "p50", "p95" and "p99" of the milliseconds that its slates took; NaN where none tells."""
        quantiles = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        found = self._db.execute(f"""
            SELECT arm, quantile_cont(amount, {list(quantiles.values())}) FROM facts
            WHERE NOT bot AND kind = 'slate' AND NOT pre GROUP BY arm
            """).fetchall()
        by_arm = self._named(dict(found), None)
        return {arm: dict(zip(quantiles, each or [np.nan] * 3, strict=True)) for arm, each in by_arm.items()}

    def _by_new_user(self) -> dict[str, dict[str, Moments]]:
        return self._sorted(f"""
            SELECT CASE WHEN {" + ".join(BEFORE)} = 0 THEN 'new' ELSE 'returning' END AS value, arm,
                   count(*), {_sums()} FROM totals WHERE NOT bot GROUP BY value, arm
            """)

    def _by_day_since_first(self) -> dict[str, dict[str, Moments]]:
        self._make_daily()
        on = self._sums_of("SELECT day - first_day AS days", "daily")
        observed = self._sums_of(
            "SELECT (SELECT max(day) FROM daily) - first_day AS days", "totals WHERE NOT bot"
        )
        longest = max((days for days, _ in observed), default=-1)
        found = self._with_zeros(range(longest, -1, -1), on, observed)
        return {str(days): found[days] for days in sorted(found)}

    def _by_category(self) -> dict[str, dict[str, Moments]]:
        found = self._by_slate("category")
        return {category: found[category] for category in sorted(found)}

    def _by_price(self) -> dict[str, dict[str, Moments]]:
        (bounds,) = self._db.execute(
            "SELECT quantile_disc(price, [0.25, 0.5, 0.75]) FROM facts "
            "WHERE NOT bot AND kind = 'slate' AND NOT pre"
        ).fetchone() or (None,)
        bounds = bounds or (0.0,) * 3  # no slate has a price, so none is in a band
        names = band_names(bounds)
        return {names[number]: each for number, each in self._by_slate(band_number(bounds)).items()}

    def _by_slate(self, value: str) -> dict[Any, dict[str, Moments]]:
        """By an expression over what is known of the slate."""
        return self._sorted(f"""
            SELECT value, arm, count(*), {_sums()} FROM (
                SELECT user_id, {value} AS value, any_value(arm) AS arm, {_aggregates(SINCE | BEFORE)}
                FROM facts WHERE NOT bot AND category IS NOT NULL GROUP BY user_id, value
            ) WHERE slates > 0 GROUP BY value, arm
            """)

    def _make_daily(self) -> None:
        """Makes `daily`: of each user and day with an event since the exposure, the totals; and the pre_*."""
        self._db.execute(f"""
            CREATE TABLE IF NOT EXISTS daily AS
            SELECT d.*, {", ".join(f"t.{name}" for name in BEFORE)} FROM (
                SELECT user_id, day, any_value(first_day) AS first_day, any_value(arm) AS arm,
                       {_aggregates(SINCE)}
                FROM facts WHERE NOT bot AND NOT pre GROUP BY user_id, day
            ) d JOIN totals t USING (user_id)
            """)

    def _each_day(self) -> dict[date, dict[str, Moments]]:
        on = self._sums_of("SELECT day", "daily")
        exposed = self._sums_of("SELECT first_day", "totals WHERE NOT bot")
        return self._with_zeros(self._days({day for day, _ in on}), on, exposed)

    def _with_zeros(
        self, values: Iterable[K], active: Sums[K], joining: Sums[K]
    ) -> dict[K, dict[str, Moments]]:
        """Value to the moments of all users who have joined by then, in the order of the values.

        active: sums of the users with an event there. joining: of those who join there; only their number
        and their pre_* are taken, for to the other sums who has no event adds nothing.
        """
        running = {arm: np.zeros(len(OF_USERS)) for arm in self._numbers()}
        found = {}
        for value in values:
            running = {arm: sums + joining.get((value, arm), 0.0) for arm, sums in running.items()}
            of_arms = {
                arm: _moments(np.where(OF_USERS, sums, active.get((value, arm), 0.0)))
                for arm, sums in running.items()
            }
            found[value] = self._named(of_arms, NONE)
        return found

    def _sums_of(self, select: str, source: str) -> Sums[Any]:
        """By what is selected, and by arm."""
        query = f"{select}, arm, count(*), {_sums()} FROM {source} GROUP BY ALL"
        return {
            (value, arm): np.array(sums, dtype=float)
            for value, arm, *sums in self._db.execute(query).fetchall()
        }

    def _up_to_each_day(self) -> dict[date, dict[str, Moments]]:
        """A day adds, of its active users, the products of totals with that day less those without it."""
        gained = ", ".join(
            [f"sum({name}) OVER days AS {name}, {name} AS new_{name}" for name in SINCE]
            + [f"{name}, CASE WHEN day = first_day THEN {name} ELSE 0 END AS new_{name}" for name in BEFORE]
        )
        sums = ", ".join(f"sum(new_{name})" for name in COLUMNS)
        products = ", ".join(
            f"sum(new_{one} * {other} + ({one} - new_{one}) * new_{other})"
            for one, other in ((COLUMNS[i], COLUMNS[j]) for i, j in PAIRS)
        )
        found = self._db.execute(f"""
            SELECT day, arm, count(*) FILTER (day = first_day), {sums}, {products}
            FROM (SELECT day, first_day, arm, {gained} FROM daily
                  WINDOW days AS (PARTITION BY user_id ORDER BY day))
            GROUP BY day, arm ORDER BY day
            """).fetchall()
        gains: dict[tuple[date, int], NDArray[np.float64]] = {
            (day, arm): np.array(sums, dtype=float) for day, arm, *sums in found
        }
        running = {arm: np.zeros(1 + len(COLUMNS) + len(PAIRS)) for arm in self._numbers()}
        moments = {}
        for day in self._days({day for day, _ in gains}):
            running = {arm: sums + gains.get((day, arm), 0.0) for arm, sums in running.items()}
            moments[day] = self._named({arm: _moments(sums) for arm, sums in running.items()}, NONE)
        return moments

    def _days(self, found: Collection[date]) -> list[date]:
        """From the start to the last of them."""
        start = self.experiment.start
        return [start + timedelta(days=n) for n in range((max(found) - start).days + 1)] if found else []

    def _sorted(self, query: str) -> dict[Any, dict[str, Moments]]:
        """The answer of a query for (value, arm, count, sums…), by value."""
        found: dict[Any, dict[int, Moments]] = {}
        for value, arm, *sums in self._db.execute(query).fetchall():
            found.setdefault(value, {})[arm] = _moments(np.array(sums, dtype=float))
        return {value: self._named(found[value], NONE) for value in sorted(found)}

    def _numbers(self) -> range:
        """Of the arms, as the tables hold them."""
        return range(1, len(self.experiment.arms) + 1)

    def _named(self, by_number: Mapping[int, T], default: T) -> dict[str, T]:
        """By the name of every arm, in the order of the definition."""
        return {
            arm.name: by_number.get(number, default)
            for number, arm in zip(self._numbers(), self.experiment.arms, strict=True)
        }


def _aggregates(columns: Mapping[str, str]) -> str:
    return ", ".join(f"coalesce({sql}, 0)::DOUBLE AS {name}" for name, sql in columns.items())


def _sums() -> str:
    """Of all columns, then of the products of all pairs."""
    products = (f"sum({COLUMNS[one]} * {COLUMNS[other]})" for one, other in PAIRS)
    return ", ".join([*(f"sum({name})" for name in COLUMNS), *products])


def _moments(sums: NDArray[np.float64]) -> Moments:
    """Of a count, the sums of the columns, and the sums of the products of `PAIRS`."""
    products = np.zeros((len(COLUMNS),) * 2)
    for (one, other), value in zip(PAIRS, sums[1 + len(COLUMNS) :], strict=True):
        products[one, other] = products[other, one] = value
    return Moments.from_sums(int(sums[0]), sums[1 : 1 + len(COLUMNS)], products)


def band_names(bounds: Sequence[float]) -> tuple[str, ...]:
    """Of the bands between three prices, from the cheapest; the last is of what has no price."""
    low, middle, high = (f"{bound:,g}" for bound in bounds)
    return f"under {low}", f"{low} to {middle}", f"{middle} to {high}", f"{high} and more", "unknown"


def band_number(bounds: Sequence[float]) -> str:
    """SQL for the number of the band that a column `price` lies in."""
    under = " ".join(f"WHEN price < {bound!r} THEN {number}" for number, bound in enumerate(bounds))
    return f"(CASE WHEN price IS NULL THEN 4 {under} ELSE 3 END)::UTINYINT"
