"""The interface of a family of Hugging Face models."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ml.models.huggingface.processing import ImageProcessing, ProcessorDefaults
from ml.models.huggingface.towers import Towers


@dataclass(frozen=True)
class Family:
    """Models of one `model_type`: the defaults of their image processor, and how to read their networks."""

    model_type: str
    """The model_type in config.json."""
    defaults: ProcessorDefaults
    read: Callable[[Path, ImageProcessing, bool], Towers]
    """Reads the networks of a folder, given its image processing and whether to read the text tower."""
    image_only: tuple[str, str] | None = None
    """model_type and architecture of a folder with an image tower only."""
