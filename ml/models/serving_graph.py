"""What an exported graph computes: scaling, network, PCA and norm. Imports torch."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ml.pca.projection import Projection


class ImageGraph(nn.Module):
    """uint8 pixels (n, s, s, 3) to unit vectors (n, dims): scaling, network, PCA and norm in one graph."""

    def __init__(self, tower: nn.Module, projection: Projection | None) -> None:
        super().__init__()
        self.tower = tower
        self.last = projection_layer(projection, centred=True)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, dims) float32, unit norm, of pixels (n, s, s, 3) uint8."""
        return functional.normalize(self.last(self.tower(to_unit_range(pixels))), dim=-1)


class TextGraph(nn.Module):
    """Token ids (n, tokens) to unit vectors (n, dims) that are compared with those of photos.

    PCA's mean is that of photos. Taking it from a text would only add the same amount to every photo's
    score, so a text is turned into the same components without it.
    """

    def __init__(self, tower: nn.Module, projection: Projection | None) -> None:
        super().__init__()
        self.tower = tower
        self.last = projection_layer(projection, centred=False)

    def forward(self, ids: Tensor) -> Tensor:
        """(n, dims) float32, unit norm, of token ids (n, tokens) int64."""
        return functional.normalize(self.last(self.tower(ids)), dim=-1)


def projection_layer(projection: Projection | None, *, centred: bool) -> nn.Module:
    """PCA as a layer; without a projection, one that changes nothing."""
    if projection is None:
        return nn.Identity()
    layer = nn.Linear(projection.components.shape[1], projection.components.shape[0], bias=centred)
    layer.weight.data = torch.from_numpy(projection.components)
    if centred:
        layer.bias.data = torch.from_numpy(-projection.components @ projection.mean)
    return layer


def to_unit_range(pixels: Tensor) -> Tensor:
    """(n, 3, h, w) float32 in −1 to 1 of pixels (n, h, w, 3) uint8; channels last in memory."""
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
