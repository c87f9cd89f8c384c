"""Checkpoints: weights in half precision, which keeps artifacts small. Imports torch."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ml.artifact import CHECKPOINT, NETWORK_FILES, EncoderArtifact
from ml.atomic_files import replaced
from ml.errors import MlError
from ml.models.huggingface.trainable_siglip import untrained_siglip
from ml.models.tower_specs import HuggingFaceTower, Tower, TowerConfig
from ml.models.two_towers import Siglip, TwoTowers


class CheckpointMismatch(MlError):
    """Weights that do not fit the configured towers."""


def save_checkpoint(model: nn.Module, path: Path) -> None:
    """Write the weights as float16, atomically.

    Raises:
        NotWritten: the disk is full; the old file is kept.
    """
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    with run_file(path) as file:
        file.write(save(weights))


def empty_model(
    tower: TowerConfig | HuggingFaceTower, folder: Path, *, checkpointing: bool = False
) -> TwoTowers:
    """Create the networks of a run's or an artifact's folder, with random weights."""
    if isinstance(tower, TowerConfig):
        return Siglip(tower)
    return untrained_siglip(folder, checkpointing=checkpointing)


def load_checkpoint(path: Path, tower: TowerConfig | HuggingFaceTower) -> TwoTowers:
    """Load a model in evaluation mode, float32. The network files of a Hugging Face tower are in its folder.

    Raises:
        CheckpointMismatch: the file has no weights, or those of other towers.
    """
    model = empty_model(tower, path.parent)
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointMismatch(
            f"{path}: {error}; expected a checkpoint of `nitamono ml finetune`"
        ) from error
    expected = {name: value.shape for name, value in model.state_dict().items()}
    unlike = {name for name in {*expected, *weights} if expected.get(name) != shape_of(weights, name)}
    if unlike:
        raise CheckpointMismatch(
            f"{path}: {len(unlike)} of {len(expected)} weights are missing, unknown or of other shapes, "
            f"first {min(unlike)}; use the configuration that it was trained with"
        )
    model.load_state_dict({name: torch.as_tensor(value).float() for name, value in weights.items()})
    return model.eval()


def shape_of(weights: Mapping[str, Tensor], name: str) -> torch.Size | None:
    """The shape of a named weight (…); None if it is missing."""
    return weights[name].shape if name in weights else None


def run_file(path: Path) -> AbstractContextManager[BinaryIO]:
    """Open a file of a run to write atomically.

    Raises:
        NotWritten: the disk is full.
    """
    remedy = "free disk space, then run again with --resume: the last saved state is kept"
    return replaced(path, remedy=remedy)


TOWER: Final[TypeAdapter[HuggingFaceTower | TowerConfig]] = TypeAdapter(Tower)


def tower_config(artifact: EncoderArtifact) -> HuggingFaceTower | TowerConfig | None:
    """The towers of an artifact that has their checkpoint; None for others, such as imported ones."""
    try:
        tower = TOWER.validate_python(artifact.manifest.training.get("tower"))
    except ValidationError:
        return None
    needed = {CHECKPOINT, *NETWORK_FILES} if isinstance(tower, HuggingFaceTower) else {CHECKPOINT}
    return tower if needed <= artifact.manifest.files.keys() else None
