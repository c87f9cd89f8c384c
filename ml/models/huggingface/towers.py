"""The towers of a model from Hugging Face. Imports torch."""

from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from ml.models.huggingface.processing import ImageProcessing


class PooledImageTower(nn.Module):
    """A vision network with the rescaling of its image processor, and normalised features."""

    def __init__(self, network: nn.Module, processing: ImageProcessing) -> None:
        super().__init__()
        self.network = network
        mean, std = (torch.tensor(values)[:, None, None] for values in (processing.mean, processing.std))
        half = 127.5 * processing.scale
        self.gain = nn.Buffer(half / std)
        self.shift = nn.Buffer((half - mean) / std)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, width) float32, unit norm, of pixels (n, 3, s, s) float32 in −1 to 1."""
        pooled: Tensor = self.network(pixels * self.gain + self.shift).pooler_output
        return functional.normalize(pooled, dim=-1)


class PooledTextTower(nn.Module):
    """A SigLIP's text network, with normalised features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor) -> Tensor:
        """(n, width) float32, unit norm, of token ids (n, tokens) int64; padding is not masked."""
        pooled: Tensor = self.network(ids).pooler_output
        return functional.normalize(pooled, dim=-1)


@dataclass(frozen=True)
class Towers:
    """The networks and the preprocessing of a Hugging Face folder."""

    family: str
    image: PooledImageTower
    width: int
    """Dimensions of the features."""
    processing: ImageProcessing
    text: PooledTextTower | None = None
    tokenizer: Tokenizer | None = None
