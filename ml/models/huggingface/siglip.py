"""SigLIP, and SigLIP 2 with a fixed resolution. Imports torch and transformers."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

from ml.models.huggingface.family import Family
from ml.models.huggingface.folder import check_channels, read_tokenizer, weights
from ml.models.huggingface.processing import COMMON, ImageProcessing, ProcessorDefaults, UnsupportedModel
from ml.models.huggingface.towers import PooledImageTower, PooledTextTower, Towers

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def read_siglip(folder: Path, processing: ImageProcessing, text: bool) -> Towers:
    """Read the networks of a SigLIP's folder.

    Raises:
        UnsupportedModel: the weights or the tokenizer are missing, damaged or of another model.
    """
    from transformers import SiglipModel, SiglipVisionModel  # noqa: PLC0415  heavy

    model = weights(SiglipModel if text else SiglipVisionModel, folder)
    check_side(model.config, processing, folder)
    # In transformers 4 the vision model is wrapped in another module, in 5 it is not.
    image = PooledImageTower(getattr(model, "vision_model", model), processing)
    width = getattr(model.config, "vision_config", model.config).hidden_size
    if not text:
        return Towers(SIGLIP.model_type, image, width, processing)
    tokenizer = read_tokenizer(folder, model.config.text_config)
    return Towers(SIGLIP.model_type, image, width, processing, PooledTextTower(model.text_model), tokenizer)


def check_side(config: "PretrainedConfig", processing: ImageProcessing, folder: Path) -> None:
    """Check that the network has a pooling head and the image size of its processor.

    Raises:
        UnsupportedModel: it lacks the head, or the sizes differ.
    """
    vision = getattr(config, "vision_config", config)
    check_channels(vision, folder)
    if not vision.vision_use_head:
        raise UnsupportedModel(
            f"{folder / 'config.json'}: vision_use_head is false, so the network has no vector for a photo; "
            "choose a model with a pooling head"
        )
    found = processing.preprocessing.image_size
    if found != vision.image_size:
        raise UnsupportedModel(
            f"{folder}: the image processor resizes to {found} pixels, but config.json has image_size "
            f"{vision.image_size}; use both files of the same model"
        )


SIGLIP: Final = Family(
    "siglip",
    ProcessorDefaults(
        "Siglip",
        {
            **COMMON,
            "do_center_crop": False,
            "resample": Image.Resampling.BICUBIC,
            "size": {"height": 224, "width": 224},
        },
    ),
    read_siglip,
    image_only=("siglip_vision_model", "SiglipVisionModel"),
)
