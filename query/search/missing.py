"""Why given items are not in an answer: the first thing that keeps each out, with its figures.

The answer and the items' documents are known, so nothing is searched. An item that the search did not return
is put to the rules as if it had.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np
import orjson

from mappings.listing import ListingDocument, Status, category_paths
from mappings.values import CATEGORY_SEPARATOR
from query.search.hits import Hit, RankedHit, ranked
from query.search.policy import Rule, Selection, cap_for, filled_up, select
from query.search.request import SimilarRequest
from query.search.similar import SimilarItems, query_vector


class Reason(StrEnum):
    """Where an item is, or what keeps it out of an answer."""

    SHOWN = "shown"
    SHOWN_EARLIER = "shown_earlier"
    UNKNOWN_ITEM = "unknown_item"
    IS_THE_ITEM = "is_the_item"
    NOT_ON_SALE = "not_on_sale"
    OTHER_CURRENCY = "other_currency"
    OUT_OF_BAND = "out_of_band"
    FILTERED = "filtered"
    NO_VECTOR = "no_vector"
    MIN_SIMILARITY = "min_similarity"
    DUPLICATE_OF_ITEM = "duplicate_of_item"
    COLLAPSE_DUPLICATES = "collapse_duplicates"
    SELLER_CAP = "seller_cap"
    OUTRANKED = "outranked"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True)
class Missing:
    """Why one item is not in an answer."""

    item_id: str
    reason: Reason
    message: str
    figures: dict[str, int | float | str] = field(default_factory=dict)


def explain_missing(found: SimilarItems) -> tuple[Missing, ...]:
    """Return the reason for each item that was asked about."""
    return tuple(_reason(found, item_id, document) for item_id, document in found.asked_about.items())


def _reason(found: SimilarItems, item_id: str, document: ListingDocument | None) -> Missing:
    first = found.query.shown_before + 1
    ranks = {hit.document.item_id: rank for rank, hit in enumerate(found.hits, start=first)}
    if item_id in ranks:
        rank = ranks[item_id]
        return Missing(item_id, Reason.SHOWN, f"It is shown, at rank {rank}.", {"rank": rank})
    if found.has_shown(item_id):
        return Missing(item_id, Reason.SHOWN_EARLIER, "It is shown on a page before this one.")
    if document is None:
        return Missing(item_id, Reason.UNKNOWN_ITEM, "The index has no such item.")
    case = Case(found, document)
    reasons = (reason for check in _CHECKS if (reason := check(case)))
    return next(reasons, None) or _outranked(case)


@dataclass(frozen=True)
class Case:
    """An item that an answer does not show."""

    found: SimilarItems
    document: ListingDocument

    @property
    def by_vector(self) -> bool:
        """Whether the answer is by the item's photo, and not a fallback."""
        return query_vector(self.found.query.item) is not None

    def because(self, reason: Reason, message: str, **figures: float | str) -> Missing:
        """Return a reason for this item."""
        return Missing(self.document.item_id, reason, message, figures)

    @cached_property
    def hit(self) -> RankedHit:
        """The item with its score: as the search returned it, or from its document."""
        candidates = self.found.selection.window.candidates
        known = (each for each in candidates if each.document.item_id == self.document.item_id)
        return next(known, None) or self._scored()

    def _scored(self) -> RankedHit:
        vector = np.array(self.document.vector, np.float32) if self.by_vector else None
        further = np.array(self.document.further_photos, np.float32) if self.document.further_photos else None
        query, hit = self.found.query, Hit(self.document, vector, further)
        return ranked(query.calibration, query.item, [hit], with_vector=self.by_vector)[0]

    @cached_property
    def selection(self) -> Selection:
        """The answer's selection; for an item that the search did not return, as if it had."""
        known, query = self.found.selection, self.found.query
        if any(each is self.hit for each in known.window.candidates):
            return known
        candidates = sorted((*known.window.candidates, self.hit), key=self._place)
        window = known.window
        thresholds = query.calibration.duplicates
        chosen = select(candidates, query.item, window.policy, query.wanted, window.floor, thresholds)
        return filled_up(chosen, query.wanted)

    def _place(self, hit: RankedHit) -> tuple[float, float, str]:
        newest = 0.0 if self.by_vector else -hit.document.created_at.timestamp()
        return -hit.score, newest, hit.document.item_id


def _is_the_item(case: Case) -> Missing | None:
    if case.document.item_id != case.found.query.item.item_id:
        return None
    return case.because(Reason.IS_THE_ITEM, "It is the item itself.")


def _not_on_sale(case: Case) -> Missing | None:
    status = case.document.status
    if status is Status.ON_SALE:
        return None
    return case.because(Reason.NOT_ON_SALE, f"Its status is {status.value}.", status=status.value)


def _other_currency(case: Case) -> Missing | None:
    own, asked = case.document.currency, case.found.query.item.currency
    if own == asked:
        return None
    return case.because(
        Reason.OTHER_CURRENCY, f"Its price is in {own}, the item's in {asked}.", currency=own, expected=asked
    )


def _out_of_band(case: Case) -> Missing | None:
    price, band = case.document.price, case.found.band
    if price in band:
        return None
    low, high = round(band.low, 2), round(band.high, 2)
    own = {} if price is None else {"price": price}
    found = "Without a price, it" if price is None else f"Its price of {price:.2f}"
    message = f"{found} is outside the band from {low:.2f} to {high:.2f}."
    return case.because(Reason.OUT_OF_BAND, message, **own, low=low, high=high)


def _filtered(case: Case) -> Missing | None:
    for name, kept, own in unmet_filters(case.found.query.request, case.document):
        message = f"The filter `{name}` keeps {kept}, and the item has {own}."
        return case.because(Reason.FILTERED, message, filter=name, kept=kept, found=own)
    return None


def unmet_filters(request: SimilarRequest, document: ListingDocument) -> Iterator[tuple[str, str, str]]:
    """Return each filter of a request that leaves a document out: parameter, what it keeps, the item's."""
    if request.category and request.category not in category_paths(document.category):
        yield "category", request.category, CATEGORY_SEPARATOR.join(document.category)
    for attribute in request.attribute:
        name = attribute.partition(":")[0]
        value = document.attributes.get(name, ())
        values = value if isinstance(value, list | tuple) else [value]
        own = [f"{name}:{_indexed_text(each)}" for each in values]
        if not set(own) & set(request.spellings.get(attribute, (attribute,))):
            yield "attribute", attribute, ", ".join(own) or f"no {name}"
    if document.seller_id in request.exclude_seller:
        yield "exclude_seller", f"not {document.seller_id}", document.seller_id


def _indexed_text(value: object) -> str:
    """Return the text by which Elasticsearch indexes a value: its JSON, without quotes."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _no_vector(case: Case) -> Missing | None:
    if not case.by_vector or case.document.vector is not None:
        return None
    problem = case.document.photo_problem or "not_encoded"
    message = f"Its photo has no vector to compare ({problem})."
    return case.because(Reason.NO_VECTOR, message, photo_problem=problem)


def _removed(case: Case) -> Missing | None:
    rule = case.selection.removed.get(case.document.item_id)
    return None if rule is None else _RULES[rule](case)


def _below_floor(case: Case) -> Missing:
    similarity, floor = case.hit.similarity or 0.0, round(case.selection.window.floor, 6)
    message = f"Its similarity of {similarity:.3f} is below the floor of {floor:.3f}."
    return case.because(Reason.MIN_SIMILARITY, message, similarity=similarity, floor=floor)


def _duplicate_of_item(case: Case) -> Missing:
    message = "Its photo is nearly the same as the item's."
    return case.because(Reason.DUPLICATE_OF_ITEM, message, **_similarity(case))


def _collapsed(case: Case) -> Missing:
    other = case.selection.behind[case.document.item_id]
    message = f"Its photo is nearly the same as that of {other!r}, which ranks higher."
    return case.because(Reason.COLLAPSE_DUPLICATES, message, by=other, score=case.hit.score)


def _over_cap(case: Case) -> Missing:
    cap = cap_for(case.selection.window.policy.seller_cap, case.found.query.wanted)
    message = f"The {cap} items of its seller that may be shown rank higher."
    return case.because(
        Reason.SELLER_CAP, message, seller_id=case.document.seller_id, cap=cap, score=case.hit.score
    )


def _outranked(case: Case) -> Missing:
    """Return the reason for an item that no rule removed."""
    score, last = case.hit.score, min((hit.score for hit in case.found.hits), default=0.0)
    figures = {"score": score, "last_score": last, **_similarity(case)}
    names = [hit.document.item_id for hit in case.selection.window.candidates]
    rank = names.index(case.document.item_id) + 1
    if case.selection is case.found.selection:
        message = (
            f"Its score of {score:.3f} is rank {rank} of {len(names)}; the last item shown has {last:.3f}."
        )
        return case.because(Reason.OUTRANKED, message, rank=rank, candidates=len(names), **figures)
    shown = {hit.document.item_id for hit in case.selection.shown}
    if case.document.item_id not in shown:
        message = f"Its score is {score:.3f}, and the last item shown has {last:.3f}."
        return case.because(Reason.OUTRANKED, message, **figures)
    message = (
        f"Its score of {score:.3f} would be shown, but the search did not return it: "
        "it was written within the last seconds, or the approximate search missed it."
    )
    return case.because(Reason.NOT_REACHED, message, **figures)


def _similarity(case: Case) -> dict[str, float]:
    return {} if case.hit.similarity is None else {"similarity": case.hit.similarity}


_CHECKS: tuple[Callable[[Case], Missing | None], ...] = (
    _is_the_item,
    _not_on_sale,
    _other_currency,
    _out_of_band,
    _filtered,
    _no_vector,
    _removed,
)

_RULES: Mapping[Rule, Callable[[Case], Missing]] = {
    Rule.MIN_SIMILARITY: _below_floor,
    Rule.DUPLICATE_OF_ITEM: _duplicate_of_item,
    Rule.COLLAPSE_DUPLICATES: _collapsed,
    Rule.SELLER_CAP: _over_cap,
}
