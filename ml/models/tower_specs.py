"""What the towers of a network are: sizes, or where they come from."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field


@dataclass(frozen=True)
class TowerConfig:
    """Sizes of the two towers."""

    image_size: int = 128
    """Pixels of a side that the exported graph takes."""
    channels: tuple[int, ...] = (48, 96, 160, 256)
    """Maps of each residual block; the first is also the stem's."""
    width: int = 192
    """Of the shared space, before PCA."""
    vocabulary: int = 3000
    tokens: int = 20
    """Caption length; longer ones are cut."""
    text_width: int = 128
    text_heads: int = 4


@dataclass(frozen=True)
class HuggingFaceTower:
    """The two towers of a SigLIP in Hugging Face's layout, which says everything else about them."""

    source: str
    """Hugging Face id or local folder. Empty: a tiny one with random weights, which the run makes itself."""
    image_size: int = 256
    width: int = 768


Tower = Annotated[HuggingFaceTower | TowerConfig, Field(union_mode="left_to_right")]
"""Of either kind; read from JSON, a tower with a source is from Hugging Face."""
