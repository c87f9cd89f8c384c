"""Networks and tokenizer of a folder in Hugging Face's layout. Imports torch and transformers."""

import logging
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError
from tokenizers import Tokenizer, normalizers
from torch import Tensor, nn
from torch.nn import functional

from ml.errors import MlError
from ml.models.huggingface.processing import (
    DEFAULTS,
    ImageProcessing,
    UnsupportedModel,
    read_json,
    read_processing,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig


from ml.artifact import MANIFEST

FAMILIES: Final = tuple(DEFAULTS)
"""model_type of config.json; SigLIP 2 of a fixed size is a "siglip" too, its NaFlex variant is not."""


log = logging.getLogger(__name__)


class HuggingFaceUnreachable(MlError):
    """A Hugging Face id whose files could not be fetched."""


class PooledImageTower(nn.Module):
    """The network between pixels in −1 to 1 and pooled features, brought to unit length."""

    def __init__(self, network: nn.Module, processing: ImageProcessing) -> None:
        super().__init__()
        self.network = network
        mean, std = (torch.tensor(values)[:, None, None] for values in (processing.mean, processing.std))
        half = 127.5 * processing.scale
        self.gain = nn.Buffer(half / std)
        self.shift = nn.Buffer((half - mean) / std)

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, width) float32, unit norm, of pixels (n, 3, s, s) in −1 to 1."""
        pooled: Tensor = self.network(pixels * self.gain + self.shift).pooler_output
        return functional.normalize(pooled, dim=-1)


class PooledTextTower(nn.Module):
    """A SigLIP's text network, brought to unit length."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: Tensor) -> Tensor:
        """(n, width) float32, unit norm, of token ids (n, tokens) int64, padding attended to."""
        pooled: Tensor = self.network(ids).pooler_output
        return functional.normalize(pooled, dim=-1)


@dataclass(frozen=True)
class Towers:
    """What was read of a Hugging Face folder."""

    family: str
    image: PooledImageTower
    width: int
    """Of the features."""
    processing: ImageProcessing
    text: PooledTextTower | None = None
    tokenizer: Tokenizer | None = None


def fetch(source: str) -> Path:
    """The folder itself, or the cached copy of an id's files: safetensors, or else a pickled state."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download  # noqa: PLC0415  a local folder needs no network
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        folder = Path(snapshot_download(source, allow_patterns=["*.json", "*.safetensors"]))
        if not list(folder.glob("*.safetensors")):
            snapshot_download(source, allow_patterns=["pytorch_model*.bin"])
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise HuggingFaceUnreachable(
            f"{source}: neither a folder here nor fetched from Hugging Face ({reason}); check the id and the "
            "connection, or copy the model's folder here and name that"
        ) from error
    return folder


def read_towers(folder: Path, *, text: bool) -> Towers:
    """The networks of a folder in Hugging Face's layout, in evaluation mode.

    Raises:
        UnsupportedModel: another architecture, a file missing or damaged, or a tokenizer that does not fit.
    """
    from transformers import MobileNetV2Model, SiglipModel, SiglipVisionModel  # noqa: PLC0415  heavy

    family, vision_alone = family_of(folder)
    processing = read_processing(folder, family)
    text = text and not vision_alone
    if family == "mobilenet_v2":
        network = weights(MobileNetV2Model, folder)
        check_channels(network.config, folder)
        width = network.conv_1x1.convolution.out_channels
        return Towers(family, PooledImageTower(network, processing), width, processing)
    model = weights(SiglipModel if text else SiglipVisionModel, folder)
    check_side(model.config, processing, folder)
    # Up to transformers 4 the vision model wraps what in 5 it is.
    image = PooledImageTower(getattr(model, "vision_model", model), processing)
    width = getattr(model.config, "vision_config", model.config).hidden_size
    if not text:
        return Towers(family, image, width, processing)
    tokenizer = read_tokenizer(folder, model.config.text_config)
    return Towers(family, image, width, processing, PooledTextTower(model.text_model), tokenizer)


def family_of(folder: Path) -> tuple[str, bool]:
    """One of FAMILIES, and whether the folder has the image tower alone.

    Raises:
        UnsupportedModel: another architecture, or weights of a quantised model.
    """
    path = folder / "config.json"
    config = read_json(path)
    family = str(config.get("model_type"))
    if "quantization_config" in config:
        raise UnsupportedModel(
            f"{path}: has a quantization_config; import the model it was made of, then `nitamono ml quantise`"
        )
    if family == "siglip_vision_model" or config.get("architectures") == ["SiglipVisionModel"]:
        return "siglip", True
    if family not in FAMILIES:
        raise UnsupportedModel(
            f"{path}: model_type is {family}, expected one of {', '.join(FAMILIES)}; "
            "NaFlex variants of SigLIP 2 take no fixed size: choose one of a fixed resolution"
        )
    return family, False


def weights(kind: Any, folder: Path) -> Any:  # a class of transformers, whose types do not check
    """The model with every weight read from the folder, in float32 whatever they are stored as."""
    try:
        model, report = kind.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    except UnpicklingError as error:
        raise UnsupportedModel(
            f"{folder}: pytorch_model.bin is damaged, or holds more than weights, which could run code here; "
            "download model.safetensors from Hugging Face"
        ) from error
    except (OSError, ValueError, RuntimeError, EOFError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UnsupportedModel(
            f"{folder}: no weights can be read ({reason}); download model.safetensors from Hugging Face again"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise UnsupportedModel(
            f"{folder}: the weights lack {len(missing)} of the network's, first {missing[0]}; "
            "download model.safetensors from Hugging Face again, or try --no-text if it has no text tower"
        )
    config = read_json(folder / "config.json")
    stored = config.get("dtype") or config.get("torch_dtype") or "float32"
    if stored != "float32":
        log.warning("%s: weights stored as %s are used in float32", folder, stored)
    return model.float().eval()


def check_side(config: "PretrainedConfig", processing: ImageProcessing, folder: Path) -> None:
    """Check that the network has a pooling head and the image size of its processor.

    Raises:
        UnsupportedModel: it has not.
    """
    vision = getattr(config, "vision_config", config)
    check_channels(vision, folder)
    if not vision.vision_use_head:
        raise UnsupportedModel(
            f"{folder / 'config.json'}: vision_use_head is false, so there is no vector of a whole photo; "
            "choose a model with the head"
        )
    found = processing.preprocessing.image_size
    if found != vision.image_size:
        raise UnsupportedModel(
            f"{folder}: its image processor makes pictures of {found} pixels, config.json expects "
            f"{vision.image_size}; take both files from the same model"
        )


def check_channels(config: "PretrainedConfig", folder: Path) -> None:
    """Check that the network takes RGB.

    Raises:
        UnsupportedModel: it takes another number of channels.
    """
    if config.num_channels != 3:
        raise UnsupportedModel(
            f"{folder / 'config.json'}: num_channels is {config.num_channels}, expected 3 (red, green, blue)"
        )


def read_tokenizer(folder: Path, config: "PretrainedConfig") -> Tokenizer:
    """The folder's tokenizer, lower-casing, with as many ids for every caption as the network has places."""
    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    # tokenizers raises a bare Exception for a missing or damaged file; it defines no narrower class.
    except Exception as error:
        raise UnsupportedModel(
            f"{path}: no tokenizer can be read ({error}); download it from Hugging Face, or leave the text "
            "tower out with --no-text"
        ) from error
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= config.vocab_size:
        raise UnsupportedModel(
            f"{path}: has ids up to {largest}, the text tower embeds {config.vocab_size}; take the tokenizer "
            "of the same model, or leave the text tower out with --no-text"
        )
    padding = padding_token(folder / "tokenizer_config.json")
    padding_id = tokenizer.token_to_id(padding)
    if padding_id is None:
        raise UnsupportedModel(
            f"{path}: has no {padding}, which tokenizer_config.json pads with; take both from one model"
        )
    # Both generations of SigLIP were trained on lower case; not every tokenizer.json says so.
    before = [normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer else [])]
    tokenizer.normalizer = normalizers.Sequence(before)
    length = config.max_position_embeddings
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=padding_id, pad_token=padding)
    return tokenizer


def padding_token(path: Path) -> str:
    """The padding token named by a tokenizer_config.json."""
    token = read_json(path).get("pad_token")
    return str(token["content"] if isinstance(token, dict) else token)


NETWORK_FOLDER: Final = "network"
"""Folder of a run with the files that say what the networks are, in Hugging Face's layout."""


def network_folder(folder: Path) -> Path:
    """Where the folder of a run or an artifact keeps NETWORK_FILES."""
    return folder if (folder / MANIFEST).exists() else folder / NETWORK_FOLDER
