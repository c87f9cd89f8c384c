"""Settings and mappings of a new index of listings."""

from __future__ import annotations

import pytest

from mappings.creation import VECTOR_INDEX_TYPES, IndexOptions, index_body
from mappings.listing import ListingDocument
from tests.factories import make_identity


def test_body_carries_the_encoder_in_its_meta() -> None:
    """A reader needs only the index to know its encoder and calibration."""
    body = index_body(make_identity(dims=128), IndexOptions())
    assert body["mappings"]["_meta"] == {
        "schema_version": 2,
        "encoder_id": "colour-00000001",
        "dims": 128,
        "similarity_mean": 0.6,
        "similarity_spread": 0.1,
    }
    assert body["mappings"]["dynamic"] == "strict"


def test_body_follows_the_options() -> None:
    """Shards, replicas and the vector index are the operator's choice."""
    body = index_body(make_identity(dims=64), IndexOptions(shards=3, replicas=1, vector_index="int8_hnsw"))
    assert (body["settings"]["number_of_shards"], body["settings"]["number_of_replicas"]) == (3, 1)
    vector = body["mappings"]["properties"]["vector"]
    assert vector["dims"] == 64
    assert vector["index_options"] == {
        "type": "int8_hnsw",
        "m": 16,
        "ef_construction": 100,
        "flat_index_threshold": 1000,
    }


@pytest.mark.parametrize("kind", VECTOR_INDEX_TYPES)
def test_only_graphs_have_graph_parameters(kind: str) -> None:
    """A flat index has no `m`."""
    vector = index_body(make_identity(), IndexOptions(vector_index=kind))["mappings"]["properties"]["vector"]
    assert ("m" in vector["index_options"]) is ("hnsw" in kind)


def test_the_mapping_has_the_fields_of_a_document() -> None:
    """The mapping is strict, so the type and the file must agree; only some indices have further photos."""
    properties = index_body(make_identity(), IndexOptions(photos=2))["mappings"]["properties"]
    assert set(properties) - set(index_body(make_identity(), IndexOptions())["mappings"]["properties"]) == {
        "further_photos"
    }
    assert set(properties) == set(ListingDocument.model_fields) | {
        "category_paths",
        "offer",
        "popularity_log",
    }
