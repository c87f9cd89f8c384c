"""Image processing of Hugging Face models, as transformers would do it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from PIL import Image
from pydantic import BaseModel, ValidationError, model_validator

from ml.artifact import Preprocessing, Resample
from ml.errors import MlError

PREPROCESSOR: Final = "preprocessor_config.json"
PROCESSOR: Final = "processor_config.json"
"""File in which transformers 5 saves an image processor together with a tokenizer, as "image_processor"."""

COMMON: Final[Mapping[str, Any]] = {
    "do_resize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": 0.5,
    "image_std": 0.5,
}
"""Defaults that the image processors of all families share."""


@dataclass(frozen=True)
class ProcessorDefaults:
    """Defaults of a family's image processor in transformers, for settings that are absent."""

    classes: str
    """Prefix of the names of the processors (…ImageProcessor, …ImageProcessorFast)."""
    settings: Mapping[str, Any]
    size_is_shortest_edge: bool = False
    """Whether a `size` that is one number means the shortest edge; otherwise it means both sides."""


HARMLESS: Final = frozenset({"do_convert_rgb", "do_reduce_labels"})
"""Steps without effect here: photos are always RGB, and labels are those of segmentation."""

RESAMPLE: Final[dict[int, Resample | None]] = {
    Image.Resampling.LANCZOS: "lanczos",
    Image.Resampling.BILINEAR: None,
    Image.Resampling.BICUBIC: "bicubic",
}


class UnsupportedModel(MlError):
    """A Hugging Face folder that cannot be converted to an encoder."""


class ImageProcessing(BaseModel):
    """The settings of an image processor that affect the network's input."""

    do_resize: bool
    do_rescale: bool
    rescale_factor: float
    do_normalize: bool
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]
    resample: int
    size: dict[str, int]
    do_center_crop: bool
    crop_size: dict[str, int] | None = None

    @model_validator(mode="after")
    def check_supported(self) -> Self:
        """Check that decode_photo and the graph can apply all settings.

        Raises:
            ValueError: naming the first that they cannot.
        """
        if not self.do_resize:
            raise ValueError("do_resize is false, but an encoder needs photos of one size")
        if self.resample not in RESAMPLE:
            raise ValueError(
                f"resample is {self.resample}, expected 1 (Lanczos), 2 (bilinear) or 3 (bicubic)"
            )
        if 0 in self.image_std or self.rescale_factor <= 0:
            raise ValueError("image_std contains 0, or rescale_factor is not above 0")
        for size in filter(None, (self.size, self.cropped)):
            if size.keys() not in ({"height", "width"}, {"shortest_edge"}) or len({*size.values()}) > 1:
                raise ValueError(f"photos are resized to {size}, expected a square")
        if self.cropped and "height" in self.size:
            raise ValueError("size has a height and there is a crop_size, expected one of them")
        if self.cropped and side_of(self.cropped) > side_of(self.size):
            raise ValueError("crop_size is larger than size, which would pad photos")
        if not self.cropped and "height" not in self.size:
            raise ValueError("not square (size is a shortest_edge without a crop); expected squares")
        return self

    @property
    def cropped(self) -> dict[str, int] | None:
        """The size of the central crop; None without a crop."""
        return self.crop_size if self.do_center_crop else None

    @property
    def preprocessing(self) -> Preprocessing:
        """The equivalent settings of an artifact, which crops before it resizes."""
        side = side_of(self.cropped or self.size)
        crop = side / side_of(self.size) if self.cropped else None
        return Preprocessing(image_size=side, crop=crop, resample=RESAMPLE[self.resample])

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean that is subtracted from rescaled pixels, for each colour."""
        return self.image_mean if self.do_normalize else (0.0,) * 3

    @property
    def std(self) -> tuple[float, ...]:
        """Divisor of the difference, for each colour."""
        return self.image_std if self.do_normalize else (1.0,) * 3

    @property
    def scale(self) -> float:
        """Factor on pixels of 0 to 255."""
        return self.rescale_factor if self.do_rescale else 1.0


def side_of(square: dict[str, int]) -> int:
    """Pixels per side of a square size setting."""
    return next(iter(square.values()))


def read_processing(folder: Path, defaults: ProcessorDefaults) -> ImageProcessing:
    """Read the image processing of a folder in Hugging Face's layout.

    Raises:
        UnsupportedModel: a file cannot be read, or has an unsupported setting.
    """
    path, content = processing_file(folder)
    kind = content.get("image_processor_type")
    known = kind is None or str(kind).startswith(defaults.classes)
    settings = {
        **(defaults.settings if known else {}),
        **{name: value for name, value in content.items() if value is not None},
    }
    for name, default in defaults.settings.items():
        if default and content.get(name, default) is None:
            raise UnsupportedModel(
                f"{path}: {name} is null, which releases of transformers interpret differently; set a value"
            )
    check_known_steps(settings, path)
    try:
        return ImageProcessing.model_validate(
            expand_shorthand(settings, shortest_edge=defaults.size_is_shortest_edge)
        )
    except ValidationError as error:
        fault = error.errors()[0]
        place = "".join(f"{part}: " for part in fault["loc"])
        reason = fault["msg"].removeprefix("Value error, ")
        raise UnsupportedModel(f"{path}: {place}{reason}; choose another model") from error


def processing_file(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The file that transformers would use, and its settings: an "image_processor" has precedence."""
    if (folder / PROCESSOR).exists():
        nested = read_json(folder / PROCESSOR).get("image_processor")
        if isinstance(nested, dict):
            return folder / PROCESSOR, nested
    return folder / PREPROCESSOR, read_json(folder / PREPROCESSOR)


def check_known_steps(settings: dict[str, Any], path: Path) -> None:
    """Check that every enabled processing step is supported.

    Raises:
        UnsupportedModel: one is not.
    """
    known = {*ImageProcessing.model_fields, *HARMLESS}
    for name, value in settings.items():
        if name.startswith("do_") and value and name not in known:
            raise UnsupportedModel(f"{path}: {name} is {value}, which is not supported; choose another model")


def expand_shorthand(settings: Mapping[str, Any], *, shortest_edge: bool) -> dict[str, Any]:
    """Expand abbreviations of older files: one number for three colours, or for two sides."""
    full = dict(settings)
    for name in ("image_mean", "image_std"):
        if isinstance(full.get(name), int | float):
            full[name] = (full[name],) * 3
    for name in ("size", "crop_size"):
        value = full.get(name)
        if isinstance(value, int):
            shorter = name == "size" and shortest_edge
            full[name] = {"shortest_edge": value} if shorter else {"height": value, "width": value}
        elif isinstance(value, list) and len(value) == 2:
            full[name] = {"height": value[0], "width": value[1]}
        elif isinstance(value, dict):
            full[name] = {side: pixels for side, pixels in value.items() if pixels is not None}
    return full


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that contains an object.

    Raises:
        UnsupportedModel: it cannot be read, or contains something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UnsupportedModel(
            f"{path}: cannot be read ({error}); use a folder in Hugging Face's layout, or a Hugging Face id"
        ) from error
    if not isinstance(content, dict):
        raise UnsupportedModel(f"{path}: expected a JSON object; download it from Hugging Face again")
    return content
