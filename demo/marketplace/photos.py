"""Photos on demand: the same specification gives the same photo."""

import io
from dataclasses import dataclass

from PIL import Image

from demo.marketplace.designs import Design
from demo.marketplace.drawing import draw_design
from demo.marketplace.scene import Scene, photograph

CANVAS = 1.6
"""Sides of the flat drawing per side of the photo: items fill about 0.8 of it, so twice over-sampled."""


@dataclass(frozen=True)
class PhotoSpec:
    """All that a photo depends on."""

    design: Design
    scene: Scene


def draw_photo(spec: PhotoSpec, size: int = 320) -> Image.Image:
    """Return the photo: RGB, `size` × `size` pixels."""
    return photograph(draw_design(spec.design, round(size * CANVAS)), spec.scene, size)


def encode_photo(spec: PhotoSpec, size: int = 320) -> bytes:
    """Return the photo as a JPEG of the scene's quality."""
    file = io.BytesIO()
    draw_photo(spec, size).save(file, "JPEG", quality=spec.scene.quality)
    return file.getvalue()
