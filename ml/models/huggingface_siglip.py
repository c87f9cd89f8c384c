"""A SigLIP of the hub in training: its two networks in the shape that the loop trains. Imports torch."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from ml.artifact import CHECKPOINT, TOKENIZER
from ml.data.tokenizer import PADDING, load_tokenizer, train_tokenizer
from ml.export.hf_import import PooledText, PooledTower, check_side, fetch, fitting_tokenizer, weights
from ml.models.checkpoint import HUB, described, load_checkpoint
from ml.models.huggingface_processing import (
    PREPROCESSOR,
    ImageProcessing,
    UnfitHubModel,
    processing_file,
    read_json,
    read_processing,
)
from ml.models.library_warnings import errors_alone
from ml.models.two_towers import ImageNetwork, TwoTowers
from ml.training.config import HubTower
from ml.training.distributed import Processes, wait_for_all

DESCRIPTIONS: Final = ("config.json", "tokenizer.json", "tokenizer_config.json")


class TrainedTower(PooledTower, ImageNetwork):
    """An image tower that tells its features apart from its head, as the loop wants it."""

    def __init__(self, network: nn.Module, processing: ImageProcessing, width: int) -> None:
        super().__init__(network, processing)
        self.feature_width = width
        self.head = nn.Identity()

    def features(self, pixels: Tensor) -> Tensor:
        """(n, width) pooled features of pixels (n, 3, s, s) in −1 to 1."""
        pooled: Tensor = self.network(pixels * self.gain + self.shift).pooler_output
        return pooled


class HubSiglip(TwoTowers):
    """Both networks of a transformers SiglipModel, with its scale and bias."""

    def __init__(self, model: Any, processing: ImageProcessing) -> None:  # of transformers, untyped
        super().__init__()
        width = model.config.vision_config.hidden_size
        self.image = TrainedTower(model.vision_model, processing, width)
        self.text = PooledText(model.text_model)
        self.log_scale = nn.Parameter(model.logit_scale.detach().reshape(()).clone())
        self.bias = nn.Parameter(model.logit_bias.detach().reshape(()).clone())


def beginning_of_hub(
    tower: HubTower,
    run: Path,
    captions: Sequence[str],
    start: Path | None,
    base: str | None,
    *,
    checkpointing: bool,
    processes: Processes,
) -> tuple[HubSiglip, Tokenizer]:
    """What a run of a hub tower begins with: another run's weights, those of a source, or tiny random ones.

    Raises:
        HubUnreachable, UnfitHubModel: see pretrained.
    """
    if start:
        keep_descriptions(described(start), run / HUB)
        model = untrained(run, checkpointing=checkpointing)
        model.load_state_dict(load_checkpoint(start / CHECKPOINT, tower).state_dict())
        return model, load_tokenizer(start / TOKENIZER)
    source = base or tower.source
    if not source:
        if processes.first:
            write_tiny_siglip(run / HUB, captions, image_size=tower.image_size, width=tower.width)
        wait_for_all()
        source = str(run / HUB)
    return pretrained(source, tower, run, checkpointing=checkpointing)


def pretrained(
    source: str, tower: HubTower, run: Path, *, checkpointing: bool
) -> tuple[HubSiglip, Tokenizer]:
    """The model of a hub id or local folder, and its tokenizer; what describes them is copied into the run.

    Raises:
        HubUnreachable: the hub has no such id, or there is no way to it.
        UnfitHubModel: a file is missing or damaged, the tokenizer is another model's, or sizes differ.
    """
    from transformers import SiglipModel  # noqa: PLC0415  heavy

    folder = fetch(source)
    refuse_other_sizes(folder, tower)
    with errors_alone("transformers"):
        model = weights(SiglipModel, folder)
    processing = read_processing(folder, "siglip")
    check_side(model.config, processing, folder)
    tokenizer = fitting_tokenizer(folder, model.config.text_config)
    keep_descriptions(folder, run / HUB)
    if checkpointing:
        model.gradient_checkpointing_enable()
    return HubSiglip(model, processing), tokenizer


def untrained(folder: Path, *, checkpointing: bool = False) -> HubSiglip:
    """The networks that a run's or an artifact's folder describes, with random weights to be replaced."""
    from transformers import SiglipConfig, SiglipModel  # noqa: PLC0415  heavy

    folder = described(folder)
    with errors_alone("transformers"):
        model: Any = SiglipModel(SiglipConfig.from_dict(read_json(folder / "config.json")))
    if checkpointing:
        model.gradient_checkpointing_enable()
    return HubSiglip(model, read_processing(folder, "siglip"))


def refuse_other_sizes(folder: Path, tower: HubTower) -> None:
    path = folder / "config.json"
    content = read_json(path)
    if content.get("model_type") != "siglip":
        raise UnfitHubModel(
            f"{path}: model_type is {content.get('model_type')}, expected siglip (SigLIP, or SigLIP 2 of a "
            "fixed resolution); name such a model with --base"
        )
    # What transformers would fill in is left out of the hub's own files.
    vision = content.get("vision_config", {})
    found = (vision.get("image_size", 224), vision.get("hidden_size", 768))
    if found != (tower.image_size, tower.width):
        raise UnfitHubModel(
            f"{path}: {found[0]} px and width {found[1]}, expected {tower.image_size} px and {tower.width} "
            "as configured; change HubTower in the configuration, or --base"
        )


def keep_descriptions(folder: Path, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    for name in DESCRIPTIONS:
        if (folder / name).exists() and (folder / name).resolve() != (kept / name).resolve():
            shutil.copyfile(folder / name, kept / name)
    _, processing = processing_file(folder)
    (kept / PREPROCESSOR).write_text(json.dumps(processing, indent=2), encoding="utf-8")


def write_tiny_siglip(folder: Path, captions: Sequence[str], *, image_size: int, width: int) -> None:
    """A SigLIP with random weights in the hub's layout, to try a run with before the real one is here."""
    from transformers import SiglipConfig, SiglipModel  # noqa: PLC0415  heavy

    layers = {
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    length = 8
    tokenizer = train_tokenizer(captions, vocabulary=300, length=length)
    with errors_alone("transformers"):
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
    # The sigmoid loss's own start (arXiv 2303.15343, section 3.2), which transformers leaves at random.
    with torch.no_grad():
        model.logit_scale.fill_(torch.tensor(10.0).log().item())
        model.logit_bias.fill_(-10.0)
    with errors_alone("transformers"):
        model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": PADDING}), encoding="utf-8")
    processing = {
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "size": {"height": image_size, "width": image_size},
    }
    (folder / PREPROCESSOR).write_text(json.dumps(processing), encoding="utf-8")
