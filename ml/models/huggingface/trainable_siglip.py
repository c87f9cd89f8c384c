"""A SigLIP from Hugging Face as two trainable towers. Imports torch."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ml.models.huggingface.folder import network_folder
from ml.models.huggingface.processing import (
    ImageProcessing,
    read_json,
    read_processing,
)
from ml.models.huggingface.siglip import SIGLIP
from ml.models.huggingface.towers import PooledImageTower, PooledTextTower
from ml.models.library_warnings import suppress_library_warnings
from ml.models.two_towers import ImageNetwork, TwoTowers


class TrainableTower(PooledImageTower, ImageNetwork):
    """An image tower whose features and head are separate, as training needs."""

    def __init__(self, network: nn.Module, processing: ImageProcessing, width: int) -> None:
        super().__init__(network, processing)
        self.width = width
        self.head = nn.Identity()

    def features(self, fixed: Tensor) -> Tensor:
        """Pooled features (n, width) float32 of pixels (n, 3, s, s) float32 in −1 to 1."""
        pooled: Tensor = self.network(fixed * self.gain + self.shift).pooler_output
        return pooled


class HuggingFaceSiglip(TwoTowers):
    """Both networks of a transformers SiglipModel, with its scale and bias."""

    def __init__(self, model: Any, processing: ImageProcessing) -> None:  # of transformers, untyped
        super().__init__()
        width = model.config.vision_config.hidden_size
        self.image = TrainableTower(model.vision_model, processing, width)
        self.text = PooledTextTower(model.text_model)
        self.log_scale = nn.Parameter(model.logit_scale.detach().reshape(()).clone())
        self.bias = nn.Parameter(model.logit_bias.detach().reshape(()).clone())


def untrained_siglip(folder: Path, *, checkpointing: bool = False) -> HuggingFaceSiglip:
    """Create the networks that a run's or an artifact's folder describes, with random weights."""
    from transformers import SiglipConfig, SiglipModel  # noqa: PLC0415  heavy

    folder = network_folder(folder)
    with suppress_library_warnings("transformers"):
        model: Any = SiglipModel(SiglipConfig.from_dict(read_json(folder / "config.json")))
    if checkpointing:
        model.gradient_checkpointing_enable()
    return HuggingFaceSiglip(model, read_processing(folder, SIGLIP.defaults))
