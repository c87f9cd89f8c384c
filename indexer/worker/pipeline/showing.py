"""Which photos of a chunk show an item: neither blank ones nor placeholders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from indexer.photos.blank import blank_problem
from indexer.photos.placeholders import Placeholders, Usage, usage_by
from indexer.worker.pipeline.encoders import Decoded, PhotoOf
from indexer.worker.pipeline.planning import Plan
from mappings.failures import Failure


def problems_of(
    placeholders: Placeholders,
    indices: Iterable[str],
    plans: Iterable[Plan],
    photos: Mapping[str, Decoded],
    hashes: Mapping[PhotoOf, str],
) -> dict[PhotoOf, Failure]:
    """Return the problems of the decoded photos that show no item.

    Raises:
        ElasticsearchUnavailable, RedisUnavailable: it is not known how other listings use them.
    """
    uses: defaultdict[str, Usage] = defaultdict(Usage)
    for each in plans:
        for image_hash in {hashes[photo] for photo in each.wanted if photo in hashes}:
            uses[image_hash] |= usage_by(each.state.listing_fields())
    shared = placeholders.problems(list(indices), uses)
    found = {
        photo: blank_problem(photos[photo.reference][photo.encoder_id], image_hash) or shared.get(image_hash)
        for photo, image_hash in hashes.items()
    }
    return {photo: problem for photo, problem in found.items() if problem}
