"""From listings to an encoder: pairs, training, export, vectors."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from ml.artifact import CHECKPOINT, IMAGE_GRAPH, EncoderArtifact, load_artifact
from ml.configs.siglip_lite import SMOKE
from ml.data.corpus import Corpus
from ml.data.pairs import Labels, NoPairs
from ml.export.export_run import MEASURED, ExportMismatch, shrink_weights, write_graph
from ml.export.quantise import restore_weights
from ml.inference.encoder import load_encoder, load_text_encoder
from ml.models.checkpoint import load_checkpoint
from ml.models.features import embed
from ml.pca.projection import fit_projection
from ml.training.config import InvalidConfig
from ml.training.finetune import RunOptions, TrainingDiverged, finetune
from ml.training.run_folder import LOG_COLUMNS, UnreadableRun, read_config


def test_a_run_has_the_files_that_export_needs(run: Path) -> None:
    """Configuration, log, tokenizer and weights; the loss of the second epoch is below that of the first."""
    assert read_config(run) == SMOKE
    with (run / "log.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert tuple(header) == LOG_COLUMNS
    losses = [float(line[LOG_COLUMNS.index("photo_loss")]) for line in lines]
    assert len(losses) == SMOKE.epochs
    assert losses[-1] < losses[0]


def test_the_artifact_gives_the_vectors_of_the_run(
    run: Path, corpus: Corpus, artifact: EncoderArtifact
) -> None:
    """The graph, which includes PCA, equals torch followed by PCA for each photo."""
    tower = load_checkpoint(run / CHECKPOINT, SMOKE.tower).image
    projection = fit_projection(embed(tower, corpus.pixels[corpus.rows("train")], corpus.size), SMOKE.dims)
    expected = projection.apply(embed(tower, corpus.pixels, corpus.size))
    found = load_encoder(load_artifact(artifact.folder), backend="onnxruntime").encode(corpus.pixels)
    assert (found * expected).sum(axis=1) == pytest.approx(1, abs=1e-4)


def test_the_manifest_has_data_configuration_and_scores(artifact: EncoderArtifact, corpus: Corpus) -> None:
    """Fingerprint of the data, configuration, and test scores before and after PCA."""
    manifest = artifact.manifest
    assert manifest.data_fingerprint == corpus.fingerprint
    assert manifest.training["epochs"] == SMOKE.epochs
    measured, titles, scores = manifest.metrics.values()
    assert measured == MEASURED
    assert isinstance(titles, dict)
    assert isinstance(scores, dict)
    (of_titles,) = titles.values()
    assert set(of_titles) == {"photos", "own_photo@10", "title_type@5"}
    assert scores["photos"] == of_titles["photos"] == len(corpus.rows("test"))
    assert {"full_width", "served"} < set(scores)


def test_captions_have_vectors_in_the_space_of_photos(artifact: EncoderArtifact) -> None:
    """A caption's vector has the photos' dims and unit norm; other captions have other vectors."""
    vectors = load_text_encoder(artifact).encode(["Red Skirts", "Black Belts"])
    assert vectors.shape == (2, 8)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert not np.allclose(vectors[0], vectors[1], atol=1e-3)


def test_the_same_seed_gives_the_same_weights(corpus: Corpus, tmp_path: Path) -> None:
    """A run is reproducible to the bit on one machine."""
    short = replace(SMOKE, epochs=1)
    for name in ("one", "two"):
        finetune(short, corpus, tmp_path / name)
    assert (tmp_path / "one" / CHECKPOINT).read_bytes() == (tmp_path / "two" / CHECKPOINT).read_bytes()


def test_a_run_starts_from_the_weights_of_another(run: Path, corpus: Corpus, tmp_path: Path) -> None:
    """At a learning rate of zero they are also its final weights."""
    still = replace(SMOKE, epochs=1, learning_rate=0.0, ema=0.0)
    finetune(still, corpus, tmp_path, RunOptions(start=run))
    before, after = (load_checkpoint(folder / CHECKPOINT, SMOKE.tower) for folder in (run, tmp_path))
    assert torch.equal(before.image.network.last.weight, after.image.network.last.weight)
    assert torch.equal(before.text.tokens.weight, after.text.tokens.weight)


def test_a_run_without_time_for_a_step_can_be_exported(corpus: Corpus, tmp_path: Path) -> None:
    """It has weights."""
    finetune(SMOKE, corpus, tmp_path, RunOptions(minutes=1e-4))
    assert load_checkpoint(tmp_path / CHECKPOINT, SMOKE.tower)


def test_divergence_is_an_error_that_names_the_run(corpus: Corpus, tmp_path: Path) -> None:
    """If the loss is NaN, the message has the step and a remedy."""
    with pytest.raises(
        TrainingDiverged, match=rf"{tmp_path}: loss or gradient is .* at step \d+; lower learning_rate"
    ):
        finetune(replace(SMOKE, learning_rate=1e30, epochs=5), corpus, tmp_path)


def test_too_little_data_is_rejected_before_training(corpus: Corpus, tmp_path: Path) -> None:
    """And not at export, when PCA has fewer photos than dims."""
    few = corpus.part(corpus.rows("train")[:5])
    with pytest.raises(NoPairs, match=r"5 pairs to train and 0 to validate with"):
        finetune(SMOKE, few, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "resnet"}, "network is 'resnet', expected one of efficientnet-lite0, tiny"),
        ({"fixed_blocks": 4}, "fixed_blocks is 4 and texture_block 3; expected"),
        ({"texture_block": 8}, "expected 0 ≤ fixed_blocks ≤ texture_block ≤ 7, the blocks of tiny"),
        ({"texture": 1.5}, "texture is 1.5, expected 0 to 1"),
        ({"text_width": 15}, r"text_width is 15, expected a multiple of text_heads \(4\)"),
    ],
)
def test_towers_that_contradict_themselves_are_rejected(changes: dict[str, Any], message: str) -> None:
    """With what is expected."""
    with pytest.raises(InvalidConfig, match=message):
        replace(SMOKE, tower=replace(SMOKE.tower, **changes))


def test_a_run_without_a_loss_is_rejected() -> None:
    """But not one without training."""
    with pytest.raises(InvalidConfig, match="nothing is learned; set one, or epochs to 0"):
        replace(SMOKE, sigmoid_weight=0.0, prototype_weight=0.0)
    assert replace(SMOKE, sigmoid_weight=0.0, prototype_weight=0.0, epochs=0)


def test_captions_need_as_many_numbers_as_vectors() -> None:
    """But a run without captions does not."""
    with pytest.raises(InvalidConfig, match="dims is 6, and head_width of the tower 8; set both to the same"):
        replace(SMOKE, dims=6)
    assert replace(SMOKE, dims=6, sigmoid_weight=0.0)


def test_photos_of_one_class_can_be_trained_on(corpus: Corpus, tmp_path: Path) -> None:
    """Without captions too. Their labels do not tell which are alike, so the log has no score."""
    labels = Labels("Things")
    plain = replace(corpus, pairs=tuple(replace(pair, labels=labels) for pair in corpus.pairs))
    finetune(replace(SMOKE, epochs=1, sigmoid_weight=0.0), plain, tmp_path)
    assert (tmp_path / "log.csv").read_text().splitlines()[-1].endswith(",nan")
    weights = load_checkpoint(tmp_path / CHECKPOINT, SMOKE.tower)
    assert weights.text.tokens.weight.abs().max() > 0


def test_a_folder_that_is_not_a_run_is_rejected(tmp_path: Path) -> None:
    """The message has the missing file."""
    with pytest.raises(UnreadableRun, match=r"config\.json.*expected the folder of a run"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"name": "other"}) + "}")
    with pytest.raises(UnreadableRun):
        read_config(tmp_path)


class Wavering(torch.nn.Module):
    """A network with random output, which differs in each call."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.randn_like(pixels.float()), dim=-1)


def test_export_rejects_a_graph_that_differs_from_torch(tmp_path: Path) -> None:
    """The graph is removed."""
    path = tmp_path / IMAGE_GRAPH
    with pytest.raises(ExportMismatch, match=r"mean cosine to torch is .* expected 0.9999 or more"):
        write_graph(Wavering().eval(), np.ones((64, 16), np.uint8), path)
    assert not path.exists()


def test_stored_weights_are_half_as_large(artifact: EncoderArtifact) -> None:
    """Large weights of linear layers are stored as float16; converting again changes nothing."""
    graph = onnx.load(artifact.image_graph)
    large = [weight for weight in graph.graph.initializer if np.prod(weight.dims) >= 1024]
    assert large
    assert {weight.data_type for weight in large} == {TensorProto.FLOAT16}
    for in_8_bits in (False, True):
        assert shrink_weights(onnx.load(artifact.image_graph), in_8_bits=in_8_bits) == graph


class Convolved(torch.nn.Module):
    """A wide convolution of pixels, whose channels differ in scale."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.wide = torch.nn.Conv2d(3, 2500, 3)
        self.wide.weight.data *= torch.logspace(-2, 1, 2500)[:, None, None, None]

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        maps = self.wide(pixels.permute(0, 3, 1, 2).float() / 255)
        return torch.nn.functional.normalize(maps.mean(dim=(2, 3)), dim=-1)


def test_weights_of_convolutions_are_a_quarter_as_large(tmp_path: Path) -> None:
    """They are stored in 8 bits, with a step for each channel, and restored on loading and for int8."""
    network = Convolved().eval()
    pixels = np.random.default_rng(1).integers(0, 256, (8, 6, 6, 3), dtype=np.uint8)
    write_graph(network, pixels, tmp_path / IMAGE_GRAPH, in_8_bits=True)
    graph = onnx.load(tmp_path / IMAGE_GRAPH)
    stored = {weight.data_type for weight in graph.graph.initializer if np.prod(weight.dims) >= 2**16}
    assert stored == {TensorProto.INT8}
    restored = {
        weight.name: numpy_helper.to_array(weight) for weight in restore_weights(graph).graph.initializer
    }
    expected = network.wide.weight.detach().numpy()
    found = next(value for value in restored.values() if value.shape == expected.shape)
    steps = np.abs(expected).max(axis=(1, 2, 3), keepdims=True) / 127
    assert (np.abs(found - expected) <= 0.501 * steps).all()
    onnx.checker.check_model(graph)
    assert "Cast" not in {node.op_type for node in graph.graph.node if node.input[0].startswith("wide")}
