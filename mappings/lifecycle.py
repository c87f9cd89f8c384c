"""The life of an index of listings: created and put live, listed, dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from elasticsearch import ApiError, Elasticsearch

from mappings.aliases import swap_aliases
from mappings.creation import IndexOptions, create_index, ensure_dead_letters
from mappings.errors import IndexInUse, InvalidIndexName
from mappings.identity import EncoderIdentity
from mappings.inspection import DESCRIPTION, aliases_of, check_live, is_closed, meta_of, require_index
from mappings.names import IndexName, read_alias


@dataclass(frozen=True)
class IndexState:
    """The state of one index of listings in the cluster."""

    name: str
    encoder_id: str
    created: datetime
    documents: int | None
    """None, as are the bytes, if the index is closed or its shards are missing."""
    bytes: int | None
    aliases: tuple[str, ...]
    closed: bool


def list_indices(es: Elasticsearch, prefix: str) -> list[IndexState]:
    """Return the indices of this prefix, oldest first."""
    states = []
    entries = es.indices.get(
        index=f"{prefix}-*", expand_wildcards=["open", "closed"], filter_path=DESCRIPTION
    )
    for name, entry in entries.items():
        try:
            parsed = IndexName.parse(name, prefix)
        except InvalidIndexName:
            continue
        closed = is_closed(entry)
        primaries = {} if closed else _primaries(es, name)
        states.append(
            IndexState(
                name=name,
                encoder_id=parsed.encoder_id,
                created=parsed.created,
                documents=_listings(es, name, entry, primaries),
                bytes=primaries.get("store", {}).get("size_in_bytes"),
                aliases=aliases_of(name, entry),
                closed=closed,
            )
        )
    return sorted(states, key=lambda state: (state.created, state.name))


def check_drop(es: Elasticsearch, index: str, *, force: bool = False) -> None:
    """Check that the index may be dropped.

    Raises:
        IndexMissing: there is none of this name (an alias or a pattern is refused too).
        IndexInUse: an alias points at it and `force` is not given.
    """
    aliases = aliases_of(index, require_index(es, index))
    if aliases and not force:
        raise IndexInUse(
            f"index {index} is in use by {', '.join(aliases)}; "
            "`nitamono mappings swap OTHER --stop-writing` leaves only OTHER in use; or pass --force"
        )


def drop_index(es: Elasticsearch, index: str, *, force: bool = False) -> None:
    """Delete the index. Raises as check_drop does."""
    check_drop(es, index, force=force)
    es.indices.delete(index=index)


def unused_indices(es: Elasticsearch, prefix: str) -> list[str]:
    """Return the indices of this prefix that no alias points at."""
    return [state.name for state in list_indices(es, prefix) if not state.aliases]


def ensure_live_index(
    es: Elasticsearch, prefix: str, identity: EncoderIdentity, *, options: IndexOptions | None = None
) -> str:
    """Return the live index of the encoder, created if none is live.

    Raises:
        IndexMissing, MappingMismatch: as `check_live`, such as that an index of another encoder is live.
    """
    ensure_dead_letters(es, prefix)
    if es.indices.exists(index=read_alias(prefix)):
        return check_live(es, prefix, identity)
    name = create_index(es, prefix, identity, options=options)
    swap_aliases(es, prefix, name)
    return name


def _listings(
    es: Elasticsearch, index: str, entry: Mapping[str, Any], primaries: Mapping[str, Any]
) -> int | None:
    """Return the number of documents without those that are nested in others, which statistics count as well;
    None if it cannot be had."""
    if not primaries or "photos" not in meta_of(entry):
        return cast("int | None", primaries.get("docs", {}).get("count"))
    try:
        return int(es.count(index=index)["count"])
    except ApiError:  # such as a block on reads
        return None


def _primaries(es: Elasticsearch, index: str) -> dict[str, Any]:
    """Return counts of documents and bytes; empty if no shard answers."""
    stats = es.indices.stats(index=index, metric=["docs", "store"])
    return cast("dict[str, Any]", stats["_all"]["primaries"])
