"""Cloth and glaze: square textures of two colours."""

from collections.abc import Callable
from math import cos, pi, sin
from random import Random
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

Rgb = tuple[int, int, int]
Pencil = ImageDraw.ImageDraw


class Pattern(NamedTuple):
    """A pattern: its name in Japanese, and what draws it over a square of the main colour."""

    japanese: str
    paint: Callable[[Image.Image, Rgb, Rgb, Random], None]


def texture(name: str, main: Rgb, second: Rgb, grain: int, side: int) -> Image.Image:
    """Return an RGB square of `side` pixels, with the same drawing at every size.

    A logo is printed in the middle: a type with its logo elsewhere shifts the texture.
    """
    image = Image.new("RGB", (side, side), main)
    PATTERNS[name].paint(image, main, second, Random(grain))  # noqa: S311 (drawings, not secrets)
    return image


def mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    """Return `one` with a share (0..1) of `other`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _plain(_image: Image.Image, _main: Rgb, _second: Rgb, _rng: Random) -> None:
    """Add nothing."""


def _bands(pencil: Pencil, side: int, step: float, width: float, colour: Rgb, *, upright: bool) -> None:
    for place in np.arange(step / 2, side, step).tolist():
        edges = (place, 0, place + width, side) if upright else (0, place, side, place + width)
        pencil.rectangle(edges, colour)


def _stripes(image: Image.Image, _main: Rgb, second: Rgb, rng: Random) -> None:
    step = image.width * rng.choice((0.075, 0.1, 0.14))
    _bands(ImageDraw.Draw(image), image.width, step, step * rng.choice((0.3, 0.45)), second, upright=False)


def _pinstripes(image: Image.Image, _main: Rgb, second: Rgb, rng: Random) -> None:
    step = image.width * rng.choice((0.05, 0.07, 0.1))
    _bands(ImageDraw.Draw(image), image.width, step, step * rng.choice((0.2, 0.45)), second, upright=True)


def _checks(image: Image.Image, main: Rgb, second: Rgb, rng: Random) -> None:
    pencil, step = ImageDraw.Draw(image), image.width * rng.choice((0.06, 0.09, 0.12))
    half = mixed(main, second, 0.5)
    _bands(pencil, image.width, step, step / 2, half, upright=True)
    _bands(pencil, image.width, step, step / 2, half, upright=False)
    places = np.arange(step / 2, image.width, step).tolist()
    for x in places:
        for y in places:
            pencil.rectangle((x, y, x + step / 2, y + step / 2), second)


def _tartan(image: Image.Image, main: Rgb, second: Rgb, rng: Random) -> None:
    pencil, step = ImageDraw.Draw(image, "RGBA"), image.width * rng.choice((0.17, 0.23))
    dark = mixed(main, (10, 10, 20), 0.6)
    for upright in (True, False):
        for offset, width, colour, strength in (
            (0.0, 0.34, dark, 120),
            (0.5, 0.1, second, 190),
            (0.64, 0.04, (250, 250, 245), 190),
        ):
            for place in np.arange(-step, image.width, step).tolist():
                start, end = place + offset * step, place + (offset + width) * step
                edges = (start, 0, end, image.width) if upright else (0, start, image.width, end)
                pencil.rectangle(edges, (*colour, strength))


def _lattice(side: int, step: float) -> list[tuple[float, float]]:
    """Return points of a staggered grid."""
    rows = np.arange(0, side + step, step * 0.86).tolist()
    return [
        (x + (row % 2) * step / 2, y)
        for row, y in enumerate(rows)
        for x in np.arange(0, side + step, step).tolist()
    ]


def _dots(image: Image.Image, _main: Rgb, second: Rgb, rng: Random) -> None:
    pencil, step = ImageDraw.Draw(image), image.width * rng.choice((0.08, 0.11, 0.15))
    radius = step * rng.choice((0.2, 0.29))
    for x, y in _lattice(image.width, step):
        pencil.ellipse((x - radius, y - radius, x + radius, y + radius), second)


def _floral(image: Image.Image, main: Rgb, second: Rgb, rng: Random) -> None:
    pencil, step = ImageDraw.Draw(image), image.width * rng.choice((0.14, 0.19))
    leaf, heart = mixed((60, 130, 70), main, 0.2), mixed((250, 220, 90), second, 0.1)
    for x, y in _lattice(image.width, step):
        turn, radius = rng.random() * pi, step * (0.17 + 0.06 * rng.random())
        for angle in (turn + 0.6, turn + 3.4):
            _disc(pencil, x + 1.9 * radius * cos(angle), y + 1.9 * radius * sin(angle), radius * 0.5, leaf)
        for petal in range(5):
            angle = turn + petal * 2 * pi / 5
            _disc(pencil, x + radius * cos(angle), y + radius * sin(angle), radius * 0.68, second)
        _disc(pencil, x, y, radius * 0.55, heart)


def _disc(pencil: Pencil, x: float, y: float, radius: float, colour: Rgb) -> None:
    pencil.ellipse((x - radius, y - radius, x + radius, y + radius), colour)


def _gradient(image: Image.Image, main: Rgb, second: Rgb, rng: Random) -> None:
    ramp = Image.linear_gradient("L").rotate(90 * rng.randrange(4)).resize(image.size)
    image.paste(
        Image.composite(Image.new("RGB", image.size, second), Image.new("RGB", image.size, main), ramp)
    )


def _logo(image: Image.Image, _main: Rgb, second: Rgb, rng: Random) -> None:
    """Draw an emblem above bars that look like lettering, in the middle."""
    pencil, side = ImageDraw.Draw(image), image.width
    x, y, radius = side / 2, side * 0.47, side * rng.choice((0.075, 0.1))
    corners = rng.choice((3, 4, 5, 6, 40))
    points = [
        (x + radius * sin(2 * pi * n / corners), y - radius * cos(2 * pi * n / corners))
        for n in range(corners)
    ]
    pencil.polygon(points, second)
    letters, left = rng.randint(4, 7), x - radius * 1.7
    width = 3.4 * radius / letters
    for letter in range(letters):
        high = rng.choice((0.32, 0.46, 0.46))
        start = left + letter * width
        pencil.rectangle((start, y + radius * (1.75 - high), start + width * 0.7, y + radius * 1.75), second)


def _camouflage(image: Image.Image, main: Rgb, second: Rgb, rng: Random) -> None:
    noise = np.random.default_rng(rng.getrandbits(32))
    for colour, share in ((mixed(main, (20, 20, 16), 0.55), 0.42), (mixed(main, second, 0.62), 0.3)):
        rough = Image.fromarray((noise.random((11, 11)) * 255).astype(np.uint8))
        smooth = rough.resize(image.size, Image.Resampling.BICUBIC)
        level = int(np.quantile(np.asarray(rough), 1 - share))
        image.paste(colour, mask=smooth.point([0 if value < level else 255 for value in range(256)]))


def _zigzag(image: Image.Image, _main: Rgb, second: Rgb, rng: Random) -> None:
    pencil, side = ImageDraw.Draw(image), image.width
    step = side * rng.choice((0.09, 0.13))
    teeth = np.arange(-step, side + step, step / 2).tolist()
    for y in np.arange(0, side + step, step).tolist():
        line = [(x, y + (n % 2) * step * 0.45) for n, x in enumerate(teeth)]
        pencil.line(line, second, round(step * 0.3))


def _stars(image: Image.Image, _main: Rgb, second: Rgb, rng: Random) -> None:
    pencil, step = ImageDraw.Draw(image), image.width * rng.choice((0.13, 0.18))
    for x, y in _lattice(image.width, step):
        turn = rng.random() * pi
        points = [
            (x + radius * sin(turn + n * pi / 5), y - radius * cos(turn + n * pi / 5))
            for n in range(10)
            for radius in (step * (0.34 if n % 2 == 0 else 0.15),)
        ]
        pencil.polygon(points, second)


def _colour_block(image: Image.Image, _main: Rgb, second: Rgb, rng: Random) -> None:
    side = image.width
    edges = rng.choice(((0, 0.5, 1, 1), (0, 0, 1, 0.42), (0.5, 0, 1, 1), (0, 0.36, 1, 0.62)))
    ImageDraw.Draw(image).rectangle([edge * side for edge in edges], second)


PATTERNS = {
    "plain": Pattern("無地", _plain),
    "stripes": Pattern("ボーダー", _stripes),
    "pinstripes": Pattern("ストライプ", _pinstripes),
    "checks": Pattern("ギンガムチェック", _checks),
    "tartan": Pattern("タータンチェック", _tartan),
    "dots": Pattern("ドット柄", _dots),
    "floral": Pattern("花柄", _floral),
    "gradient": Pattern("グラデーション", _gradient),
    "logo": Pattern("ロゴ", _logo),
    "camouflage": Pattern("迷彩柄", _camouflage),
    "zigzag": Pattern("ジグザグ柄", _zigzag),
    "stars": Pattern("星柄", _stars),
    "colour block": Pattern("バイカラー", _colour_block),
}
