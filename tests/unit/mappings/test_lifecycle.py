"""The body an index is made from, and the encoder it remembers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mappings.creation import VECTOR_INDEX_TYPES, IndexOptions, index_body
from mappings.errors import InvalidSetting
from mappings.identity import EncoderIdentity
from mappings.listing import ListingDocument
from tests.factories import make_identity


def test_body_carries_the_encoder_in_its_meta() -> None:
    """A reader learns from the index alone which encoder made it and how to calibrate."""
    body = index_body(make_identity(dims=128), IndexOptions())
    assert body["mappings"]["_meta"] == {
        "schema_version": 1,
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
    assert vector["index_options"] == {"type": "int8_hnsw", "m": 16, "ef_construction": 100}


@pytest.mark.parametrize("kind", VECTOR_INDEX_TYPES)
def test_graph_parameters_go_to_graphs_alone(kind: str) -> None:
    """A flat index knows no `m`."""
    vector = index_body(make_identity(), IndexOptions(vector_index=kind))["mappings"]["properties"]["vector"]
    assert ("m" in vector["index_options"]) is ("hnsw" in kind)


def test_every_field_of_a_document_is_mapped_and_none_more() -> None:
    """The mapping is strict, so the type and the file must agree."""
    properties = index_body(make_identity(), IndexOptions())["mappings"]["properties"]
    assert set(properties) == set(ListingDocument.model_fields)


def test_identity_is_read_from_a_manifest(tmp_path: Path) -> None:
    """The manifest's other fields are the encoder's own affair."""
    manifest = {"encoder_id": "e-1", "dims": 8, "similarity": {"mean": 0.5, "spread": 0.2}, "more": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert EncoderIdentity.from_artifact(tmp_path) == EncoderIdentity("e-1", 8, 0.5, 0.2)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"encoder_id": "e"}'])
def test_folder_without_a_readable_manifest_is_refused(tmp_path: Path, text: str | None) -> None:
    """The message names the folder and the variable that leads to it."""
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InvalidSetting, match="set NITAMONO_ENCODER"):
        EncoderIdentity.from_artifact(tmp_path)
