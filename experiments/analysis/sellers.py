"""The seller side of an experiment by arm: exposure, sales, and how long a new listing waits.

An arm that buyers prefer may show fewer sellers, more expensive items or older listings. Exposure counts
items: a slate of ten items counts ten. Includes valid slates that carry the arm, and purchases since the
buyer's exposure to it; bots are excluded.
"""

# ruff: noqa: S608  # SQL is built from constants and numbers

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experiments.analysis.log.cleaning import amount
from experiments.analysis.log.sums import CleanLog, band_names, band_number

Counts = NDArray[np.int64]
AGES: Final = ("under 1 day", "1 to 7 days", "7 to 30 days", "over 30 days", "unknown")
"""Age of a listing when it was shown or sold."""
QUARTILES: Final = (0.25, 0.5, 0.75)
RESAMPLES: Final = 1000


@dataclass(frozen=True)
class Concentration:
    """How a total is distributed over sellers; the shares are NaN if it is 0."""

    total: int
    gini: float
    """0 if all have the same, near 1 if one has everything."""
    top_share: float
    """The share of the top 1 % of sellers, at least one."""
    lorenz: tuple[tuple[float, float], ...]
    """(share of the sellers, smallest first; their share of the total), from (0, 0) to (1, 1)."""


@dataclass(frozen=True)
class Waiting:
    """Time to the first impression in an arm, for listings created since the start.

    An arm with fewer users shows less, so its listings wait longer: compare arms of equal weight.
    """

    shown: int
    """Number of listings, to which the quartiles refer."""
    quartiles_hours: tuple[float, float, float]
    """The second is the median; NaN if no listing was shown."""
    never_shown_share: float
    """The share of the listings shown by any arm that this one did not show; NaN if there are none."""


@dataclass(frozen=True)
class SellerArm:
    """The seller side of one arm."""

    exposure: Concentration
    sales: Concentration
    """Of purchases."""
    exposure_by: dict[str, dict[str, float]]
    """"price" (bands between quartiles of the prices of all items shown) and "age" (`AGES`) to shares."""
    sales_by: dict[str, dict[str, float]]
    waiting: Waiting


@dataclass(frozen=True)
class GiniDifference:
    """The Gini coefficient of exposure of an arm minus that of control, over equally many users.

    By chance alone, exposure to few users is less even over sellers than exposure to many. So the larger arms
    are reduced to random samples of as many users as the smallest arm has.
    """

    difference: float
    low: float
    """Lower bound of the 95 % interval, by bootstrap over sellers."""
    high: float


@dataclass(frozen=True)
class SellerSide:
    """The effect of an experiment on sellers."""

    sellers: int
    """Sellers shown or with a sale in any arm; the concentration of each arm is over all of them."""
    arms: dict[str, SellerArm]
    against_control: dict[str, GiniDifference]
    """By arm other than control."""


def seller_side(clean: CleanLog, *, resamples: int = RESAMPLES, seed: int = 0) -> SellerSide:
    """Exposure and sales by seller, price and age, and the waiting time of new listings, for every arm.

    Items of an unknown seller count by price and age only.
    """
    _make_tables(clean)
    names = [arm.name for arm in clean.experiment.arms]
    shown, sold, matched = _by_seller(clean, len(names))
    groupings = {"price": _price_bands(clean), "age": ("age", AGES)}
    shares = {
        (table, by): _shares(clean, table, *grouping)
        for table in ("shown", "sold")
        for by, grouping in groupings.items()
    }
    waits = _waits(clean, len(names))
    arms = {
        name: SellerArm(
            exposure=concentration(shown[:, arm]),
            sales=concentration(sold[:, arm]),
            exposure_by={by: shares["shown", by][arm] for by in groupings},
            sales_by={by: shares["sold", by][arm] for by in groupings},
            waiting=waits[arm],
        )
        for arm, name in enumerate(names)
    }
    random = np.random.default_rng(seed)
    against = {
        name: gini_difference(matched[:, arm], matched[:, 0], random, resamples)
        for arm, name in enumerate(names)
        if arm
    }
    return SellerSide(len(shown), arms, against)


def concentration(counts: Counts) -> Concentration:
    """The concentration of counts (sellers,) int64."""
    total = int(counts.sum())
    if not total:
        return Concentration(0, np.nan, np.nan, ())
    ordered = np.sort(counts)
    sums = np.concatenate([[0], np.cumsum(ordered)]) / total
    steps = np.linspace(0, 1, 21)
    curve = np.interp(steps, np.linspace(0, 1, len(sums)), sums)
    top = max(round(len(counts) / 100), 1)
    lorenz = tuple((float(x), float(y)) for x, y in zip(steps, curve, strict=True))
    return Concentration(total, gini(ordered, np.ones(len(ordered))), float(1 - sums[-1 - top]), lorenz)


def gini(ordered: NDArray[Any], weights: NDArray[Any]) -> float:
    """The Gini coefficient of ascending totals with weights, each (sellers,) numeric; NaN if the sum is 0.

    One minus twice the area under the Lorenz curve (Gastwirth 1972), by the trapezoidal rule.
    """
    sums = np.cumsum(weights * ordered)
    if not sums[-1]:
        return float("nan")
    below = np.concatenate([[0], sums[:-1]])
    return float(1 - weights @ (sums + below) / (sums[-1] * weights.sum()))


def gini_difference(
    arm: Counts, control: Counts, random: np.random.Generator, resamples: int = RESAMPLES
) -> GiniDifference:
    """The difference for exposures (sellers,) int64 to equally many users; NaN if an arm has none."""
    pair = (arm, control)
    if not all(counts.any() for counts in pair):
        return GiniDifference(np.nan, np.nan, np.nan)
    orders = [np.argsort(counts) for counts in pair]

    def difference(weights: NDArray[Any]) -> float:
        ours, theirs = (gini(x[order], weights[order]) for x, order in zip(pair, orders, strict=True))
        return ours - theirs

    sellers = len(arm)
    drawn = [
        difference(np.bincount(random.integers(0, sellers, sellers), minlength=sellers))
        for _ in range(resamples)
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return GiniDifference(difference(np.ones(sellers)), float(low), float(high))


def _make_tables(clean: CleanLog) -> None:
    """Create `shown`, exposures by arm, item and age, and `sold`, one row for each purchase.

    matched: the exposures to a sample of each arm's users that is as large as the smallest arm.
    """
    users = list(clean.users_per_arm().values())
    smallest = min((count for count in users if count), default=0)
    parts = [smallest / max(count, 1) for count in users]
    clean.columns(f"""
        CREATE OR REPLACE TABLE shown AS
        WITH counted AS (
            SELECT s.row, s.arm, s.time,
                   hash(u.user_id) % 1000000 < 1e6 * list_extract({parts}, s.arm) AS matched
            FROM slates s JOIN users u USING (user_id)
            WHERE s.reason IS NULL AND s.arm IS NOT NULL AND u.excluded IS NULL AND NOT u.bot
        ), positions AS (
            SELECT c.arm, c.time, c.matched, unnest(i.items) AS shown
            FROM raw.impressions i JOIN counted c ON i.row = c.row
        ), described AS (
            SELECT arm, time, matched, hash(shown.item_id) AS item, {amount("shown.price")} AS price,
                   CASE WHEN shown.seller_id IS NOT NULL THEN hash(shown.seller_id) END AS seller,
                   make_timestamp(epoch_us(shown.created_at)) AS listed
            FROM positions
        )
        SELECT arm, item, {_age("time", "listed")} AS age, count(*) AS count,
               count(*) FILTER (matched) AS matched, min(time) AS first,
               min(seller) AS seller, min(price) AS price, min(listed) AS listed
        FROM described GROUP BY ALL
        """)
    clean.columns(f"""
        CREATE OR REPLACE TABLE sold AS
        WITH listings AS (SELECT item, min(listed) AS listed FROM shown GROUP BY item)
        SELECT u.arm, e.seller, e.amount AS price, 1 AS count, {_age("e.time", "l.listed")} AS age
        FROM purchases e JOIN users u USING (user_id) LEFT JOIN listings l USING (item)
        WHERE e.reason IS NULL AND u.excluded IS NULL AND NOT u.bot
              AND (e.arm IS NOT NULL OR e.time >= u.first)
        """)


def _age(time: str, listed: str) -> str:
    """SQL for the index of an age in `AGES`."""
    under = " ".join(
        f"WHEN epoch_us({time}) - epoch_us({listed}) < {days * 86_400_000_000} THEN {number}"
        for number, days in enumerate((1, 7, 30))
    )
    return f"(CASE WHEN {listed} IS NULL THEN 4 {under} ELSE 3 END)::UTINYINT"


def _by_seller(clean: CleanLog, arms: int) -> tuple[Counts, Counts, Counts]:
    """Exposures, sales, and exposures to equally many users of each arm, each (sellers, arms) int64."""
    found = clean.columns("""
        SELECT seller, arm, sum(exposed)::BIGINT AS exposed, sum(units)::BIGINT AS units,
               sum(matched)::BIGINT AS matched
        FROM (
            SELECT seller, arm, count AS exposed, 0 AS units, matched FROM shown
            UNION ALL SELECT seller, arm, 0, count, 0 FROM sold
        ) WHERE seller IS NOT NULL GROUP BY seller, arm ORDER BY seller, arm
        """)
    sellers, rows = np.unique(found["seller"], return_inverse=True)
    tables = np.zeros((3, len(sellers), arms), dtype=np.int64)
    tables[:, rows, found["arm"].astype(int) - 1] = found["exposed"], found["units"], found["matched"]
    return tables[0], tables[1], tables[2]


def _price_bands(clean: CleanLog) -> tuple[str, Sequence[str]]:
    """Bands between the quartiles of the prices of the items shown, each item counted once: SQL, names."""
    prices = clean.columns("SELECT min(price) AS price FROM shown WHERE price IS NOT NULL GROUP BY item")
    if not prices["price"].size:
        return "0", ("unknown",)
    bounds = np.quantile(prices["price"], QUARTILES, method="higher").tolist()
    return band_number(bounds), band_names(bounds)


def _shares(clean: CleanLog, table: str, number: str, names: Sequence[str]) -> list[dict[str, float]]:
    """For each arm, name to share, without names that no arm has. number: SQL for the index in `names`."""
    found = clean.columns(f"""
        SELECT number, arm, sum(count) / sum(sum(count)) OVER (PARTITION BY arm) AS share
        FROM (SELECT {number} AS number, arm, count FROM {table}) GROUP BY number, arm
        """)
    shares = dict(zip(zip(found["number"], found["arm"], strict=True), found["share"].tolist(), strict=True))
    present = sorted({int(number) for number, _ in shares})
    return [
        {names[number]: shares.get((number, arm), 0.0) for number in present}
        for arm in range(1, len(clean.experiment.arms) + 1)
    ]


def _waits(clean: CleanLog, arms: int) -> list[Waiting]:
    """The waiting times of each arm."""
    found = clean.columns(f"""
        SELECT arm, item, greatest(epoch(min(first)) - epoch(min(listed)), 0) / 3600 AS hours FROM shown
        WHERE listed >= TIMESTAMP '{clean.window.start}' GROUP BY arm, item
        """)
    listings = len(np.unique(found["item"]))
    return [_waiting(found["hours"][np.equal(found["arm"], arm + 1)], listings) for arm in range(arms)]


def _waiting(hours: NDArray[np.float64], listings: int) -> Waiting:
    """Summary of the hours (shown,) float64 of an arm. listings: number of new listings shown by any arm."""
    low, middle, high = np.quantile(hours, QUARTILES) if hours.size else (np.nan,) * 3
    never = 1 - len(hours) / listings if listings else np.nan
    return Waiting(len(hours), (float(low), float(middle), float(high)), never)
