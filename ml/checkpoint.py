"""A training run's weights on disk: half precision, since that is what the artifact can afford to carry."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ml.config import TowerConfig
from ml.errors import MlError
from ml.model import Siglip


class UnfitCheckpoint(MlError):
    """Weights that are not those of the towers configured."""


def save_checkpoint(model: Siglip, path: Path) -> None:
    """Write the weights as float16; a reader of `path` sees the old file or the new one, never a half."""
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    unfinished = path.with_suffix(".partial")
    save_file(weights, unfinished)
    unfinished.replace(path)


def load_checkpoint(path: Path, config: TowerConfig) -> Siglip:
    """The model in evaluation mode, float32.

    Raises:
        UnfitCheckpoint: the file holds no weights, or those of other towers.
    """
    model = Siglip(config)
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise UnfitCheckpoint(f"{path}: {error}; expected a checkpoint of `nitamono ml finetune`") from error
    expected = {name: value.shape for name, value in model.state_dict().items()}
    unlike = {name for name in {*expected, *weights} if expected.get(name) != shape_of(weights, name)}
    if unlike:
        raise UnfitCheckpoint(
            f"{path}: {len(unlike)} of {len(expected)} weights are missing, unknown or of other shapes, "
            f"first {min(unlike)}; use the configuration that it was trained with"
        )
    model.load_state_dict({name: torch.as_tensor(value).float() for name, value in weights.items()})
    return model.eval()


def shape_of(weights: Mapping[str, Tensor], name: str) -> torch.Size | None:
    return weights[name].shape if name in weights else None
