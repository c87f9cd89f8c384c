"""The result policy: which of the best candidates are shown.

The rules apply in this order, each to what the one before has left:

1. `min_similarity`: items below the floor are dropped, so an answer may be short.
2. `collapse_duplicates`: of several listings with near-identical photos the best is shown; of those with the
   photo of the item itself none, unless the item is sold.
3. `diversity`: the order of what is left.
4. `seller_cap`: at most so many of one seller, unless the answer would be short.

All work on one window of candidates, best first (docs/result-policy.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from mappings.listing import ListingDocument, Status
from query.search.duplicates import DuplicateThresholds, near_identical, parse_hashes
from query.search.hits import RankedHit
from query.search.request import DEFAULT_SIZE
from query.search.result_policy import ResultPolicy


class Rule(StrEnum):
    """What took a candidate out of an answer."""

    MIN_SIMILARITY = "min_similarity"
    DUPLICATE_OF_ITEM = "duplicate_of_item"
    COLLAPSE_DUPLICATES = "collapse_duplicates"
    SELLER_CAP = "seller_cap"


@dataclass(frozen=True)
class Window:
    """What an answer was chosen from, and by which rules."""

    candidates: tuple[RankedHit, ...] = ()
    """Best first."""
    policy: ResultPolicy = field(default_factory=ResultPolicy)
    floor: float = 0.0
    """The least cosine; 0 is none."""


@dataclass(frozen=True)
class Selection:
    """An answer, and what the rules took out of it."""

    shown: tuple[RankedHit, ...]
    removed: Mapping[str, Rule] = field(default_factory=dict)
    """Item to the rule that removed it."""
    stands_for: Mapping[str, int] = field(default_factory=dict)
    """Shown item to the number of near-identical listings behind it, where there are any."""
    over_cap: tuple[RankedHit, ...] = ()
    """What the seller cap removed, best first."""
    behind: Mapping[str, str] = field(default_factory=dict)
    """Item that `collapse_duplicates` removed to the one that stands for it."""
    window: Window = Window()

    def counts(self) -> dict[str, int]:
        """The number of candidates that each rule removed, by its name."""
        found = Counter(self.removed.values())
        return {rule.value: found[rule] for rule in Rule}


def select(
    candidates: Sequence[RankedHit],
    item: ListingDocument,
    policy: ResultPolicy,
    size: int,
    floor: float,
    thresholds: DuplicateThresholds,
) -> Selection:
    """The answer of at most `size` items from candidates, best first.

    floor: the least cosine, from the policy or else of the encoder. 0 is none.
    """
    removed: dict[str, Rule] = {}
    left = _above_floor(candidates, floor, removed)
    behind: dict[str, str] = {}
    if policy.collapse_duplicates:
        left = _without_duplicates(left, item, thresholds, removed, behind)
    shown, over_cap = _capped(_ordered(left, policy.diversity), cap_for(policy.seller_cap, size), size)
    removed |= {hit.document.item_id: Rule.SELLER_CAP for hit in over_cap}
    window = Window(tuple(candidates), policy, floor)
    return Selection(
        tuple(shown), removed, Counter(behind.values()), tuple(over_cap), behind=behind, window=window
    )


def filled_up(selection: Selection, size: int) -> Selection:
    """The selection with the best of what the seller cap removed, where it has fewer than `size` items.

    A shop with one seller has whole answers, too.
    """
    back = selection.over_cap[: max(0, size - len(selection.shown))]
    names = {hit.document.item_id for hit in back}
    removed = {name: rule for name, rule in selection.removed.items() if name not in names}
    return replace(selection, shown=(*selection.shown, *back), removed=removed)


def page_of(selection: Selection, has_shown: Callable[[str], bool], size: int) -> Selection:
    """The first `size` items of a selection that no page before has shown."""
    new = (hit for hit in selection.shown if not has_shown(hit.document.item_id))
    return replace(selection, shown=tuple(islice(new, size)))


def cap_for(seller_cap: int, size: int) -> int:
    """The most items of one seller in an answer of this size. A cap is for DEFAULT_SIZE items; 0 is none."""
    return max(seller_cap, seller_cap * size // DEFAULT_SIZE)


def _above_floor(candidates: Iterable[RankedHit], floor: float, removed: dict[str, Rule]) -> list[RankedHit]:
    left = []
    for hit in candidates:
        if floor and hit.similarity is not None and hit.similarity < floor:
            removed[hit.document.item_id] = Rule.MIN_SIMILARITY
        else:
            left.append(hit)
    return left


def _without_duplicates(
    candidates: Sequence[RankedHit],
    item: ListingDocument,
    thresholds: DuplicateThresholds,
    removed: dict[str, Rule],
    behind: dict[str, str],
) -> list[RankedHit]:
    """The first of each group of near-identical photos, without those of the item's own."""
    same = _same_photo(candidates, item, thresholds)
    # Whoever looks at a listing that is sold wants it from another seller.
    of_item = same[0, 1:] if item.status is Status.ON_SALE else np.zeros(len(candidates), dtype=bool)
    earlier = np.tril(same[1:, 1:], -1)
    kept = np.ones(len(candidates), dtype=bool)
    # Most have no near-identical photo: only the others are looked at one by one.
    for place in np.flatnonzero(of_item | earlier.any(axis=1)).tolist():
        before = np.flatnonzero(earlier[place] & kept)
        item_id = candidates[place].document.item_id
        if of_item[place]:
            removed[item_id] = Rule.DUPLICATE_OF_ITEM
        elif len(before):
            removed[item_id] = Rule.COLLAPSE_DUPLICATES
            behind[item_id] = candidates[int(before[0])].document.item_id
        kept[place] = item_id not in removed
    return [candidates[place] for place in np.flatnonzero(kept).tolist()]


def _same_photo(
    candidates: Sequence[RankedHit], item: ListingDocument, thresholds: DuplicateThresholds
) -> NDArray[np.bool_]:
    """(n + 1, n + 1) whether two are near-identical; row 0 is the item.

    By the photos that are most similar to the item's, and by the first ones where those are others.
    """
    vectors = [hit.vector for hit in candidates]
    same = _near_identical(item, vectors, [hit.image_hash for hit in candidates], thresholds)
    if any(hit.photo for hit in candidates):
        vectors = [hit.first if hit.photo else hit.vector for hit in candidates]
        same |= _near_identical(item, vectors, [hit.document.image_hash for hit in candidates], thresholds)
    return same


def _near_identical(
    item: ListingDocument,
    vectors: Sequence[NDArray[np.float32] | None],
    hashes: Sequence[str | None],
    thresholds: DuplicateThresholds,
) -> NDArray[np.bool_]:
    """(n + 1, n + 1) whether two of the item's photo and n others are near-identical."""
    known = [item.vector, *vectors]
    dims = max((len(each) for each in known if each is not None), default=0)
    unknown = np.full(dims, np.nan)
    compared = np.array([unknown if each is None else each for each in known])
    return near_identical(parse_hashes([item.image_hash, *hashes]), compared, thresholds)


def _ordered(candidates: Sequence[RankedHit], diversity: float) -> Iterable[RankedHit]:
    """The candidates by maximal marginal relevance (Carbonell and Goldstein, 1998):

    (1 - diversity) · score - diversity · largest cosine with one that is placed already.
    """
    if not diversity or any(hit.vector is None for hit in candidates):
        yield from candidates
        return
    vectors = np.array([hit.vector for hit in candidates])
    scores = np.array([hit.score for hit in candidates])
    likeness = np.zeros(len(candidates))
    waiting = np.ones(len(candidates), dtype=bool)
    for _ in candidates:
        values = np.where(waiting, (1 - diversity) * scores - diversity * likeness, -np.inf)
        place = int(np.argmax(values))
        waiting[place] = False
        likeness = np.maximum(likeness, vectors @ vectors[place])
        yield candidates[place]


def _capped(candidates: Iterable[RankedHit], cap: int, size: int) -> tuple[list[RankedHit], list[RankedHit]]:
    """The first `size` of the candidates with at most `cap` of each seller, and those beyond the cap."""
    shown: list[RankedHit] = []
    over_cap: list[RankedHit] = []
    of_seller: Counter[str] = Counter()
    for hit in candidates:
        if len(shown) == size:
            break
        if cap and of_seller[hit.document.seller_id] >= cap:
            over_cap.append(hit)
            continue
        of_seller[hit.document.seller_id] += 1
        shown.append(hit)
    return shown, over_cap
