"""Checkpoint files."""

from pathlib import Path

import pytest
import torch

from ml.configs.siglip_small import SMOKE
from ml.models.checkpoint import CheckpointMismatch, load_checkpoint, save_checkpoint
from ml.models.tower_specs import TowerConfig
from ml.models.two_towers import Siglip


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
        load_checkpoint(path, TowerConfig())
    path.write_bytes(b"no weights")
    with pytest.raises(CheckpointMismatch, match=r"checkpoint.safetensors: .*expected a checkpoint of"):
        load_checkpoint(path, SMOKE.tower)
