"""The life of an index on a real Elasticsearch."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from elasticsearch import BadRequestError, Elasticsearch

from cli import main
from mappings import lifecycle
from mappings.errors import IndexExists, IndexInUse, IndexMissing, MappingMismatch
from mappings.lifecycle import IndexOptions
from mappings.names import read_alias, write_alias
from tests.factories import make_identity

EARLY = datetime(2026, 1, 1, tzinfo=UTC)
LATE = datetime(2026, 1, 2, tzinfo=UTC)


def behind(es: Elasticsearch, alias: str) -> list[str]:
    return sorted(es.indices.get_alias(name=alias))


def test_first_index_goes_live_and_a_second_call_keeps_it(es: Elasticsearch, index_prefix: str) -> None:
    """Setting up twice is setting up once."""
    first = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    assert lifecycle.ensure_live_index(es, index_prefix, make_identity()) == first
    assert behind(es, read_alias(index_prefix)) == behind(es, write_alias(index_prefix)) == [first]
    assert lifecycle.read_identity(es, read_alias(index_prefix)) == make_identity()
    assert es.indices.exists(index=f"{index_prefix}-dead-letters")


def test_index_of_another_encoder_is_refused_naming_both(es: Elasticsearch, index_prefix: str) -> None:
    """A process never writes vectors into a foreign index, nor reads them as its own."""
    lifecycle.ensure_live_index(es, index_prefix, make_identity())
    other = make_identity(encoder_id="colour-00000002")
    for refuse in (
        lambda: lifecycle.check_index(es, read_alias(index_prefix), other),
        lambda: lifecycle.ensure_live_index(es, index_prefix, other),
        lambda: lifecycle.writable_indices(es, index_prefix, other),
    ):
        with pytest.raises(MappingMismatch, match=r"colour-00000001.*colour-00000002"):
            refuse()


def test_swap_moves_reading_in_one_step_and_keeps_the_old_index_written(
    es: Elasticsearch, index_prefix: str
) -> None:
    """A new encoder's index takes over; the old one stays current for a swap back."""
    new_encoder = make_identity(encoder_id="colour-00000002")
    old = lifecycle.create_index(es, index_prefix, make_identity(), now=EARLY)
    lifecycle.swap_aliases(es, index_prefix, old)
    new = lifecycle.create_index(es, index_prefix, new_encoder, now=LATE)
    assert lifecycle.swap_aliases(es, index_prefix, new) == [old]
    assert behind(es, read_alias(index_prefix)) == [new]
    assert behind(es, write_alias(index_prefix)) == sorted([old, new])
    assert lifecycle.writable_indices(es, index_prefix, make_identity()) == [old]
    assert lifecycle.writable_indices(es, index_prefix, new_encoder) == [new]
    lifecycle.swap_aliases(es, index_prefix, old, keep_writing=False)
    assert behind(es, write_alias(index_prefix)) == [old]


def test_index_in_use_is_not_dropped(es: Elasticsearch, index_prefix: str) -> None:
    """Only what no alias needs goes, unless forced; an alias or pattern is no index."""
    live = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    spare = lifecycle.create_index(es, index_prefix, make_identity(), now=EARLY)
    assert lifecycle.unused_indices(es, index_prefix) == [spare]
    with pytest.raises(IndexInUse, match="swap to another one first"):
        lifecycle.drop_index(es, live)
    for name in (read_alias(index_prefix), f"{index_prefix}-none"):
        with pytest.raises(IndexMissing):
            lifecycle.drop_index(es, name)
    lifecycle.drop_index(es, spare)
    lifecycle.drop_index(es, live, force=True)
    assert lifecycle.list_indices(es, index_prefix) == []


def test_second_index_within_one_second_is_named(es: Elasticsearch, index_prefix: str) -> None:
    """Names tell seconds apart; whoever is faster hears so."""
    name = lifecycle.create_index(es, index_prefix, make_identity(), now=EARLY)
    with pytest.raises(IndexExists, match=name):
        lifecycle.create_index(es, index_prefix, make_identity(), now=EARLY)


def test_absent_index_is_named_with_the_remedy(es: Elasticsearch, index_prefix: str) -> None:
    """Whoever starts before `mappings create` is told so."""
    with pytest.raises(IndexMissing, match="nitamono mappings create --live"):
        lifecycle.read_identity(es, read_alias(index_prefix))
    with pytest.raises(IndexMissing):
        lifecycle.swap_aliases(es, index_prefix, f"{index_prefix}-none")


@pytest.mark.parametrize("kind", lifecycle.VECTOR_INDEX_TYPES)
def test_every_offered_vector_index_is_one_elasticsearch_has(
    es: Elasticsearch, index_prefix: str, kind: str
) -> None:
    """An option that the cluster refuses would be no option."""
    options = IndexOptions(vector_index=kind)
    name = lifecycle.create_index(es, index_prefix, make_identity(dims=128), options=options)
    mapping = es.indices.get_mapping(index=name)[name]["mappings"]
    assert mapping["properties"]["vector"]["index_options"]["type"] == kind


def test_unknown_field_is_refused_by_the_mapping(es: Elasticsearch, index_prefix: str) -> None:
    """The mapping is strict: a writer that invents a field is told."""
    name = lifecycle.create_index(es, index_prefix, make_identity())
    with pytest.raises(BadRequestError, match="strict_dynamic_mapping"):
        es.index(index=name, document={"item_id": "m1", "surprise": 1})


def test_command_line_makes_lists_swaps_checks_and_drops(
    elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    """Each command of `nitamono mappings`, as an operator would use it."""
    manifest = {"encoder_id": "e-1", "dims": 8, "similarity": {"mean": 0.5, "spread": 0.2}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    environ = {
        "ELASTICSEARCH_URL": elasticsearch_url,
        "NITAMONO_INDEX_PREFIX": index_prefix,
        "NITAMONO_ENCODER": str(tmp_path),
    }

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["mappings", *arguments], env=environ)
        assert result.exit_code == code, result.output
        return result.output.strip()

    assert "no index yet" in run("list")
    assert "nitamono mappings create --live" in run("check", code=1)
    name = run("create", "--live", "--vector-index", "int8_hnsw")
    assert name.startswith(f"{index_prefix}-e-1-")
    assert run("create", "--live", "--if-missing") == name
    assert "--if-missing goes with --live" in run("create", "--if-missing", code=2)
    assert "e-1, 8 dims" in run("check")
    assert name in run("list")
    assert json.loads(run("list", "--json"))[0]["aliases"] == [
        f"{index_prefix}-read",
        f"{index_prefix}-write",
    ]
    assert run("swap", name).endswith(f"→ {name}")
    assert run("drop", "--unused", "--yes") == "nothing to drop"
    assert "in use by" in run("drop", name, "--yes", code=1)
    assert run("drop", name, "--force", "--yes") == f"dropped {name}"
    assert "name an index or pass --unused" in run("drop", "--yes", code=2)


def test_cluster_that_is_away_gets_one_sentence() -> None:
    """No traceback: what is missing and how to start it."""
    environ = {"ELASTICSEARCH_URL": "http://127.0.0.1:1", "ELASTICSEARCH_MAX_RETRIES": "0"}
    result = CliRunner().invoke(main, ["mappings", "list"], env=environ)
    assert result.exit_code == 1
    assert "start it with `make up` or set ELASTICSEARCH_URL" in result.output
    assert "Traceback" not in result.output
