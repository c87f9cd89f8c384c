"""Checkpoint files."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ml.artifact import CHECKPOINT, DEFAULT_ARTIFACT, load_artifact
from ml.configs.siglip_lite import SMOKE
from ml.models.checkpoint import (
    CheckpointMismatch,
    load_checkpoint,
    load_frozen_start,
    restored,
    save_checkpoint,
    tower_config,
)
from ml.models.tower_specs import TowerConfig
from ml.models.two_towers import Siglip
from tests.unit.ml.models.test_efficientnet_lite import gradient, needs_weights


def test_a_checkpoint_is_read_back_in_half_precision(tmp_path: Path) -> None:
    """Weights are equal to within float16, and no partial file is left."""
    model = Siglip(SMOKE.tower).eval()
    save_checkpoint(model, tmp_path / "checkpoint.safetensors")
    again = load_checkpoint(tmp_path / "checkpoint.safetensors", SMOKE.tower)
    pixels = torch.randn(4, 3, 32, 32)
    assert (model.image(pixels) * again.image(pixels)).sum(1).min() > 0.999
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_an_unsuitable_checkpoint_is_rejected(tmp_path: Path) -> None:
    """Weights of other towers, and other files, are named before anything is loaded."""
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(Siglip(SMOKE.tower), path)
    with pytest.raises(CheckpointMismatch, match=r"weights are missing, unknown or of other shapes, first"):
        load_checkpoint(path, TowerConfig("efficientnet-lite0"))
    path.write_bytes(b"no weights")
    with pytest.raises(CheckpointMismatch, match=r"checkpoint.safetensors: .*expected a checkpoint of"):
        load_checkpoint(path, SMOKE.tower)


def test_the_frozen_start_is_the_network_before_training() -> None:
    """Of the committed encoder: its fixed layers are the same, the others are not, and no head counts."""
    tower = tower_config(load_artifact(DEFAULT_ARTIFACT))
    assert isinstance(tower, TowerConfig)
    needs_weights()
    path = DEFAULT_ARTIFACT / CHECKPOINT
    trained, start = load_checkpoint(path, tower).image, load_frozen_start(path, tower).image
    pixels = gradient(tower.image_size)
    with torch.no_grad():
        fixed = trained.fixed(pixels), start.fixed(pixels)
        features = trained.features(fixed[0]), start.features(fixed[1])
        assert start(pixels)[:, -tower.head_width :].abs().max() == 0
    assert torch.cosine_similarity(*(maps.flatten(1) for maps in fixed)).item() > 0.9999, "to float16"
    assert torch.cosine_similarity(*features).item() < 0.99


def test_large_convolutions_are_stored_in_8_bits(tmp_path: Path) -> None:
    """If asked, within half a step of each channel's 127; everything else is as precise as without."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Conv2d(256, 256, 1), torch.nn.Linear(300, 300))
    path = tmp_path / CHECKPOINT
    save_checkpoint(model, path, in_8_bits=True)
    assert path.stat().st_size == pytest.approx(256 * 256 + 300 * 300 * 2, rel=0.03)
    found = restored(load_file(path))
    weight = model[0].weight.detach()
    steps = weight.abs().amax(dim=(1, 2, 3), keepdim=True) / 127
    assert ((found["0.weight"] - weight).abs() <= steps * 0.501).all()
    assert torch.equal(found["1.weight"], model[1].weight.half())
    assert found.keys() == model.state_dict().keys()
