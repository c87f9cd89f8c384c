"""The computation of exported graphs: scaling, network, PCA and normalisation. Imports torch."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.pca.projection import Projection

LARGE_CONVOLUTION: Final = 2**16
"""Convolutions of as many weights or more are stored in 8 bits: of EfficientNet-Lite 0, the upper ones. The
first ones are small, and lose more. Matrices are not: OpenVINO would compute with their 8 bits, which ends
the process on some CPUs of AMD (division by zero in a kernel of bf16)."""


class ImageGraph(nn.Module):
    """Scaling, network, PCA and normalisation in one graph, from pixels to unit vectors."""

    def __init__(self, tower: nn.Module, projection: Projection | None) -> None:
        super().__init__()
        self.tower = tower
        self.last = projection_layer(projection, centred=True)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, dims) float32, unit norm, of pixels (n, s, s, 3) uint8."""
        return functional.normalize(self.last(self.tower(to_unit_range(pixels))), dim=-1)


class TextGraph(nn.Module):
    """Network, PCA and normalisation in one graph, from token ids to unit vectors in the space of photos.

    The mean of the PCA is that of photos. Subtracting it from a text would add the same amount to the score
    of every photo, so texts are projected without it. A text tower that was trained on projected photos has
    no projection.
    """

    def __init__(self, tower: nn.Module, projection: Projection | None) -> None:
        super().__init__()
        self.tower = tower
        self.last = projection_layer(projection, centred=False)

    def forward(self, ids: Tensor) -> Tensor:
        """(n, dims) float32, unit norm, of token ids (n, tokens) int64."""
        return functional.normalize(self.last(self.tower(ids)), dim=-1)


def projection_layer(projection: Projection | None, *, centred: bool) -> nn.Module:
    """PCA as a linear layer; the identity without a projection."""
    if projection is None:
        return nn.Identity()
    layer = nn.Linear(projection.components.shape[1], projection.components.shape[0], bias=centred)
    layer.weight.data = torch.from_numpy(projection.components)
    if centred:
        layer.bias.data = torch.from_numpy(-projection.components @ projection.mean)
    return layer


def to_unit_range(pixels: Tensor) -> Tensor:
    """Scale pixels (n, h, w, 3) uint8 to (n, 3, h, w) float32 in −1 to 1, channels last in memory."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
