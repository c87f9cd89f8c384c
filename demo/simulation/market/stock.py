"""What is on sale when: arrivals, sales, relistings and copied photos."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from demo.simulation.columns import Rows, Seconds
from demo.simulation.ground_truth import GroundTruth
from demo.simulation.market.catalogue import Catalogue

DAY: Final = 86_400.0
NEVER: Final = np.inf
RELISTED_AFTER: Final = 14 * DAY
"""Before that, a seller waits for the first listing to sell."""
RELISTED_PRICE: Final = 0.9


@dataclass(frozen=True)
class Shelf:
    """What is on sale at one moment, cheapest first."""

    moment: float
    """Seconds since 1970."""
    rows: Rows
    """(M,) of the stock."""
    price: Seconds
    """(M,) ascending."""


@dataclass
class Stock:
    """Every listing that was or is on sale: those of the catalogue, then relistings and copies."""

    catalogue: Catalogue
    base: Rows
    """(R,) the row of the catalogue whose attributes and photo a listing has."""
    price: Seconds
    """(R,) yen."""
    listed_at: Seconds
    """(R,) seconds since 1970; NEVER for a row that is not used yet."""
    gone_at: Seconds
    """(R,) when it was sold or withdrawn; NEVER while it is on sale."""
    popularity: Seconds
    """(R,) relative frequency at which its page is found."""
    item_ids: list[str] = field(default_factory=list)
    sellers: list[str] = field(default_factory=list)

    @classmethod
    def opening(cls, catalogue: Catalogue, truth: GroundTruth, start: float, days: int, seed: int) -> Stock:
        """Return the stock of the first day. The last listings of the catalogue arrive within the days."""
        count = len(catalogue)
        rng = np.random.default_rng([seed, 3])
        arriving = min(count // 2, round(count * truth.arrivals * days))
        made = days * (_daily(count, truth.relistings) + _daily(count, truth.copies))
        age = catalogue.age - catalogue.age[: count - arriving].min()
        listed_at = np.concatenate([start - age, np.full(made, NEVER)])
        listed_at[count - arriving : count] = start + np.sort(rng.random(arriving)) * days * DAY
        return cls(
            catalogue=catalogue,
            base=np.concatenate([np.arange(count), np.zeros(made, dtype=np.int64)]),
            price=np.concatenate([catalogue.price, np.zeros(made)]),
            listed_at=listed_at,
            gone_at=np.full(count + made, NEVER),
            popularity=rng.lognormal(0, 1, count + made),
            item_ids=list(catalogue.item_ids),
            sellers=list(catalogue.sellers),
        )

    @property
    def kind(self) -> NDArray[np.int32]:
        """(R,) the category of each."""
        return self.catalogue.kind[self.base]

    def shelf(self, moment: float) -> Shelf:
        """Return what is on sale at a moment."""
        rows = np.flatnonzero((self.listed_at <= moment) & (self.gone_at > moment))
        rows = rows[np.argsort(self.price[rows], kind="stable")]
        return Shelf(moment, rows, self.price[rows])

    def simulate_sellers(self, day: float, truth: GroundTruth, rng: np.random.Generator) -> None:
        """Relist what has waited long, and copy photos of others, on one day."""
        waiting = np.flatnonzero((self.listed_at <= day - RELISTED_AFTER) & (self.gone_at == NEVER))
        shown = np.flatnonzero((self.listed_at <= day) & (self.gone_at == NEVER))
        count = len(self.catalogue)
        for source in _some(waiting, _daily(count, truth.relistings), rng):
            moment = day + rng.random() * DAY
            self.gone_at[source] = moment
            price = max(1.0, round(self.price[source] * RELISTED_PRICE))
            self._list("relisted", int(source), self.sellers[source], price, moment)
        for source in _some(shown, _daily(count, truth.copies), rng):
            seller = self.sellers[int(rng.integers(count))]
            price = max(1.0, round(self.price[source] * (0.8 + 0.4 * rng.random())))
            self._list("copied", int(source), seller, price, day + rng.random() * DAY)

    def _list(self, why: str, source: int, seller: str, price: float, moment: float) -> None:
        row = len(self.item_ids)
        self.item_ids.append(f"{why}-{row}")
        self.sellers.append(seller)
        self.base[row], self.price[row], self.listed_at[row] = self.base[source], price, moment


def _daily(count: int, share: float) -> int:
    return round(count * share)


def _some(rows: Rows, count: int, rng: np.random.Generator) -> Rows:
    return rng.choice(rows, size=min(count, len(rows)), replace=False)
