"""Another projection from stored full-width vectors: no photo is read, and what is forgotten is gone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from click.testing import CliRunner, Result
from elasticsearch import Elasticsearch
from numpy.typing import NDArray

from cache.changes import unmarked
from cli import main
from indexer.jobs.embeddings import StoredEmbeddings, indexer_of
from indexer.worker.bootstrap import build_indexer
from indexer.worker.embedding_log import EmbeddingLog
from mappings.aliases import start_writing
from mappings.creation import create_index
from mappings.identity import EncoderIdentity
from mappings.inspection import only_index
from mappings.names import read_alias
from ml.artifact import load_artifact
from ml.data.embedding_shards import read_rows
from ml.inference import full_width
from ml.pca.projection import load_projection
from tests.conftest import WorkerFactory
from tests.indexing import (
    BLUE,
    GREEN,
    RED,
    Shop,
    at,
    stored_documents,
    submission,
    unit,
    write_colour_encoder,
)

COUNT = 120
EYE: NDArray[np.float32] = np.eye(3, dtype=np.float32)
TURNED = np.roll(EYE, 1, axis=0)


def nitamono(*arguments: str | Path) -> Result:
    """Run a command that succeeds."""
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def items_in(folder: Path) -> list[str]:
    """The items of which a folder has full-width vectors."""
    return sorted({item for path in folder.glob("*.parquet") for item in read_rows(path)})


@pytest.fixture
def environ(
    es: Elasticsearch,
    index_prefix: str,
    tmp_path: Path,
    elasticsearch_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Shop, dict[str, str]]:
    """A shop whose encoder has a last layer, and the environment of workers that keep vectors."""
    shop = Shop.open(es, index_prefix, tmp_path, last=EYE)
    values = shop.set_environ(
        monkeypatch,
        elasticsearch_url,
        redis_url,
        NITAMONO_EMBEDDINGS_DIR=str(tmp_path / "embeddings"),
        NITAMONO_USER_SALT="0123456789abcdef",
        NITAMONO_STATE_DIR=str(tmp_path / "state"),
    )
    return shop, values


def colour_of(number: int) -> tuple[int, int, int]:
    """A colour of the item's own, vivid so that its photo does not count as blank."""
    values = [220, *np.random.default_rng(number).integers(10, 100, 2).tolist()]
    red, green, blue = np.roll(values, number % 3).tolist()
    return red, green, blue


def test_another_projection_needs_no_photos(
    environ: tuple[Shop, dict[str, str]], worker: WorkerFactory, tmp_path: Path
) -> None:
    """The commands of docs/changing-the-encoder.md, with the photos deleted but for a later listing's."""
    shop, values = environ
    first = worker(**values)
    queue = submission(values)
    events = [
        shop.event(f"m{n:04}", updated_at=at(1), images=[shop.photo(colour_of(n))], seller_id=f"s{n}")
        for n in range(COUNT)
    ]
    queue.send(events)
    assert queue.finish().indexed == COUNT
    first.stop()
    kept, pca, new = tmp_path / "embeddings", tmp_path / "pca", tmp_path / "new"
    assert len(items_in(kept)) == COUNT

    nitamono("ml", "fit-pca", kept, "--out", pca, "--dims", "2", "--keep", "3")
    projection = pca / "projection.npz"
    nitamono(
        "ml", "project", shop.settings.encoder, "--projection", projection, "--embeddings", kept, "--out", new
    )
    for event in events:
        Path(event["images"][0]).unlink()
    shop.index(
        shop.event("late", updated_at=at(2), images=[shop.photo(RED)]),
        {"op": "update", "item_id": "m0007", "updated_at": at(3), "price": 77},
    )
    worker(**values, NITAMONO_FURTHER_ENCODER_DIRS=str(new))
    result = nitamono("indexer", "reembed", "--encoder", new, "--embeddings", kept)

    assert f"Without photos: {COUNT:,} listings" in result.output
    live, _ = only_index(shop.es, read_alias(shop.settings.prefix))
    documents = stored_documents(shop.es, live)
    assert {source["encoder_id"] for source in documents.values()} == {load_artifact(new).encoder_id}
    assert documents["m0007"]["price"] == 77
    colours = {f"m{n:04}": colour_of(n) for n in range(COUNT)} | {"late": RED}
    full = np.array([unit(colour) for colour in colours.values()], np.float32)
    expected = load_projection(projection).apply(full)
    found = np.array([documents[item]["vector"] for item in colours])
    assert (found * expected).sum(axis=1).min() > 0.999


@dataclass
class Kept:
    """A shop whose full-width vectors are kept in this process, and an index of another projection."""

    shop: Shop
    folder: Path
    index: Callable[..., None]
    """Indexes events and keeps the vectors of their photos."""
    other: Path
    """The folder of the other encoder."""
    target: str

    def project(self) -> int:
        """Write what can be written to the other index from stored vectors; return how many items."""
        stored = StoredEmbeddings.of(self.folder, load_artifact(self.other))
        settings = self.shop.settings
        make = indexer_of(self.shop.es, settings.prefix, unmarked, settings.photos_per_listing)
        return stored.index(make, lambda _: None, lambda: False)

    def documents(self) -> Mapping[str, dict[str, object]]:
        """The documents of the other index."""
        return stored_documents(self.shop.es, self.target)


@pytest.fixture
def kept(es: Elasticsearch, index_prefix: str, tmp_path: Path) -> Kept:
    """The mean of two photos is searched."""
    shop = Shop.open(es, index_prefix, tmp_path, last=EYE, photos_per_listing=2)
    folder = tmp_path / "embeddings"
    log = EmbeddingLog(folder, shop.indexer.store.fingerprints)
    settings = replace(shop.settings, embeddings=folder, encoder_backend="onnxruntime")
    indexer = build_indexer(settings, es=es, keep=log.add)

    def index(*events: object) -> None:
        assert not indexer.index(events).waiting
        log.close()

    other = write_colour_encoder(tmp_path / "other", "other", TURNED)
    target = create_index(es, index_prefix, EncoderIdentity.from_artifact(other))
    return Kept(shop, folder, index, other, target)


def test_the_document_is_that_of_a_worker(kept: Kept) -> None:
    """Vectors are projected by photo, before their mean; what is newer than the vectors counts."""
    shop = kept.shop
    red, green, gone = shop.photo(RED), shop.photo(GREEN), str(shop.photos / "gone.png")
    kept.index(
        shop.event("both", images=[red, green]),
        shop.event("half", images=[gone, green]),
        shop.event("changed", images=[red]),
        shop.event("removed", images=[red]),
        shop.event("blind", images=[gone]),
    )
    assert items_in(kept.folder) == ["both", "changed", "half", "removed"]
    shop.index(
        {"op": "update", "item_id": "both", "updated_at": at(9999), "price": 5},
        shop.event("changed", images=[shop.photo(BLUE)], updated_at=at(9999)),
        {"op": "remove", "item_id": "removed", "updated_at": at(9999)},
    )
    start_writing(shop.es, shop.settings.prefix, kept.target)

    assert kept.project() == 2
    found, old = kept.documents(), shop.documents()
    assert found["both"] == old["both"] | {
        "encoder_id": EncoderIdentity.from_artifact(kept.other).encoder_id,
        "vector": pytest.approx(list(np.roll(old["both"]["vector"], 1)), abs=1e-3),
    }
    assert found["both"]["price"] == 5
    assert found["removed"]["status"] == "removed"
    assert "vector" not in found["removed"]
    assert sorted(found) == ["both", "removed"]
    assert kept.project() == 0


def test_listings_that_no_vector_was_kept_of_get_theirs(
    environ: tuple[Shop, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the live index, or of a file; what is there already, or has no photo, is counted."""
    shop, _ = environ
    parse = Mock(wraps=full_width.parse)
    monkeypatch.setattr(full_width, "parse", parse)
    folder = tmp_path / "embeddings"
    event = shop.event("m1")
    gone = shop.event("gone", images=[str(shop.photos / "gone.png")])
    shop.index(event, gone)

    first = nitamono("indexer", "embed", "--embeddings", folder)
    assert parse.call_count == 1, "a graph has up to gigabytes"
    assert "1 listing encoded, 0 were there already, 1 left out." in first.output
    assert "Left out: 1 (photo_not_found 1)." in first.output
    assert f"    gone: photo '{gone['images'][0]}': photo_not_found; expected" in first.output
    file = tmp_path / "listings.jsonl"
    removal, price = ({"op": op, "item_id": op, "updated_at": at(1)} for op in ("remove", "update"))
    lines = (event, shop.event("m2"), shop.event("m3", price=-1), removal, price, shop.event("m4", images=[]))
    file.write_text("\n".join(map(json.dumps, lines)))
    second = nitamono("indexer", "embed", file, "--embeddings", folder)
    assert "1 listing encoded, 1 were there already, 4 left out." in second.output
    assert "Left out: 4 (no_valid_listing 2, no_photo 1, removed 1)." in second.output
    assert "    listings.jsonl line 3 (m3): price: found -1, expected a number from 0 up" in second.output
    assert "    listings.jsonl line 5 (update): it has no complete listing" in second.output
    assert "  no_photo: Add a photo." in second.output
    assert items_in(folder) == ["m1", "m2"]
    shop.index(shop.event("m2"))
    stored = {row.image_fingerprint for path in folder.iterdir() for row in read_rows(path).get("m2", ())}
    assert stored == {shop.documents()["m2"]["image_fingerprint"]}


def test_what_is_forgotten_is_gone_from_stored_vectors(
    environ: tuple[Shop, dict[str, str]], worker: WorkerFactory, tmp_path: Path
) -> None:
    """The folder of the setting needs no naming; a worker does not write what waits in its memory."""
    shop, values = environ
    running = worker(**values)
    queue = submission(values)
    queue.send([shop.event(item, seller_id=seller) for item, seller in (("m1", "bad"), ("m2", "good"))])
    queue.finish()
    nitamono("indexer", "forget", "m1", "--yes", "--no-purge")
    running.stop()
    assert items_in(tmp_path / "embeddings") == ["m2"]

    nitamono("indexer", "forget", "--seller", "good", "--yes", "--no-purge")
    assert items_in(tmp_path / "embeddings") == []
    verified = nitamono("indexer", "forget", "--seller", "good", "--verify", "--json")
    assert json.loads(verified.stdout)["left"] == {}
