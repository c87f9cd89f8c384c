"""How a photo is taken: background, camera and light."""

from dataclasses import dataclass
from functools import lru_cache
from math import cos, radians, sin
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter, ImageOps

from demo.marketplace.backgrounds import BACKGROUNDS, TEXTURE_SIDE, VARIANTS, background_texture

NOISE_STARTS = 2**18  # places in one run of noise that a photo's own may start from

Levels = NDArray[np.float32]
UNIT_CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))


@dataclass(frozen=True)
class Scene:
    """One setting of ground, camera and light.

    `crop` is the part of the ground in view: where (x and y, 0..1) and how large (0..1). `angle` is in
    degrees; `scale`, `offset` and `tilt` are shares of the photo's side. `warmth`, `vignette`, `light` (its
    slope to the right and down) and `shadow` are shares of full light, `noise` is in levels of 255, `quality`
    is JPEG's.
    """

    background: str
    variant: int
    crop: tuple[float, float, float]
    mirrored: bool
    angle: float
    scale: float
    offset: tuple[float, float]
    tilt: tuple[float, float]
    brightness: float
    warmth: float
    vignette: float
    light: tuple[float, float]
    shadow: float
    noise: float
    grain: int
    quality: int


@dataclass(frozen=True)
class Habit:
    """How one seller takes photos: usual background and light."""

    background: str
    variant: int
    warmth: float
    brightness: float


def draw_habit(rng: Random) -> Habit:
    """Return the usual background and light of a seller."""
    return Habit(
        rng.choice((*BACKGROUNDS, "studio", "wood", "sheet", "wall")),
        rng.randrange(VARIANTS),
        0.1 * (rng.random() - 0.5),
        0.86 + 0.24 * rng.random(),
    )


def draw_scene(rng: Random, habit: Habit, *, closer: bool = False) -> Scene:
    """Return the scene of a photo by a seller of this habit; a second photo may be `closer`."""
    at_home = rng.random() < 0.75
    background = habit.background if at_home else rng.choice(BACKGROUNDS)
    steady = background in ("studio", "paper")
    turn = 4 if steady else 11
    return Scene(
        background=background,
        variant=habit.variant if at_home else rng.randrange(VARIANTS),
        crop=(rng.random(), rng.random(), 0.55 + 0.45 * rng.random()),
        mirrored=rng.random() < 0.5,
        angle=rng.gauss(0, turn),
        scale=(0.98 + 0.2 * rng.random()) if closer else (0.72 + 0.2 * rng.random()),
        offset=(rng.gauss(0, 0.025), rng.gauss(0, 0.025)),
        tilt=(rng.gauss(0, 0.05), rng.gauss(0, 0.05)),
        brightness=habit.brightness * (0.94 + 0.12 * rng.random()),
        warmth=habit.warmth + rng.gauss(0, 0.015),
        vignette=0.0 if steady else 0.35 * rng.random(),
        light=(rng.gauss(0, 0.09), rng.gauss(0, 0.09)),
        shadow=0.25 + 0.3 * rng.random(),
        noise=1 + 4 * rng.random() ** 2,
        grain=rng.randrange(NOISE_STARTS),
        quality=rng.randint(72, 93),
    )


def photograph(drawing: Image.Image, scene: Scene, size: int) -> Image.Image:
    """Return the drawing (RGBX, as `draw_design` gives it) in its scene: RGB, `size` × `size`."""
    photo = Image.new("L", (size, size), 0)
    item, corner = _warped(drawing, scene, size)
    red, green, blue, cover = item.split()
    photo.paste(cover, corner)
    ground = ImageChops.multiply(_background(scene, size), _shadow(photo, scene))
    ground.paste(Image.merge("RGB", (red, green, blue)), corner, cover)
    return _lit(ground, scene)


def _warped(drawing: Image.Image, scene: Scene, size: int) -> tuple[Image.Image, tuple[int, int]]:
    """Return the part of the photo that the drawing's canvas fills, and its top left corner."""
    seen = _corners(scene, size)
    left, top = (max(0, int(min(values))) for values in zip(*seen, strict=True))
    right, bottom = (min(size, int(max(values)) + 1) for values in zip(*seen, strict=True))
    view = _perspective([(x - left, y - top) for x, y in seen], drawing.width)
    part = drawing.transform(
        (right - left, bottom - top), Image.Transform.PERSPECTIVE, view, Image.Resampling.BILINEAR
    )
    return part, (left, top)


def _corners(scene: Scene, size: int) -> list[tuple[float, float]]:
    """Return where the corners of the canvas fall in the photo, in pixels, clockwise from the top left."""
    turn, half = radians(scene.angle), scene.scale / 2
    corners = []
    for x, y in UNIT_CORNERS:
        nearer = half * (1 + x * scene.tilt[0] + y * scene.tilt[1])
        corners.append(
            (
                size * (0.5 + scene.offset[0] + nearer * (x * cos(turn) - y * sin(turn))),
                size * (0.5 + scene.offset[1] + nearer * (x * sin(turn) + y * cos(turn))),
            )
        )
    return corners


def _perspective(seen: list[tuple[float, float]], side: int) -> list[float]:
    """Return Pillow's eight coefficients, from a photo's pixel to the pixel of the canvas seen there."""
    canvas = [(side * (x + 1) / 2, side * (y + 1) / 2) for x, y in UNIT_CORNERS]
    rows = []
    for (u, v), (p, q) in zip(seen, canvas, strict=True):
        rows.append([u, v, 1, 0, 0, 0, -p * u, -p * v])
        rows.append([0, 0, 0, u, v, 1, -q * u, -q * v])
    solution: list[float] = np.linalg.solve(np.array(rows), np.array(canvas).ravel()).tolist()
    return solution


def _shadow(cover: Image.Image, scene: Scene) -> Image.Image:
    """Return the brightness of the ground under the item's soft shadow: RGB, as large as its coverage."""
    small = max(16, cover.width // 4)
    shape = cover.resize((small, small), Image.Resampling.BOX)
    aside = (1, 0, -0.018 * small, 0, 1, -0.03 * small)
    moved = shape.transform(shape.size, Image.Transform.AFFINE, aside, Image.Resampling.BILINEAR)
    blurred = moved.filter(ImageFilter.GaussianBlur(0.022 * small)).point(
        [round(255 - level * scene.shadow) for level in range(256)]
    )
    dark = blurred.resize(cover.size, Image.Resampling.BILINEAR)
    return Image.merge("RGB", (dark, dark, dark))


def _lit(photo: Image.Image, scene: Scene) -> Image.Image:
    """Return the photo under the scene's light, with the noise of its sensor."""
    size = photo.width
    x, y, radius = _positions(size)
    light = (1 + np.float32(scene.light[0]) * x + np.float32(scene.light[1]) * y) * np.float32(
        scene.brightness
    )
    light *= 1 - np.float32(scene.vignette) * radius
    # Rows of size * 3 levels: NumPy is ten times slower over a last axis of three.
    levels = np.asarray(photo, dtype=np.float32).reshape(size, size * 3) * np.repeat(light, 3, axis=1)
    levels *= np.tile(np.array([1 + scene.warmth, 1, 1 - scene.warmth], dtype=np.float32), size)
    levels += _sensor_noise(scene, size)
    np.clip(levels, 0, 255, out=levels)
    return Image.fromarray(levels.astype(np.uint8).reshape(size, size, 3))


@lru_cache(maxsize=4)
def _positions(size: int) -> tuple[Levels, Levels, Levels]:
    """Return x (1, size) and y (size, 1) in -1..1, and half their squared radius (size, size), float32."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = line[None, :], line[:, None]
    return x, y, (x * x + y * y) * np.float32(0.5)


def _sensor_noise(scene: Scene, size: int) -> Levels:
    """Return noise of `scene.noise` levels for each channel: float32 (size, size * 3)."""
    start, length = scene.grain, size * size * 3
    return (_white_noise(length)[start : start + length] * np.float32(scene.noise)).reshape(size, size * 3)


@lru_cache(maxsize=2)
def _white_noise(length: int) -> Levels:
    """Return normal noise, enough for `length` values from any start: float32 (NOISE_STARTS + length,)."""
    return np.random.default_rng(5).standard_normal(NOISE_STARTS + length, dtype=np.float32)


def _background(scene: Scene, size: int) -> Image.Image:
    """Return the ground, cut from its texture: RGB, `size` × `size`."""
    ground = background_texture(scene.background, scene.variant)
    side = scene.crop[2] * TEXTURE_SIDE
    left, top = scene.crop[0] * (TEXTURE_SIDE - side), scene.crop[1] * (TEXTURE_SIDE - side)
    cut = ground.resize((size, size), Image.Resampling.BOX, (left, top, left + side, top + side))
    return ImageOps.mirror(cut) if scene.mirrored else cut
