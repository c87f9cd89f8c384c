"""A training run's weights on disk: half precision, since that is what the artifact can afford to carry."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from ml.config import TowerConfig
from ml.model import Siglip


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
    """The model in evaluation mode, float32."""
    model = Siglip(config)
    weights = load_file(path)
    model.load_state_dict({name: torch.as_tensor(value).float() for name, value in weights.items()})
    return model.eval()
