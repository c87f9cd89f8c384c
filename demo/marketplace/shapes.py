"""Outlines in a square of 100 × 100 units, y down, and the marks that a silhouette is made of.

A silhouette is text: marks from back to front, separated by semicolons. `both; …; end` adds the mirror
image of each mark between, about x = 50.

    fill OUTLINE [: PAINT [TONE]]         a filled outline
    line OUTLINE : WIDTH [PAINT [TONE]]   a line
    soft OUTLINE : WIDTH AMOUNT           a blurred line of shade or light
    hole OUTLINE                          removes what was drawn inside the outline
    seam PATH [: WIDTH [TONE]]            a thin line in the item's own colour, darkened
    fold PATH [: AMOUNT [WIDTH]]          a soft crease

OUTLINE is a PATH as in SVG (M, L, Q and C with absolute coordinates), `mirrored PATH` (the right half of a
symmetrical outline, from the top of the axis to its bottom), `shifted PATH` (1.6 units to the right and
down), `oval x y rx ry [start end]` or `box left top right bottom [radius]`.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import cos, pi, sin
from typing import Literal, cast

Point = tuple[float, float]
Outline = tuple[Point, ...]
Form = tuple[float, float, float]
Paint = Literal[
    "body", "plain", "second", "line", "dark", "grey", "light", "metal", "gold", "wood", "gum", "screen",
    "glow",
]  # fmt: skip

STEPS_PER_CURVE = 9
ARGUMENTS = {"M": 1, "L": 1, "Q": 2, "C": 3}
WORDS = re.compile(r"[MLQC]|-?[0-9.]+")


@dataclass(frozen=True)
class Fill:
    """A filled outline. `tone` multiplies the brightness of its paint."""

    outline: Outline
    paint: Paint = "body"
    tone: float = 1.0


@dataclass(frozen=True)
class Stroke:
    """A line `width` units wide."""

    outline: Outline
    width: float
    paint: Paint = "line"
    tone: float = 1.0


@dataclass(frozen=True)
class Soft:
    """A blurred line of shade (amount below 0) or light (above 0), clipped to the item; amount in -1..1."""

    outline: Outline
    width: float
    amount: float


@dataclass(frozen=True)
class Hole:
    """Takes away what was drawn so far inside the outline."""

    outline: Outline


Mark = Fill | Stroke | Soft | Hole
Marks = tuple[Mark, ...]


@lru_cache(maxsize=4096)
def path(description: str) -> Outline:
    """Return the points of an SVG-like path of M, L, Q and C with absolute coordinates, curves flattened."""
    words = WORDS.findall(description)
    points: list[Point] = []
    command, place = "M", 0
    while place < len(words):
        if words[place] in ARGUMENTS:
            command, place = words[place], place + 1
        size = 2 * ARGUMENTS[command]
        numbers = [float(word) for word in words[place : place + size]]
        controls = list(zip(numbers[::2], numbers[1::2], strict=True))
        points.extend(_bezier([points[-1], *controls]) if len(controls) > 1 else controls)
        place += size
    return tuple(points)


def _bezier(controls: list[Point]) -> list[Point]:
    """Return points along a quadratic or cubic curve, its start left out (de Casteljau)."""
    return [_at(controls, step / STEPS_PER_CURVE) for step in range(1, STEPS_PER_CURVE + 1)]


def _at(controls: list[Point], t: float) -> Point:
    while len(controls) > 1:
        controls = [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for (x0, y0), (x1, y1) in pairwise(controls)]
    return controls[0]


def flipped(outline: Outline) -> Outline:
    """Return the outline reflected left to right about x = 50."""
    return tuple((100 - x, y) for x, y in outline)


def oval(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> Outline:
    """Return points of an ellipse, or of its arc from `start` to `end` degrees clockwise from the right."""
    steps = max(6, round(36 * abs(end - start) / 360))
    angles = [(start + (end - start) * step / steps) * pi / 180 for step in range(steps + 1)]
    return tuple((x + rx * cos(angle), y + ry * sin(angle)) for angle in angles)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0) -> Outline:
    """Return points of a rectangle with rounded corners."""
    if radius == 0:
        return ((left, top), (right, top), (right, bottom), (left, bottom))
    corners = (
        (right - radius, top + radius, 270),
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
    )
    return tuple(point for x, y, start in corners for point in oval(x, y, radius, radius, start, start + 90))


def hour_marks(radius: float, dot: float, paint: str) -> str:
    """Return the text of twelve dots on a circle about the middle."""
    hours = oval(50, 50, radius, radius)[::3][:12]
    return "; ".join(f"fill oval {x} {y} {dot} {dot} : {paint}" for x, y in hours)


def marks(description: str) -> Marks:
    """Return the marks of a silhouette's text, back to front."""
    found: list[Mark] = []
    pair_from = 0
    for part in filter(None, (part.strip() for part in description.split(";"))):
        if part == "both":
            pair_from = len(found)
        elif part == "end":
            found += [replace(mark, outline=flipped(mark.outline)) for mark in found[pair_from:]]
        else:
            found.append(_mark(part))
    return tuple(found)


def _mark(part: str) -> Mark:
    shape, _, style = part.partition(" : ")
    kind, _, outline = shape.partition(" ")
    words = style.split()
    match kind:
        case "fill":
            return Fill(_outline(outline), *_painted(words))
        case "line":
            return Stroke(_outline(outline), float(words[0]), *_painted(words[1:] or ["line"]))
        case "soft":
            return Soft(_outline(outline), float(words[0]), float(words[1]))
        case "hole":
            return Hole(_outline(outline))
        case "seam":
            width, tone = (float(word) for word in (words + ["0.7", "1"][len(words) :]))
            return Stroke(path(outline), width, "line", tone)
        case "fold":
            amount, width = (float(word) for word in (words + ["-0.22", "4"][len(words) :]))
            return Soft(path(outline), width, amount)
    raise ValueError(f"no mark {kind!r} in {part!r}")


def _painted(words: list[str]) -> tuple[Paint, float]:
    paint, tone = (*words, *("body", "1")[len(words) :])
    return cast(Paint, paint), float(tone)


def _outline(description: str) -> Outline:
    kind, _, rest = description.partition(" ")
    match kind:
        case "mirrored":
            return path(rest) + flipped(path(rest))[::-1]
        case "shifted":
            return tuple((x + 1.6, y + 1.6) for x, y in path(rest))
        case "oval":
            return oval(*(float(number) for number in rest.split()))
        case "box":
            return box(*(float(number) for number in rest.split()))
    return path(description)
