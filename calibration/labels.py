"""Labels: attributes of listings that judge pairs of them, and the candidates that they judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from calibration.documents import Live, documents_of
from calibration.errors import InvalidJudgments
from calibration.judgments import JSON_LINES, Judgments, rows_of, validated
from mappings.listing import AttributeValue, CategoryName, ListingDocument, ListingId
from query.search.ranking import ADJUSTABLE, ATTRIBUTES, Ranking
from query.search.reader import Found
from query.search.request import MAX_SIZE, SimilarRequest
from query.search.result_policy import NO_RULES
from query.search.similar import SimilarService
from query.search.terms import TERMS
from query.search.terms.category import Category
from query.search.terms.shared_attribute import SharedAttribute

CATEGORY: Final = "category"
"""The label that is the leaf category, and no attribute."""

JUDGED_BY: Final = "the labels judge by it"
"""Why a term is not fitted."""

_WINDOW: Final = SimilarRequest(size=MAX_SIZE, rules=NO_RULES)


class Labelled(BaseModel):
    """What of a listing judges it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    item_id: ListingId
    category: Annotated[tuple[CategoryName, ...], Field(min_length=1)]
    attributes: dict[str, AttributeValue] = {}

    def value(self, label: str) -> object:
        """Return the value of a label, or None."""
        return self.category if label == CATEGORY else self.attributes.get(label)


def read_labels(path: Path, labels: Sequence[str]) -> dict[str, Labelled]:
    """Return the listings of a file of JSON lines by id.

    Raises:
        InvalidJudgments: the file cannot be read or has another form, or no listing has one of the labels.
    """
    if path.suffix.lower() not in JSON_LINES:
        raise InvalidJudgments(f"{path}: expected listings as JSON lines, in {' or '.join(JSON_LINES)}")
    listings = {each.item_id: each for each in validated(path, rows_of(path), Labelled)}
    for label in labels:
        if not any(each.value(label) is not None for each in listings.values()):
            known = sorted({name for each in listings.values() for name in each.attributes})
            expected = ", ".join([CATEGORY, *known])
            raise InvalidJudgments(f"{path}: no listing has the label `{label}`; it has {expected}")
    return listings


def grade(item: Labelled, other: Labelled, labels: Sequence[str]) -> float:
    """Return the number of labels that two listings share; 0 in another leaf category.

    Where the leaf category is a label itself, it counts as one of them instead.
    """
    if CATEGORY not in labels and item.category != other.category:
        return 0.0
    values = [(item.value(label), other.value(label)) for label in labels]
    return float(sum(own is not None and own == others for own, others in values))


def fixed_by(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the terms that read what judges: a weight for them would be fitted to itself.

    The category judges every pair, as a label or because another leaf has grade 0.
    """
    reading = [term.name for term in TERMS if isinstance(term, SharedAttribute) and term.attribute in labels]
    return (Category.name, *(name for name in ATTRIBUTES if name in reading))


def judged_by_labels(
    live: Live,
    ranking: Ranking,
    listings: Mapping[str, Labelled],
    labels: Sequence[str],
    items: int,
    seed: int,
) -> Judgments:
    """Return judgments of what the service finds for a sample of the listings.

    Raises:
        NoLiveIndex, SearchUnavailable
    """
    service = SimilarService(live.reader)
    return {
        item.item_id: {
            other: grade(listings[item.item_id], listings[other], labels)
            for other in candidates(service, Found(item, live.index), ranking)
            if other in listings
        }
        for item in islice(sample(live, listings, seed), items)
    }


def sample(live: Live, listings: Mapping[str, Labelled], seed: int) -> Iterator[ListingDocument]:
    """Yield the documents of listings that have a vector, in random order."""
    ids = sorted(listings)
    shuffled = [ids[place] for place in np.random.default_rng(seed).permutation(len(ids))]
    for document in documents_of(live, shuffled):
        if document is not None and document.vector is not None:
            yield document


def candidates(service: SimilarService, found: Found, ranking: Ranking) -> list[str]:
    """Return the ids of the best of an item's price band, by the ranking and by similarity alone.

    By the ranking alone, a term that has a weight now would have chosen all that it is compared on.
    """
    rankings = (ranking, Ranking().with_weights(dict.fromkeys(ADJUSTABLE, 0.0)))
    answers = [
        service.similar_to(found, _WINDOW, service.reader.deadline(), ranking=each) for each in rankings
    ]
    return sorted({hit.document.item_id for answer in answers for hit in answer.hits})
