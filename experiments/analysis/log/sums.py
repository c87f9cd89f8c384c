"""Sums of a clean log by arm, day and other breakdowns, from which all results are computed."""

# ruff: noqa: S608  # SQL is built from constants, and names that a definition has checked

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
"""(1 + columns + pairs,) bool: which sums describe users themselves, and not what they did since exposure."""
NONE: Final = Moments.of({"slates": np.zeros(0)})
"""Moments of no users."""


@dataclass(frozen=True)
class Assigned:
    """Which arm each user was shown."""

    users: NDArray[np.object_]
    """(users,) str: the salted hashes, sorted."""
    arms: NDArray[np.object_]
    """(users,) str."""


class CleanLog:
    """The part of a log that counts for one experiment.

    A user takes part from the first impression that carries one of its arms: exposure, not assignment,
    because users who were assigned but shown nothing cannot have changed and only dilute the effect. Totals
    of a user start there:

    - slates: impressions with the arm; empty_slates, took_ms and timed_slates are of these.
    - taps: on such slates, at most one for each item and slate.
    - views, purchases, spend, complaints: all of the user's, whatever they came from, so that a gain at the
      expense of another page is none.
    - tap_purchases: of items that the user tapped on such a slate, and that carry this slate.
    - pre_*: before experiment.start, within pre_period_days, whatever was shown.

    Suspected bots are excluded, except from `moments(bots=True)`.
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
        """Name to column, (rows,) of its SQL type, of a query over `clean_tables` and `totals`."""
        found: dict[str, NDArray[Any]] = self._db.execute(query).fetchnumpy()
        return found

    def users_per_arm(self) -> dict[str, int]:
        """Arm to the number of its exposed users."""
        return self._counted("SELECT arm, count(*) FROM totals WHERE NOT bot")

    def attributed_slates(self) -> dict[str, int]:
        """Arm to the number of slates attributed to it, which are those that count."""
        return self._counted("SELECT arm, count(*) FROM facts WHERE kind = 'slate' AND NOT pre AND NOT bot")

    def unassigned_slates(self) -> dict[str, int]:
        """Arm to the number of slates of its users that carry no arm."""
        return self._counted("SELECT arm, count(*) FROM unassigned")

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
        """Arm to the moments of its users' totals.

        bots: include suspected bots, which shows whether excluding them changes the recommendation.
        """
        return self._by_user("0", bots=bots).get(0) or self._named({}, NONE)

    def moments_up_to_each_day(self) -> dict[date, dict[str, Moments]]:
        """Day, from the start to the last with an event, to each arm's moments of totals up to that day.

        Covers the users first exposed by then. pre_* are the user's own.
        """
        self._make_daily()
        gains = self._gained_on_each_day()
        return self._running(self._days({day for day, _ in gains}), gains)

    def moments_by(self, breakdown: str) -> dict[str, dict[str, Moments]]:
        """Part of a breakdown to the moments of each arm.

        breakdown: one of these.

        - day: totals of that day alone, of all users exposed by then, with zeros for those without an event,
          because an arm can change who comes. From the start to the last day with an event.
        - day_since_first: whole days from the day of exposure to that of the event, of all users exposed so
          long before the last day, zeros included.
        - category, price: root category of the query item; quartiles of the query items' prices over the
          arms' slates. Includes only what came from a slate, pre_* too, and users who were shown a slate.
        - new_user: "new" without an event before the start, else "returning".

        Raises:
            ValueError: there is no such breakdown.
        """
        groupings: dict[str, Callable[[], dict[str, dict[str, Moments]]]] = {
            "day": self._by_day,
            "day_since_first": self._by_day_since_first,
            "category": lambda: self._by_slate("category::VARCHAR"),
            "price": self._by_price,
            "new_user": lambda: self._by_user(f"if({' + '.join(BEFORE)} = 0, 'new', 'returning')"),
        }
        if breakdown not in groupings:
            raise ValueError(f"unknown breakdown {breakdown!r}; known: {', '.join(groupings)}")
        return groupings[breakdown]()

    def latencies(self) -> dict[str, dict[str, float]]:
        """Arm to "p50", "p95" and "p99" of the milliseconds that its slates took; NaN where none is timed."""
        quantiles = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
        found = self._db.execute(f"""
            SELECT arm, quantile_cont(amount, {list(quantiles.values())}) FROM facts
            WHERE NOT bot AND kind = 'slate' AND NOT pre GROUP BY arm
            """).fetchall()
        by_arm = self._named(dict(found), None)
        return {arm: dict(zip(quantiles, each or [np.nan] * 3, strict=True)) for arm, each in by_arm.items()}

    def _by_user(self, value: str, *, bots: bool = False) -> dict[Any, dict[str, Moments]]:
        """Moments by an SQL expression over the columns of `totals`."""
        return self._sorted(
            f"SELECT {value} AS value, arm, count(*), {_sums()} FROM totals "
            f"WHERE {bots} OR NOT bot GROUP BY value, arm"
        )

    def _by_day_since_first(self) -> dict[str, dict[str, Moments]]:
        self._make_daily()
        on = self._sums_of("SELECT day - first_day AS days", "daily")
        observed = self._sums_of(
            "SELECT (SELECT max(day) FROM daily) - first_day AS days", "totals WHERE NOT bot"
        )
        longest = max((days for days, _ in observed), default=-1)
        found = self._running(range(longest, -1, -1), observed, on)
        return {str(days): found[days] for days in sorted(found)}

    def _by_price(self) -> dict[str, dict[str, Moments]]:
        (bounds,) = self._db.execute(
            "SELECT quantile_disc(price, [0.25, 0.5, 0.75]) FROM facts "
            "WHERE NOT bot AND kind = 'slate' AND NOT pre"
        ).fetchone() or (None,)
        bounds = bounds or (0.0,) * 3  # no slate has a price, so no band is used
        names = band_names(bounds)
        return {names[number]: each for number, each in self._by_slate(band_number(bounds)).items()}

    def _by_slate(self, value: str) -> dict[Any, dict[str, Moments]]:
        """By an SQL expression over the columns of the slate."""
        return self._sorted(f"""
            SELECT value, arm, count(*), {_sums()} FROM (
                SELECT user_id, {value} AS value, any_value(arm) AS arm, {_aggregates(SINCE | BEFORE)}
                FROM facts WHERE NOT bot AND category IS NOT NULL GROUP BY user_id, value
            ) WHERE slates > 0 GROUP BY value, arm
            """)

    def _make_daily(self) -> None:
        """Create `daily`: totals and pre_* for each user and day with an event since the exposure."""
        self._db.execute(f"""
            CREATE TABLE IF NOT EXISTS daily AS
            SELECT d.*, {", ".join(f"t.{name}" for name in BEFORE)} FROM (
                SELECT user_id, day, any_value(first_day) AS first_day, any_value(arm) AS arm,
                       {_aggregates(SINCE)}
                FROM facts WHERE NOT bot AND NOT pre GROUP BY user_id, day
            ) d JOIN totals t USING (user_id)
            """)

    def _by_day(self) -> dict[str, dict[str, Moments]]:
        self._make_daily()
        on = self._sums_of("SELECT day", "daily")
        exposed = self._sums_of("SELECT first_day", "totals WHERE NOT bot")
        found = self._running(self._days({day for day, _ in on}), exposed, on)
        return {day.isoformat(): arms for day, arms in found.items()}

    def _running(
        self, values: Iterable[K], joining: Sums[K], active: Sums[K] | None = None
    ) -> dict[K, dict[str, Moments]]:
        """Value to the moments of the sums up to it, in the order of the values.

        joining: sums that each value adds. active: sums of the users with an event there, which replace the
        running ones except for the number of users and pre_*: users without an event count with zeros.
        """
        running = {arm: np.zeros(len(OF_USERS)) for arm in self._numbers()}
        found = {}
        for value in values:
            running = {arm: sums + joining.get((value, arm), 0.0) for arm, sums in running.items()}
            shown = running
            if active is not None:
                shown = {
                    arm: np.where(OF_USERS, sums, active.get((value, arm), 0.0))
                    for arm, sums in running.items()
                }
            found[value] = self._named({arm: _moments(sums) for arm, sums in shown.items()}, NONE)
        return found

    def _sums_of(self, select: str, source: str) -> Sums[Any]:
        """Sums by the selected value and by arm."""
        return self._by_key(f"{select}, arm, count(*), {_sums()} FROM {source} GROUP BY ALL")

    def _by_key(self, query: str) -> Sums[Any]:
        """The sums of a query for (value, arm, count, sums…)."""
        rows = self._db.execute(query).fetchall()
        return {(value, arm): np.array(sums, dtype=float) for value, arm, *sums in rows}

    def _gained_on_each_day(self) -> Sums[date]:
        """What each day adds to the sums and products of all users, computed from its active users."""
        gained = ", ".join(
            [f"sum({name}) OVER days AS {name}, {name} AS new_{name}" for name in SINCE]
            + [f"{name}, CASE WHEN day = first_day THEN {name} ELSE 0 END AS new_{name}" for name in BEFORE]
        )
        sums = ", ".join(f"sum(new_{name})" for name in COLUMNS)
        products = ", ".join(
            f"sum(new_{one} * {other} + ({one} - new_{one}) * new_{other})"
            for one, other in ((COLUMNS[i], COLUMNS[j]) for i, j in PAIRS)
        )
        return self._by_key(f"""
            SELECT day, arm, count(*) FILTER (day = first_day), {sums}, {products}
            FROM (SELECT day, first_day, arm, {gained} FROM daily
                  WINDOW days AS (PARTITION BY user_id ORDER BY day))
            GROUP BY day, arm
            """)

    def _days(self, found: Collection[date]) -> list[date]:
        """All days from the start to the last one found."""
        start = self.experiment.start
        return [start + timedelta(days=n) for n in range((max(found) - start).days + 1)] if found else []

    def _sorted(self, query: str) -> dict[Any, dict[str, Moments]]:
        """The result of a query for (value, arm, count, sums…), by value in order."""
        found: dict[Any, dict[int, Moments]] = {}
        for (value, arm), sums in self._by_key(query).items():
            found.setdefault(value, {})[arm] = _moments(sums)
        return {value: self._named(found[value], NONE) for value in sorted(found)}

    def _numbers(self) -> range:
        """The numbers of the arms in the tables."""
        return range(1, len(self.experiment.arms) + 1)

    def _named(self, by_number: Mapping[int, T], default: T) -> dict[str, T]:
        """Values by the name of every arm, in the order of the definition."""
        return {
            arm.name: by_number.get(number, default)
            for number, arm in zip(self._numbers(), self.experiment.arms, strict=True)
        }


def _aggregates(columns: Mapping[str, str]) -> str:
    return ", ".join(f"coalesce({sql}, 0)::DOUBLE AS {name}" for name, sql in columns.items())


def _sums() -> str:
    """SQL sums of all columns, then of the products of all pairs."""
    products = (f"sum({COLUMNS[one]} * {COLUMNS[other]})" for one, other in PAIRS)
    return ", ".join([*(f"sum({name})" for name in COLUMNS), *products])


def _moments(sums: NDArray[np.float64]) -> Moments:
    """Moments from sums (1 + columns + pairs,) float64: a count, the columns, and the products of `PAIRS`."""
    products = np.zeros((len(COLUMNS),) * 2)
    for (one, other), value in zip(PAIRS, sums[1 + len(COLUMNS) :], strict=True):
        products[one, other] = products[other, one] = value
    return Moments.from_sums(int(sums[0]), sums[1 : 1 + len(COLUMNS)], products)


def band_names(bounds: Sequence[float]) -> tuple[str, ...]:
    """Names of the bands between three prices, from the cheapest; the last is for a missing price."""
    low, middle, high = (f"{bound:,g}" for bound in bounds)
    return f"under {low}", f"{low} to {middle}", f"{middle} to {high}", f"{high} and more", "unknown"


def band_number(bounds: Sequence[float]) -> str:
    """SQL for the number of the band that a column `price` lies in."""
    under = " ".join(f"WHEN price < {bound!r} THEN {number}" for number, bound in enumerate(bounds))
    return f"(CASE WHEN price IS NULL THEN 4 {under} ELSE 3 END)::UTINYINT"
