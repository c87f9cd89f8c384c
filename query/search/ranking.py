"""Scores: the sum of the ranking terms of `query.search.terms`, weighted for one encoder.

    score = similarity + category + price + …

The builder sends the terms to Elasticsearch; the same terms in Python explain its answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mappings.errors import ContractError
from mappings.identity import EncoderIdentity
from mappings.listing import ListingDocument
from query.search.terms import TERMS
from query.search.terms.term import Clause, Columns, Floats, Term

Weights = Mapping[str, float]
"""Name of a term to its weight, in the encoder's spreads of similarity."""

DEFAULT_WEIGHTS: Weights = {term.name: term.weight for term in TERMS}


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
    adjustable = [term.name for term in TERMS if term.adjustable]
    for name in chosen:
        if name not in adjustable:
            raise UnknownTerm(
                f"no weight can be set for `{name}`; the ranking terms are {', '.join(adjustable)}"
            )
    return {**DEFAULT_WEIGHTS, **chosen}


@dataclass(frozen=True)
class Calibration:
    """The weight of each term for one encoder, on the scale of the cosine."""

    weights: Weights
    min_similarity: float = 0.0
    """The least cosine of an item that is shown; 0 for none."""

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
            for term in _ranking(with_vector)
            for clause in term.functions(item, self.weights[term.name])
        ]

    def values(self, items: Columns, candidates: Columns, *, with_vector: bool = True) -> dict[str, Floats]:
        """The values of each term by name: (items, candidates), in the dtype of the vectors."""
        return {
            term.name: term.values(items, candidates, self.weights[term.name])
            for term in _ranking(with_vector)
        }

    def scores(self, items: Columns, candidates: Columns) -> Floats:
        """(items, candidates) sums of all terms, in the dtype of the vectors, added in place for memory."""
        first, *others = TERMS
        scores = first.values(items, candidates, self.weights[first.name])
        for term in others:
            scores += term.values(items, candidates, self.weights[term.name])
        return scores


def _ranking(with_vector: bool) -> tuple[Term, ...]:
    """The terms in use: all, or those that need no vector."""
    return tuple(term for term in TERMS if with_vector or not term.needs_vector)


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


def facts(item: ListingDocument, candidate: ListingDocument) -> dict[str, float]:
    """The inputs of each term by name, for an explanation."""
    return {name: fact for term in TERMS for name, fact in term.facts(item, candidate).items()}
