"""The description of the indices behind a name, and checks that they fit an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from elasticsearch import Elasticsearch, NotFoundError

from mappings.errors import IndexMissing, MappingMismatch, failure_of
from mappings.identity import EncoderIdentity, IndexVectors
from mappings.names import read_alias, write_alias, written_through
from mappings.problems import shown

SCHEMA_VERSION = 2
UPGRADED_TO = "upgraded_to"
"""In the `_meta` of an index of an earlier schema: the version whose fields it takes while it is upgraded."""

DESCRIPTION = ("*.aliases", "*.mappings._meta", "*.settings.index.verified_before_close")
"""What is read of an index, and no more: every page of listings asks for it."""


def check_index(es: Elasticsearch, index: str, identity: EncoderIdentity) -> None:
    """Check that the index, or every index behind the alias, was created for this encoder and schema.

    Raises:
        IndexMissing: there is no such index.
        MappingMismatch: one was not; the message has what was found and what this process needs.
    """
    for name, entry in describe_indices(es, index).items():
        check_description(name, entry, identity)


def check_description(name: str, entry: Mapping[str, Any], identity: EncoderIdentity) -> None:
    """Check by its description that an index was created for this encoder and schema.

    Raises:
        MappingMismatch: it was not.
    """
    meta = meta_of(entry)
    _check_schema(name, meta, upgrading=True)
    found = (meta.get("encoder_id"), meta.get("dims"))
    if found != (identity.encoder_id, identity.dims):
        raise MappingMismatch(
            f"index {name} has encoder {shown(found[0])} of {shown(found[1])} dims, "
            f"this process needs {shown(identity.encoder_id)} of {identity.dims}; "
            "set NITAMONO_ENCODER_DIR to the encoder of the index, or change the encoder of the live index "
            "with `nitamono indexer reembed`"
        )


def read_identity(es: Elasticsearch, index: str) -> EncoderIdentity:
    """Return the encoder of the one index behind a name or alias.

    Raises:
        IndexMissing: there is none, or it is closed.
        MappingMismatch: there are several, or the index carries no readable `_meta` of this schema.
    """
    return identity_of(*only_index(es, index))


def resolve(es: Elasticsearch, alias: str, *, upgrading: bool = False) -> tuple[str, EncoderIdentity]:
    """Return the one index behind an alias, and its encoder.

    upgrading: accept an index of an earlier schema that is being upgraded. It can be written, not searched.

    Raises:
        IndexMissing: there is none, or it is closed.
        MappingMismatch: as `read_identity`, or the alias has a filter, or it is an index itself.
    """
    name, entry = only_index(es, alias)
    if name == alias:
        raise named_like_alias(alias)
    if "filter" in entry["aliases"][alias]:
        raise MappingMismatch(
            f"alias {alias} has a filter, which searches by photo would not apply; "
            f"`nitamono mappings swap {name}` sets the alias without one"
        )
    return name, identity_of(name, entry, upgrading=upgrading)


def check_live(es: Elasticsearch, prefix: str, identity: EncoderIdentity) -> str:
    """Return the index that requests read, which must be for this encoder and receive updates.

    Raises:
        IndexMissing, MappingMismatch: as `resolve`, or the write alias does not cover the index.
    """
    name, _ = resolve(es, read_alias(prefix), upgrading=True)
    check_index(es, name, identity)
    if name not in indices_behind(es, write_alias(prefix)):
        raise MappingMismatch(
            f"{write_alias(prefix)} does not include {name}: requests read an index without updates; "
            f"`nitamono mappings swap {name}` adds it"
        )
    return name


def describe_indices(es: Elasticsearch, index: str) -> dict[str, dict[str, Any]]:
    """Return aliases, `_meta` and whether it is closed, of each index behind a name.

    Raises:
        IndexMissing: there is no such index or alias.
    """
    try:
        return dict(es.indices.get(index=index, filter_path=DESCRIPTION))
    except NotFoundError as error:
        raise IndexMissing(
            f"no index or alias {index}; `nitamono mappings create --live` creates one, "
            "or `nitamono mappings swap INDEX` where `nitamono mappings list` shows one with listings"
        ) from error


def only_index(es: Elasticsearch, index: str) -> tuple[str, dict[str, Any]]:
    """Return the name and description of the one index behind a name or alias.

    Raises:
        IndexMissing: there is none.
        MappingMismatch: there are several.
    """
    found = describe_indices(es, index)
    if len(found) != 1:
        raise MappingMismatch(
            f"{index} points at {len(found)} indices ({', '.join(sorted(found))}), expected one; "
            "`nitamono mappings swap INDEX` points it at INDEX alone"
        )
    return next(iter(found.items()))


def identity_of(name: str, entry: Mapping[str, Any], *, upgrading: bool = False) -> EncoderIdentity:
    """Return the encoder in an index's description. upgrading: as in `resolve`.

    Raises:
        IndexMissing: the index is closed.
        MappingMismatch: it has no readable `_meta` of this schema.
    """
    if is_closed(entry):
        raise IndexMissing(
            f"index {name} is closed; open it with `POST /{name}/_open`, "
            "or point requests at another one with `nitamono mappings swap OTHER`"
        )
    meta = meta_of(entry)
    _check_schema(name, meta, upgrading=upgrading)
    try:
        return EncoderIdentity.from_meta(meta)
    except (KeyError, TypeError, ValueError) as error:
        raise MappingMismatch(
            f"index {name}: _meta names no encoder: {failure_of(error)}; "
            "`nitamono mappings swap OTHER` points requests at another one"
        ) from error


def _check_schema(name: str, meta: Mapping[str, Any], *, upgrading: bool) -> None:
    version = meta.get("schema_version")
    if version == SCHEMA_VERSION or (upgrading and meta.get(UPGRADED_TO) == SCHEMA_VERSION):
        return
    if version == 1:
        raise MappingMismatch(
            f"index {name} has schema_version 1, expected {SCHEMA_VERSION}; `nitamono mappings upgrade` "
            "builds an index of the new version from it, vectors included, and puts that live"
        )
    raise MappingMismatch(
        f"index {name} has schema_version {version}, expected {SCHEMA_VERSION}; "
        "`nitamono mappings swap OTHER` points requests at another one"
    )


def require_alias_names(es: Elasticsearch, prefix: str) -> None:
    """Check that no index has the name of the read or write alias, which could then not be set.

    Raises:
        MappingMismatch: one has.
    """
    for alias in (read_alias(prefix), write_alias(prefix)):
        if alias in es.options(ignore_status=404).indices.get_alias(index=alias):
            raise named_like_alias(alias)


def named_like_alias(alias: str) -> MappingMismatch:
    """Return the error for an index that has the name of an alias."""
    return MappingMismatch(
        f"{alias} is an index, expected an alias; `nitamono mappings drop {alias}` deletes the index, "
        "then `nitamono mappings swap INDEX` sets the alias"
    )


def is_closed(entry: Mapping[str, Any]) -> bool:
    """Return whether the index of this description is closed."""
    settings: Mapping[str, str] = entry.get("settings", {}).get("index", {})
    return settings.get("verified_before_close") == "true"


def meta_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `_meta` in an index's description; empty if it has none."""
    return cast("dict[str, Any]", entry.get("mappings", {}).get("_meta", {}))


def index_vectors(entry: Mapping[str, Any]) -> IndexVectors:
    """Return what the vectors of an index are of, by its description.

    Raises:
        KeyError: no encoder is named.
    """
    return IndexVectors.from_meta(meta_of(entry))


def encoder_of(entry: Mapping[str, Any]) -> str | None:
    """Return the id of the encoder in an index's description, if it has one."""
    return cast("str | None", meta_of(entry).get("encoder_id"))


def aliases_of(name: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the aliases of an index, without the one that it is written through."""
    return tuple(sorted(set(entry["aliases"]) - {written_through(name)}))


def require_index(es: Elasticsearch, index: str) -> dict[str, Any]:
    """Return the description of the index of this name, which must be no alias or pattern.

    Raises:
        IndexMissing: there is none.
    """
    try:
        return cast("dict[str, Any]", es.indices.get_alias(index=index)[index])
    except (NotFoundError, KeyError) as error:
        raise IndexMissing(f"no index {index}; `nitamono mappings list` shows the existing ones") from error


def indices_behind(es: Elasticsearch, alias: str) -> dict[str, dict[str, Any]]:
    """Return the description of each index behind an alias; none if there is no such alias."""
    try:
        return describe_indices(es, alias)
    except IndexMissing:
        return {}
