"""A new artifact from another one with another projection. Imports onnx, but no torch."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

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
from ml.atomic_files import check_different_folders, replaced_folder
from ml.data.vector_shards import Shard, sample
from ml.errors import MlError
from ml.export.golden import golden_pixels, write_golden
from ml.inference.full_width import LastLayer, find_layer, last_layer, load_full_width_encoder
from ml.inference.onnx_file import parse
from ml.pca.projection import NEIGHBOURS, Projection, TooFewVectors, neighbour_similarity

SAMPLE: Final = 5000
"""Vectors among which neighbours are searched: 5,000 among 5,000 takes seconds."""
LEAST_SAMPLE: Final = NEIGHBOURS + 1
PARITY: Final = 0.9999
"""Least cosine of the new graph's vectors to those by NumPy."""


class WrongProjection(MlError):
    """A projection, or vectors, of another width or backbone than the artifact's."""


def project(
    artifact: EncoderArtifact, projection: Projection, shards: Sequence[Shard], out: Path
) -> EncoderArtifact:
    """Write the artifact with another last layer. `out` is unchanged if there is an error.

    The scale of similarities is measured on vectors of the shards. A text graph that ends with the same
    projection gets the new one, too; one that was trained for the old one is left out.

    Raises:
        SameFolder: `out` is the artifact's own.
        NoProjection: the artifact has no last linear layer.
        WrongProjection: the projection or the shards are of another network.
        TooFewVectors: the shards have fewer than LEAST_SAMPLE vectors.
        NotWritten: the disk is full.
    """
    check_different_folders(artifact.folder, out)
    last = last_layer(artifact)
    check_same_network(artifact, last, projection, shards)
    vectors = sample(shards, SAMPLE)
    if len(vectors) < LEAST_SAMPLE:
        raise TooFewVectors(
            f"{shards[0].path} and {len(shards) - 1} more: {len(vectors)} vectors, expected {LEAST_SAMPLE} "
            "or more to measure similarities on; encode more listings first"
        )
    neighbours = neighbour_similarity(projection.apply(vectors), NEIGHBOURS)
    similarity = Similarity(mean=neighbours.mean, spread=neighbours.spread, neighbours=NEIGHBOURS)
    with replaced_folder(out, last=MANIFEST, earlier=(*FILES, CARD)) as unfinished:
        made = write_projected(artifact, last, projection, similarity, unfinished)
        check_same_vectors(made, last, projection)
    return EncoderArtifact(out, made.manifest)


def check_same_network(
    artifact: EncoderArtifact, last: LastLayer, projection: Projection, shards: Sequence[Shard]
) -> None:
    """Check that projection and shards are of the artifact's network.

    Raises:
        WrongProjection: a width or a backbone differs.
    """
    for what, width in (("the projection", len(projection.mean)), (str(shards[0].path), shards[0].width)):
        if width != last.width:
            raise WrongProjection(
                f"{artifact.folder}: vectors have {last.width} dims before projection, {what} has "
                f"{width}; fit PCA to full-width vectors of this artifact"
            )
    if shards[0].backbone_id not in (None, last.backbone_id):
        raise WrongProjection(
            f"{artifact.folder}: the backbone is {last.backbone_id}, that of {shards[0].path} is "
            f"{shards[0].backbone_id}; give the shards of this artifact"
        )


def write_projected(
    artifact: EncoderArtifact, last: LastLayer, projection: Projection, similarity: Similarity, out: Path
) -> EncoderArtifact:
    """Write the artifact to an empty folder, see project."""
    weight = projection.components
    image = onnx.load(artifact.image_graph)
    onnx.save(with_last_layer(image, last.tensor, weight, -weight @ projection.mean), out / IMAGE_GRAPH)
    copied = {CHECKPOINT, *NETWORK_FILES}
    if (tensor := projected_texts(artifact, last)) is not None:
        onnx.save(with_last_layer(onnx.load(artifact.text_graph), tensor, weight, None), out / TEXT_GRAPH)
        copied.add(TOKENIZER)
    for name in copied & artifact.manifest.files.keys():
        shutil.copyfile(artifact.folder / name, out / name)
    write_golden(out, artifact.image_size)
    manifest = artifact.manifest
    return write_manifest(
        out,
        name=manifest.name,
        base_model=manifest.base_model,
        width=manifest.width,
        dims=len(weight),
        preprocessing=manifest.preprocessing,
        similarity=similarity,
        data_fingerprint=manifest.data_fingerprint,
        training=manifest.training
        | {
            "pca_explained_variance": round(projection.explained, 4),
            "projected": {"made_of": artifact.encoder_id, "backbone_id": last.backbone_id},
        },
        # They were measured with the other projection.
        metrics={},
    )


def projected_texts(artifact: EncoderArtifact, last: LastLayer) -> str | None:
    """The tensor of the text graph that is projected as photos are; None if captions are not."""
    if not artifact.has_text:
        return None
    found = find_layer(parse(artifact.text_graph.read_bytes()))
    return found[0] if found is not None and np.array_equal(found[1], last.weight) else None


def with_last_layer(
    model: onnx.ModelProto, tensor: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None
) -> onnx.ModelProto:
    """The model with all that follows a tensor replaced by a linear layer and normalisation, in place.

    weight: (dims, width) float32. bias: (dims,) float32.
    """
    graph = model.graph
    nodes, _ = parse(model.SerializeToString()).needed_for(tensor)
    before = {name for node in nodes for name in node.outputs}
    kept = [node for node in graph.node if before.intersection(node.output)]
    used = {name for node in kept for name in node.input}
    weights = [each for each in graph.initializer if each.name in used]
    values = {"last.weight": weight} | ({} if bias is None else {"last.bias": bias})
    vectors = graph.output[0]
    vectors.type.tensor_type.shape.dim[1].dim_value = len(weight)
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(kept)
    graph.node.append(
        helper.make_node("Gemm", [tensor, *values], ["last.linear"], "node_last_linear", transB=1)
    )
    graph.node.append(
        helper.make_node("LpNormalization", ["last.linear"], [vectors.name], "node_last", axis=1, p=2)
    )
    graph.initializer.extend(weights)
    graph.initializer.extend(numpy_helper.from_array(each, name) for name, each in values.items())
    onnx.checker.check_model(model)
    return model


def check_same_vectors(made: EncoderArtifact, last: LastLayer, projection: Projection) -> None:
    """Check that the new graph has the backbone of the old one, and computes the projection.

    Raises:
        WrongProjection: it does not.
    """
    encoder = load_full_width_encoder(made, backend="onnxruntime", precision="f32")
    vectors, embeddings = encoder.encode_full_width(golden_pixels(made.image_size))
    cosine = float((vectors * projection.apply(embeddings)).sum(axis=1).min())
    if encoder.last.backbone_id != last.backbone_id or not cosine >= PARITY:
        raise WrongProjection(
            f"{made.folder}: backbone {encoder.last.backbone_id}, expected {last.backbone_id}, and cosine "
            f"{cosine:.6f} to the projection, expected {PARITY} or more; report this as a bug"
        )
