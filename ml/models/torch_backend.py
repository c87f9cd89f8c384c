"""The reference backend: an artifact's checkpoint in torch, not exported. Imports torch."""

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import nn

from ml.artifact import CHECKPOINT, EncoderArtifact
from ml.inference.graph import BackendMissing, Graph, Inputs, PrecisionMissing, Vectors
from ml.models.checkpoint import load_checkpoint, tower_config
from ml.models.serving_graph import ImageGraph, TextGraph


def open_reference(artifact: EncoderArtifact, path: Path, threads: int) -> Graph:
    """Open the torch module from which the artifact's image or text graph at `path` was exported.

    The weights are those of the checkpoint. PCA, the last layer of some, is read from the graph.
    `threads` applies to all of torch in this process.

    Raises:
        BackendMissing: the artifact has no checkpoint, or lacks the files that describe its networks.
        PrecisionMissing: the artifact is an int8 one.
    """
    if artifact.quantised:
        raise PrecisionMissing(f"{artifact.folder}: torch computes in f32; use the artifact it was made from")
    tower = tower_config(artifact)
    if tower is None:
        raise BackendMissing(
            f"{artifact.folder}: torch needs {CHECKPOINT}, and for a Hugging Face model its config.json, "
            "which `nitamono ml finetune` and `nitamono ml export` write; use another backend"
        )
    model = load_checkpoint(artifact.folder / CHECKPOINT, tower)
    of_photos = path == artifact.image_graph
    network = ImageGraph(model.image, None) if of_photos else TextGraph(model.text, None)
    network.last = last_layer(path)
    return torch_graph(network.eval(), threads)


def last_layer(path: Path) -> nn.Module:
    """Read the layer that ml.models.serving_graph.projection_layer added to the graph at `path`."""
    stored = {
        weight.name.removesuffix(".half"): weight
        for weight in onnx.load(path).graph.initializer
        if weight.name.startswith("last.")
    }
    weights = {
        name.removeprefix("last."): torch.tensor(numpy_helper.to_array(weight)).float()
        for name, weight in stored.items()
    }
    if not weights:
        return nn.Identity()
    dims, width = weights["weight"].shape
    layer = nn.Linear(width, dims, bias="bias" in weights)
    layer.load_state_dict(weights)
    return layer


def torch_graph(network: nn.Module, threads: int) -> Graph:
    """Wrap a network as a Graph. Sets the threads of torch for the whole process."""
    torch.set_num_threads(threads)

    def run(batch: Inputs) -> Vectors:
        with torch.inference_mode():
            vectors: Vectors = network(torch.tensor(batch)).numpy()
        return vectors

    return run
