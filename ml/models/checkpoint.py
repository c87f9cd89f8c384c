"""Checkpoints: weights in half precision or in 8 bits, which keeps artifacts small. Imports torch."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final, cast

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from ml.artifact import CHECKPOINT, NETWORK_FILES, EncoderArtifact
from ml.atomic_files import replaced
from ml.errors import MlError
from ml.models.efficientnet_lite import imagenet_weights
from ml.models.huggingface.trainable_siglip import untrained_siglip
from ml.models.serving_graph import LARGE_CONVOLUTION
from ml.models.tower_specs import HuggingFaceTower, Tower, TowerConfig
from ml.models.two_towers import Siglip, TwoTowers


class CheckpointMismatch(MlError):
    """Weights that do not fit the configured towers."""


STEPS: Final = ".steps"
STEP: Final = ".step"
"""Endings of the names of a weight in 8 bits, int8, and of the step of each output channel, float32."""


def save_checkpoint(model: nn.Module, path: Path, *, in_8_bits: bool = False) -> None:
    """Write the weights as float16, atomically.

    in_8_bits: round large convolutions as ml.export.export_run.shrink_weights does.

    Raises:
        NotWritten: the disk is full; the old file is kept.
    """
    weights = {}
    for name, value in model.state_dict().items():
        if in_8_bits and value.ndim == 4 and value.numel() >= LARGE_CONVOLUTION:
            step = value.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12) / 127
            weights[name + STEPS], weights[name + STEP] = (value / step).round().to(torch.int8), step
        else:
            weights[name] = value.half() if value.is_floating_point() else value
    with run_file(path) as file:
        file.write(save({name: value.contiguous() for name, value in weights.items()}))


def restored(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a checkpoint by their names in the model, float32 where they are fractions."""
    found = {name: value for name, value in weights.items() if not name.endswith((STEPS, STEP))}
    for name in weights.keys() - found.keys():
        if name.endswith(STEPS) and (weight := name.removesuffix(STEPS)) + STEP in weights:
            found[weight] = weights[name] * weights[weight + STEP]
    return found


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
        weights = restored(load_file(path))
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


def load_frozen_start(path: Path, tower: TowerConfig) -> Siglip:
    """Load a checkpoint's model as it was before training, without its head.

    Raises:
        CheckpointMismatch: see load_checkpoint.
        WeightsMissing: the package of the network's weights is not installed.
    """
    model = cast("Siglip", load_checkpoint(path, replace(tower, head_share=0.0)))
    model.image.network.load_state_dict(imagenet_weights(tower.network))
    return model


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
