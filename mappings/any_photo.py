"""Searches by vector that find a listing by any of its photos."""

from __future__ import annotations

from typing import Any, Final

from mappings.creation import FURTHER_PHOTOS

MAX_CANDIDATES: Final = 10_000  # Elasticsearch refuses more


def any_photo(knn: dict[str, Any], photos: int) -> list[dict[str, Any]]:
    """Return the `knn` query of first photos, and beside it that of the others where they have vectors.

    Both give a listing the same score for the same cosine, so `dis_max` takes that of its most similar photo
    (docs/decisions/182-several-photos.md). Filters are on the listing.

    knn: the parameters of the query.
    photos: the number of first photos of a listing that have a vector each in the index. Where more than
        MAX_CANDIDATES of the others pass the filter, Elasticsearch searches their graph.
    """
    if photos == 1:
        return [{"knn": knn}]
    # The best photo of each listing counts, but all of them are candidates.
    candidates = min(MAX_CANDIDATES, knn["num_candidates"] * (photos - 1))
    of_others = knn | {"field": f"{FURTHER_PHOTOS}.{knn['field']}", "num_candidates": candidates}
    boost = of_others.pop("boost", 1.0)
    nested = {"path": FURTHER_PHOTOS, "query": {"knn": of_others}, "score_mode": "max", "boost": boost}
    return [{"knn": knn}, {"nested": nested}]
