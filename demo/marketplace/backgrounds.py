"""Textures of backgrounds, such as a floor, a wall or a lawn, each made once."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

VARIANTS = 4
TEXTURE_SIDE = 512  # pixels of a cached background; larger photos enlarge it

Noise = np.random.Generator
Field = NDArray[np.float64]


@cache
def background_texture(background: str, variant: int) -> Image.Image:
    """Return an RGB square of TEXTURE_SIDE pixels."""
    noise = np.random.default_rng([BACKGROUNDS.index(background), variant])
    levels = GROUNDS[background](noise, variant)
    return Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def _cloud(noise: Noise, rows: int, columns: int) -> Field:
    """Return smooth noise with `rows` × `columns` lumps: (TEXTURE_SIDE, TEXTURE_SIDE) in about -1..1."""
    rough = Image.fromarray((noise.random((rows, columns)) * 255).astype(np.uint8))
    smooth = rough.resize((TEXTURE_SIDE, TEXTURE_SIDE), Image.Resampling.BICUBIC)
    return np.asarray(smooth, dtype=np.float64) / 127.5 - 1


def _tinted(level: Field, rgb: tuple[int, int, int]) -> Field:
    """Return a colour made lighter and darker by `level` (about -1..1)."""
    return np.asarray(rgb, dtype=np.float64) * (1 + level[:, :, None])


def _studio(noise: Noise, variant: int) -> Field:
    fall = np.linspace(0.015, -0.035, TEXTURE_SIDE)[:, None] + 0.004 * _cloud(noise, 3, 3)
    return _tinted(fall, ((248, 248, 248), (255, 255, 255), (240, 242, 245), (250, 247, 242))[variant])


def _paper(noise: Noise, variant: int) -> Field:
    grain = 0.012 * noise.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE)) + 0.03 * _cloud(noise, 4, 4)
    return _tinted(grain, ((206, 222, 228), (240, 214, 206), (222, 226, 204), (214, 208, 228))[variant])


def _wood(noise: Noise, variant: int) -> Field:
    """Return planks side by side, each with a grain and a brightness of its own."""
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


def _sheet(noise: Noise, variant: int) -> Field:
    """Return bed linen with soft creases."""
    field = _cloud(noise, 4, 6) + 0.5 * _cloud(noise, 9, 7)
    slope = np.gradient(field, axis=1) + np.gradient(field, axis=0)
    weave = 0.008 * noise.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE))
    level = np.clip(4.5 * slope, -0.16, 0.1) + weave
    return _tinted(level, ((228, 228, 232), (206, 216, 230), (232, 220, 204), (196, 194, 202))[variant])


def _wall(noise: Noise, variant: int) -> Field:
    """Return painted plaster above a skirting board and a strip of floor."""
    level = 0.02 * _cloud(noise, 90, 90) + 0.04 * _cloud(noise, 3, 3)
    levels = _tinted(level, ((214, 210, 200), (192, 204, 208), (226, 214, 190), (200, 190, 196))[variant])
    board, floor = int(TEXTURE_SIDE * 0.82), int(TEXTURE_SIDE * 0.9)
    levels[board:floor] = (236, 234, 228)
    levels[board : board + 3] = levels[floor - 3 : floor] = (170, 166, 160)
    levels[floor:] = _tinted(0.08 * _cloud(noise, 200, 8), (150, 116, 84))[floor:]
    return levels


def _grass(noise: Noise, variant: int) -> Field:
    blades = 0.34 * _cloud(noise, 60, 190) + 0.22 * _cloud(noise, 120, 250) + 0.14 * _cloud(noise, 6, 6)
    return _tinted(blades, ((88, 134, 58), (104, 146, 70), (76, 118, 62), (124, 142, 74))[variant])


def _concrete(noise: Noise, variant: int) -> Field:
    speckle = 0.03 * noise.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE))
    level = 0.07 * _cloud(noise, 8, 8) + 0.05 * _cloud(noise, 60, 60) + speckle
    return _tinted(level, ((164, 164, 162), (138, 138, 142), (184, 180, 172), (118, 120, 124))[variant])


def _rug(noise: Noise, variant: int) -> Field:
    """Return short pile with bands woven in."""
    level = 0.12 * _cloud(noise, 170, 170) + 0.08 * noise.standard_normal((TEXTURE_SIDE, TEXTURE_SIDE))
    bands = (np.arange(TEXTURE_SIDE) // 46 % 3 == 0) * 0.22
    return _tinted(
        level - bands[:, None], ((186, 172, 150), (128, 134, 150), (168, 120, 108), (150, 154, 130))[variant]
    )


def _table(noise: Noise, variant: int) -> Field:
    """Return a table top with one fine, long grain."""
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
BACKGROUNDS = tuple(GROUNDS)
