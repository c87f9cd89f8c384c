"""Electronics."""

from demo.marketplace.shapes import (
    Fill,
    Form,
    Marks,
    Paint,
    Soft,
    Stroke,
    both,
    box,
    fold,
    hour_marks,
    mirrored,
    oval,
    path,
)

ICONS: tuple[tuple[float, tuple[Paint, Paint, Paint]], ...] = (
    (58, ("second", "light", "gold")),
    (69, ("light", "second", "glow")),
    (80, ("gold", "light", "second")),
)
BUTTONS: tuple[tuple[float, float, Paint], ...] = (
    (73, 39, "second"),
    (73, 53, "glow"),
    (66, 46, "gold"),
    (80, 46, "light"),
)


def phone(form: Form) -> Marks:
    """The back with its cameras, or the front with its screen."""
    left, right = 29 - 3 * form[0], 71 + 3 * form[0]
    case = (Fill(box(left - 1, 5, right + 1, 95, 7), "metal"), Fill(box(left, 6, right, 94, 6.4)))
    if form[1] > 0.5:
        return (*case, *_phone_front(left, right), fold(f"M{left + 6} 14 L{left + 6} 60", 0.2, 6))
    return (*case, *_phone_back(left, form[2]), fold(f"M{right - 8} 20 L{left + 10} 84", 0.2, 10))


def _phone_front(left: float, right: float) -> Marks:
    icons = tuple(
        Fill(box(x, y, x + 6, y + 6, 1.6), paint)
        for y, paints in ICONS
        for x, paint in zip((left + 7, 47, right - 13), paints, strict=True)
    )
    return (
        Fill(box(left + 2, 8.4, right - 2, 91.6, 4.6), "screen"),
        Soft(path(f"M{left + 6} 30 Q50 20 {right - 6} 40"), 12, 0.35),
        Fill(box(44, 11, 56, 13.4, 1.2), "dark"),
        Fill(box(40, 24, 60, 28, 1), "light"),
        *icons,
    )


def _phone_back(left: float, detail: float) -> Marks:
    three = detail > 0.5
    return (
        Fill(box(left + 3, 9.6, left + (23 if three else 15), 33, 4), "plain", 0.8),
        *_small_lens(left + 8, 16),
        *_small_lens(left + 8, 27),
        *(_small_lens(left + 17, 21.5) if three else ()),
        Fill(oval(50, 56, 4, 4), "second"),
    )


def _small_lens(x: float, y: float) -> Marks:
    return (
        Fill(oval(x, y, 4.4, 4.4), "metal"),
        Fill(oval(x, y, 3.6, 3.6), "dark"),
        Fill(oval(x - 1, y - 1, 0.9, 0.9), "light"),
    )


def headphones(form: Form) -> Marks:
    """A headband and two large cups."""
    cup = 14 + 3 * form[0]
    return (
        Stroke(oval(50, 52, 35, 39, 180, 360), 6.4, "plain", 0.9),
        Stroke(oval(50, 53, 31.4, 35, 200, 340), 3.6, "dark"),
        *both(
            Stroke(path("M85 46 L84 58"), 3.4, "metal"),
            Fill(box(66, 54, 76, 90, 5), "dark"),
            Fill(oval(80, 72, cup * 0.72, cup + 5)),
            Stroke(oval(80, 72, cup * 0.72, cup + 5), 0.9),
            Fill(oval(81.5, 72, cup * 0.4, cup * 0.72), "second", 0.95),
            Soft(
                path(f"M{80 - cup * 0.4} {62 - cup * 0.3} Q{80 - cup * 0.55} 72 {80 - cup * 0.3} 84"), 4, 0.3
            ),
        ),
        Soft(oval(50, 51, 35, 39, 210, 270), 2.6, 0.4),
    )


def watch(form: Form) -> Marks:
    """A round or square dial on a strap."""
    dial: Marks = (
        (Fill(box(28, 30, 72, 70, 9), "metal"), Fill(box(31, 33, 69, 67, 7), "screen"), *_rings())
        if form[0] > 0.5
        else (Fill(oval(50, 50, 23, 23), "gold" if form[1] > 0.6 else "metal"), *_dial(form[2] > 0.5))
    )
    holes = tuple(Fill(oval(50, y, 1.1, 1.1), "dark") for y in (82, 86, 90))
    return (
        Fill(mirrored("M50 3 L60 3 Q62 20 65 34 L50 40")),
        Fill(mirrored("M50 60 L65 66 Q62 80 60.5 92 Q58 97 50 97")),
        *both(fold("M61 8 L63 28", -0.24, 4), fold("M61 90 L64 72", -0.24, 4)),
        Stroke(path("M39 10 L61 10"), 2.4, "plain", 0.75),
        *holes,
        Fill(box(72, 46, 77, 54, 1.4), "metal"),
        *dial,
        Soft(path("M34 44 Q38 34 50 31"), 3, 0.4),
    )


def _rings() -> Marks:
    return (
        Stroke(oval(50, 50, 11, 11, -90, 160), 2.6, "second"),
        Stroke(oval(50, 50, 7, 7, -90, 100), 2.4, "glow"),
        Fill(box(36, 36.5, 46, 39, 0.8), "light"),
    )


def _dial(light: bool) -> Marks:
    face: Paint = "light" if light else "dark"
    ink: Paint = "dark" if light else "light"
    return (
        Fill(oval(50, 50, 19, 19), face),
        *hour_marks(16, 0.9, ink),
        Stroke(path("M50 50 L43 42"), 1.8, ink),
        Stroke(path("M50 50 L58 39"), 1.3, ink),
        Fill(oval(50, 50, 1.4, 1.4), "gold"),
    )


def camera(form: Form) -> Marks:
    """A camera from the front: leather body, metal top, one large lens."""
    x = 46 + 8 * form[0]
    return (
        Fill(box(30, 20, 56, 34, 3), "metal", 0.9),
        Fill(box(8, 28, 92, 80, 6), "metal"),
        Fill(box(8, 38, 92, 74, 1)),
        Fill(box(74, 24, 84, 30, 1.4), "dark"),
        Fill(oval(66, 27.4, 5, 2.4), "metal", 0.8),
        Fill(box(36, 23, 50, 31, 1.4), "screen"),
        Fill(oval(x, 56, 23, 23), "metal", 0.85),
        Fill(oval(x, 56, 20, 20), "dark"),
        Fill(oval(x, 56, 15, 15), "grey", 0.55),
        Fill(oval(x, 56, 12, 12), "dark"),
        Fill(oval(x, 56, 8.4, 8.4), "screen"),
        Fill(oval(x - 4, 51.6, 2.4, 2), "light"),
        Soft(oval(x, 56, 18, 18, 190, 260), 3, 0.5),
        Fill(box(80, 42, 88, 47, 1), "gold" if form[1] > 0.5 else "second"),
        fold("M12 31 L88 31", 0.4, 3),
    )


def controller(form: Form) -> Marks:
    """A game pad with two grips, sticks, a cross and four buttons."""
    grip = 80 + 6 * form[0]
    return (
        Fill(
            mirrored(
                f"M50 32 L66 30 Q82 28 87 44 Q96 66 92 {grip - 4} Q86 {grip + 4} 78 {grip - 8}"
                f" Q70 68 62 67 L50 67"
            )
        ),
        Fill(box(42, 35, 58, 48, 2), "screen"),
        Fill(
            path("M24 38 L30 38 L30 43 L35 43 L35 49 L30 49 L30 54 L24 54 L24 49 L19 49 L19 43 L24 43"),
            "dark",
        ),
        *(Fill(oval(x, y, 2.7, 2.7), paint) for x, y, paint in BUTTONS),
        *both(
            Fill(oval(62, 60, 7, 7), "dark"),
            Fill(oval(62, 60, 4.6, 4.6), "grey", 0.7),
            Stroke(path("M66 30 Q82 28 87 42"), 2, "plain", 0.75),
            fold(f"M90 60 Q92 72 88 {grip - 4}", -0.26, 5),
            fold("M70 33 Q80 33 84 42", 0.3, 4),
        ),
    )
