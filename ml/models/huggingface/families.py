"""The families of Hugging Face models that can become encoders. Imports torch."""

from pathlib import Path
from typing import Any, Final

from ml.models.huggingface.family import Family
from ml.models.huggingface.mobilenet_v2 import MOBILENET_V2
from ml.models.huggingface.processing import UnsupportedModel, read_json, read_processing
from ml.models.huggingface.siglip import SIGLIP
from ml.models.huggingface.towers import Towers

FAMILIES: Final = (SIGLIP, MOBILENET_V2)


def read_towers(folder: Path, *, text: bool) -> Towers:
    """Read the networks of a folder in Hugging Face's layout, in evaluation mode.

    Raises:
        UnsupportedModel: another architecture, a file missing or damaged, or a tokenizer that does not fit.
    """
    path = folder / "config.json"
    config = read_json(path)
    if "quantization_config" in config:
        raise UnsupportedModel(
            f"{path}: has a quantization_config; import the original model, then run `nitamono ml quantise`"
        )
    family, image_only = family_of(config, path)
    return family.read(folder, read_processing(folder, family.defaults), text and not image_only)


def family_of(config: dict[str, Any], path: Path) -> tuple[Family, bool]:
    """The family of a config.json at `path`, and whether its folder has the image tower alone.

    Raises:
        UnsupportedModel: another architecture.
    """
    model_type = config.get("model_type")
    for family in FAMILIES:
        image_only = image_tower_alone(family, config)
        if image_only or model_type == family.model_type:
            return family, image_only
    raise UnsupportedModel(
        f"{path}: model_type is {model_type}, expected one of "
        f"{', '.join(family.model_type for family in FAMILIES)}; "
        "NaFlex variants of SigLIP 2 are not supported: choose one with a fixed resolution"
    )


def image_tower_alone(family: Family, config: dict[str, Any]) -> bool:
    """Whether a config.json is that of the family's image tower without its text tower."""
    if family.image_only is None:
        return False
    model_type, architecture = family.image_only
    return config.get("model_type") == model_type or config.get("architectures") == [architecture]
