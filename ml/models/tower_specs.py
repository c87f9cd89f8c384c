"""Specifications of the two towers: sizes, or a Hugging Face model."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class TowerConfig:
    """Sizes of two towers to train from scratch."""

    image_size: int = 128
    """Pixels per side of the exported graph's input."""
    channels: tuple[int, ...] = (48, 96, 160, 256)
    """Channels of each residual block; the first is also that of the stem."""
    width: int = 192
    """Dimensions of the shared space, before PCA."""
    vocabulary: int = 3000
    tokens: int = 20
    """Length of captions in tokens; longer ones are truncated."""
    text_width: int = 128
    text_heads: int = 4


@dataclass(frozen=True)
class HuggingFaceTower:
    """The two towers of a SigLIP in Hugging Face's layout, whose files have all other settings."""

    source: str
    """Hugging Face id or local folder. Empty: a tiny model with random weights, which the run creates."""
    image_size: int = 256
    width: int = 768


Tower = Annotated[HuggingFaceTower | TowerConfig, Field(union_mode="left_to_right")]
"""Either kind; in JSON, a tower with a source is a HuggingFaceTower."""
