"""Marks and a design's colours → a flat drawing of the item, before it is put into a scene."""

from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from demo.marketplace.designs import Design
from demo.marketplace.patterns import Rgb, mixed, texture
from demo.marketplace.shapes import Fill, Hole, Mark, Marks, Outline, Paint, Point, Soft, Stroke, marks
from demo.marketplace.silhouettes import silhouette

UNITS = 100
NEUTRAL = 128  # of the shade band: no shade, no light
INK = 255
COVERING_WIDTH = 0.8
"""In units: thinner strokes are drawn on the item only, so that no seam sticks out of a sleeve."""
DARKEN = [min(INK, round(level * INK / NEUTRAL)) for level in range(256)]
LIGHTEN = [max(0, round((level - NEUTRAL) * 1.1)) for level in range(256)]
FIXED_PAINTS: dict[Paint, Rgb] = {
    "dark": (36, 34, 38),
    "grey": (132, 134, 140),
    "light": (244, 243, 238),
    "metal": (186, 190, 198),
    "gold": (206, 168, 84),
    "wood": (158, 112, 70),
    "gum": (176, 128, 84),
    "screen": (32, 46, 74),
    "glow": (92, 206, 176),
}


@dataclass(frozen=True)
class Canvas:
    """A square drawing in the making: colours, what the item covers, its flat shade, and its cloth."""

    colour: Image.Image
    coverage: Image.Image
    shade: Image.Image
    cloth: Image.Image


@lru_cache(maxsize=8)
def draw_design(design: Design, side: int) -> Image.Image:
    """Return the item on a canvas of `side` pixels, the same for every copy of the design.

    Mode RGBX: three bands of shaded colour, the fourth the item's coverage (0..255). RGBX and not RGBA,
    since Pillow premultiplies RGBA whenever it warps.
    """
    drawn = marks(silhouette(design.item_type.name, design.form))
    canvas = _blank(design, side)
    for mark in drawn:
        _draw(canvas, mark, design)
    shade = ImageChops.add(canvas.shade, _soft_shade(drawn, canvas.coverage), 1, -NEUTRAL)
    return Image.merge("RGBX", (*_shaded(canvas.colour, shade).split(), canvas.coverage))


def _blank(design: Design, side: int) -> Canvas:
    cloth = texture(design.pattern, design.rgb, design.second_rgb, design.grain, side)
    if design.pattern == "logo":
        cloth = ImageChops.offset(cloth, 0, round((design.item_type.print_height - 0.5) * side))
    return Canvas(cloth.copy(), Image.new("L", cloth.size, 0), Image.new("L", cloth.size, NEUTRAL), cloth)


def _draw(canvas: Canvas, mark: Mark, design: Design) -> None:
    """Add a mark; soft ones are left to `_soft_shade`."""
    points = _pixels(mark.outline, canvas.colour.width)
    match mark:
        case Fill(_, "body", tone):
            _paste_cloth(canvas, points)
            _cover(canvas, points, tone)
        case Fill(_, paint, tone):
            ImageDraw.Draw(canvas.colour).polygon(points, paint_rgb(paint, design))
            _cover(canvas, points, tone)
        case Stroke(_, width, paint, tone):
            _stroke(canvas, points, width, paint_rgb(paint, design), tone)
        case Hole():
            ImageDraw.Draw(canvas.coverage).polygon(points, 0)
        case Soft():
            pass


def _cover(canvas: Canvas, points: list[Point], tone: float) -> None:
    ImageDraw.Draw(canvas.coverage).polygon(points, INK)
    ImageDraw.Draw(canvas.shade).polygon(points, round(NEUTRAL * tone))


def _stroke(canvas: Canvas, points: list[Point], width: float, colour: Rgb, tone: float) -> None:
    pixels = max(1, round(width * canvas.colour.width / UNITS))
    ImageDraw.Draw(canvas.colour).line(points, colour, pixels, "curve")
    ImageDraw.Draw(canvas.shade).line(points, round(NEUTRAL * tone), pixels, "curve")
    if width >= COVERING_WIDTH:
        ImageDraw.Draw(canvas.coverage).line(points, INK, pixels, "curve")


def _shaded(colour: Image.Image, shade: Image.Image) -> Image.Image:
    """Return the colours under a shade: darker where it is below NEUTRAL, lighter where above."""
    dark, light = shade.point(DARKEN), shade.point(LIGHTEN)
    return ImageChops.screen(
        ImageChops.multiply(colour, Image.merge("RGB", (dark, dark, dark))),
        Image.merge("RGB", (light, light, light)),
    )


def _paste_cloth(canvas: Canvas, points: list[Point]) -> None:
    """Fill the polygon with the pattern, touching only its bounding box."""
    left, top = (int(min(values)) for values in zip(*points, strict=True))
    right, bottom = (int(max(values)) + 2 for values in zip(*points, strict=True))
    stencil = Image.new("1", (right - left, bottom - top), 0)
    ImageDraw.Draw(stencil).polygon([(x - left, y - top) for x, y in points], 1)
    canvas.colour.paste(canvas.cloth.crop((left, top, right, bottom)), (left, top), stencil)


def _pixels(outline: Outline, side: int) -> list[Point]:
    scale = side / UNITS
    return [(x * scale, y * scale) for x, y in outline]


def paint_rgb(paint: Paint, design: Design) -> Rgb:
    """Return the colour a paint has on this design."""
    match paint:
        case "body" | "plain":
            return design.rgb
        case "second":
            return design.second_rgb
        case "line":
            return line_rgb(design.rgb)
        case _:
            return FIXED_PAINTS[paint]


def line_rgb(rgb: Rgb) -> Rgb:
    """Return the colour of seams: darker than the cloth, or lighter where the cloth is nearly black."""
    return mixed(rgb, (0, 0, 0), 0.38) if max(rgb) > 70 else mixed(rgb, (255, 255, 255), 0.28)


def _soft_shade(drawn: Marks, coverage: Image.Image) -> Image.Image:
    """Return the shade of folds and of the roundness of the whole item, lit from the top left."""
    quarter = max(32, coverage.width // 4)
    shade = Image.new("L", (quarter, quarter), NEUTRAL)
    pencil, scale = ImageDraw.Draw(shade), quarter / UNITS
    for mark in drawn:
        if isinstance(mark, Soft):
            pencil.line(
                [(x * scale, y * scale) for x, y in mark.outline],
                round(NEUTRAL * (1 + mark.amount)),
                max(1, round(mark.width * scale)),
                "curve",
            )
    folds = shade.filter(ImageFilter.GaussianBlur(2.1 * scale))
    body = coverage.resize((quarter, quarter), Image.Resampling.BOX).filter(
        ImageFilter.GaussianBlur(3.2 * scale)
    )
    shift = max(1, round(2.2 * scale))
    relief = ImageChops.subtract(
        ImageChops.offset(body, -shift, -shift), ImageChops.offset(body, shift, shift), 3.4, NEUTRAL
    )
    return ImageChops.add(folds, relief, 1, -NEUTRAL).resize(coverage.size, Image.Resampling.BILINEAR)
