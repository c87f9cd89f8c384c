"""Each setting of an image processor is applied, or rejected by name."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, SiglipImageProcessor

from ml.data.synthetic_photos import synthetic_photo
from ml.inference.preprocess import decode_as
from ml.models.huggingface.mobilenet_v2 import MOBILENET_V2
from ml.models.huggingface.processing import UnsupportedModel, read_processing
from ml.models.huggingface.siglip import SIGLIP
from ml.models.huggingface.towers import PooledImageTower

SQUARE = {"height": 32, "width": 32}


def write_settings(folder: Path, **changes: object) -> Path:
    """preprocessor_config.json of a SigLIP."""
    settings: dict[str, object] = {"image_processor_type": "SiglipImageProcessor", "size": SQUARE}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings | changes))
    return folder


class Seen(torch.nn.Module):
    """A network that returns its input."""

    def forward(self, pixels: torch.Tensor) -> Any:
        """The pixels, in place of pooled features."""
        return type("Output", (), {"pooler_output": pixels.flatten(1)})


def photo() -> Image.Image:
    return Image.fromarray(synthetic_photo(np.random.default_rng(0), 50, 40))


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"do_normalize": False},
        {"do_rescale": False},
        {"do_rescale": False, "do_normalize": False},
        {"rescale_factor": 1 / 127.5},
        {"image_mean": [0.48, 0.45, 0.4], "image_std": [0.26, 0.27, 0.3]},
        {"image_mean": [0.1, 0.2, 0.3], "do_rescale": False},
        {"resample": 1},
        {"resample": 2},
        {"resample": 3},
        {"do_center_crop": None, "do_convert_rgb": None, "crop_size": None, "data_format": "channels_first"},
    ],
)
def test_the_input_of_the_network_equals_that_in_transformers(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    """For a photo that is not square, by decode_photo and the first step of the graph."""
    processing = read_processing(write_settings(tmp_path, **changes), SIGLIP.defaults)
    pixels = decode_as(processing.preprocessing, png(photo()))
    unit_range = torch.tensor(pixels / 127.5 - 1).permute(2, 0, 1)[None].float()
    found = PooledImageTower(Seen(), processing)(unit_range).numpy()
    theirs = AutoImageProcessor.from_pretrained(tmp_path, use_fast=False)(photo(), return_tensors="pt")
    expected = theirs["pixel_values"].flatten(1).float().numpy()
    assert (found * expected).sum() / np.linalg.norm(expected) == pytest.approx(1, abs=1e-4)


def test_settings_that_affect_vectors_change_the_graph_or_the_preprocessing(tmp_path: Path) -> None:
    """So that models with different settings have different encoder_ids."""
    changes: list[dict[str, object]] = [
        {},
        {"do_normalize": False},
        {"do_rescale": False},
        {"rescale_factor": 1 / 127.5},
        {"image_mean": [0.4] * 3},
        {"image_std": [0.4] * 3},
        {"resample": 2},
        {"resample": 1},
        {"size": {"shortest_edge": 40}, "crop_size": SQUARE, "do_center_crop": True},
        {"size": {"shortest_edge": 36}, "crop_size": SQUARE, "do_center_crop": True},
    ]
    seen = set()
    for change in changes:
        processing = read_processing(write_settings(tmp_path, **change), SIGLIP.defaults)
        tower = PooledImageTower(Seen(), processing)
        graph = (*tower.gain.flatten().tolist(), *tower.shift.flatten().tolist())
        seen.add((graph, processing.preprocessing.model_dump_json(exclude_none=True)))
    assert len(seen) == len(changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_resize": False}, "do_resize is false, but an encoder needs photos of one size"),
        ({"do_pad": True}, "do_pad is True, which is not supported"),
        ({"do_flip_channel_order": True}, "do_flip_channel_order is True"),
        ({"resample": 0}, "resample is 0, expected 1 .Lanczos., 2 .bilinear. or 3"),
        ({"resample": 4}, "resample is 4"),
        ({"image_std": [0.5, 0, 0.5]}, "image_std contains 0"),
        ({"image_std": [0.5, 0.5]}, "image_std"),
        ({"rescale_factor": 0}, "rescale_factor is not above 0"),
        ({"size": {"height": 32, "width": 48}}, "photos are resized to .*'width': 48.*, expected a square"),
        ({"size": [32, 48]}, "expected a square"),
        ({"size": {"shortest_edge": 32}}, "not square"),
        ({"size": {"longest_edge": 32}}, "expected a square"),
        ({"size": {"shortest_edge": 32, "longest_edge": 64}}, "expected a square"),
        ({"size": "large"}, "size: Input should be a valid dictionary"),
        ({"crop_size": SQUARE, "do_center_crop": True}, "size has a height and there is a crop_size"),
        (
            {"size": {"shortest_edge": 30}, "crop_size": SQUARE, "do_center_crop": True},
            "crop_size is larger than size",
        ),
        ({"image_processor_type": "CLIPImageProcessor"}, "do_resize: Field required"),
    ],
)
def test_unsupported_settings_are_named(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    """In one line, which starts with the file."""
    with pytest.raises(
        UnsupportedModel, match=rf"^\S*preprocessor_config\.json: .*{message}.*; choose another"
    ):
        read_processing(write_settings(tmp_path, **changes), SIGLIP.defaults)


@pytest.mark.parametrize("name", ["do_normalize", "do_rescale", "image_mean", "size", "resample"])
def test_null_is_rejected_if_releases_of_transformers_differ(tmp_path: Path, name: str) -> None:
    """Up to release 4 it meant the default; in 5 it means false, or fails."""
    with pytest.raises(UnsupportedModel, match=rf"json: {name} is null, .*; set a value"):
        read_processing(write_settings(tmp_path, **{name: None}), SIGLIP.defaults)


@pytest.mark.parametrize("size", [32, [32, 32], SQUARE, SQUARE | {"shortest_edge": None}])
def test_sizes_are_read_in_the_forms_of_older_files(tmp_path: Path, size: object) -> None:
    """A number, a pair, or names."""
    processing = read_processing(
        write_settings(tmp_path, size=size, image_mean=0.5, image_std=0.5), SIGLIP.defaults
    )
    assert (processing.preprocessing.image_size, processing.preprocessing.crop) == (32, None)
    assert processing.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("changes", "side", "crop"),
    [
        ({"size": 40, "crop_size": 32}, 32, 0.8),
        ({"size": {"shortest_edge": 256}}, 224, 0.875),
        ({"size": SQUARE, "do_center_crop": False}, 32, None),
    ],
)
def test_mobilenet_has_its_own_defaults(
    tmp_path: Path, changes: dict[str, object], side: int, crop: float | None
) -> None:
    """Those of its class in transformers."""
    write_settings(tmp_path, **{"image_processor_type": "MobileNetV2ImageProcessor"} | changes)
    preprocessing = read_processing(tmp_path, MOBILENET_V2.defaults).preprocessing
    assert (preprocessing.image_size, preprocessing.crop, preprocessing.resample) == (side, crop, None)


def test_settings_within_a_processor_have_precedence(tmp_path: Path) -> None:
    """As in transformers 5, which writes them only there."""
    nested = {"image_processor": {"image_processor_type": "SiglipImageProcessor", "size": SQUARE}}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    assert read_processing(tmp_path, SIGLIP.defaults).preprocessing.image_size == 32
    write_settings(tmp_path, size={"height": 64, "width": 64})
    assert read_processing(tmp_path, SIGLIP.defaults).preprocessing.image_size == 32
    (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "SiglipProcessor"}))
    assert read_processing(tmp_path, SIGLIP.defaults).preprocessing.image_size == 64


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    """Also one that is not an object."""
    (tmp_path / "preprocessor_config.json").write_text(content)
    with pytest.raises(UnsupportedModel, match=r"preprocessor_config\.json: "):
        read_processing(tmp_path, SIGLIP.defaults)


def test_files_of_transformers_are_read(tmp_path: Path) -> None:
    """With all settings, most of them null."""
    SiglipImageProcessor(size=SQUARE).save_pretrained(tmp_path)
    assert read_processing(tmp_path, SIGLIP.defaults).preprocessing.image_size == 32
