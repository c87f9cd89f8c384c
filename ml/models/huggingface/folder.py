"""Weights and tokenizer of a folder in Hugging Face's layout."""

import logging
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError
from tokenizers import Tokenizer, normalizers

from ml.artifact import MANIFEST
from ml.data.tokenizer import UnreadableTokenizer, load_tokenizer
from ml.errors import MlError
from ml.models.huggingface.processing import UnsupportedModel, read_json

if TYPE_CHECKING:
    from transformers import PretrainedConfig

log = logging.getLogger(__name__)


class HuggingFaceUnreachable(MlError):
    """A Hugging Face id whose files cannot be downloaded."""


def fetch(source: str) -> Path:
    """Return a local folder, or download the files of a Hugging Face id, preferably safetensors.

    Raises:
        HuggingFaceUnreachable: the id does not exist, or there is no connection.
    """
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
            f"{source}: neither a local folder nor available from Hugging Face ({reason}); check the id and "
            "the connection, or use a local copy of the model's folder"
        ) from error
    return folder


def weights(kind: Any, folder: Path) -> Any:  # a class of transformers, whose types do not check
    """Load a model of a transformers class with all its weights, converted to float32, in evaluation mode.

    Raises:
        UnsupportedModel: the weights are missing, damaged or unsafe to load.
    """
    try:
        model, report = kind.from_pretrained(folder, output_loading_info=True, local_files_only=True)
    except UnpicklingError as error:
        raise UnsupportedModel(
            f"{folder}: pytorch_model.bin is damaged, or contains more than weights, which could run code; "
            "download model.safetensors from Hugging Face"
        ) from error
    except (OSError, ValueError, RuntimeError, EOFError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UnsupportedModel(
            f"{folder}: weights cannot be read ({reason}); download model.safetensors from Hugging Face again"
        ) from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise UnsupportedModel(
            f"{folder}: {len(missing)} weights of the network are missing, first {missing[0]}; "
            "download model.safetensors from Hugging Face again, or try --no-text if it has no text tower"
        )
    config = read_json(folder / "config.json")
    stored = config.get("dtype") or config.get("torch_dtype") or "float32"
    if stored != "float32":
        log.warning("%s: weights stored as %s are converted to float32", folder, stored)
    return model.float().eval()


def check_channels(config: "PretrainedConfig", folder: Path) -> None:
    """Check that the network's input is RGB.

    Raises:
        UnsupportedModel: it has another number of channels.
    """
    if config.num_channels != 3:
        raise UnsupportedModel(
            f"{folder / 'config.json'}: num_channels is {config.num_channels}, expected 3 (RGB); "
            "choose another model"
        )


def read_tokenizer(folder: Path, config: "PretrainedConfig") -> Tokenizer:
    """Load the folder's tokenizer: lower case, padded and truncated to the positions of the text tower.

    Raises:
        UnsupportedModel: it cannot be read, or does not fit the text tower.
    """
    path = folder / "tokenizer.json"
    try:
        tokenizer = load_tokenizer(path)
    except UnreadableTokenizer as error:
        raise UnsupportedModel(
            f"{path}: tokenizer cannot be read ({error.__cause__}); download it from Hugging Face, or leave "
            "the text tower out with --no-text"
        ) from error
    largest = max(tokenizer.get_vocab().values(), default=-1)
    if largest >= config.vocab_size:
        raise UnsupportedModel(
            f"{path}: has ids up to {largest}, but the text tower a vocabulary of {config.vocab_size}; use "
            "the tokenizer of the same model, or leave the text tower out with --no-text"
        )
    padding = padding_token(folder / "tokenizer_config.json")
    padding_id = tokenizer.token_to_id(padding)
    if padding_id is None:
        raise UnsupportedModel(
            f"{path}: lacks the padding token {padding} of tokenizer_config.json; use both files of one model"
        )
    # Both generations of SigLIP were trained on lower case; not every tokenizer.json says so.
    before = [normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer else [])]
    tokenizer.normalizer = normalizers.Sequence(before)
    length = config.max_position_embeddings
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=padding_id, pad_token=padding)
    return tokenizer


def padding_token(path: Path) -> str:
    """Read the padding token from a tokenizer_config.json."""
    token = read_json(path).get("pad_token")
    return str(token["content"] if isinstance(token, dict) else token)


NETWORK_FOLDER: Final = "network"
"""Folder of a run with the files that describe its networks, in Hugging Face's layout."""


def network_folder(folder: Path) -> Path:
    """The folder of NETWORK_FILES of a run or an artifact."""
    return folder if (folder / MANIFEST).exists() else folder / NETWORK_FOLDER
