"""What would be measured with endless users: the expected CTR and CVR of every encoder, by the ground truth.

On a sample of the slates that people are shown, each encoder ranks the same query item for the same user at
the same moment, and the probabilities of taps are added up: no chance is left in a slate, and none between
encoders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from demo.simulation.behaviour import Draws, attraction, examination, purchase_probability, tap_probability
from demo.simulation.columns import Seconds
from demo.simulation.market import Market, Slates
from demo.simulation.rankers import Ranker
from demo.simulation.ranking import rank
from demo.simulation.stock import Stock
from experiments.assignment.assign import NOBODYS

SAMPLE: Final = 60
"""Slates a tick."""


@dataclass(frozen=True)
class Expected:
    """Of one encoder."""

    ctr: float
    """Taps per slate, without injected lifts."""
    cvr_clicks: float
    """Purchases per tap, if nobody else buys the item meanwhile."""
    ctr_lift: float
    """Over the first, relative, without injected lifts."""
    ctr_lift_error: float
    """Its standard error: the sample is finite."""


@dataclass
class Expectation:
    """Adds up what each encoder would get; hand `watch` to `simulate`."""

    market: Market
    rankers: Mapping[str, Ranker]
    """By name; the first is what the others are compared with."""
    sample: int = SAMPLE
    _taps: list[Seconds] = field(default_factory=list)
    """(rankers, slates) each."""
    _purchases: list[Seconds] = field(default_factory=list)

    def watch(self, slates: Slates, stock: Stock, draws: Draws) -> None:
        """Takes a tick's first slates of people in the experiment, without testers."""
        market = self.market
        human = ~market.buyers.bot[slates.user] & ~slates.override & (slates.arm != NOBODYS)
        taken = np.flatnonzero(human)[: self.sample]
        shelf = stock.shelf(float(slates.moment[0])) if len(taken) else None
        if shelf is None:
            return
        size, one = market.truth.slate_length, np.ones(len(taken), dtype=np.float32)
        nobody = np.zeros(len(taken), dtype=bool)
        user, query = slates.user[taken], slates.query[taken]
        examined = examination(market.truth, draws.depth[taken], slates.nth[taken])
        taps, purchases = [], []
        for ranker in self.rankers.values():
            items = rank(ranker, stock, shelf, query, size=size, depth=size)
            pull = attraction(market.truth, stock, market.buyers, user, query, items)
            tap = tap_probability(market.truth, examined, pull, nobody, one)
            taps.append(tap.sum(axis=1))
            purchases.append((tap * purchase_probability(market.truth, pull, nobody, one)).sum(axis=1))
        self._taps.append(np.array(taps, dtype=np.float64))
        self._purchases.append(np.array(purchases, dtype=np.float64))

    @property
    def slates(self) -> int:
        """How many were taken."""
        return sum(taps.shape[1] for taps in self._taps)

    def expected(self) -> dict[str, Expected]:
        """By encoder; empty where no slate was taken."""
        if not self._taps:
            return {}
        taps = np.concatenate(self._taps, axis=1)
        purchases = np.concatenate(self._purchases, axis=1)
        return {
            name: Expected(
                ctr=float(taps[number].mean()),
                cvr_clicks=float(purchases[number].sum() / taps[number].sum()),
                ctr_lift=float(taps[number].sum() / taps[0].sum() - 1),
                ctr_lift_error=_ratio_error(taps[number], taps[0]),
            )
            for number, name in enumerate(self.rankers)
        }

    def to_json(self) -> dict[str, Any]:
        """truth.json: what each encoder and each arm would get."""
        expected, truth = self.expected(), self.market.truth
        arms = {}
        for number, arm in enumerate(self.market.experiment.arms):
            tap, purchase = (truth.tap_lift, truth.purchase_lift) if number else (1.0, 1.0)
            if arm.name in expected:
                of = expected[arm.name]
                arms[arm.name] = {
                    "ctr": of.ctr * tap,
                    "cvr_clicks": of.cvr_clicks * purchase,
                    "ctr_lift": (1 + of.ctr_lift) * tap - 1,
                }
        return {
            "simulated": "expected under the stated ground truth; no user was asked",
            "slates": self.slates,
            "encoders": {name: of.__dict__ for name, of in expected.items()},
            "order": sorted(expected, key=lambda name: -expected[name].ctr),
            "arms": arms,
        }


def _ratio_error(above: Seconds, below: Seconds) -> float:
    """The standard error of sum(above) / sum(below) over the same slates, by the delta method."""
    ratio = above.sum() / below.sum()
    return float((above - ratio * below).std() / below.mean() / len(above) ** 0.5)
