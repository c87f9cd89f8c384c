"""The life of an index: made for one encoder, checked, put live by alias, dropped."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from importlib import resources
from pathlib import Path
from typing import Any, cast

from elasticsearch import ApiError, BadRequestError, Elasticsearch, NotFoundError

from mappings.errors import (
    IndexExists,
    IndexInUse,
    IndexMissing,
    InvalidIndexName,
    InvalidSetting,
    MappingMismatch,
    SwapLosesListings,
)
from mappings.listing import Status
from mappings.names import IndexName, dead_letter_index, read_alias, write_alias, written_through

SCHEMA_VERSION = 1

# What each costs and gives is measured in docs/decisions/002-vector-index-type.md.
VECTOR_INDEX_TYPES = ("hnsw", "int8_hnsw", "int4_hnsw", "bbq_hnsw", "flat", "int8_flat")


LEAST_SHARE = 0.9
"""Of the listings that can be found in the live index, an index must have this share to go live. One that is
filled from the same shop has all of them, but for those whose photos were not fetched again."""


# Of an index, what is read here and no more: every page of listings asks for it.
_ASKED = ("*.aliases", "*.mappings._meta", "*.settings.index.verified_before_close")

# What Elasticsearch calls a search of an index that is closed, has a read block, or has no shards at hand.
_UNREADABLE = ("index_closed_exception", "cluster_block_exception", "search_phase_execution_exception")


@dataclass(frozen=True)
class EncoderIdentity:
    """What an index remembers of the encoder whose vectors it holds.

    `similarity_mean` and `similarity_spread` are the mean and standard deviation of the cosine between
    an item and its nearest hundred: the scale on which the ranking weighs category and price.
    """

    encoder_id: str
    dims: int
    similarity_mean: float
    similarity_spread: float

    @classmethod
    def from_artifact(cls, folder: Path) -> EncoderIdentity:
        """From an encoder artifact's `manifest.json`, without loading the encoder.

        Raises:
            InvalidSetting: no readable manifest there.
        """
        try:
            manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
            similarity = manifest["similarity"]
            return cls(
                encoder_id=str(manifest["encoder_id"]),
                dims=int(manifest["dims"]),
                similarity_mean=float(similarity["mean"]),
                similarity_spread=float(similarity["spread"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidSetting(
                f"no encoder artifact in {folder}: {error!r}; "
                "set NITAMONO_ENCODER to a folder with a manifest.json"
            ) from error

    @classmethod
    def from_meta(cls, fields: Mapping[str, Any]) -> EncoderIdentity:
        """From an index's `_meta`.

        Raises:
            KeyError, TypeError, ValueError: a field is absent or no number.
        """
        return cls(
            encoder_id=str(fields["encoder_id"]),
            dims=int(fields["dims"]),
            similarity_mean=float(fields["similarity_mean"]),
            similarity_spread=float(fields["similarity_spread"]),
        )


@dataclass(frozen=True)
class IndexState:
    """One index of ours as the cluster has it."""

    name: str
    encoder_id: str
    created: datetime
    documents: int | None
    """None, as are the bytes, where the index is closed or has lost its shards."""
    bytes: int | None
    aliases: tuple[str, ...]
    closed: bool


@dataclass(frozen=True)
class IndexOptions:
    """What an operator chooses for an index when it is made."""

    shards: int = 1
    replicas: int = 0
    vector_index: str = "hnsw"


def index_body(identity: EncoderIdentity, options: IndexOptions) -> dict[str, Any]:
    """Settings and mappings for a new index: `listings.v1.json` with the encoder and the options in it."""
    body = copy.deepcopy(mapping_file("mappings", "listings.v1.json"))
    body["settings"] |= {"number_of_shards": options.shards, "number_of_replicas": options.replicas}
    body["mappings"]["_meta"] |= asdict(identity)
    vector = body["mappings"]["properties"]["vector"]
    vector["dims"] = identity.dims
    graph = vector["index_options"] if "hnsw" in options.vector_index else {}
    vector["index_options"] = graph | {"type": options.vector_index}
    return body


def create_index(
    es: Elasticsearch,
    prefix: str,
    identity: EncoderIdentity,
    *,
    options: IndexOptions | None = None,
    now: datetime | None = None,
) -> str:
    """The name of a new, empty index for the encoder. No alias points at it yet.

    Raises:
        IndexExists: one was made for this encoder within the same second.
    """
    name = str(IndexName(prefix, identity.encoder_id, now or datetime.now(UTC)))
    if not create_once(es, name, index_body(identity, options or IndexOptions())):
        raise IndexExists(f"index {name} was made this very second; use it, or try again")
    return name


def check_index(es: Elasticsearch, index: str, identity: EncoderIdentity) -> None:
    """Nothing, if the index (or every index behind the alias) was made for this encoder and schema.

    Raises:
        IndexMissing: there is no such index.
        MappingMismatch: naming what was found and what this process needs.
    """
    for name, entry in _found(es, index).items():
        meta = _meta(entry)
        found = (meta.get("schema_version"), meta.get("encoder_id"), meta.get("dims"))
        expected = (SCHEMA_VERSION, identity.encoder_id, identity.dims)
        if found != expected:
            raise MappingMismatch(
                f"index {name} has (schema_version, encoder_id, dims) = {found}, "
                f"this process needs {expected}; "
                "set NITAMONO_ENCODER to the encoder of the index, or put a new index for "
                f"{identity.encoder_id} live with `nitamono mappings create --live --force`: requests find "
                "nothing until `nitamono index` has filled it"
            )


def read_identity(es: Elasticsearch, index: str) -> EncoderIdentity:
    """The encoder of the one index behind a name or alias.

    Raises:
        IndexMissing: there is none, or it is closed.
        MappingMismatch: there are several, or the index carries no readable `_meta` of this schema.
    """
    return _identity(*_only(es, index))


def resolve(es: Elasticsearch, alias: str) -> tuple[str, EncoderIdentity]:
    """The one index behind an alias, and its encoder.

    Raises:
        IndexMissing: there is none, or it is closed.
        MappingMismatch: as `read_identity`, or the alias has a filter, or it is an index itself.
    """
    name, entry = _only(es, alias)
    if name == alias:
        raise _named_like_alias(alias)
    if "filter" in entry["aliases"][alias]:
        raise MappingMismatch(
            f"alias {alias} has a filter, which searches by picture would not apply; "
            f"`nitamono mappings swap {name}` sets the alias without one"
        )
    return name, _identity(name, entry)


def check_live(es: Elasticsearch, prefix: str, identity: EncoderIdentity) -> str:
    """The index that requests read, if it was made for this encoder and updates reach it.

    Raises:
        IndexMissing, MappingMismatch: as `resolve`, or the write alias does not cover the index.
    """
    name, _ = resolve(es, read_alias(prefix))
    check_index(es, name, identity)
    if name not in _behind(es, write_alias(prefix)):
        raise MappingMismatch(
            f"{write_alias(prefix)} does not lead to {name}, so that no update reaches what requests read; "
            f"`nitamono mappings swap {name}` adds it"
        )
    return name


def list_indices(es: Elasticsearch, prefix: str) -> list[IndexState]:
    """Every index of this prefix, oldest first."""
    states = []
    entries = es.indices.get(index=f"{prefix}-*", expand_wildcards=["open", "closed"], filter_path=_ASKED)
    for name, entry in entries.items():
        try:
            parsed = IndexName.parse(name, prefix)
        except InvalidIndexName:
            continue
        closed = _is_closed(entry)
        primaries = {} if closed else _primaries(es, name)
        states.append(
            IndexState(
                name=name,
                encoder_id=parsed.encoder_id,
                created=parsed.created,
                documents=primaries.get("docs", {}).get("count"),
                bytes=primaries.get("store", {}).get("size_in_bytes"),
                aliases=_aliases(name, entry),
                closed=closed,
            )
        )
    return sorted(states, key=lambda state: (state.created, state.name))


def swap_aliases(es: Elasticsearch, prefix: str, index: str, *, keep_writing: bool = True) -> list[str]:
    """The indices that the read alias led to before; from now on it leads to `index` alone, in one step.

    The write alias gains `index`. With `keep_writing` the indices of before stay up to date as well, so
    that a swap back is instant; only closed ones, which take no writes, leave the write alias.

    Raises:
        IndexMissing: there is no index of that very name (an alias or a pattern is refused too).
        MappingMismatch: an index has the very name of one of the aliases.
    """
    _require(es, index)
    _require_alias_names(es, prefix)
    before = _behind(es, read_alias(prefix))
    actions: list[dict[str, Any]] = [
        {"remove": {"index": old, "alias": read_alias(prefix)}} for old in before if old != index
    ]
    written = _behind(es, write_alias(prefix))
    fallen_behind = [old for old, entry in written.items() if not keep_writing or _is_closed(entry)]
    actions += [
        {"remove": {"index": old, "alias": write_alias(prefix)}} for old in fallen_behind if old != index
    ]
    actions += [
        {"add": {"index": index, "alias": alias}} for alias in (read_alias(prefix), write_alias(prefix))
    ]
    es.indices.update_aliases(actions=actions)
    return sorted(before)


def check_swap(es: Elasticsearch, prefix: str, index: str | None) -> None:
    """Nothing, if requests would find about as many listings in `index` as they do now.

    index: None is one that is yet to be made, and so empty.

    Raises:
        IndexMissing: there is no index of that very name, or it is closed.
        MappingMismatch: it is none that can be read, or an index has the very name of one of the aliases.
        SwapLosesListings: it has less than LEAST_SHARE of what is live.
    """
    _require_alias_names(es, prefix)
    if index is not None:
        _require(es, index)
        read_identity(es, index)
    live = [name for name in _behind(es, read_alias(prefix)) if name != index]
    now = max((_searchable(es, name) for name in live), default=0)
    then = _searchable(es, index) if index else 0
    if then < now * LEAST_SHARE:
        raise SwapLosesListings(
            f"{index or 'a new index'} has {then:,} listings for sale with a vector, and {', '.join(live)}, "
            f"which is live, has {now:,}; index the listings into it first, or pass --force. "
            "For the encoder of the live index, `nitamono mappings create --write` makes an index that "
            "`nitamono index` fills as well; one for another encoder is filled once it is live"
        )


def start_writing(es: Elasticsearch, prefix: str, index: str) -> None:
    """Lets the write alias cover the index too: it is kept up to date before requests read it."""
    es.indices.put_alias(index=index, name=write_alias(prefix))


def check_drop(es: Elasticsearch, index: str, *, force: bool = False) -> None:
    """Nothing, if the index may be dropped.

    Raises:
        IndexMissing: there is none of that very name (an alias or a pattern is refused too).
        IndexInUse: an alias points at it and `force` is not given.
    """
    aliases = _aliases(index, _require(es, index))
    if aliases and not force:
        raise IndexInUse(
            f"index {index} is in use by {', '.join(aliases)}; "
            "`nitamono mappings swap OTHER --stop-writing` takes all but OTHER out of use; or pass --force"
        )


def drop_index(es: Elasticsearch, index: str, *, force: bool = False) -> None:
    """Deletes the index. Raises as check_drop does."""
    check_drop(es, index, force=force)
    es.indices.delete(index=index)


def unused_indices(es: Elasticsearch, prefix: str) -> list[str]:
    """The indices of this prefix that no alias points at."""
    return [state.name for state in list_indices(es, prefix) if not state.aliases]


def ensure_live_index(
    es: Elasticsearch, prefix: str, identity: EncoderIdentity, *, options: IndexOptions | None = None
) -> str:
    """The index that is read and written for the encoder: the live one, or a new one put live if none is.

    Raises:
        IndexMissing, MappingMismatch: as `check_live`, such as that an index of another encoder is live.
    """
    ensure_dead_letters(es, prefix)
    if es.indices.exists(index=read_alias(prefix)):
        return check_live(es, prefix, identity)
    name = create_index(es, prefix, identity, options=options)
    swap_aliases(es, prefix, name)
    return name


def ensure_dead_letters(es: Elasticsearch, prefix: str) -> str:
    """The name of the dead-letter index, made if it is missing."""
    name = dead_letter_index(prefix)
    ensure_index(es, name, dead_letter_body())
    return name


def dead_letter_body() -> dict[str, Any]:
    """Settings and mappings of the dead-letter index."""
    return mapping_file("mappings", "dead_letters.v1.json")


def writable_indices(es: Elasticsearch, prefix: str, identity: EncoderIdentity) -> list[str]:
    """The indices behind the write alias that hold this encoder's vectors.

    Raises:
        IndexMissing: no index is live at all.
        MappingMismatch: some are, none of them made for this encoder.
    """
    found = _found(es, write_alias(prefix))
    ours = [name for name, entry in found.items() if _meta(entry).get("encoder_id") == identity.encoder_id]
    for name in ours or found:
        check_index(es, name, identity)
    for name in ours:
        if written_through(name) not in found[name]["aliases"]:  # an index of before there were such aliases
            es.indices.put_alias(index=name, name=written_through(name))
    return ours


def ensure_index(es: Elasticsearch, name: str, body: Mapping[str, Any]) -> None:
    """Makes the index, unless it can be written already."""
    if es.indices.exists_alias(name=written_through(name)):
        return
    if not create_once(es, name, body):  # an index of before there were such aliases
        es.indices.put_alias(index=name, name=written_through(name))


def create_once(es: Elasticsearch, name: str, body: Mapping[str, Any]) -> bool:
    """Whether the index was made now, with the alias that it is written through, and not by another process
    before."""
    try:
        es.indices.create(index=name, aliases={written_through(name): {}}, **body)
    except BadRequestError as error:
        if error.error != "resource_already_exists_exception":
            raise
        return False
    return True


def mapping_file(package: str, name: str) -> dict[str, Any]:
    """Settings and mappings of one of a package's JSON files."""
    text = resources.files(package).joinpath(name).read_text(encoding="utf-8")
    return cast("dict[str, Any]", json.loads(text))


def _found(es: Elasticsearch, index: str) -> dict[str, dict[str, Any]]:
    """Aliases, `_meta` and whether it is closed, of each index behind a name."""
    try:
        return dict(es.indices.get(index=index, filter_path=_ASKED))
    except NotFoundError as error:
        raise IndexMissing(
            f"no index or alias {index}; `nitamono mappings create --live` makes one, "
            "or `nitamono mappings swap INDEX` where `nitamono mappings list` shows one with listings"
        ) from error


def _only(es: Elasticsearch, index: str) -> tuple[str, dict[str, Any]]:
    """The name and entry of the one index behind a name or alias."""
    found = _found(es, index)
    if len(found) != 1:
        raise MappingMismatch(
            f"{index} leads to {len(found)} indices ({', '.join(sorted(found))}), expected one; "
            "`nitamono mappings swap INDEX` lets it lead to INDEX alone"
        )
    return next(iter(found.items()))


def _identity(name: str, entry: Mapping[str, Any]) -> EncoderIdentity:
    """The encoder of the index of this name and entry, which must be open."""
    if _is_closed(entry):
        raise IndexMissing(
            f"index {name} is closed; open it with `POST /{name}/_open`, "
            "or let requests read another one with `nitamono mappings swap OTHER`"
        )
    meta = _meta(entry)
    if meta.get("schema_version") != SCHEMA_VERSION:
        raise MappingMismatch(
            f"index {name} has schema_version {meta.get('schema_version')}, expected {SCHEMA_VERSION}; "
            "`nitamono mappings swap OTHER` lets requests read another one"
        )
    try:
        return EncoderIdentity.from_meta(meta)
    except (KeyError, TypeError, ValueError) as error:
        raise MappingMismatch(
            f"index {name}: _meta names no encoder: {error!r}; "
            "`nitamono mappings swap OTHER` lets requests read another one"
        ) from error


def _require_alias_names(es: Elasticsearch, prefix: str) -> None:
    """Nothing, if no index has the very name of the read or the write alias, which could then not be set."""
    for alias in (read_alias(prefix), write_alias(prefix)):
        if alias in es.options(ignore_status=404).indices.get_alias(index=alias):
            raise _named_like_alias(alias)


def _named_like_alias(alias: str) -> MappingMismatch:
    return MappingMismatch(
        f"{alias} is an index, expected an alias; `nitamono mappings drop {alias}` deletes the index, "
        "then `nitamono mappings swap INDEX` sets the alias"
    )


def _is_closed(entry: Mapping[str, Any]) -> bool:
    settings: Mapping[str, str] = entry.get("settings", {}).get("index", {})
    return settings.get("verified_before_close") == "true"


def _meta(entry: Mapping[str, Any]) -> dict[str, Any]:
    return cast("dict[str, Any]", entry.get("mappings", {}).get("_meta", {}))


def _aliases(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """The aliases that put an index to use, which the one that it is written through does not."""
    return tuple(sorted(set(entry["aliases"]) - {written_through(name)}))


def _require(es: Elasticsearch, index: str) -> dict[str, Any]:
    """The aliases of the index of that very name."""
    try:
        return cast("dict[str, Any]", es.indices.get_alias(index=index)[index])
    except (NotFoundError, KeyError) as error:
        raise IndexMissing(f"no index {index}; `nitamono mappings list` shows those there are") from error


def _primaries(es: Elasticsearch, index: str) -> dict[str, Any]:
    """Counts of documents and bytes; empty where no shard answers."""
    stats = es.indices.stats(index=index, metric=["docs", "store"])
    return cast("dict[str, Any]", stats["_all"]["primaries"])


def _searchable(es: Elasticsearch, index: str) -> int:
    """How many listings requests can find in the index by their picture; 0 where it cannot be read at all."""
    found = [{"term": {"status": Status.ON_SALE.value}}, {"exists": {"field": "vector"}}]
    try:
        # A refresh would wait a minute for a shard that is not there.
        es.search(index=index, size=0, allow_partial_search_results=False)
        es.indices.refresh(index=index)
        return int(es.count(index=index, query={"bool": {"filter": found}})["count"])
    except ApiError as error:
        if error.status_code == HTTPStatus.TOO_MANY_REQUESTS or error.error not in _UNREADABLE:
            raise
        return 0


def _behind(es: Elasticsearch, alias: str) -> dict[str, dict[str, Any]]:
    """Each index behind an alias; none where there is no such alias."""
    try:
        return _found(es, alias)
    except IndexMissing:
        return {}
