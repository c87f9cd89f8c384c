"""Indices from mapping files: of listings, and of everything else that is stored."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from elasticsearch import AuthorizationException, BadRequestError, Elasticsearch

from mappings.errors import IndexExists, MappingMismatch
from mappings.identity import EncoderIdentity
from mappings.names import IndexName, dead_letter_index, written_through

# What each costs and gives is measured in docs/decisions/002-vector-index-type.md.
VECTOR_INDEX_TYPES = ("hnsw", "int8_hnsw", "int4_hnsw", "bbq_hnsw", "flat", "int8_flat")


@dataclass(frozen=True)
class IndexOptions:
    """What an operator chooses when an index is created."""

    shards: int = 1
    replicas: int | None = None
    """Copies of each shard; None for one where another node can hold it, so that one node stays green."""
    vector_index: str = "hnsw"
    photos: int = 1
    """The number of first photos of a listing that are searched, each by a vector of its own."""


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the settings and mappings in a JSON file."""
    return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8")))


LISTINGS_BODY: Final = read_mapping(Path(__file__).with_name("listings.v2.json"))
DEAD_LETTERS_BODY: Final = read_mapping(Path(__file__).with_name("dead_letters.v1.json"))
"""Settings and mappings of an index of listings, before `index_body`, and of the dead-letter index."""
FURTHER_PHOTOS: Final = "further_photos"
"""The nested field with the vectors of the photos after the first, which has its own in `vector`."""
LISTING_FIELDS: Final = {
    "mappings": {
        "properties": {
            name: field for name, field in LISTINGS_BODY["mappings"]["properties"].items() if name != "vector"
        }
    }
}
"""The fields of an index of listings but the vector, whose dims and type are each index's own."""


def index_body(identity: EncoderIdentity, options: IndexOptions) -> dict[str, Any]:
    """Return settings and mappings for a new index of listings, with the encoder and the options in them."""
    body = copy.deepcopy(LISTINGS_BODY)
    body["settings"]["number_of_shards"] = options.shards
    if options.replicas is not None:
        body["settings"] |= {"number_of_replicas": options.replicas, "auto_expand_replicas": False}
    body["mappings"]["_meta"] |= asdict(identity)
    vector = body["mappings"]["properties"]["vector"]
    vector["dims"] = identity.dims
    graph = vector["index_options"] if "hnsw" in options.vector_index else {}
    vector["index_options"] = graph | {"type": options.vector_index}
    if options.photos > 1:
        body["mappings"]["_meta"]["photos"] = options.photos
        nested = {"type": "nested", "properties": {"vector": vector}}
        body["mappings"]["properties"][FURTHER_PHOTOS] = nested
    return body


def create_index(
    es: Elasticsearch,
    prefix: str,
    identity: EncoderIdentity,
    *,
    options: IndexOptions | None = None,
    now: datetime | None = None,
) -> str:
    """Create an empty index for the encoder and return its name. No alias points at it yet.

    Raises:
        IndexExists: one was created for this encoder within the same second.
    """
    name = str(IndexName(prefix, identity.encoder_id, now or datetime.now(UTC)))
    if not create_once(es, name, index_body(identity, options or IndexOptions())):
        raise IndexExists(f"index {name} was created within this second; use it, or run the command again")
    return name


def create_once(es: Elasticsearch, name: str, body: Mapping[str, Any]) -> bool:
    """Create the index, with the alias that it is written through; return False if it exists."""
    try:
        es.indices.create(index=name, aliases={written_through(name): {}}, **body)
    except BadRequestError as error:
        if error.error != "resource_already_exists_exception":
            raise
        return False
    return True


_current: WeakKeyDictionary[Elasticsearch, set[str]] = WeakKeyDictionary()
"""The indices of each cluster that are known to have every field of their mapping file."""


def ensure_index(es: Elasticsearch, name: str, body: Mapping[str, Any]) -> None:
    """Create the index if it is missing; else add the fields that its mapping lacks.

    The fields are added once per client and index. An index that is deleted and created again by a process
    with an older mapping file gets them when this process restarts.

    Raises:
        MappingMismatch: a field has another type in the index.
    """
    current = _current.setdefault(es, set())
    if not es.indices.exists_alias(name=written_through(name)):
        current.discard(name)
        if create_once(es, name, body):
            current.add(name)
        else:  # an index from before there were such aliases
            es.indices.put_alias(index=name, name=written_through(name))
    if name not in current:
        add_fields(es, name, body)
        current.add(name)


def ensure_indices(es: Elasticsearch, names: Iterable[str], body: Mapping[str, Any]) -> None:
    """Do what `ensure_index` does for several indices, with one request if all of them are complete.

    Raises:
        MappingMismatch: a field has another type in an index.
    """
    wanted = sorted(set(names))
    if not wanted:
        return
    complete = _current.setdefault(es, set()).issuperset(wanted)
    if complete and es.indices.exists_alias(name=[written_through(name) for name in wanted]):
        return
    for name in wanted:
        ensure_index(es, name, body)


def ensure_fields(es: Elasticsearch, names: Iterable[str], body: Mapping[str, Any]) -> None:
    """Add the fields that indices of an earlier version lack, once per client and index.

    With a key that may not change mappings nothing is added: an index that lacks nothing takes documents.

    Raises:
        MappingMismatch: a field has another type in an index.
    """
    current = _current.setdefault(es, set())
    for name in sorted(set(names) - current):
        with suppress(AuthorizationException):
            add_fields(es, name, body)
        current.add(name)


def add_fields(es: Elasticsearch, index: str, body: Mapping[str, Any]) -> None:
    """Add the fields that the index lacks; Elasticsearch ignores those that it has.

    Raises:
        MappingMismatch: a field has another type in the index, which cannot be changed.
    """
    try:
        es.indices.put_mapping(index=index, properties=body["mappings"]["properties"])
    except BadRequestError as error:
        raise MappingMismatch(
            f"the mapping file has a field that index {index} has with another type "
            f"({error.body['error']['reason']}); an index can gain fields, not change them: give the field a "
            f"new name, or delete the index with `DELETE /{index}` once its documents are exported"
        ) from error


def ensure_dead_letters(es: Elasticsearch, prefix: str) -> str:
    """Create the dead-letter index if it is missing, and return its name."""
    name = dead_letter_index(prefix)
    ensure_index(es, name, DEAD_LETTERS_BODY)
    return name
