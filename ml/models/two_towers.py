"""The two towers, which encode photos and captions into unit vectors of one space. Imports torch."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ml.models.global_batch_norm import GlobalBatchNorm
from ml.models.tower_specs import TowerConfig


class Convolution(nn.Module):
    """A convolution and its batch norm."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, kernel: int = 3) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.norm = GlobalBatchNorm(outputs)

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (n, outputs, h', w') float32 of maps (n, inputs, h, w) float32."""
        normed: Tensor = self.norm(self.convolution(maps))
        return normed

    def fused(self) -> nn.Conv2d:
        """One convolution that computes both, for inference."""
        return fuse_conv_bn_eval(self.convolution, self.norm)


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions with a shortcut; the first may halve the resolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = Convolution(inputs, outputs, stride=stride)
        self.second = Convolution(outputs, outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True), Convolution(inputs, outputs, kernel=1)
            )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps (n, outputs, h', w') float32, not negative, of maps (n, inputs, h, w) float32."""
        inner = self.second(functional.relu(self.first(maps)))
        return functional.relu(inner + self.shortcut(maps))


class ImageNetwork(nn.Module):
    """An image tower whose features and head are separate, as training needs."""

    feature_width: int
    head: nn.Module

    def features(self, pixels: Tensor) -> Tensor:
        """Features (n, feature_width) float32, before the head, of pixels (n, 3, s, s) float32 in −1 to 1."""
        raise NotImplementedError


class ImageTower(ImageNetwork):
    """A convolutional network, which trains in minutes on few photos where a ViT takes hours."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        stem, *_ = config.channels
        self.stem = nn.Sequential(
            Convolution(3, stem // 2, stride=2), nn.ReLU(), Convolution(stem // 2, stem, stride=2), nn.ReLU()
        )
        inputs, blocks = stem, []
        for stage, outputs in enumerate(config.channels):
            blocks.append(ResidualBlock(inputs, outputs, 1 if stage == 0 else 2))
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.feature_width = inputs
        self.head = nn.Linear(inputs, config.width)

    def features(self, pixels: Tensor) -> Tensor:
        """Pooled maps (n, channels[-1]) float32 of pixels (n, 3, s, s) float32 in −1 to 1; s ≥ 32."""
        maps: Tensor = self.blocks(self.stem(pixels))
        return maps.mean(dim=(2, 3))

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, width) float32, unit norm, of pixels (n, 3, s, s) float32 in −1 to 1."""
        return functional.normalize(self.head(self.features(pixels)), dim=-1)


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
        self.head = nn.Linear(wide, config.width)

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
        """(n, width) float32, unit norm, of token ids (n, tokens) int64, padded with 0."""
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
    """Both towers with the learned scale and bias of the sigmoid loss (arXiv 2303.15343, section 3.2)."""

    def __init__(self, config: TowerConfig) -> None:
        super().__init__()
        self.image = ImageTower(config)
        self.text = TextTower(config)
        self.log_scale = nn.Parameter(torch.tensor(10.0).log())
        self.bias = nn.Parameter(torch.tensor(-10.0))
