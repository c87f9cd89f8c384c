"""The expected CTR and CVR of every encoder under the ground truth, without sampling of users.

On a sample of slates, each encoder ranks the same query item for the same user at the same moment, and the
probabilities of taps are added up: only the choice of slates is random.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from demo.simulation.columns import Seconds
from demo.simulation.market.behaviour import (
    Draws,
    attraction,
    examination,
    purchase_probability,
    tap_probability,
)
from demo.simulation.market.market import Market, Slates
from demo.simulation.market.rankers import Ranker
from demo.simulation.market.ranking import rank
from demo.simulation.market.stock import Stock
from experiments.assignment.assign import NO_ARM

SAMPLE: Final = 60
"""Slates a tick."""


@dataclass
class Expectation:
    """Adds up what each encoder would get; pass `watch` to `simulate`."""

    market: Market
    rankers: Mapping[str, Ranker]
    """By name; the first is what the others are compared with."""
    sample: int = SAMPLE
    _taps: list[Seconds] = field(default_factory=list)
    """(rankers, slates) each."""
    _purchases: list[Seconds] = field(default_factory=list)

    def watch(self, slates: Slates, stock: Stock, draws: Draws) -> None:
        """Add the first slates of a tick, of people in the experiment without testers."""
        market = self.market
        human = ~market.buyers.bot[slates.user] & ~slates.override & (slates.arm != NO_ARM)
        taken = np.flatnonzero(human)[: self.sample]
        shelf = stock.shelf(float(slates.moment[0])) if len(taken) else None
        if shelf is None:
            return
        size, one = market.truth.slate_length, np.ones(len(taken), dtype=np.float32)
        no_bots = np.zeros(len(taken), dtype=bool)
        user, query = slates.user[taken], slates.query[taken]
        examined = examination(market.truth, draws.depth[taken], slates.nth[taken])
        taps, purchases = [], []
        for ranker in self.rankers.values():
            items = rank(ranker, stock, shelf, query, size=size, depth=size)
            pull = attraction(market.truth, stock, market.buyers, user, query, items)
            tap = tap_probability(market.truth, examined, pull, no_bots, one)
            taps.append(tap.sum(axis=1))
            purchases.append((tap * purchase_probability(market.truth, pull, no_bots, one)).sum(axis=1))
        self._taps.append(np.array(taps, dtype=np.float64))
        self._purchases.append(np.array(purchases, dtype=np.float64))

    @property
    def slates(self) -> int:
        """Number of slates that were taken."""
        return sum(taps.shape[1] for taps in self._taps)

    def by_encoder(self) -> dict[str, dict[str, float]]:
        """Return expected rates by encoder, without injected lifts; empty without slates.

        ctr: taps per slate. ctr_lift: relative to the first encoder; ctr_lift_error: its standard error.
        cvr_clicks: purchases per tap, if no other user buys the item meanwhile.
        """
        if not self._taps:
            return {}
        taps, purchases = (np.concatenate(each, axis=1) for each in (self._taps, self._purchases))
        return {
            name: {
                "ctr": float(own.mean()),
                "cvr_clicks": float(bought.sum() / own.sum()),
                "ctr_lift": float(own.sum() / taps[0].sum() - 1),
                "ctr_lift_error": _ratio_error(own, taps[0]),
            }
            for name, own, bought in zip(self.rankers, taps, purchases, strict=True)
        }

    def to_json(self) -> dict[str, Any]:
        """Return the content of truth.json: what each encoder and each arm would get."""
        encoders, truth = self.by_encoder(), self.market.truth
        arms = {}
        for number, arm in enumerate(self.market.experiment.arms):
            tap, purchase = (truth.tap_lift, truth.purchase_lift) if number else (1.0, 1.0)
            if of := encoders.get(arm.name):
                arms[arm.name] = {
                    "ctr": of["ctr"] * tap,
                    "cvr_clicks": of["cvr_clicks"] * purchase,
                    "ctr_lift": (1 + of["ctr_lift"]) * tap - 1,
                }
        return {
            "simulated": "expected under the ground truth; no real users",
            "slates": self.slates,
            "encoders": encoders,
            "order": sorted(encoders, key=lambda name: -encoders[name]["ctr"]),
            "arms": arms,
        }


def _ratio_error(above: Seconds, below: Seconds) -> float:
    """Return the standard error of sum(above) / sum(below) over the same slates, by the delta method."""
    ratio = above.sum() / below.sum()
    return float((above - ratio * below).std() / below.mean() / len(above) ** 0.5)
