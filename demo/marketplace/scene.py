"""Where and how a photo is taken: background, camera and light."""

from dataclasses import dataclass
from functools import lru_cache
from math import cos, radians, sin
from random import Random
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter, ImageOps

Background = Literal["studio", "paper", "wood", "sheet", "wall", "grass", "concrete", "rug", "table"]
BACKGROUNDS: tuple[Background, ...] = get_args(Background)
VARIANTS = 4
TEXTURE_SIDE = 512  # pixels of a cached background; photos larger than this enlarge it
NOISE_STARTS = 2**18

Levels = NDArray[np.float32]
UNIT_CORNERS = ((-1, -1), (1, -1), (1, 1), (-1, 1))


@dataclass(frozen=True)
class Scene:
    """One setting of background, camera and light. Lengths are shares of the photo's side."""

    background: Background
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

    background: Background
    variant: int
    warmth: float
    brightness: float


def draw_habit(chance: Random) -> Habit:
    """A seller's way of taking photos."""
    return Habit(
        chance.choice((*BACKGROUNDS, "studio", "wood", "sheet", "wall")),
        chance.randrange(VARIANTS),
        0.1 * (chance.random() - 0.5),
        0.86 + 0.24 * chance.random(),
    )


def draw_scene(chance: Random, habit: Habit, *, closer: bool = False) -> Scene:
    """A photo taken by someone of this habit; a second photo of an item may come `closer`."""
    at_home = chance.random() < 0.75
    background = habit.background if at_home else chance.choice(BACKGROUNDS)
    steady = background in ("studio", "paper")
    turn = 4 if steady else 11
    return Scene(
        background=background,
        variant=habit.variant if at_home else chance.randrange(VARIANTS),
        crop=(chance.random(), chance.random(), 0.55 + 0.45 * chance.random()),
        mirrored=chance.random() < 0.5,
        angle=chance.gauss(0, turn),
        scale=(0.98 + 0.2 * chance.random()) if closer else (0.72 + 0.2 * chance.random()),
        offset=(chance.gauss(0, 0.025), chance.gauss(0, 0.025)),
        tilt=(chance.gauss(0, 0.05), chance.gauss(0, 0.05)),
        brightness=habit.brightness * (0.94 + 0.12 * chance.random()),
        warmth=habit.warmth + chance.gauss(0, 0.015),
        vignette=0.0 if steady else 0.35 * chance.random(),
        light=(chance.gauss(0, 0.09), chance.gauss(0, 0.09)),
        shadow=0.25 + 0.3 * chance.random(),
        noise=1 + 4 * chance.random() ** 2,
        grain=chance.randrange(NOISE_STARTS),
        quality=chance.randint(72, 93),
    )


def photograph(drawing: Image.Image, scene: Scene, size: int) -> Image.Image:
    """The drawing (RGBX, as `draw_design` gives it) in its scene: RGB, `size` × `size`."""
    photo = Image.new("L", (size, size), 0)
    item, corner = _warped(drawing, scene, size)
    red, green, blue, cover = item.split()
    photo.paste(cover, corner)
    ground = ImageChops.multiply(_background(scene, size), _shadow(photo, scene))
    ground.paste(Image.merge("RGB", (red, green, blue)), corner, cover)
    return _lit(ground, scene)


def _warped(drawing: Image.Image, scene: Scene, size: int) -> tuple[Image.Image, tuple[int, int]]:
    """The part of the photo that the drawing's canvas fills, and the top left corner of that part."""
    seen = _corners(scene, size)
    left, top = (max(0, int(min(values))) for values in zip(*seen, strict=True))
    right, bottom = (min(size, int(max(values)) + 1) for values in zip(*seen, strict=True))
    view = _perspective([(x - left, y - top) for x, y in seen], drawing.width)
    part = drawing.transform(
        (right - left, bottom - top), Image.Transform.PERSPECTIVE, view, Image.Resampling.BILINEAR
    )
    return part, (left, top)


def _corners(scene: Scene, size: int) -> list[tuple[float, float]]:
    """Where the corners of the canvas fall in the photo, in pixels, clockwise from the top left."""
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
    """Pillow's eight coefficients, from a photo's pixel to the pixel of the canvas seen there."""
    canvas = [(side * (x + 1) / 2, side * (y + 1) / 2) for x, y in UNIT_CORNERS]
    rows = []
    for (u, v), (p, q) in zip(seen, canvas, strict=True):
        rows.append([u, v, 1, 0, 0, 0, -p * u, -p * v])
        rows.append([0, 0, 0, u, v, 1, -q * u, -q * v])
    solution: list[float] = np.linalg.solve(np.array(rows), np.array(canvas).ravel()).tolist()
    return solution


def _shadow(cover: Image.Image, scene: Scene) -> Image.Image:
    """Brightness of the ground under the item's soft shadow: RGB, of the size of the item's coverage."""
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
    """The photo under the scene's light, with the noise of its sensor."""
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
    """x (1, size) and y (size, 1) in -1..1, half their squared radius (size, size); float32."""
    line = np.linspace(-1, 1, size, dtype=np.float32)
    x, y = line[None, :], line[:, None]
    return x, y, (x * x + y * y) * np.float32(0.5)


def _sensor_noise(scene: Scene, size: int) -> Levels:
    """Noise of `scene.noise` levels for each channel: float32 (size, size * 3)."""
    start, length = scene.grain, size * size * 3
    return (_white_noise(length)[start : start + length] * np.float32(scene.noise)).reshape(size, size * 3)


@lru_cache(maxsize=2)
def _white_noise(length: int) -> Levels:
    """Normal noise long enough for `length` values from any start: float32 (NOISE_STARTS + length,)."""
    return np.random.default_rng(5).standard_normal(NOISE_STARTS + length, dtype=np.float32)


def _background(scene: Scene, size: int) -> Image.Image:
    """The ground, cut from its texture: RGB, `size` × `size`."""
    ground = background_texture(scene.background, scene.variant)
    side = scene.crop[2] * TEXTURE_SIDE
    left, top = scene.crop[0] * (TEXTURE_SIDE - side), scene.crop[1] * (TEXTURE_SIDE - side)
    cut = ground.resize((size, size), Image.Resampling.BOX, (left, top, left + side, top + side))
    return ImageOps.mirror(cut) if scene.mirrored else cut


@lru_cache(maxsize=len(BACKGROUNDS) * VARIANTS)
def background_texture(background: Background, variant: int) -> Image.Image:
    """An RGB square of TEXTURE_SIDE pixels."""
    noise = np.random.default_rng([BACKGROUNDS.index(background), variant])
    levels = GROUNDS[background](noise, variant)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


Noise = np.random.Generator


def _cloud(noise: Noise, rows: int, columns: int) -> NDArray[np.float64]:
    """Smooth noise with `rows` × `columns` lumps: (TEXTURE_SIDE, TEXTURE_SIDE) in about -1..1."""
    rough = Image.fromarray((noise.random((rows, columns)) * 255).astype(np.uint8))
    smooth = rough.resize((TEXTURE_SIDE, TEXTURE_SIDE), Image.Resampling.BICUBIC)
    return np.asarray(smooth, dtype=np.float64) / 127.5 - 1


def _tinted(level: NDArray[np.float64], rgb: tuple[int, int, int]) -> NDArray[np.float64]:
    """A colour made lighter and darker by `level` (about -1..1)."""
    return np.asarray(rgb, dtype=np.float64) * (1 + level[:, :, None])


def _studio(noise: Noise, variant: int) -> NDArray[np.float64]:
    fall = np.linspace(0.015, -0.035, TEXTURE_SIDE)[:, None] + 0.004 * _cloud(noise, 3, 3)
    return _tinted(fall, ((248, 248, 248), (255, 255, 255), (240, 242, 245), (250, 247, 242))[variant])


def _paper(noise: Noise, variant: int) -> NDArray[np.float64]:
    grain = 0.012 * noise.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE)) + 0.03 * _cloud(noise, 4, 4)
    return _tinted(grain, ((206, 222, 228), (240, 214, 206), (222, 226, 204), (214, 208, 228))[variant])


def _wood(noise: Noise, variant: int) -> NDArray[np.float64]:
    """Planks side by side, each with a grain and a brightness of its own."""
    streaks = 0.1 * _cloud(noise, 6, 160) + 0.07 * _cloud(noise, 24, 256) + 0.03 * _cloud(noise, 5, 5)
    plank = (64, 86, 102, 73)[variant]
    number = np.arange(TEXTURE_SIDE) // plank
    streaks += (0.16 * (noise.random(number[-1] + 1) - 0.5))[number][None, :]
    streaks[:, np.arange(TEXTURE_SIDE) % plank < 2] -= 0.4
    for column in range(number[-1] + 1):
        joint = int(noise.integers(0, TEXTURE_SIDE))
        streaks[joint : joint + 2, column * plank : (column + 1) * plank] -= 0.35
    levels = _tinted(streaks, ((176, 128, 82), (134, 92, 60), (206, 168, 122), (158, 140, 120))[variant])
    return levels.swapaxes(0, 1) if variant % 2 else levels


def _sheet(noise: Noise, variant: int) -> NDArray[np.float64]:
    """Bed linen with soft creases."""
    field = _cloud(noise, 4, 6) + 0.5 * _cloud(noise, 9, 7)
    slope = np.gradient(field, axis=1) + np.gradient(field, axis=0)
    weave = 0.008 * noise.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE))
    level = np.clip(4.5 * slope, -0.16, 0.1) + weave
    return _tinted(level, ((228, 228, 232), (206, 216, 230), (232, 220, 204), (196, 194, 202))[variant])


def _wall(noise: Noise, variant: int) -> NDArray[np.float64]:
    """Painted plaster above a skirting board and a strip of floor."""
    level = 0.02 * _cloud(noise, 90, 90) + 0.04 * _cloud(noise, 3, 3)
    levels = _tinted(level, ((214, 210, 200), (192, 204, 208), (226, 214, 190), (200, 190, 196))[variant])
    board, floor = int(TEXTURE_SIDE * 0.82), int(TEXTURE_SIDE * 0.9)
    levels[board:floor] = (236, 234, 228)
    levels[board : board + 3] = levels[floor - 3 : floor] = (170, 166, 160)
    levels[floor:] = _tinted(0.08 * _cloud(noise, 200, 8), (150, 116, 84))[floor:]
    return levels


def _grass(noise: Noise, variant: int) -> NDArray[np.float64]:
    blades = 0.34 * _cloud(noise, 60, 190) + 0.22 * _cloud(noise, 120, 250) + 0.14 * _cloud(noise, 6, 6)
    return _tinted(blades, ((88, 134, 58), (104, 146, 70), (76, 118, 62), (124, 142, 74))[variant])


def _concrete(noise: Noise, variant: int) -> NDArray[np.float64]:
    speckle = 0.03 * noise.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE))
    level = 0.07 * _cloud(noise, 8, 8) + 0.05 * _cloud(noise, 60, 60) + speckle
    return _tinted(level, ((164, 164, 162), (138, 138, 142), (184, 180, 172), (118, 120, 124))[variant])


def _rug(noise: Noise, variant: int) -> NDArray[np.float64]:
    """Short pile with bands woven in."""
    level = 0.12 * _cloud(noise, 170, 170) + 0.08 * noise.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE))
    bands = (np.arange(TEXTURE_SIDE) // 46 % 3 == 0) * 0.22
    return _tinted(
        level - bands[:, None], ((186, 172, 150), (128, 134, 150), (168, 120, 108), (150, 154, 130))[variant]
    )


def _table(noise: Noise, variant: int) -> NDArray[np.float64]:
    """A table top with one fine, long grain."""
    level = 0.07 * _cloud(noise, 220, 4) + 0.05 * _cloud(noise, 70, 3) + 0.04 * _cloud(noise, 4, 4)
    return _tinted(level, ((196, 152, 104), (92, 66, 50), (222, 204, 178), (64, 60, 60))[variant])


GROUNDS = {
    "studio": _studio,
    "paper": _paper,
    "wood": _wood,
    "sheet": _sheet,
    "wall": _wall,
    "grass": _grass,
    "concrete": _concrete,
    "rug": _rug,
    "table": _table,
}
