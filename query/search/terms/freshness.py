"""How new a listing is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from mappings.listing import ListingDocument, isoformat
from query.search.terms.term import Clause, Columns, Floats, Term

HALF_LIFE_DAYS: Final = 30.0
"""Half of the term remains for a listing of this age, where no ranking file says otherwise."""

_DAY_S: Final = 86_400


@dataclass(frozen=True)
class Freshness(Term):
    """The full weight for a new listing, less with its age: weight · 2^-(age / half-life)."""

    name = "freshness"
    weight = 0.0  # off until it is calibrated or set
    needs_vector = True

    now: datetime | None = None
    """The time that ages count from; None for the current hour."""
    half_life_days: float = HALF_LIFE_DAYS

    def functions(self, item: ListingDocument, weight: float) -> list[Clause]:  # noqa: ARG002  see Term
        """An exponential decay of the age, if the term has a weight. It matches every candidate."""
        if not weight:
            return []
        age = {"origin": isoformat(self._now()), "scale": f"{self._half_life_s():.0f}s", "decay": 0.5}
        return [{"exp": {"created_at": age}, "weight": weight}]

    def values(self, items: Columns, candidates: Columns, weight: float) -> Floats:
        """(items, candidates) values by the candidates' ages."""
        if not weight:
            return np.zeros((len(items.price), len(candidates.price)), items.vectors.dtype)
        ages = np.abs(self._now().timestamp() - candidates.created)
        values = weight * np.exp2(-ages / self._half_life_s())
        return np.tile(values.astype(items.vectors.dtype), (len(items.price), 1))

    def facts(self, item: ListingDocument, candidate: ListingDocument) -> Mapping[str, float]:  # noqa: ARG002
        """The candidate's age in days."""
        return {"age_days": round((self._now() - candidate.created_at).total_seconds() / _DAY_S, 2)}

    def _now(self) -> datetime:
        return self.now or next_hour(datetime.now(UTC))

    def _half_life_s(self) -> float:
        """Whole seconds: Elasticsearch's durations have no fractions."""
        return max(1.0, round(self.half_life_days * _DAY_S))


def next_hour(moment: datetime) -> datetime:
    """Return the start of the next hour.

    Requests of one hour send the same time, so shards and copies agree on every age, and an answer is stable
    for an hour. No listing is newer, so of two the newer always has the larger value.
    """
    return moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
