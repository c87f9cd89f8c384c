"""Photos that show nothing."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from indexer.photos.blank import blank_problem, ground_and_spread
from ml.inference.gradient_hash import gradient_hash
from ml.inference.preprocess import decode_photo
from tests.pictures import encode, smooth


def watermarked(ground: int, ink: int) -> Image.Image:
    """A plain grey ground with the name of a shop all over it."""
    picture = Image.new("RGB", (800, 800), (ground,) * 3)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(40)
    for place in range(12):
        text = "Shop Name"
        draw.text((80 + place % 3 * 240, 60 + place // 3 * 180), text, fill=(ink,) * 3, font=font)
    return picture


def grain(level: float, spread: float) -> Image.Image:
    """A grey photo with the noise of a sensor."""
    noise = np.random.default_rng(0).normal(level, spread, (500, 500, 3))
    return Image.fromarray(noise.clip(0, 255).astype(np.uint8))


def on_white(side: int) -> Image.Image:
    """A small item in the middle of a white ground."""
    picture = Image.new("RGB", (800, 800), "white")
    picture.paste(smooth(side, side), (400 - side // 2, 400 - side // 2))
    return picture


@pytest.mark.parametrize(
    ("picture", "is_blank"),
    [
        (Image.new("RGB", (500, 500), "white"), True),
        (Image.new("L", (500, 500), 0), True),
        (grain(6, 3), True),
        (grain(200, 6), True),
        (watermarked(255, 235), True),
        (watermarked(220, 190), True),
        (watermarked(255, 200), True),
        (Image.new("RGB", (500, 500), (200, 20, 20)), False),
        (on_white(200), False),
        (smooth(), False),
    ],
    ids=["white", "black", "lens cap", "wall", "pale mark", "grey mark", "mark", "red", "small", "cloth"],
)
def test_a_plain_ground_shows_nothing(picture: Image.Image, is_blank: bool) -> None:
    """With noise or a faint watermark as well; a plain colour may be what is for sale."""
    pixels = decode_photo(encode(picture, "JPEG", quality=80), 160, 0.875)
    problem = blank_problem(pixels, gradient_hash(pixels))

    assert (problem is not None) is is_blank
    assert problem is None or problem.reason == "photo_blank"


@pytest.mark.parametrize("picture", [smooth(161, 161), Image.new("RGB", (9, 9), (255, 254, 253))])
def test_ground_and_spread_are_those_of_the_pixels(picture: Image.Image) -> None:
    """As NumPy computes them; a plain colour has no spread at all."""
    pixels = np.asarray(picture)
    ground, spread = ground_and_spread(pixels)

    assert ground.tolist() == np.median(pixels.reshape(-1, 3), axis=0).tolist()
    assert spread == pytest.approx(pixels.std(axis=(0, 1)).max())
