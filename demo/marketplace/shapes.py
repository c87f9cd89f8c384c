"""The pencil: outlines in a square of 100 × 100 units, y down, and the marks a silhouette is made of."""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import cos, pi, sin
from typing import Literal

Point = tuple[float, float]
Outline = tuple[Point, ...]
Form = tuple[float, float, float]
Paint = Literal[
    "body",
    "plain",
    "second",
    "line",
    "dark",
    "grey",
    "light",
    "metal",
    "gold",
    "wood",
    "gum",
    "screen",
    "glow",
]

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
    """The points of an SVG-like path of M, L, Q and C with absolute coordinates, curves flattened."""
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
    """Points along a quadratic or cubic curve, its start left out (de Casteljau)."""
    return [_at(controls, step / STEPS_PER_CURVE) for step in range(1, STEPS_PER_CURVE + 1)]


def _at(controls: list[Point], t: float) -> Point:
    while len(controls) > 1:
        controls = [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for (x0, y0), (x1, y1) in pairwise(controls)]
    return controls[0]


def flipped(outline: Outline) -> Outline:
    """The outline reflected left to right about x = 50."""
    return tuple((100 - x, y) for x, y in outline)


def mirrored(description: str) -> Outline:
    """A symmetrical outline from its right half, which runs from the top of the axis to its bottom."""
    right = path(description)
    return right + flipped(right)[::-1]


def oval(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> Outline:
    """Points of an ellipse, or of its arc from `start` to `end` degrees clockwise from the right."""
    steps = max(6, round(36 * abs(end - start) / 360))
    angles = [(start + (end - start) * step / steps) * pi / 180 for step in range(steps + 1)]
    return tuple((x + rx * cos(angle), y + ry * sin(angle)) for angle in angles)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0) -> Outline:
    """Points of a rectangle with rounded corners."""
    if radius == 0:
        return ((left, top), (right, top), (right, bottom), (left, bottom))
    corners = (
        (right - radius, top + radius, 270),
        (right - radius, bottom - radius, 0),
        (left + radius, bottom - radius, 90),
        (left + radius, top + radius, 180),
    )
    return tuple(point for x, y, start in corners for point in oval(x, y, radius, radius, start, start + 90))


def hour_marks(radius: float, dot: float, paint: Paint) -> Marks:
    """Twelve dots on a circle about the middle."""
    hours = oval(50, 50, radius, radius)[::3][:12]
    return tuple(Fill(oval(x, y, dot, dot), paint) for x, y in hours)


def both(*marks: Mark) -> Marks:
    """The marks and their reflections: the left one of each pair of sleeves, straps and shoes."""
    return marks + tuple(_reflected(mark) for mark in marks)


def _reflected(mark: Mark) -> Mark:
    outline = flipped(mark.outline)
    match mark:
        case Fill(paint=paint, tone=tone):
            return Fill(outline, paint, tone)
        case Stroke(width=width, paint=paint, tone=tone):
            return Stroke(outline, width, paint, tone)
        case Soft(width=width, amount=amount):
            return Soft(outline, width, amount)
        case Hole():
            return Hole(outline)


def seam(description: str, width: float = 0.7, tone: float = 1.0) -> Stroke:
    """A thin line in the item's own colour, darkened."""
    return Stroke(path(description), width, "line", tone)


def fold(description: str, amount: float = -0.22, width: float = 4) -> Soft:
    """A soft crease."""
    return Soft(path(description), width, amount)
