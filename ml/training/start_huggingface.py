"""Initial weights of a run that fine-tunes a SigLIP from Hugging Face. Imports torch."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from tokenizers import Tokenizer

from ml.artifact import CHECKPOINT, TOKENIZER
from ml.data.tokenizer import PADDING, load_tokenizer, train_tokenizer
from ml.models.checkpoint import load_checkpoint
from ml.models.huggingface.folder import (
    NETWORK_FOLDER,
    fetch,
    network_folder,
    read_tokenizer,
    weights,
)
from ml.models.huggingface.processing import (
    PREPROCESSOR,
    UnsupportedModel,
    processing_file,
    read_json,
    read_processing,
)
from ml.models.huggingface.siglip import SIGLIP, check_side
from ml.models.huggingface.trainable_siglip import HuggingFaceSiglip, untrained_siglip
from ml.models.library_warnings import suppress_library_warnings
from ml.models.tower_specs import HuggingFaceTower
from ml.training.distributed import Processes, wait_for_all

DESCRIPTIONS: Final = ("config.json", "tokenizer.json", "tokenizer_config.json")


def start_huggingface(
    tower: HuggingFaceTower,
    run: Path,
    captions: Sequence[str],
    start: Path | None,
    base: str | None,
    *,
    checkpointing: bool,
    processes: Processes,
) -> tuple[HuggingFaceSiglip, Tokenizer]:
    """Load the initial weights of a Hugging Face tower: of another run, of a source, or tiny random ones.

    Raises:
        HuggingFaceUnreachable, UnsupportedModel: see pretrained.
    """
    if start:
        copy_network_files(network_folder(start), run / NETWORK_FOLDER)
        model = untrained_siglip(run, checkpointing=checkpointing)
        model.load_state_dict(load_checkpoint(start / CHECKPOINT, tower).state_dict())
        return model, load_tokenizer(start / TOKENIZER)
    source = base or tower.source
    if not source:
        if processes.first:
            write_tiny_siglip(run / NETWORK_FOLDER, captions, image_size=tower.image_size, width=tower.width)
        wait_for_all()
        source = str(run / NETWORK_FOLDER)
    return pretrained(source, tower, run, checkpointing=checkpointing)


def pretrained(
    source: str, tower: HuggingFaceTower, run: Path, *, checkpointing: bool
) -> tuple[HuggingFaceSiglip, Tokenizer]:
    """Load the model and tokenizer of a Hugging Face id or local folder; copy its network files to the run.

    Raises:
        HuggingFaceUnreachable: the id does not exist, or there is no connection.
        UnsupportedModel: a file is missing or damaged, the tokenizer is of another model, or sizes differ.
    """
    from transformers import SiglipModel  # noqa: PLC0415  heavy

    folder = fetch(source)
    check_sizes(folder, tower)
    with suppress_library_warnings("transformers"):
        model = weights(SiglipModel, folder)
    processing = read_processing(folder, SIGLIP.defaults)
    check_side(model.config, processing, folder)
    tokenizer = read_tokenizer(folder, model.config.text_config)
    copy_network_files(folder, run / NETWORK_FOLDER)
    if checkpointing:
        model.gradient_checkpointing_enable()
    return HuggingFaceSiglip(model, processing), tokenizer


def check_sizes(folder: Path, tower: HuggingFaceTower) -> None:
    """Check that a folder has a SigLIP of the configured size and width.

    Raises:
        UnsupportedModel: another architecture or size.
    """
    path = folder / "config.json"
    content = read_json(path)
    if content.get("model_type") != SIGLIP.model_type:
        raise UnsupportedModel(
            f"{path}: model_type is {content.get('model_type')}, expected siglip (SigLIP, or SigLIP 2 of a "
            "fixed resolution); set --base to such a model"
        )
    # Files on Hugging Face omit settings that equal the defaults of transformers.
    vision = content.get("vision_config", {})
    found = (vision.get("image_size", 224), vision.get("hidden_size", 768))
    if found != (tower.image_size, tower.width):
        raise UnsupportedModel(
            f"{path}: {found[0]} px and width {found[1]}, expected {tower.image_size} px and {tower.width} "
            "as configured; change HuggingFaceTower in the configuration, or --base"
        )


def copy_network_files(folder: Path, kept: Path) -> None:
    """Copy configuration, tokenizer and processor settings from one folder to another."""
    kept.mkdir(parents=True, exist_ok=True)
    for name in DESCRIPTIONS:
        if (folder / name).exists() and (folder / name).resolve() != (kept / name).resolve():
            shutil.copyfile(folder / name, kept / name)
    _, processing = processing_file(folder)
    (kept / PREPROCESSOR).write_text(json.dumps(processing, indent=2), encoding="utf-8")


def write_tiny_siglip(folder: Path, captions: Sequence[str], *, image_size: int, width: int) -> None:
    """Write a tiny SigLIP with random weights in Hugging Face's layout, to try a run without a download."""
    from transformers import SiglipConfig, SiglipModel  # noqa: PLC0415  heavy

    layers = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    length = 8
    tokenizer = train_tokenizer(captions, vocabulary=300, length=length)
    with suppress_library_warnings("transformers"):
        config = SiglipConfig(
            text_config=layers
            | {
                "vocab_size": tokenizer.get_vocab_size(),
                "max_position_embeddings": length,
                "pad_token_id": 0,
            },
            vision_config=layers | {"image_size": image_size, "patch_size": 8},
        )
        model = SiglipModel(config)
    # The initial values of the sigmoid loss (arXiv 2303.15343, section 3.2), which transformers draws.
    with torch.no_grad():
        model.logit_scale.fill_(torch.tensor(10.0).log().item())
        model.logit_bias.fill_(-10.0)
    with suppress_library_warnings("transformers"):
        model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": PADDING}), encoding="utf-8")
    processing = {
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "size": {"height": image_size, "width": image_size},
    }
    (folder / PREPROCESSOR).write_text(json.dumps(processing), encoding="utf-8")
