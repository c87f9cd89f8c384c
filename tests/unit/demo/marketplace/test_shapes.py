"""Outlines: paths, mirrors, ovals and rounded boxes in units of the drawing square."""

import pytest

from demo.marketplace.shapes import (
    STEPS_PER_CURVE,
    Fill,
    Hole,
    Mark,
    Soft,
    Stroke,
    box,
    flipped,
    hour_marks,
    marks,
    oval,
    path,
)  # fmt: skip


def test_a_path_of_lines_keeps_its_points() -> None:
    """Letters may touch their numbers, a letter holds until the next, and minus and decimals are read."""
    assert path("M10 20 L30 40 50.5 -60") == ((10, 20), (30, 40), (50.5, -60))


@pytest.mark.parametrize(
    ("curve", "middle"), [("M0 0 Q10 20 20 0", (10, 10)), ("M0 0 C0 20 20 20 20 0", (10, 15))]
)
def test_a_curve_is_a_bezier_curve(curve: str, middle: tuple[float, float]) -> None:
    """The value at t = 1/2 is computed by hand; the nearest points of the flattened curve surround it."""
    points = path(curve)
    assert len(points) == 1 + STEPS_PER_CURVE
    assert points[-1] == (20, 0)
    assert max(y for _, y in points) == pytest.approx(middle[1], abs=0.3)
    assert sum(x for x, _ in points) / len(points) == pytest.approx(middle[0], abs=0.01)


def test_a_mirrored_outline_is_its_own_reflection() -> None:
    """Every point has its partner on the other side of x = 50."""
    (mark,) = marks("fill mirrored M50 10 L80 30 Q90 60 50 90")
    assert set(mark.outline) == set(flipped(mark.outline))


def test_flipping_reflects_about_the_middle_of_the_square() -> None:
    """30 becomes 70, 50 stays."""
    assert flipped(((30, 10), (50, 20))) == ((70, 10), (50, 20))


def test_an_oval_touches_the_ends_of_its_axes() -> None:
    """Radius 30 by 10 about (50, 40)."""
    outline = oval(50, 40, 30, 10)
    assert (min(x for x, _ in outline), max(x for x, _ in outline)) == pytest.approx((20, 80))
    assert (min(y for _, y in outline), max(y for _, y in outline)) == pytest.approx((30, 50))


def test_an_arc_runs_clockwise_from_the_right() -> None:
    """From 0 to 90 degrees: from the right end to the bottom."""
    arc = oval(0, 0, 1, 1, 0, 90)
    assert arc[0] == pytest.approx((1, 0))
    assert arc[-1] == pytest.approx((0, 1))


def test_a_rounded_box_stays_inside_the_square_one_and_lacks_its_corners() -> None:
    """The corner itself is cut off, the sides are reached."""
    outline = box(10, 20, 50, 60, 8)
    assert (min(x for x, _ in outline), max(y for _, y in outline)) == pytest.approx((10, 60))
    assert (10, 20) not in outline
    assert box(10, 20, 50, 60) == ((10, 20), (50, 20), (50, 60), (10, 60))


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("fill M60 1 L70 2 L80 9", Fill(path("M60 1 L70 2 L80 9"), "body", 1.0)),
        ("fill oval 50 40 30 10 : gold 0.5", Fill(oval(50, 40, 30, 10), "gold", 0.5)),
        ("line box 1 2 3 4 : 3", Stroke(box(1, 2, 3, 4), 3, "line", 1.0)),
        ("line M60 1 L70 2 : 3 dark 0.7", Stroke(path("M60 1 L70 2"), 3, "dark", 0.7)),
        ("soft M60 1 L70 2 : 3 -0.4", Soft(path("M60 1 L70 2"), 3, -0.4)),
        ("hole M60 1 L70 2 L80 9", Hole(path("M60 1 L70 2 L80 9"))),
        ("seam M60 1 L70 2", Stroke(path("M60 1 L70 2"), 0.7, "line", 1.0)),
        ("fold M60 1 L70 2 : 0.3", Soft(path("M60 1 L70 2"), 4, 0.3)),
        ("fill shifted M60 1 L70 2", Fill(((61.6, 2.6), (71.6, 3.6)))),
    ],
)
def test_a_mark_is_read_from_its_text(text: str, mark: Mark) -> None:
    """Paint, tone, width and amount have defaults."""
    assert marks(text) == (mark,)


def test_both_adds_the_reflections_and_keeps_everything_else() -> None:
    """After the originals, in their order; what comes after `end` is drawn once."""
    found = marks("hole M1 1; both; fill M60 1 L70 2 : gold 0.5; fold M60 1 : -0.4 3; end; fill M2 2")
    reflected = (Fill(((40, 1), (30, 2)), "gold", 0.5), Soft(((40, 1),), 3, -0.4))
    assert found[3:5] == reflected
    assert len(found) == 6


def test_an_unknown_mark_is_refused() -> None:
    """With its text."""
    with pytest.raises(ValueError, match="no mark 'fil' in 'fil M1 1'"):
        marks("fil M1 1")


def test_a_dial_has_twelve_hours_on_a_circle() -> None:
    """Twelve different dots, each about 20 units from the middle."""
    dots = marks(hour_marks(20, 1, "dark"))
    middles = {
        (round(sum(x for x, _ in dot.outline[:-1]) / 36), round(sum(y for _, y in dot.outline[:-1]) / 36))
        for dot in dots
    }
    assert len(dots) == len(middles) == 12
