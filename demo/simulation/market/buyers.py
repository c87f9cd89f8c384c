"""Buyers, bots and testers: their tastes, their activity, and the pages that they visit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import cos, tau
from typing import Final

import numpy as np

from demo.simulation.columns import Columns, Flags, Floats, Rows, Seconds
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.market.catalogue import Catalogue, normalize
from demo.simulation.market.stock import DAY, Shelf, Stock
from events.user_ids import user_hash

SALT: Final = "simulated"
"""Not a secret: the users do not exist."""
HOURS: Final = np.array(
    [3, 2, 1, 1, 1, 1, 2, 4, 5, 4, 4, 4, 6, 5, 4, 4, 4, 5, 6, 7, 9, 10, 9, 6], dtype=np.float64
)
"""Relative activity by hour of the day: highest in the evening, with a small peak at lunch."""
PAGES_SEEN: Final = 16
"""Pages that a search offers for each that a buyer opens."""
CHOOSINESS: Final = 6.0
"""Weight, in that choice, of the similarity to what the session looks for, against Gumbel noise."""
SECONDS_PER_PAGE: Final = 40.0
MIDWINTER: Final = 15  # day of the year


@dataclass(frozen=True)
class Buyers:
    """U users."""

    user: tuple[str, ...]
    """Hashes of u000001 and so on."""
    taste: Floats
    """(U, d) unit vectors."""
    favourite: Rows
    """(U, favourites) rows of the catalogue."""
    sensitivity: Floats
    """(U,) to the price."""
    activity: Seconds
    """(U,) slates on an ordinary day."""
    bot: Flags
    tester: Flags

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.user)


def draw_buyers(count: int, catalogue: Catalogue, truth: GroundTruth, seed: int) -> Buyers:
    """Return `count` users of this seed."""
    rng = np.random.default_rng([seed, 4])
    favourite = rng.integers(len(catalogue), size=(count, truth.favourites))
    role = rng.random(count)
    bot = role < truth.bot_share
    activity = rng.gamma(truth.activity_shape, truth.slates_per_day / truth.activity_shape, count)
    sensitivity = truth.price_sensitivity * rng.lognormal(0, truth.price_sensitivity_spread, count)
    return Buyers(
        user=tuple(user_hash(SALT, user_id(number)) for number in range(1, count + 1)),
        taste=normalize(catalogue.truth[favourite].mean(axis=1)).astype(np.float32),
        favourite=favourite,
        sensitivity=sensitivity.astype(np.float32),
        activity=np.where(bot, truth.bot_slates_per_day, activity),
        bot=bot,
        tester=~bot & (role < truth.bot_share + truth.tester_share),
    )


def user_id(number: int) -> str:
    """Return the id of user `number` (from 1)."""
    return f"u{number:06d}"


@dataclass(frozen=True)
class Visits(Columns):
    """V pages that users open on a day, in the order of time."""

    user: Rows
    """(V,)"""
    moment: Seconds
    """(V,) seconds since 1970, whole microseconds."""
    nth: Rows
    """(V,) in the session, from 0."""
    target: Rows
    """(V,) the row of the catalogue that the session looks for."""

    def between(self, start: float, end: float) -> Visits:
        """Return those of [start, end)."""
        return self.take(slice(*np.searchsorted(self.moment, [start, end])))


def draw_visits(buyers: Buyers, day: float, truth: GroundTruth, rng: np.random.Generator) -> Visits:
    """Return the visits of the day that starts at `day`, seconds since 1970."""
    weekday = datetime.fromtimestamp(day, UTC).weekday()
    rate = buyers.activity * truth.weekdays[weekday] / truth.slates_per_session
    owner = np.repeat(np.arange(len(buyers)), rng.poisson(rate))
    length = rng.geometric(1 / truth.slates_per_session, len(owner))
    session = np.repeat(np.arange(len(owner)), length)
    nth = np.arange(len(session)) - np.repeat(np.cumsum(length) - length, length)
    hour = rng.choice(len(HOURS), size=len(owner), p=HOURS / HOURS.sum())
    begun = (hour + rng.random(len(owner))) * (DAY / len(HOURS))
    pause = np.where(buyers.bot[owner[session]], 0.5, SECONDS_PER_PAGE) * rng.exponential(size=len(session))
    within = np.cumsum(pause)
    within -= np.repeat(within[np.cumsum(length) - length] if len(length) else [], length)
    # A session that would pass midnight ends in the last minute: each day is simulated by itself.
    moment = day + np.minimum(10 + begun[session] + within, DAY - 60 * rng.random(len(session)))
    favourite = buyers.favourite[owner, rng.integers(truth.favourites, size=len(owner))]
    order = np.argsort(moment, kind="stable")
    return Visits(owner[session][order], np.round(moment[order], 6), nth[order], favourite[session][order])


def open_pages(
    visits: Visits, stock: Stock, shelf: Shelf, truth: GroundTruth, rng: np.random.Generator
) -> Rows:
    """Return the row of the stock whose page each visit opens: (V,) int64.

    Pages are found by search and never by tapping a slate. So which pages are visited does not depend on an
    arm, and a lift injected into taps is the lift of CTR.
    """
    if len(visits) == 0:
        return np.zeros(0, dtype=np.int64)
    weight = np.cumsum(stock.popularity[shelf.rows] * _in_season(stock, shelf, truth))
    drawn = rng.random((len(visits), PAGES_SEEN)) * weight[-1]
    offered = shelf.rows[np.minimum(np.searchsorted(weight, drawn), len(shelf.rows) - 1)]
    vectors = stock.catalogue.truth
    similarity = np.einsum("vd,vpd->vp", vectors[visits.target], vectors[stock.base[offered]])
    best = (CHOOSINESS * similarity + rng.gumbel(size=similarity.shape)).argmax(axis=1)
    return np.asarray(offered[np.arange(len(best)), best])


def _in_season(stock: Stock, shelf: Shelf, truth: GroundTruth) -> Seconds:
    """Return the seasonal interest in each listing of the shelf: (M,) float64."""
    day = datetime.fromtimestamp(shelf.moment, UTC).timetuple().tm_yday
    swing = truth.season * cos(tau * (day - MIDWINTER) / 365.25)
    return 1 + swing * stock.catalogue.season[stock.base[shelf.rows]].astype(np.float64)
