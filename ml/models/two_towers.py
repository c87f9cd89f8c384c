"""The two towers, which encode photos and captions into unit vectors of one space. Imports torch."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ml.models.efficientnet_lite import EfficientNetLite
from ml.models.features import outputs
from ml.models.tower_specs import TowerConfig


class ImageNetwork(nn.Module):
    """An image tower in the parts that training needs."""

    head: nn.Module

    def fixed(self, pixels: Tensor) -> Tensor:
        """What layers that are never trained make of pixels (n, 3, s, s) float32 in −1 to 1."""
        return pixels

    def features(self, fixed: Tensor) -> Tensor:
        """Features (n, f) float32, before the head, of the output of `fixed`."""
        raise NotImplementedError

    def directions(self, features: Tensor) -> Tensor:
        """Features (n, f) float32 as unit vectors that are compared by cosine."""
        return functional.normalize(features, dim=-1)


class ImageTower(ImageNetwork):
    """An EfficientNet-Lite and a head. Vectors are the features in general beside the head's output.

    The former keeps what ImageNet taught. The latter counts less the smaller its norm is, since the head
    answers weakly to kinds of photo that it was not trained on.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.config = config
        self.network = EfficientNetLite(config.architecture)
        for layer in (self.network.stem, *self.network.blocks[: config.fixed_blocks]):
            layer.requires_grad_(False)
        self.mean = nn.Buffer(torch.zeros(config.feature_width))
        """Means of the pooled maps' and the texture's unit vectors over training photos: see fit_mean."""
        self.norm_range = nn.Buffer(torch.tensor([-1.0, 0.0]))
        """Norms of the head's output up to which it does not count, and from which it counts in full."""
        self.head: nn.Module = Head(config)

    def fixed(self, pixels: Tensor) -> Tensor:
        """Maps (n, c, h, w) float32 after the fixed blocks, of pixels (n, 3, s, s) float32 in −1 to 1."""
        return self.network.lower(pixels, self.config.fixed_blocks)

    def features(self, fixed: Tensor) -> Tensor:
        """Pooled maps and texture (n, feature_width) float32 of maps (n, c, h, w) float32."""
        block = self.config.texture_block
        maps = self.network.between(fixed, self.config.fixed_blocks, block)
        centred = maps - maps.mean(dim=(2, 3), keepdim=True)
        texture = (centred.square().mean(dim=(2, 3)) + 1e-6).sqrt()
        return torch.cat([self.network.upper(maps, block), texture], dim=-1)

    def directions(self, features: Tensor) -> Tensor:
        """Unit vectors (n, feature_width) float32 of features: both parts less their means, weighted."""
        centred = self.unit_parts(features) - self.mean
        pooled, texture = self.parts(self.unit_parts(centred))
        share = self.config.texture
        return torch.cat([pooled * (1 - share) ** 0.5, texture * share**0.5], dim=-1)

    def unit_parts(self, features: Tensor) -> Tensor:
        """Features (n, feature_width) float32 with pooled maps and texture normalised each."""
        return torch.cat([functional.normalize(part, dim=-1) for part in self.parts(features)], dim=-1)

    def parts(self, features: Tensor) -> tuple[Tensor, ...]:
        """Pooled maps and texture of features (n, feature_width) float32."""
        pooled = self.config.architecture.features
        return torch.split(features, [pooled, self.config.feature_width - pooled], dim=-1)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, width) float32, unit norm, of pixels (n, 3, s, s) float32 in −1 to 1."""
        directions = self.directions(self.features(self.fixed(pixels)))
        learned = self.head(directions)
        norm = learned.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        none, full = self.norm_range
        # Linear: the square root of a share is steep near nothing, which would enlarge rounding errors.
        counted = ((norm - none) / (full - none).clamp(min=LEAST_RANGE)).clamp(0, 1)
        length = self.config.head_share**0.5 * counted
        return torch.cat([directions * (1 - length**2).sqrt(), learned / norm * length], dim=-1)


def fit_mean(tower: ImageTower, pixels: NDArray[np.uint8], share: float = 1.0) -> None:
    """Set the mean that directions are relative to.

    pixels: (n, s, s, 3) uint8 of training photos, of whose side the tower sees this share.
    """
    size = tower.config.image_size
    parts = outputs(
        tower, lambda photos: tower.unit_parts(tower.features(tower.fixed(photos))), pixels, size, share
    )
    tower.mean.copy_(torch.cat(list(parts)).mean(dim=0))


RANGE: Final = (0.05, 0.5)
"""Quantiles of the norms on validation photos between which the head's share grows from nothing to full."""
LEAST_RANGE: Final = 1e-3
"""Least difference of the two norms, which checkpoints round to half precision."""
LEAST_PHOTOS: Final = 50
"""With fewer validation photos the quantiles are chance, and the head counts in full."""


def fit_norm_range(tower: ImageTower, pixels: NDArray[np.uint8], share: float = 1.0) -> None:
    """Set the norms that tell kinds of photo that the head knows from others.

    pixels: (n, s, s, 3) uint8 of photos of known kinds on which it was not trained: see fit_mean. With fewer
        than LEAST_PHOTOS nothing is set.
    """
    if len(pixels) < LEAST_PHOTOS:
        return
    size = tower.config.image_size
    parts = outputs(
        tower,
        lambda photos: tower.head(tower.directions(tower.features(tower.fixed(photos)))).norm(dim=-1),
        pixels,
        size,
        share,
    )
    tower.norm_range.copy_(torch.quantile(torch.cat(list(parts)), torch.tensor(RANGE)))


class Head(nn.Module):
    """Two layers on a photo's directions, with dropout in training.

    They are convolutions of a map of one pixel, so that they are stored as the network's are.
    """

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.scale = config.feature_width**0.5
        self.mlp = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Conv2d(config.feature_width, config.hidden, 1),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Conv2d(config.hidden, config.head_width, 1),
        )

    def forward(self, directions: Tensor) -> Tensor:
        """(n, head_width) float32 of directions (n, feature_width) float32."""
        learned: Tensor = self.mlp(directions[:, :, None, None] * self.scale)
        return learned.flatten(1)


class TextTower(nn.Module):
    """Token embeddings, one pre-norm attention layer, and the mean over tokens other than padding."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        wide = config.text_width
        self.heads = config.text_heads
        self.tokens = nn.Embedding(config.vocabulary, wide, padding_idx=0)
        self.positions = nn.Parameter(torch.randn(config.tokens, wide) * 0.02)
        self.attention_norm, self.inner_norm, self.norm = (nn.LayerNorm(wide) for _ in range(3))
        self.to_attention, self.from_attention = nn.Linear(wide, 3 * wide), nn.Linear(wide, wide)
        self.inner = nn.Sequential(nn.Linear(wide, 2 * wide), nn.GELU(), nn.Linear(2 * wide, wide))
        self.head = nn.Linear(wide, config.head_width)

    def attend(self, states: Tensor, real: Tensor) -> Tensor:
        """Self-attention of states (n, tokens, text_width) float32. real: (n, tokens) bool, not padding."""
        count, length, wide = states.shape
        parts = self.to_attention(states).reshape(count, length, 3, self.heads, wide // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind(0)
        scores = query @ key.transpose(-2, -1) * (wide // self.heads) ** -0.5
        scores = scores.masked_fill(~real[:, None, None, :], -1e4)
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(count, length, wide)
        attended: Tensor = self.from_attention(mixed)
        return attended

    def forward(self, ids: Tensor) -> Tensor:
        """(n, head_width) float32, unit norm, of token ids (n, tokens) int64, padded with 0."""
        real = ids != 0
        states = self.tokens(ids) + self.positions
        states = states + self.attend(self.attention_norm(states), real)
        states = self.norm(states + self.inner(self.inner_norm(states)))
        weights = real.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1)
        return functional.normalize(self.head(mean), dim=-1)


class TwoTowers(nn.Module):
    """The interface of a trainable model: two towers, and the log scale and bias of the loss."""

    image: ImageNetwork
    text: nn.Module
    log_scale: nn.Parameter
    bias: nn.Parameter


class Siglip(TwoTowers):
    """Both towers of a TowerConfig, with the learned scale and bias of the sigmoid loss.

    See arXiv 2303.15343, section 3.2.
    """

    image: ImageTower

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.image = ImageTower(config)
        self.text = TextTower(config)
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        self.bias = nn.Parameter(torch.tensor(-10.0))
