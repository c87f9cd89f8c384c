"""Further photos of real listings, drawn from the one that each has.

The public collections of listings have one photo of each. So the second photo is a detail of the first, and
the third shows the item mirrored, tilted and smaller in front of a part of another photo.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from bench.catalogue import Vectors
from mappings.listing import Listing
from ml.artifact import DEFAULT_ARTIFACT, load_artifact
from ml.inference.encoder import load_encoder
from ml.inference.preprocess import decode_as

SIDE: Final = 224
"""Pixels of a drawn photo."""
DETAIL: Final = 0.42
"""Share of the side of a photo that its detail shows."""
ITEM_SIDE: Final = 170
WHITE: Final = 238
"""The least grey value of a white background."""
BATCH: Final = 64
SCENES: Final = 256


@dataclass(frozen=True)
class DrawnPhotos:
    """Unit vectors of the photos of n listings, and of photos that look like some of them."""

    first: Vectors
    """(n, dims)"""
    further: tuple[Vectors, ...]
    """(n, dims) each: of the second photos, of the third ones."""
    alike: tuple[Vectors, ...]
    """(q, dims) each: of photos like the second and the third one of the first q listings."""


def draw(listings: Sequence[Listing], root: Path, scenes: Path, asked: int) -> DrawnPhotos:
    """Draw and encode the photos of listings.

    scenes: a folder of photos whose parts are backgrounds. asked: the number of listings with photos alike.
    """
    backgrounds = _opened(scenes)
    photos = [_drawn(root / each.images[0], backgrounds, seed) for seed, each in enumerate(listings)]
    first, detail, scene = (_encoded([photo[kind] for photo in photos]) for kind in range(3))
    alike = tuple(_encoded([photo[kind] for photo in photos[:asked]]) for kind in (3, 4))
    return DrawnPhotos(first, (detail, scene), alike)


def _opened(folder: Path) -> list[Image.Image]:
    paths = sorted(folder.rglob("*.jpg"))
    return [Image.open(path).convert("RGB") for path in paths[:: max(1, len(paths) // SCENES)]]


def _drawn(path: Path, backgrounds: Sequence[Image.Image], seed: int) -> tuple[bytes, ...]:
    """A listing's three photos, and photos like the second and third, as JPEG."""
    rng = np.random.default_rng([7, seed])
    photo = Image.open(path).convert("RGB").resize((SIDE, SIDE))
    detail, scene = _detail(photo, rng), _scene(photo, backgrounds, rng)
    alike = (_detail(photo, rng), _scene(photo, backgrounds, rng))
    return (path.read_bytes(), *map(_jpeg, (detail, scene)), *(_jpeg(_lit(each, rng)) for each in alike))


def _detail(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    left, top = (rng.uniform(0.22, 0.36, 2) * SIDE).astype(int).tolist()
    shown = int(DETAIL * SIDE)
    box = (left, top, left + shown, top + shown)
    return photo.crop(box).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _scene(photo: Image.Image, backgrounds: Sequence[Image.Image], rng: np.random.Generator) -> Image.Image:
    background = backgrounds[int(rng.integers(len(backgrounds)))]
    side = min(background.size) // 2
    left, top = (int(rng.integers(length - side + 1)) for length in background.size)
    scene = background.crop((left, top, left + side, top + side)).resize((SIDE, SIDE))
    white = (255, 255, 255)
    item = ImageOps.mirror(photo).rotate(rng.uniform(-15, 15), fillcolor=white).resize((ITEM_SIDE, ITEM_SIDE))
    shape = item.convert("L").point([255 * (grey <= WHITE) for grey in range(256)])
    margin = (SIDE - ITEM_SIDE) // 2
    left, top = (int(each) for each in margin + rng.integers(-15, 15, 2))
    scene.paste(item, (left, top), shape)
    return scene


def _lit(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    lit: Image.Image = ImageEnhance.Brightness(photo).enhance(rng.uniform(0.85, 1.15))
    return lit


def _jpeg(photo: Image.Image) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _encoded(photos: Sequence[bytes]) -> Vectors:
    """(n, dims) unit vectors of the committed encoder."""
    artifact = load_artifact(DEFAULT_ARTIFACT)
    encoder = load_encoder(artifact, threads=1)
    batches = (photos[start : start + BATCH] for start in range(0, len(photos), BATCH))
    pixels: Iterator[list[NDArray[np.uint8]]] = (
        [decode_as(artifact.preprocessing, photo) for photo in batch] for batch in batches
    )
    return np.concatenate([encoder.encode(np.stack(batch)) for batch in pixels])
