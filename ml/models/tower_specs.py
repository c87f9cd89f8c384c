"""Specifications of the two towers: sizes, or a Hugging Face model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from pydantic import Field


@dataclass(frozen=True)
class Stage:
    """Blocks of one width; the first has the stride."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


@dataclass(frozen=True)
class Architecture:
    """Sizes of an EfficientNet-Lite."""

    stem: int
    stages: tuple[Stage, ...]
    features: int
    """Channels of the maps that are pooled."""

    def channels_after(self, blocks: int) -> int:
        """Channels of the maps after this many blocks."""
        widths = [self.stem, *(stage.channels for stage in self.stages for _ in range(stage.blocks))]
        return widths[blocks]


def stages(blocks: tuple[int, ...], channels: tuple[int, ...]) -> tuple[Stage, ...]:
    """The seven stages of a network with these numbers of blocks and channels."""
    kernels, strides, expansions = (3, 3, 5, 3, 5, 5, 3), (1, 2, 2, 2, 1, 2, 1), (1, 6, 6, 6, 6, 6, 6)
    return tuple(map(Stage, blocks, kernels, strides, expansions, channels))


Network = Literal["efficientnet-lite0", "tiny"]

ARCHITECTURES: Final[Mapping[Network, Architecture]] = {
    "efficientnet-lite0": Architecture(
        32, stages((1, 2, 2, 3, 3, 4, 1), (16, 24, 40, 80, 112, 192, 320)), 1280
    ),
    "tiny": Architecture(8, stages((1, 1, 1, 1, 1, 1, 1), (8, 8, 8, 8, 8, 8, 8)), 24),
}
"""`tiny` has no weights to start from: it checks in seconds that a run works."""


@dataclass(frozen=True)
class TowerConfig:
    """An EfficientNet-Lite that was trained on ImageNet, with a head; and a text tower, trained from scratch.

    A photo's vector has two parts: its features in general, and what the head learned from the marketplace.
    """

    network: Network
    image_size: int = 160
    """Pixels per side of the exported graph's input."""
    crop: float = 0.875
    """Share of a photo's shorter side that the graph sees, as in training on ImageNet."""
    fixed_blocks: int = 3
    """Blocks of the network that are not trained."""
    texture: float = 0.15
    """Share of the texture in the features: the deviations of the maps after `texture_block` blocks."""
    texture_block: int = 11
    hidden: int = 512
    """Width of the head's hidden layer."""
    dropout: float = 0.3
    """Share of the head's inputs and of its hidden layer that a training step drops."""
    head_width: int = 128
    """Dimensions of the head's output and of texts."""
    head_share: float = 0.6
    """Share of the head's output in a photo's vector, of its squared norm."""
    vocabulary: int = 3000
    tokens: int = 20
    """Length of captions in tokens; longer ones are truncated."""
    text_width: int = 112
    text_heads: int = 4

    @property
    def architecture(self) -> Architecture:
        """Sizes of the network."""
        return ARCHITECTURES[self.network]

    @property
    def pretrained(self) -> bool:
        """Whether there are weights from ImageNet to start from."""
        return self.network != "tiny"

    @property
    def feature_width(self) -> int:
        """Dimensions of the features: pooled maps and texture."""
        return self.architecture.features + self.architecture.channels_after(self.texture_block)

    @property
    def width(self) -> int:
        """Dimensions of a photo's vector, before PCA."""
        return self.feature_width + self.head_width

    def problem(self) -> str | None:
        """What contradicts itself here; None if nothing does."""
        if self.network not in ARCHITECTURES:
            return f"network is {self.network!r}, expected one of {', '.join(ARCHITECTURES)}"
        blocks = sum(stage.blocks for stage in self.architecture.stages)
        if not 0 <= self.fixed_blocks <= self.texture_block <= blocks:
            return (
                f"fixed_blocks is {self.fixed_blocks} and texture_block {self.texture_block}; expected "
                f"0 ≤ fixed_blocks ≤ texture_block ≤ {blocks}, the blocks of {self.network}"
            )
        for name in ("texture", "head_share", "dropout"):
            if not 0 <= getattr(self, name) <= 1:
                return f"{name} is {getattr(self, name)}, expected 0 to 1"
        if self.text_width % self.text_heads:
            return f"text_width is {self.text_width}, expected a multiple of text_heads ({self.text_heads})"
        return None


@dataclass(frozen=True)
class HuggingFaceTower:
    """The two towers of a SigLIP in Hugging Face's layout, whose files have all other settings."""

    source: str
    """Hugging Face id or local folder. Empty: a tiny model with random weights, which the run creates."""
    image_size: int = 256
    width: int = 768

    @property
    def head_width(self) -> int:
        """Captions are compared with photos' whole vectors."""
        return self.width

    @property
    def crop(self) -> float | None:
        """Its photos are not cropped."""
        return None


Tower = Annotated[HuggingFaceTower | TowerConfig, Field(union_mode="left_to_right")]
"""Either kind; in JSON, a tower with a source is a HuggingFaceTower."""
