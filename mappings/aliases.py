"""The aliases that requests read and that workers write through."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from elasticsearch import ApiError, Elasticsearch

from mappings.errors import MappingMismatch, SwapLosesListings
from mappings.identity import EncoderIdentity, IndexVectors
from mappings.inspection import (
    check_description,
    describe_indices,
    encoder_of,
    index_vectors,
    indices_behind,
    is_closed,
    read_identity,
    require_alias_names,
    require_index,
)
from mappings.listing import Status
from mappings.names import read_alias, write_alias, written_through
from mappings.problems import shown

LEAST_SHARE = 0.9
"""To go live, an index must have at least this share of the live index's searchable listings. One that is
filled from the same shop has all of them except those whose photos could not be fetched again."""

# What Elasticsearch calls a search of an index that is closed, has a read block, or has no shards at hand.
_UNREADABLE = ("index_closed_exception", "cluster_block_exception", "search_phase_execution_exception")


def swap_aliases(es: Elasticsearch, prefix: str, index: str, *, keep_writing: bool = True) -> list[str]:
    """Point the read alias at `index` alone, in one step, and return the indices that it pointed at.

    The write alias gains `index`. With `keep_writing` the previous indices stay up to date as well, so
    that a swap back is instant; only closed ones, which accept no writes, leave the write alias.

    Raises:
        IndexMissing: there is no index of this name (an alias or a pattern is refused too).
        MappingMismatch: an index has the name of one of the aliases.
    """
    require_index(es, index)
    require_alias_names(es, prefix)
    before = indices_behind(es, read_alias(prefix))
    actions: list[dict[str, Any]] = [
        {"remove": {"index": old, "alias": read_alias(prefix)}} for old in before if old != index
    ]
    written = indices_behind(es, write_alias(prefix))
    fallen_behind = [old for old, entry in written.items() if not keep_writing or is_closed(entry)]
    actions += [
        {"remove": {"index": old, "alias": write_alias(prefix)}} for old in fallen_behind if old != index
    ]
    actions += [
        {"add": {"index": index, "alias": alias}} for alias in (read_alias(prefix), write_alias(prefix))
    ]
    es.indices.update_aliases(actions=actions)
    return sorted(before)


def check_swap(es: Elasticsearch, prefix: str, index: str | None) -> None:
    """Check that requests would find about as many listings in `index` as they do now.

    index: None stands for one that is yet to be created, and so empty.

    Raises:
        IndexMissing: there is no index of this name, or it is closed.
        MappingMismatch: it cannot be read, or an index has the name of one of the aliases.
        SwapLosesListings: it has less than LEAST_SHARE of what is live.
    """
    require_alias_names(es, prefix)
    if index is not None:
        require_index(es, index)
        read_identity(es, index)
    live = [name for name in indices_behind(es, read_alias(prefix)) if name != index]
    now = max((_searchable(es, name) for name in live), default=0)
    then = _searchable(es, index) if index else 0
    if then < now * LEAST_SHARE:
        raise SwapLosesListings(
            f"{index or 'a new index'} has {then:,} listings for sale with a vector, and {', '.join(live)}, "
            f"which is live, has {now:,}; index the listings into it first, or pass --force. "
            "For the encoder of the live index, `nitamono mappings create --write` creates an index that "
            "`nitamono index` fills as well; one for another encoder is filled once it is live"
        )


def start_writing(es: Elasticsearch, prefix: str, index: str) -> None:
    """Add the index to the write alias, so that it is kept up to date before requests read it."""
    es.indices.put_alias(index=index, name=write_alias(prefix))


def writable_indices(
    es: Elasticsearch, prefix: str, encoders: Sequence[EncoderIdentity]
) -> dict[str, IndexVectors]:
    """Return the indices behind the write alias, each with what its vectors are of.

    encoders: those that vectors can be computed with.

    Raises:
        IndexMissing: no index is live at all.
        MappingMismatch: one of them was created for another encoder.
    """
    found = describe_indices(es, write_alias(prefix))
    identities = {identity.encoder_id: identity for identity in encoders}
    for name, entry in found.items():
        identity = identities.get(encoder_of(entry) or "")
        if identity is None:
            raise MappingMismatch(
                f"index {name} is written, and has encoder {shown(encoder_of(entry))}, this process has "
                f"{', '.join(map(shown, identities))}; add the folder of that encoder to "
                "NITAMONO_FURTHER_ENCODER_DIRS of every worker, or stop writing the index with "
                "`nitamono mappings swap LIVE --stop-writing`, LIVE being the one that requests read"
            )
        check_description(name, entry, identity)
        if written_through(name) not in entry["aliases"]:  # an index from before there were such aliases
            es.indices.put_alias(index=name, name=written_through(name))
    return {name: index_vectors(entry) for name, entry in found.items()}


def _searchable(es: Elasticsearch, index: str) -> int:
    """Return how many listings can be found by photo; 0 if the index cannot be read at all."""
    found = [{"term": {"status": Status.ON_SALE.value}}, {"exists": {"field": "vector"}}]
    try:
        # A refresh would wait a minute for a missing shard.
        es.search(index=index, size=0, allow_partial_search_results=False)
        es.indices.refresh(index=index)
        return int(es.count(index=index, query={"bool": {"filter": found}})["count"])
    except ApiError as error:
        if error.status_code == HTTPStatus.TOO_MANY_REQUESTS or error.error not in _UNREADABLE:
            raise
        return 0
