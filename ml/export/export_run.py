"""Export of a run: ONNX graphs with PCA as their last layer, compared with torch. Imports torch."""

import json
import math
import shutil
from pathlib import Path
from typing import Final, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from pydantic import JsonValue
from tokenizers import Tokenizer
from torch import nn

from ml.artifact import (
    CARD,
    CHECKPOINT,
    FILES,
    IMAGE_GRAPH,
    MANIFEST,
    NETWORK_FILES,
    TEXT_GRAPH,
    TOKENIZER,
    EncoderArtifact,
    Similarity,
    write_manifest,
)
from ml.atomic_files import NotWritten, replaced_folder
from ml.data.corpus import Corpus, evenly, unique_names
from ml.data.tokenizer import load_tokenizer, tokenize
from ml.errors import MlError
from ml.export.golden import write_golden
from ml.inference.graph import Inputs, encode_batches, open_graph
from ml.metrics.retrieval import OWN_PHOTO_DEPTH, means, retrieval_scores, title_scores
from ml.models.checkpoint import load_checkpoint, save_checkpoint
from ml.models.features import embed
from ml.models.huggingface.folder import network_folder
from ml.models.library_warnings import suppress_library_warnings
from ml.models.serving_graph import LARGE_CONVOLUTION, ImageGraph, TextGraph
from ml.models.tower_specs import HuggingFaceTower, TowerConfig
from ml.models.two_towers import ImageNetwork, TwoTowers
from ml.pca.projection import NEIGHBOURS, Projection, fit_projection, neighbour_similarity
from ml.training.config import FinetuneConfig
from ml.training.finetune import check_enough_pairs
from ml.training.fit_text import fit_text
from ml.training.run_folder import DATA, UnreadableRun, read_config

OPSET: Final = 18
PARITY: Final = 0.9999
"""Minimum mean cosine between torch and the exported graph; half-precision weights cost about 0.000001."""
PARITY_8_BITS: Final = 0.999
"""The same with convolutions in 8 bits, which cost about 0.0003."""
PARITY_SAMPLES: Final = 256
MEASURED: Final = (
    "each photo of the test split searched exactly among the others; ml/metrics/retrieval.py has the metrics"
)
SMALL_WEIGHT: Final = 1024
"""Smaller weights stay float32: half precision would save nothing."""


class ExportMismatch(MlError):
    """An exported graph whose vectors differ from those of its model."""


class OtherData(MlError):
    """A corpus other than the one that a run was trained on."""


def export_artifact(run: Path, corpus: Corpus, out: Path, *, threads: int = 1) -> EncoderArtifact:
    """Export a run, fit its PCA to the corpus's train split, and measure it on the test split.

    `out` is unchanged if there is an error.

    Raises:
        NoPairs: too few pairs to fit PCA to, or to compare with.
        UnreadableRun: `run` is not a run of this release.
        OtherData: the run was trained on another corpus.
        ExportMismatch: a graph's vectors differ from torch's.
        NotWritten: the disk is full, or `out` has a run.
    """
    torch.set_num_threads(threads)
    config = read_config(run)
    check_not_a_run(out)
    check_same_data(run, corpus)
    check_enough_pairs(corpus, config)
    model = load_checkpoint(run / CHECKPOINT, config.tower)
    projection = fit_projection(
        embed(model.image, corpus.pixels[corpus.rows("train")], corpus.size), config.dims
    )
    with replaced_folder(out, last=MANIFEST, earlier=(*FILES, CARD)) as unfinished:
        made = write_artifact(run, config, model, projection, corpus, unfinished)
    return EncoderArtifact(out, made.manifest)


def write_artifact(
    run: Path,
    config: FinetuneConfig,
    model: TwoTowers,
    projection: Projection,
    corpus: Corpus,
    out: Path,
) -> EncoderArtifact:
    """Write the artifact to an empty folder, see export_artifact."""
    in_8_bits = isinstance(config.tower, TowerConfig)
    compared = evenly(corpus.rows("validation"), PARITY_SAMPLES)
    samples = corpus.pixels[compared]
    metrics: dict[str, JsonValue] = {"measured": MEASURED}
    image_graph = ImageGraph(model.image, projection).eval()
    write_graph(image_graph, samples, out / IMAGE_GRAPH, in_8_bits=in_8_bits)
    if config.sigmoid_weight:
        shutil.copyfile(run / TOKENIZER, out / TOKENIZER)
        tokenizer = load_tokenizer(out / TOKENIZER)
        captions = [corpus.pairs[row].captions[0] for row in compared]
        text_graph = make_text_graph(config, model, projection, corpus, tokenizer, out)
        write_graph(text_graph, tokenize(tokenizer, captions), out / TEXT_GRAPH)
        metrics["titles"] = title_scores_on_test(out, corpus, tokenizer)
    if config.epochs:
        save_checkpoint(model, out / CHECKPOINT, in_8_bits=in_8_bits)
        for path in network_files(config.tower, run):
            shutil.copyfile(path, out / path.name)

    write_golden(out, config.tower.image_size)
    validation = graph_vectors(out / IMAGE_GRAPH, corpus, corpus.rows("validation"))
    neighbours = neighbour_similarity(validation, NEIGHBOURS)
    return write_manifest(
        out,
        name=config.name,
        base_model=config.base_model,
        width=config.tower.width,
        dims=config.dims,
        preprocessing=config.preprocessing,
        similarity=Similarity(mean=neighbours.mean, spread=neighbours.spread, neighbours=NEIGHBOURS),
        data_fingerprint=corpus.fingerprint,
        training=config.settings | {"pca_explained_variance": round(projection.explained, 4)},
        metrics=metrics | scores_on_test(model.image, out / IMAGE_GRAPH, corpus),
    )


def make_text_graph(
    config: FinetuneConfig,
    model: TwoTowers,
    projection: Projection,
    corpus: Corpus,
    tokenizer: Tokenizer,
    out: Path,
) -> TextGraph:
    """Make the module of the text graph, to the image graph in `out`.

    Texts of a Hugging Face model have the space of photos before PCA. Those of a TowerConfig are trained
    again here, on photos as served.
    """
    if isinstance(config.tower, HuggingFaceTower):
        return TextGraph(model.text, projection).eval()
    fit_text(config, model, corpus, tokenizer, graph_vectors(out / IMAGE_GRAPH, corpus, corpus.rows("train")))
    return TextGraph(model.text, None).eval()


def check_not_a_run(out: Path) -> None:
    """Check that an artifact would not overwrite a run.

    Raises:
        NotWritten: `out` has a run.
    """
    if (out / DATA).exists():
        raise NotWritten(
            f"{out}: has a run ({DATA}), whose files the artifact would overwrite; "
            f"choose another --out, such as {out / 'artifact'}"
        )


def check_same_data(run: Path, corpus: Corpus) -> None:
    """Check that a run was trained on a corpus: others may have its training photos in their test split.

    Raises:
        UnreadableRun: the run has no fingerprint of its data.
        OtherData: it was trained on another corpus.
    """
    path = run / DATA
    try:
        trained = json.loads(path.read_bytes())["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableRun(
            f"{path}: {error}; expected the folder of a run of `nitamono ml finetune`"
        ) from error
    if corpus.fingerprint != trained:
        raise OtherData(
            f"{run}: was trained on data with the fingerprint {trained}, this has {corpus.fingerprint}; "
            "give the --data of its training, all of it and in the same order"
        )


def network_files(tower: HuggingFaceTower | TowerConfig, run: Path) -> list[Path]:
    """Files that describe the run's towers in addition to the manifest: none for a TowerConfig."""
    return (
        [network_folder(run) / name for name in NETWORK_FILES] if isinstance(tower, HuggingFaceTower) else []
    )


def write_graph(module: nn.Module, samples: Inputs, path: Path, *, in_8_bits: bool = False) -> None:
    """Export a module with dynamic batch size and small weights, and compare it with torch.

    samples: inputs to trace with and to compare on, pixels (n, s, s, 3) uint8 or token ids (n, tokens) int64.
    in_8_bits: whether large convolutions are stored in 8 bits rather than as float16.

    Raises:
        ExportMismatch: the mean cosine to torch's vectors is below PARITY, or PARITY_8_BITS.
    """
    with torch.inference_mode():
        expected = module(torch.from_numpy(samples)).numpy()
    with suppress_library_warnings("torch.onnx"):
        exported = torch.onnx.export(
            module,
            (torch.from_numpy(samples[:2]),),
            input_names=["input"],
            output_names=["vectors"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    model = cast("torch.onnx.ONNXProgram", exported).model_proto
    graph = remove_traces(shrink_weights(model, in_8_bits=in_8_bits))
    onnx.checker.check_model(graph)
    onnx.save(graph, path)
    found = encode_batches(open_graph(path, backend="onnxruntime"), samples, expected.shape[1])
    cosine, least = float((found * expected).sum(axis=1).mean()), PARITY_8_BITS if in_8_bits else PARITY
    if not cosine >= least:
        path.unlink()
        raise ExportMismatch(
            f"{path}: mean cosine to torch is {cosine:.6f} over {len(samples)} samples, expected "
            f"{least} or more; "
            + (
                "the network loses too much in 8 bits"
                if in_8_bits
                else "this torch exports an operation wrongly: try the version in requirements/"
            )
        )


def remove_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the exporter's metadata in place: its stack traces contain paths of this machine."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    return model


def shrink_weights(model: onnx.ModelProto, *, in_8_bits: bool) -> onnx.ModelProto:
    """Store large float32 weights as float16, in place, with their restoration on loading.

    in_8_bits: round large convolutions to 255 steps between plus and minus the largest weight of each output
        channel. The loss is part of what write_graph measures.
    """
    graph = model.graph
    restored, added = [], []
    for weight in graph.initializer:
        values, name = numpy_helper.to_array(weight), weight.name
        if values.dtype != np.float32 or values.size < SMALL_WEIGHT:
            continue
        if in_8_bits and values.ndim == 4 and values.size >= LARGE_CONVOLUTION:
            step = np.abs(values).max(axis=(1, 2, 3), keepdims=True) / 127
            step[step == 0] = 1
            weight.CopyFrom(numpy_helper.from_array(np.rint(values / step).astype(np.int8), f"{name}.steps"))
            added.append(numpy_helper.from_array(step, f"{name}.step"))
            restored.append(
                helper.make_node("Cast", [f"{name}.steps"], [f"{name}.float"], to=TensorProto.FLOAT)
            )
            restored.append(helper.make_node("Mul", [f"{name}.float", f"{name}.step"], [name]))
        else:
            weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            restored.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*restored, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.extend(added)
    del graph.value_info[:]
    return model


def graph_vectors(path: Path, corpus: Corpus, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n, dims) float32, unit norm, of rows (n,) int64 of a corpus, by an exported graph."""
    graph = open_graph(path, backend="onnxruntime")
    dims = graph(corpus.pixels[:1]).shape[1]
    return encode_batches(graph, corpus.pixels[rows], dims)


def scores_on_test(tower: ImageNetwork, graph: Path, corpus: Corpus) -> dict[str, JsonValue]:
    """Measure each source's test scores, before PCA and as served, and count the photos searched."""
    metrics: dict[str, JsonValue] = {}
    names = unique_names(corpus.sources)
    for source in corpus.sources:
        rows = corpus.rows("test", source)
        if len(rows) < 2:
            continue
        labels = [corpus.pairs[row].labels for row in rows]
        metrics[names[source]] = {
            "photos": len(rows),
            "full_width": rounded(
                means(retrieval_scores(embed(tower, corpus.pixels[rows], corpus.size), labels))
            ),
            "served": rounded(means(retrieval_scores(graph_vectors(graph, corpus, rows), labels))),
        }
    return metrics


def title_scores_on_test(folder: Path, corpus: Corpus, tokenizer: Tokenizer) -> dict[str, JsonValue]:
    """Measure how well titles of the test split find the photos of their source, by source.

    folder: with both graphs. Sources with too few titles to tell are left out.
    """
    metrics: dict[str, JsonValue] = {}
    names = unique_names(corpus.sources)
    text_graph = open_graph(folder / TEXT_GRAPH, backend="onnxruntime")
    for source in corpus.sources:
        rows = [row for row in corpus.rows("test", source) if corpus.pairs[row].title]
        if len(rows) <= OWN_PHOTO_DEPTH:
            continue
        pairs = [corpus.pairs[row] for row in rows]
        photos = graph_vectors(folder / IMAGE_GRAPH, corpus, np.array(rows))
        ids = tokenize(tokenizer, [pair.title for pair in pairs])
        scores = title_scores(
            encode_batches(text_graph, ids, photos.shape[1]), photos, [p.labels for p in pairs]
        )
        metrics[names[source]] = {"photos": len(rows), **rounded(scores)}
    return metrics


def rounded(scores: dict[str, float]) -> dict[str, JsonValue]:
    """Scores to four decimals; None if no query has a score."""
    return {name: None if math.isnan(score) else round(score, 4) for name, score in scores.items()}
