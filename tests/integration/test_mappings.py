"""The life of an index on a real Elasticsearch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from elasticsearch import BadRequestError, Elasticsearch

from cli import main
from indexer.worker.pipeline.documents import EncodedPhoto, to_document
from mappings import aliases, creation, inspection, lifecycle
from mappings.creation import IndexOptions
from mappings.errors import IndexExists, IndexInUse, IndexMissing, MappingMismatch, SwapLosesListings
from mappings.identity import EncoderIdentity, IndexVectors
from mappings.names import read_alias, write_alias
from tests.factories import make_identity, make_listing

EARLY = datetime(2026, 1, 1, tzinfo=UTC)
LATE = datetime(2026, 1, 2, tzinfo=UTC)


def behind(es: Elasticsearch, alias: str) -> list[str]:
    return sorted(es.indices.get_alias(name=alias))


def test_first_index_goes_live_and_a_second_call_keeps_it(es: Elasticsearch, index_prefix: str) -> None:
    """Setting up twice has no further effect."""
    first = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    assert lifecycle.ensure_live_index(es, index_prefix, make_identity()) == first
    assert behind(es, read_alias(index_prefix)) == behind(es, write_alias(index_prefix)) == [first]
    assert inspection.read_identity(es, read_alias(index_prefix)) == make_identity()
    assert es.indices.exists(index=f"{index_prefix}-dead-letters")


def test_index_of_another_encoder_is_refused_naming_both(es: Elasticsearch, index_prefix: str) -> None:
    """A process neither reads nor writes vectors of another encoder."""
    lifecycle.ensure_live_index(es, index_prefix, make_identity())
    other = make_identity(encoder_id="colour-00000002")
    for refuse in (
        lambda: inspection.check_index(es, read_alias(index_prefix), other),
        lambda: lifecycle.ensure_live_index(es, index_prefix, other),
        lambda: aliases.writable_indices(es, index_prefix, [other]),
    ):
        with pytest.raises(MappingMismatch, match=r"colour-00000001.*colour-00000002"):
            refuse()


def test_swap_moves_reading_in_one_step_and_keeps_the_old_index_written(
    es: Elasticsearch, index_prefix: str
) -> None:
    """The old index stays current for a swap back."""
    new_encoder = make_identity(encoder_id="colour-00000002")
    old = creation.create_index(es, index_prefix, make_identity(), now=EARLY)
    aliases.swap_aliases(es, index_prefix, old)
    new = creation.create_index(es, index_prefix, new_encoder, now=LATE)
    assert aliases.swap_aliases(es, index_prefix, new) == [old]
    assert behind(es, read_alias(index_prefix)) == [new]
    assert behind(es, write_alias(index_prefix)) == sorted([old, new])
    both = [make_identity(), new_encoder]
    assert aliases.writable_indices(es, index_prefix, both) == {
        old: IndexVectors("colour-00000001"),
        new: IndexVectors("colour-00000002"),
    }
    with pytest.raises(MappingMismatch, match=r"colour-00000001.*colour-00000002.*FURTHER_ENCODER_DIRS"):
        aliases.writable_indices(es, index_prefix, [new_encoder])
    aliases.swap_aliases(es, index_prefix, old, keep_writing=False)
    assert behind(es, write_alias(index_prefix)) == [old]


def test_index_in_use_is_not_dropped(es: Elasticsearch, index_prefix: str) -> None:
    """Only indices without an alias, unless forced; aliases and patterns are refused."""
    live = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    spare = creation.create_index(es, index_prefix, make_identity(), now=EARLY)
    assert lifecycle.unused_indices(es, index_prefix) == [spare]
    with pytest.raises(IndexInUse, match="swap OTHER --stop-writing"):
        lifecycle.drop_index(es, live)
    for name in (read_alias(index_prefix), f"{index_prefix}-none"):
        with pytest.raises(IndexMissing):
            lifecycle.drop_index(es, name)
    lifecycle.drop_index(es, spare)
    lifecycle.drop_index(es, live, force=True)
    assert lifecycle.list_indices(es, index_prefix) == []


def fill(es: Elasticsearch, index: str, count: int, dims: int = 4, **changes: Any) -> None:
    """Store so many listings that can be found by photo."""
    for number in range(count):
        listing = make_listing(item_id=f"m{number}", **changes)
        document = to_document(listing, EncodedPhoto((1.0, *[0.0] * (dims - 1)), "0" * 16), "colour-00000001")
        es.index(index=index, id=listing.item_id, document=document.to_source())


def test_an_index_that_would_empty_the_shop_does_not_go_live(es: Elasticsearch, index_prefix: str) -> None:
    """Empty, or far from full, or full of sold items; both are named with their numbers."""
    live = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    fill(es, live, 20)
    new = creation.create_index(es, index_prefix, make_identity(), now=EARLY)
    with pytest.raises(SwapLosesListings, match=rf"{new} has 0 listings .* {live}, which is live, has 20;"):
        aliases.check_swap(es, index_prefix, new)
    with pytest.raises(SwapLosesListings, match="a new index has 0"):
        aliases.check_swap(es, index_prefix, None)
    fill(es, new, 20, status="sold_out")
    with pytest.raises(SwapLosesListings, match=f"{new} has 0"):
        aliases.check_swap(es, index_prefix, new)
    fill(es, new, 17)
    with pytest.raises(SwapLosesListings, match=f"{new} has 17"):
        aliases.check_swap(es, index_prefix, new)
    fill(es, new, 18)
    aliases.check_swap(es, index_prefix, new)
    aliases.check_swap(es, index_prefix, live)


@pytest.mark.parametrize("name", ["{}-read", "{}-*", "{}-read,{}-write", "_all", "{}-none"])
def test_only_an_index_of_that_name_goes_live(es: Elasticsearch, index_prefix: str, name: str) -> None:
    """A pattern or an alias would make requests read several, or what they read already."""
    live = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    for refuse in (aliases.check_swap, aliases.swap_aliases):
        with pytest.raises(IndexMissing):
            refuse(es, index_prefix, name.format(index_prefix, index_prefix))
    assert behind(es, read_alias(index_prefix)) == [live]


def test_an_index_is_kept_up_to_date_before_it_goes_live(es: Elasticsearch, index_prefix: str) -> None:
    """So that it is full when it does."""
    live = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    new = creation.create_index(es, index_prefix, make_identity(), now=EARLY)
    aliases.start_writing(es, index_prefix, new)
    assert behind(es, read_alias(index_prefix)) == [live]
    assert sorted(aliases.writable_indices(es, index_prefix, [make_identity()])) == sorted([live, new])


def half_swapped(es: Elasticsearch, prefix: str, live: str) -> str:
    other = creation.create_index(es, prefix, make_identity(), now=EARLY)
    es.indices.put_alias(index=other, name=read_alias(prefix))
    return f"points at 2 indices .*{live}.*swap INDEX"


def foreign(es: Elasticsearch, prefix: str, live: str) -> str:
    es.indices.create(index=f"{prefix}-foreign")
    es.indices.delete_alias(index=live, name=read_alias(prefix))
    es.indices.put_alias(index=f"{prefix}-foreign", name=read_alias(prefix))
    return f"index {prefix}-foreign has schema_version None, expected 2; .*swap OTHER"


def without_encoder(es: Elasticsearch, prefix: str, live: str) -> str:
    es.indices.put_mapping(index=live, meta={"schema_version": 2})
    return f"index {live}: _meta names no encoder: .*; .*swap OTHER"


def closed(es: Elasticsearch, prefix: str, live: str) -> str:
    es.indices.close(index=live)
    return f"index {live} is closed; .*swap OTHER"


def filtered(es: Elasticsearch, prefix: str, live: str) -> str:
    es.indices.put_alias(index=live, name=read_alias(prefix), filter={"term": {"status": "on_sale"}})
    return f"has a filter.*swap {live}"


def unwritten(es: Elasticsearch, prefix: str, live: str) -> str:
    es.indices.delete_alias(index=live, name=write_alias(prefix))
    return f"{prefix}-write does not include {live}: .*swap {live}"


def index_for_read_alias(es: Elasticsearch, prefix: str, live: str) -> str:
    es.indices.delete_alias(index=live, name=read_alias(prefix))
    es.indices.create(index=read_alias(prefix))
    return f"{prefix}-read is an index, expected an alias; .*drop {prefix}-read.*swap INDEX"


SPOILS = [half_swapped, foreign, without_encoder, closed, filtered, unwritten, index_for_read_alias]


@pytest.mark.parametrize("spoil", SPOILS)
def test_an_alias_that_cannot_be_read_is_found_by_the_check(
    es: Elasticsearch, index_prefix: str, spoil: Callable[[Elasticsearch, str, str], str]
) -> None:
    """And by setting up again."""
    live = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    words = spoil(es, index_prefix, live)
    for check in (inspection.check_live, lifecycle.ensure_live_index):
        with pytest.raises((MappingMismatch, IndexMissing), match=words):
            check(es, index_prefix, make_identity())


@pytest.mark.parametrize("spoil", SPOILS)
def test_the_advised_command_repairs_what_the_check_found(
    es: Elasticsearch, elasticsearch_url: str, index_prefix: str,
    spoil: Callable[[Elasticsearch, str, str], str],
) -> None:  # fmt: skip
    """Run as the message has it, INDEX and OTHER being one that can be read, however few its listings."""
    live = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    fill(es, live, 20)
    spare = creation.create_index(es, index_prefix, make_identity(), now=LATE)
    spoil(es, index_prefix, live)
    with pytest.raises((MappingMismatch, IndexMissing)) as caught:
        inspection.check_live(es, index_prefix, make_identity())
    live_is_lost = spoil in (closed, without_encoder)
    if spoil is without_encoder:  # its listings can still be found, and so would be lost
        fill(es, spare, 20)
    for advice in re.findall("`nitamono (mappings .*?)`", str(caught.value)):
        named = re.sub("INDEX|OTHER", spare if live_is_lost else live, advice)
        yes = ["--yes"] if " drop " in named else []
        environ = {"ELASTICSEARCH_URL": elasticsearch_url, "NITAMONO_INDEX_PREFIX": index_prefix}
        assert CliRunner().invoke(main, ["mappings", "list"], env=environ).exit_code == 0
        result = CliRunner().invoke(main, [*named.split(), *yes], env=environ)
        assert result.exit_code == 0, result.output
    inspection.check_live(es, index_prefix, make_identity())


def test_a_closed_live_index_is_replaced_by_a_new_one_and_not_written_any_more(
    es: Elasticsearch, index_prefix: str
) -> None:
    """Requests find nothing in it, so nothing is lost; writes to it would fail."""
    live = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    fill(es, live, 20)
    es.indices.close(index=live)
    aliases.check_swap(es, index_prefix, None)
    new = creation.create_index(es, index_prefix, make_identity(), now=LATE)
    aliases.swap_aliases(es, index_prefix, new)
    assert list(aliases.writable_indices(es, index_prefix, [make_identity()])) == [new]
    with pytest.raises(IndexMissing, match=f"{live} is closed"):
        aliases.check_swap(es, index_prefix, live)


def read_blocked(es: Elasticsearch, index: str) -> None:
    es.indices.put_settings(index=index, settings={"index.blocks.read": True})


def without_shards(es: Elasticsearch, index: str) -> None:
    """Recreate the index where no node may hold it."""
    aliases = es.indices.get_alias(index=index)[index]["aliases"]
    es.indices.delete(index=index)
    body = creation.index_body(make_identity(), IndexOptions())
    body["settings"]["index.routing.allocation.require._name"] = "no-such-node"
    es.indices.create(index=index, aliases=aliases, wait_for_active_shards=0, **body)


@pytest.mark.parametrize("spoil", [read_blocked, without_shards])
def test_an_unreadable_live_index_may_be_replaced(
    es: Elasticsearch, index_prefix: str, spoil: Callable[[Elasticsearch, str], None]
) -> None:
    """Its listings cannot be found anyway, and the list of indices is printed."""
    live = lifecycle.ensure_live_index(es, index_prefix, make_identity())
    fill(es, live, 20)
    spoil(es, live)
    aliases.check_swap(es, index_prefix, None)
    assert [state.name for state in lifecycle.list_indices(es, index_prefix)] == [live]


@pytest.mark.parametrize("alias", [read_alias, write_alias])
def test_an_index_named_like_an_alias_is_refused_before_another_is_created(
    es: Elasticsearch, elasticsearch_url: str, index_prefix: str, alias: Callable[[str], str]
) -> None:
    """Elasticsearch would refuse the alias only after that."""
    es.indices.create(index=alias(index_prefix))
    environ = {"ELASTICSEARCH_URL": elasticsearch_url, "NITAMONO_INDEX_PREFIX": index_prefix}
    result = CliRunner().invoke(main, ["mappings", "create", "--live"], env=environ)
    assert f"{alias(index_prefix)} is an index, expected an alias" in result.output
    assert lifecycle.list_indices(es, index_prefix) == []


def test_the_list_marks_a_closed_index(es: Elasticsearch, elasticsearch_url: str, index_prefix: str) -> None:
    """Its count of documents would be 0."""
    name = creation.create_index(es, index_prefix, make_identity(), now=EARLY)
    es.indices.close(index=name)
    environ = {"ELASTICSEARCH_URL": elasticsearch_url, "NITAMONO_INDEX_PREFIX": index_prefix}
    result = CliRunner().invoke(main, ["mappings", "list"], env=environ)
    assert result.output.splitlines()[-1].split() == [name, "closed", "-", "-", "-"]
    listed = CliRunner().invoke(main, ["mappings", "list", "--json"], env=environ)
    assert (json.loads(listed.output)[0]["documents"], json.loads(listed.output)[0]["closed"]) == (None, True)


def test_second_index_within_one_second_is_refused(es: Elasticsearch, index_prefix: str) -> None:
    """Names have a resolution of one second."""
    name = creation.create_index(es, index_prefix, make_identity(), now=EARLY)
    with pytest.raises(IndexExists, match=name):
        creation.create_index(es, index_prefix, make_identity(), now=EARLY)


def test_missing_index_is_reported_with_the_remedy(es: Elasticsearch, index_prefix: str) -> None:
    """For a process that starts before `mappings create`."""
    with pytest.raises(IndexMissing, match="nitamono mappings create --live"):
        inspection.read_identity(es, read_alias(index_prefix))
    with pytest.raises(IndexMissing):
        aliases.swap_aliases(es, index_prefix, f"{index_prefix}-none")


@pytest.mark.parametrize("kind", creation.VECTOR_INDEX_TYPES)
def test_elasticsearch_supports_every_offered_vector_index(
    es: Elasticsearch, index_prefix: str, kind: str
) -> None:
    """An option that the cluster refuses would be no option."""
    options = IndexOptions(vector_index=kind)
    name = creation.create_index(es, index_prefix, make_identity(dims=128), options=options)
    mapping = es.indices.get_mapping(index=name)[name]["mappings"]
    assert mapping["properties"]["vector"]["index_options"]["type"] == kind


def test_unknown_field_is_refused_by_the_mapping(es: Elasticsearch, index_prefix: str) -> None:
    """The mapping is strict."""
    name = creation.create_index(es, index_prefix, make_identity())
    with pytest.raises(BadRequestError, match="strict_dynamic_mapping"):
        es.index(index=name, document={"item_id": "m1", "surprise": 1})


def test_command_line_creates_lists_swaps_checks_and_drops(
    es: Elasticsearch, elasticsearch_url: str, index_prefix: str, tmp_path: Path
) -> None:
    """Each command of `nitamono mappings`, as an operator would use it."""
    manifest = {"encoder_id": "e-1", "dims": 8, "similarity": {"mean": 0.5, "spread": 0.2}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    environ = {
        "ELASTICSEARCH_URL": elasticsearch_url,
        "NITAMONO_INDEX_PREFIX": index_prefix,
        "NITAMONO_ENCODER_DIR": str(tmp_path),
    }

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["mappings", *arguments], env=environ)
        assert result.exit_code == code, result.output
        return result.output.strip()

    assert "No index exists" in run("list")
    assert "nitamono mappings create --live" in run("check", code=1)
    name = run("create", "--live", "--vector-index", "int8_hnsw")
    assert name.startswith(f"{index_prefix}-e-1-")
    assert run("create", "--live", "--if-missing") == name
    assert "--if-missing needs --live" in run("create", "--if-missing", code=2)
    assert "e-1, 8 dims" in run("check")
    assert name in run("list")
    assert json.loads(run("list", "--json"))[0]["aliases"] == [
        f"{index_prefix}-read",
        f"{index_prefix}-write",
    ]
    assert run("swap", name) == f"{name} is live already."
    assert run("drop", "--unused", "--yes") == "No unused index."
    fill(es, name, 2, dims=8)
    assert "a new index has 0 listings" in run("create", "--live", code=1)
    spare = creation.create_index(es, index_prefix, EncoderIdentity.from_artifact(tmp_path), now=EARLY)
    assert f"{spare} has 0 listings" in run("swap", spare, code=1)
    assert run("swap", spare, "--force").endswith(f"→ {spare}")
    assert "`nitamono mappings swap OTHER --stop-writing`" in run("drop", name, "--yes", code=1)
    assert run("swap", spare, "--stop-writing") == f"{spare} is live already."
    assert run("drop", name, "--yes") == f"Dropped {name}."
    assert run("drop", spare, "--force", "--yes") == f"Dropped {spare}."
    assert "pass either --write or --live" in run("create", "--write", "--live", code=2)
    assert run("create", "--write") in run("list")
    assert "pass either INDEX or --unused" in run("drop", "--yes", code=2)


def test_unreachable_cluster_is_reported_in_one_sentence() -> None:
    """What is missing and how to start it, without a traceback."""
    environ = {"ELASTICSEARCH_URL": "http://127.0.0.1:1", "ELASTICSEARCH_MAX_RETRIES": "0"}
    result = CliRunner().invoke(main, ["mappings", "list"], env=environ)
    assert result.exit_code == 1
    assert "start it with `make up` or set ELASTICSEARCH_URL" in result.output
    assert "Traceback" not in result.output
