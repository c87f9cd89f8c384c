"""What a family of Hugging Face models must say of itself to become an encoder."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ml.models.huggingface.processing import ImageProcessing, ProcessorDefaults
from ml.models.huggingface.towers import Towers


@dataclass(frozen=True)
class Family:
    """Models of one `model_type`: how they take photos, and how their networks are read."""

    model_type: str
    """Of config.json."""
    defaults: ProcessorDefaults
    read: Callable[[Path, ImageProcessing, bool], Towers]
    """The networks of a folder, its image processing given; the text tower only where the bool says so."""
    image_only: tuple[str, str] | None = None
    """model_type and architecture of a folder that has the image tower alone."""
