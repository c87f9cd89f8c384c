"""Marks and a design's colours → a flat drawing of the item, before it is put into a scene."""

from functools import lru_cache

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from demo.marketplace.catalogue import Rgb
from demo.marketplace.designs import Design
from demo.marketplace.patterns import mixed, texture
from demo.marketplace.shapes import Fill, Hole, Mark, Outline, Paint, Soft, Stroke
from demo.marketplace.silhouettes import SILHOUETTES

UNITS = 100
NEUTRAL = 128  # of the shade band: no shade, no light
INK = 255
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


@lru_cache(maxsize=8)
def draw_design(design: Design, side: int) -> Image.Image:
    """The item on a canvas of `side` pixels, the same for every copy of the design.

    Mode RGBX: three bands of shaded colour, the fourth the item's coverage (0..255). RGBX and not RGBA, since Pillow
    premultiplies RGBA whenever it warps.
    """
    marks = SILHOUETTES[design.item_type.name](design.form)
    colour, coverage, crisp = _draw_marks(marks, design, side)
    shade = ImageChops.add(crisp, _soft_shade(marks, coverage, side), 1, -NEUTRAL)
    return Image.merge("RGBX", (*_shaded(colour, shade).split(), coverage))


def _shaded(colour: Image.Image, shade: Image.Image) -> Image.Image:
    """The colours under a shade: multiplied where it is below NEUTRAL, drawn towards white where above."""
    dark, light = shade.point(DARKEN), shade.point(LIGHTEN)
    return ImageChops.screen(
        ImageChops.multiply(colour, Image.merge("RGB", (dark, dark, dark))),
        Image.merge("RGB", (light, light, light)),
    )


def _draw_marks(
    marks: tuple[Mark, ...], design: Design, side: int
) -> tuple[Image.Image, Image.Image, Image.Image]:
    cloth = texture(design.pattern, design.rgb, design.second_rgb, design.grain, side)
    if design.pattern == "logo":
        cloth = ImageChops.offset(cloth, 0, round((design.item_type.print_height - 0.5) * side))
    colour = cloth.copy()
    coverage = Image.new("L", (side, side), 0)
    crisp = Image.new("L", (side, side), NEUTRAL)
    pencils = [ImageDraw.Draw(image) for image in (colour, coverage, crisp)]
    for mark in marks:
        match mark:
            case Fill(outline, paint, tone):
                points, shade = _pixels(outline, side), round(NEUTRAL * tone)
                if paint == "body":
                    _paste_cloth(colour, cloth, points)
                else:
                    pencils[0].polygon(points, paint_rgb(paint, design))
                pencils[1].polygon(points, INK)
                pencils[2].polygon(points, shade)
            case Stroke(outline, width, paint, tone):
                points, pixels = _pixels(outline, side), max(1, round(width * side / UNITS))
                pencils[0].line(points, paint_rgb(paint, design), pixels, "curve")
                pencils[2].line(points, round(NEUTRAL * tone), pixels, "curve")
                if width >= STURDY:
                    pencils[1].line(points, INK, pixels, "curve")
            case Hole(outline):
                pencils[1].polygon(_pixels(outline, side), 0)
            case Soft():
                pass
    return colour, coverage, crisp


STURDY = 0.8
"""Strokes thinner than this many units are drawn on the item only: a seam never sticks out of a sleeve."""


def _paste_cloth(colour: Image.Image, cloth: Image.Image, points: list[tuple[float, float]]) -> None:
    """Fill the polygon with the pattern, touching only its bounding box."""
    left, top = (int(min(values)) for values in zip(*points, strict=True))
    right, bottom = (int(max(values)) + 2 for values in zip(*points, strict=True))
    stencil = Image.new("1", (right - left, bottom - top), 0)
    ImageDraw.Draw(stencil).polygon([(x - left, y - top) for x, y in points], 1)
    colour.paste(cloth.crop((left, top, right, bottom)), (left, top), stencil)


def _pixels(outline: Outline, side: int) -> list[tuple[float, float]]:
    scale = side / UNITS
    return [(x * scale, y * scale) for x, y in outline]


def paint_rgb(paint: Paint, design: Design) -> Rgb:
    """The colour a paint has on this design."""
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
    """Seams: darker than the cloth, or lighter where the cloth is nearly black."""
    return mixed(rgb, (0, 0, 0), 0.38) if max(rgb) > 70 else mixed(rgb, (255, 255, 255), 0.28)


def _soft_shade(marks: tuple[Mark, ...], coverage: Image.Image, side: int) -> Image.Image:
    """Folds, and the roundness of the whole item: lit from the top left, its edges turned away on the right."""
    quarter = max(32, side // 4)
    shade = Image.new("L", (quarter, quarter), NEUTRAL)
    pencil, scale = ImageDraw.Draw(shade), quarter / UNITS
    for mark in marks:
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
    reach = max(1, round(2.2 * scale))
    relief = ImageChops.subtract(
        ImageChops.offset(body, -reach, -reach), ImageChops.offset(body, reach, reach), 3.4, NEUTRAL
    )
    return ImageChops.add(folds, relief, 1, -NEUTRAL).resize((side, side), Image.Resampling.BILINEAR)
