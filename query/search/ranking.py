"""Scores: the sum of the ranking terms of `query.search.terms`, weighted for one encoder.

    score = similarity + category + price + …

The builder sends the terms to Elasticsearch; the same terms in Python explain its answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

import numpy as np

from mappings.errors import ContractError
from mappings.identity import EncoderIdentity
from mappings.listing import ListingDocument
from query.search.duplicates import DuplicateThresholds
from query.search.result_policy import ResultPolicy
from query.search.terms import TERMS
from query.search.terms.category import Category, LearnedSimilarities
from query.search.terms.freshness import HALF_LIFE_DAYS, Freshness
from query.search.terms.popularity import FULL_POPULARITY, Popularity
from query.search.terms.shared_attribute import SharedAttribute
from query.search.terms.term import Clause, Columns, Floats, Term

Weights = Mapping[str, float]
"""Name of a term to its weight, in the encoder's spreads of similarity."""

DEFAULT_WEIGHTS: Weights = {term.name: term.weight for term in TERMS}

ADJUSTABLE: Final = tuple(term.name for term in TERMS if term.adjustable)
"""The terms whose weights may be set."""

ATTRIBUTES: Final = tuple(term.name for term in TERMS if isinstance(term, SharedAttribute))
"""The terms that `attribute_boost` multiplies."""


FLOOR_SPREADS: Final = 0.4
"""How far above the mean cosine of an item's nearest hundred the floor lies, in spreads: there a neighbour is
as likely of another leaf category as of the same (docs/decisions/159-floor-of-similarity.md)."""


class UnknownTerm(ContractError):
    """A weight for something that is no ranking term, or whose weight is fixed."""


def weights_with(chosen: Weights) -> Weights:
    """The default weights, some of them replaced.

    Raises:
        UnknownTerm: a name is not that of a term with a configurable weight.
    """
    for name in chosen:
        if name not in ADJUSTABLE:
            raise UnknownTerm(
                f"no weight can be set for `{name}`; the ranking terms are {', '.join(ADJUSTABLE)}"
            )
    return {**DEFAULT_WEIGHTS, **chosen}


@dataclass(frozen=True)
class Calibration:
    """The weight of each term for one encoder, on the scale of the cosine."""

    weights: Weights
    min_similarity: float = 0.0
    """The least cosine of an item that is shown; 0 for none."""
    duplicates: DuplicateThresholds = field(default_factory=DuplicateThresholds)
    terms: tuple[Term, ...] = TERMS

    @classmethod
    def of(cls, encoder: EncoderIdentity, weights: Weights = DEFAULT_WEIGHTS) -> Calibration:
        """The weights for an encoder, from the spread that its index records."""
        spread = encoder.similarity_spread
        scaled = {term.name: term.on_cosine_scale(weights[term.name], spread) for term in TERMS}
        return cls(scaled, max(0.0, encoder.similarity_mean + FLOOR_SPREADS * spread))

    def functions(self, item: ListingDocument, *, with_vector: bool) -> list[Clause]:
        """The functions that add every term to Elasticsearch's score of the photos."""
        return [
            clause
            for term in self._in_use(with_vector)
            for clause in term.functions(item, self.weights[term.name])
        ]

    def values(self, items: Columns, candidates: Columns, *, with_vector: bool = True) -> dict[str, Floats]:
        """The values of each term by name: (items, candidates), in the dtype of the vectors."""
        return {
            term.name: term.values(items, candidates, self.weights[term.name])
            for term in self._in_use(with_vector)
        }

    def scores(self, items: Columns, candidates: Columns) -> Floats:
        """(items, candidates) sums of all terms, in the dtype of the vectors, added in place for memory."""
        first, *others = self.terms
        scores = first.values(items, candidates, self.weights[first.name])
        for term in others:
            scores += term.values(items, candidates, self.weights[term.name])
        return scores

    def facts(self, item: ListingDocument, candidate: ListingDocument) -> dict[str, float]:
        """The inputs of each term that has a weight, by name, for an explanation."""
        weighed = (term for term in self.terms if self.weights[term.name])
        return {name: fact for term in weighed for name, fact in term.facts(item, candidate).items()}

    def _in_use(self, with_vector: bool) -> tuple[Term, ...]:
        """All terms, or those that need no vector."""
        return tuple(term for term in self.terms if with_vector or not term.needs_vector)


@dataclass(frozen=True)
class Ranking:
    """How candidates are ranked: the defaults, or what a ranking file says."""

    weights: Weights = field(default_factory=lambda: DEFAULT_WEIGHTS)
    min_similarity: float | None = None
    """The least cosine of an item that is shown; None for FLOOR_SPREADS above the encoder's mean."""
    duplicates: DuplicateThresholds = field(default_factory=DuplicateThresholds)
    learned: LearnedSimilarities = field(default_factory=dict)
    """What categories have in common that their paths do not say."""
    half_life_days: float = HALF_LIFE_DAYS
    full_popularity: float = FULL_POPULARITY
    name: str = "default"
    encoder_id: str | None = None
    """The encoder that it was fitted for; None for any."""
    otherwise: Ranking | None = None
    """What ranks an index of another encoder."""

    def with_weights(self, chosen: Weights) -> Ranking:
        """The same ranking, some of its weights replaced."""
        otherwise = self.otherwise.with_weights(chosen) if self.otherwise else None
        return replace(self, weights={**self.weights, **chosen}, otherwise=otherwise)

    def objection(self, index: str, encoder: EncoderIdentity) -> str | None:
        """Why it cannot rank an index, or None if it can."""
        if self.encoder_id in {None, encoder.encoder_id}:
            return None
        return (
            f"the ranking {self.name} is for the encoder {self.encoder_id}, "
            f"{index} has {encoder.encoder_id}; name a ranking file for that encoder"
        )

    def applied_to(self, index: str, encoder: EncoderIdentity) -> Ranking:
        """What ranks an index: this ranking, or the one for other encoders."""
        return self if self.objection(index, encoder) is None else self.otherwise or Ranking()

    def calibrated(
        self,
        encoder: EncoderIdentity,
        policy: ResultPolicy = ResultPolicy(),  # noqa: B008  # frozen
        now: datetime | None = None,
    ) -> Calibration:
        """The terms and weights for an encoder, under the rules of a request.

        now: what ages count from; None for the current hour.
        """
        calibration = Calibration.of(encoder, self._weights_under(policy))
        floor = calibration.min_similarity if self.min_similarity is None else self.min_similarity
        terms = tuple(self._with_parameters(term, now) for term in TERMS)
        return replace(calibration, min_similarity=floor, duplicates=self.duplicates, terms=terms)

    def _weights_under(self, policy: ResultPolicy) -> Weights:
        boosted = {name: self.weights[name] * policy.attribute_boost for name in ATTRIBUTES}
        asked = {Freshness.name: policy.freshness, Popularity.name: policy.popularity}
        given = {name: weight for name, weight in asked.items() if weight is not None}
        return {**self.weights, **boosted, **given}

    def _with_parameters(self, term: Term, now: datetime | None) -> Term:
        """The term with what this ranking says of it beside its weight."""
        if isinstance(term, Category):
            return Category(self.learned)
        if isinstance(term, Freshness):
            return Freshness(now, self.half_life_days)
        return Popularity(self.full_popularity) if isinstance(term, Popularity) else term


def term_values(
    calibration: Calibration,
    item: ListingDocument,
    candidates: Sequence[ListingDocument],
    *,
    with_vector: bool,
    vectors: Floats | None = None,
) -> list[dict[str, float]]:
    """The value of each term by name, for each candidate, rounded to the six decimals shown."""
    if not candidates:
        return []
    asked = Columns.of([item], with_vectors=with_vector)
    found = Columns.of(candidates, with_vectors=with_vector, vectors=vectors)
    values = calibration.values(asked, found, with_vector=with_vector)
    rows = {name: np.round(value[0], 6).tolist() for name, value in values.items()}
    return [{name: row[place] for name, row in rows.items()} for place in range(len(candidates))]
