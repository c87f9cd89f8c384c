"""Shared parts of the indexer's tests: an encoder of colours, photos of one colour, an index."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import redis
from elasticsearch import Elasticsearch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from indexer.intake.submission import Submission
from indexer.settings import FetchSettings, IndexerSettings
from indexer.summary import IndexingSummary
from indexer.worker import tasks
from indexer.worker.app import producer
from indexer.worker.bootstrap import build_indexer, build_parking, work_queue
from indexer.worker.pipeline.chunk import Chunk
from indexer.worker.pipeline.dead_letters import DeadLetter
from indexer.worker.pipeline.indexer import Indexer
from indexer.worker.reports import Reports
from mappings.client import ElasticsearchSettings
from mappings.creation import IndexOptions
from mappings.identity import EncoderIdentity
from mappings.image_roots import ImageRoots
from mappings.lifecycle import ensure_live_index
from ml.artifact import (
    GOLDEN,
    IMAGE_GRAPH,
    Preprocessing,
    Similarity,
    load_artifact,
    save_manifest,
    sha256,
    write_manifest,
)
from ml.export.golden import write_golden
from ml.inference.encoder import ImageEncoder, load_encoder
from queues.work_queue import WorkQueue
from tests.factories import make_event

SIZE = 32
RED, GREEN, BLUE = (200, 20, 20), (20, 200, 20), (20, 20, 200)


def write_colour_encoder(folder: Path, name: str = "colour", last: NDArray[np.float32] | None = None) -> Path:
    """Write an artifact whose vector is a photo's mean red, green and blue, each plus one, normalized.

    last: (3, 3) float32, the weight of a last layer, which is applied to that, and followed by normalisation.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIZE, SIZE, 3])
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", 3])
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["floats", "one"], ["positive"]),
        helper.make_node("ReduceMean", ["positive"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("LpNormalization", ["mean"], ["vector" if last is None else "full"], axis=1, p=2),
    ]
    weights = [numpy_helper.from_array(np.float32(1.0), "one")]
    if last is not None:
        nodes.append(helper.make_node("Gemm", ["full", "last.weight"], ["linear"], transB=1))
        nodes.append(helper.make_node("LpNormalization", ["linear"], ["vector"], axis=1, p=2))
        weights.append(numpy_helper.from_array(last, "last.weight"))
    graph = helper.make_graph(nodes, "colour", [pixels], [vector], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, folder / IMAGE_GRAPH)
    write_golden(folder, SIZE)
    write_manifest(
        folder,
        name=name,
        base_model="none: the mean colour",
        width=3,
        dims=3,
        preprocessing=Preprocessing(image_size=SIZE),
        similarity=Similarity(mean=0.8, spread=0.1, neighbours=100),
        data_fingerprint="none",
        training={},
        metrics={},
    )
    return folder


def store_other_golden_vectors(encoder: Path) -> None:
    """Change the golden vectors, as if the artifact was made on a machine that computes other vectors."""
    artifact = load_artifact(encoder)
    golden = artifact.golden(IMAGE_GRAPH)
    assert golden is not None
    arrays = {f"{IMAGE_GRAPH}.inputs": golden.inputs, f"{IMAGE_GRAPH}.vectors": golden.vectors[::-1]}
    np.savez(encoder / GOLDEN, **arrays)  # type: ignore[arg-type]  typeshed takes the names for allow_pickle
    files = artifact.manifest.files | {GOLDEN: sha256(encoder / GOLDEN)}
    save_manifest(encoder, artifact.manifest.model_copy(update={"files": files}))


def photo_bytes(colour: tuple[int, int, int] = RED, side: int = 40, format: str = "PNG") -> bytes:  # noqa: A002
    """Return a square photo of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(buffer, format)
    return buffer.getvalue()


def draw_photo(path: Path, colour: tuple[int, int, int] = RED) -> Path:
    """Write a photo of one colour to the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photo_bytes(colour))
    return path


def at(minute: float) -> str:
    """Return the instant so many minutes after 1 January 2026."""
    return (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)).isoformat()


class CountingEncoder(ImageEncoder):
    """An encoder that records the number of photos in each batch."""

    def __init__(self, folder: Path) -> None:
        inner = load_encoder(load_artifact(folder), backend="onnxruntime")
        self.__dict__.update(inner.__dict__)
        self.batches: list[int] = []

    def encode(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Encode (n, size, size, 3) uint8 pixels to (n, dims) float32 unit vectors."""
        self.batches.append(len(pixels))
        return super().encode(pixels)


@dataclass
class Shop:
    """An index, a folder of photos, and an indexer in this process."""

    es: Elasticsearch
    settings: IndexerSettings
    photos: Path
    index_name: str
    encoder: CountingEncoder
    indexer: Indexer
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @classmethod
    def open(
        cls,
        es: Elasticsearch,
        prefix: str,
        folder: Path,
        *,
        fetch: FetchSettings | None = None,
        roots: ImageRoots | None = None,
        name: str = "colour",
        last: NDArray[np.float32] | None = None,
        options: IndexOptions | None = None,
        **changes: Any,
    ) -> Shop:
        """Create a shop with photos and encoder in `folder`; `roots` are further folders of photos.

        last: as in write_colour_encoder. options: of its index.
        """
        artifact = write_colour_encoder(folder / "encoder", name, last)
        photos = folder / "photos"
        photos.mkdir(parents=True)
        settings = IndexerSettings(
            elasticsearch=ElasticsearchSettings(prefix=prefix),
            encoder=artifact,
            roots=roots or ImageRoots((photos,)),
            fetch=fetch or FetchSettings(),
            **changes,
        )
        encoder = CountingEncoder(artifact)
        index = ensure_live_index(es, prefix, EncoderIdentity.from_artifact(artifact), options=options)
        return cls(
            es, settings, photos, index, encoder, build_indexer(settings, es=es, encoders={artifact: encoder})
        )

    @property
    def encoder_id(self) -> str:
        """The encoder of the index."""
        return EncoderIdentity.from_artifact(self.settings.encoder).encoder_id

    def environ(self, elasticsearch_url: str, redis_url: str, **further: str) -> dict[str, str]:
        """Return the environment of a worker or command of this shop."""
        return {
            "ELASTICSEARCH_URL": elasticsearch_url,
            "NITAMONO_REDIS_URL": redis_url,
            "NITAMONO_INDEX_PREFIX": self.settings.prefix,
            "NITAMONO_ENCODER_DIR": str(self.settings.encoder),
            "NITAMONO_ENCODER_BACKEND": "onnxruntime",
            "NITAMONO_IMAGE_ROOTS": str(self.settings.roots.folders[0]),
            "NITAMONO_IMAGE_ROOTS_FILE": str(self.settings.encoder.parent / "image-roots"),
        } | further

    def set_environ(
        self, patch: pytest.MonkeyPatch, elasticsearch_url: str, redis_url: str, **further: str
    ) -> dict[str, str]:
        """Let the commands of this process find the shop, and return the environment."""
        environ = self.environ(elasticsearch_url, redis_url, **further)
        for name, value in environ.items():
            patch.setenv(name, value)
        return environ

    def photo(self, colour: tuple[int, int, int] = RED) -> str:
        """Return the path of a new photo of one colour."""
        return str(draw_photo(self.photos / f"{next(self._numbers)}.png", colour))

    def event(self, item_id: str = "m1", **changes: Any) -> dict[str, Any]:
        """Return a valid event with its own red photo, unless `images` is passed."""
        if "images" not in changes:
            changes["images"] = [str(draw_photo(self.photos / f"{item_id}.png"))]
        return make_event(item_id=item_id, **changes)

    @property
    def identity(self) -> EncoderIdentity:
        """The encoder of the shop."""
        return self.indexer.store.encoders[0]

    def index(self, *events: object, **options: Any) -> IndexingSummary:
        """Index the events and return the summary of those that have an outcome."""
        return IndexingSummary.of(self.chunk(events, **options).outcomes_in_order())

    def chunk(self, events: Sequence[object], **options: Any) -> Chunk:
        """Index the events as one chunk and return it."""
        return self.indexer.index(events, **options)

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return the documents of known items by id, with vectors and versions, without the time of indexing.

        An item of which only a change or a rejected event came is not known.
        """
        stored = stored_documents(self.es, self.index_name)
        return {item_id: source for item_id, source in stored.items() if source["version"]}

    def dead_letters(self) -> dict[str, DeadLetter]:
        """Return the dead letters by reason."""
        return {letter.reason: letter for letter in self.indexer.dead_letters.search()}


ShopFactory = Callable[..., Shop]
"""Opens a shop, given options as `Shop.open` has them."""


def remaining(chunk: Chunk) -> list[object]:
    """Return the events that wait for another attempt, in order."""
    return [chunk.events[position] for position in sorted(chunk.waiting)]


def submission(environ: Mapping[str, str]) -> Submission:
    """Return a submission to the workers of that environment."""
    settings = IndexerSettings.from_environ(environ)
    return Submission(producer(settings), redis.Redis.from_url(settings.redis_url), settings)


def run_tasks_here(
    shop: Shop, redis_url: str, monkeypatch: pytest.MonkeyPatch, *, outcome_stream_length: int = 0
) -> WorkQueue:
    """Let tasks that are called in this process index into the shop, and return their queue."""
    settings = replace(shop.settings, redis_url=redis_url, outcome_stream_length=outcome_stream_length)
    queue = work_queue(settings)
    local = {
        "indexer": shop.indexer,
        "parking": build_parking(settings),
        "settings": settings,
        "queue": queue,
        "reports": Reports.of(queue, outcome_stream_length, shop.encoder_id),
    }
    for name, value in local.items():
        monkeypatch.setattr(tasks, name, lambda value=value: value)
    return queue


def stored_documents(es: Elasticsearch, index: str) -> dict[str, dict[str, Any]]:
    """Return all documents of an index by id, with vectors and versions, without the time of indexing."""
    es.indices.refresh(index=index)
    hits = es.search(index=index, size=1000, source_exclude_vectors=False)["hits"]["hits"]
    return {hit["_id"]: without_time(hit["_source"]) for hit in hits}


def stored_items(shop: Shop, ids: Sequence[str]) -> dict[str, Any]:
    """The stored documents of the items with versions, vectors rounded to seven digits."""
    stored = shop.indexer.store.read(shop.index_name, ids)
    return {
        item_id: without_time(document.source) | {"vector": [round(x, 6) for x in document.vector or ()]}
        for item_id, document in stored.items()
    }


def without_time(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document without the time of indexing."""
    return {name: value for name, value in source.items() if name != "indexed_at"}


def unit(colour: Iterable[int]) -> list[float]:
    """Return the colour encoder's vector, (3,), normalized."""
    shifted = np.asarray(list(colour), dtype=np.float64) + 1
    return (shifted / np.linalg.norm(shifted)).tolist()
