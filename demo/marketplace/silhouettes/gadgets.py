"""Electronics, toys and instruments."""

from demo.marketplace.shapes import (
    Fill,
    Mark,
    Marks,
    Paint,
    Soft,
    Stroke,
    both,
    box,
    fold,
    mirrored,
    oval,
    path,
    seam,
)
from demo.marketplace.silhouettes.apparel import Form


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
        for y, paints in (
            (58, ("second", "light", "gold")),
            (69, ("light", "second", "glow")),
            (80, ("gold", "light", "second")),
        )
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
    lenses = (
        ((left + 8, 16), (left + 8, 27), (left + 17, 21.5))
        if detail > 0.5
        else ((left + 9, 16), (left + 9, 27))
    )
    island = Fill(box(left + 3, 9.6, left + (23 if detail > 0.5 else 15), 33, 4), "plain", 0.8)
    rings: list[Mark] = []
    for x, y in lenses:
        rings += [
            Fill(oval(x, y, 4.4, 4.4), "metal"),
            Fill(oval(x, y, 3.6, 3.6), "dark"),
            Fill(oval(x - 1, y - 1, 0.9, 0.9), "light"),
        ]
    return (island, *rings, Fill(oval(50, 56, 4, 4), "second"))


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
        else (
            Fill(oval(50, 50, 23, 23), "gold" if form[1] > 0.6 else "metal"),
            Fill(oval(50, 50, 19, 19), "light" if form[2] > 0.5 else "dark"),
            *_hands(form[2] > 0.5),
        )
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


def _hands(light_dial: bool) -> Marks:
    ink = "dark" if light_dial else "light"
    ticks = tuple(
        Fill(oval(*oval(50, 50, 16, 16, angle, angle + 1)[0], 0.9, 0.9), ink) for angle in range(0, 360, 30)
    )
    return (
        *ticks,
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
                f"M50 32 L66 30 Q82 28 87 44 Q96 66 92 {grip - 4} Q86 {grip + 4} 78 {grip - 8} Q70 68 62 67 L50 67"
            )
        ),
        Fill(box(42, 35, 58, 48, 2), "screen"),
        Fill(
            path("M24 38 L30 38 L30 43 L35 43 L35 49 L30 49 L30 54 L24 54 L24 49 L19 49 L19 43 L24 43"),
            "dark",
        ),
        *(
            Fill(oval(x, y, 2.7, 2.7), paint)
            for x, y, paint in ((73, 39, "second"), (73, 53, "glow"), (66, 46, "gold"), (80, 46, "light"))
        ),
        *both(
            Fill(oval(62, 60, 7, 7), "dark"),
            Fill(oval(62, 60, 4.6, 4.6), "grey", 0.7),
            Stroke(path("M66 30 Q82 28 87 42"), 2, "plain", 0.75),
            fold(f"M90 60 Q92 72 88 {grip - 4}", -0.26, 5),
            fold("M70 33 Q80 33 84 42", 0.3, 4),
        ),
    )


def plush(form: Form) -> Marks:
    """A sitting soft toy: a bear, or a rabbit with long ears."""
    rabbit = form[0] > 0.55
    ribbon: Marks = (
        (
            *both(Fill(path("M50 56 L60 51 L60 61"), "second", 0.9)),
            Fill(oval(50, 56, 2.4, 2.4), "second", 0.75),
        )
        if form[1] > 0.4
        else ()
    )
    return (
        *both(
            *_ears(rabbit),
            Fill(oval(71, 67, 9, 14), "body", 0.9),
            Fill(oval(68, 88, 12, 8.4), "body", 0.94),
            Fill(oval(71, 89, 6.4, 5), "second"),
        ),
        Fill(oval(50, 74, 23, 21)),
        Fill(oval(50, 76, 13, 13), "second" if rabbit else "plain", 1.08),
        *_face(40 if rabbit else 36, 18 if rabbit else 22),
        *ribbon,
        fold("M30 56 Q50 63 70 56", -0.3, 4),
        fold("M34 87 Q50 97 66 87", -0.24, 5),
    )


def _ears(rabbit: bool) -> Marks:
    """The right ear."""
    if rabbit:
        return Fill(oval(61, 17, 6.4, 15)), Fill(oval(61, 17, 3.2, 10.6), "second")
    return Fill(oval(67, 18, 9, 9)), Fill(oval(67, 18.6, 5, 5), "second")


def _face(y: float, tall: float) -> Marks:
    """A head whose middle is at height `y`, with a muzzle and eyes."""
    return (
        Fill(oval(50, y, 26, tall), "plain"),
        Fill(oval(50, y + 8, 11, 8), "light"),
        Fill(oval(50, y + 4.4, 3.6, 2.6), "dark"),
        Stroke(path(f"M50 {y + 7} L50 {y + 10} Q46 {y + 13} 44 {y + 10.6}"), 0.9, "dark"),
        Stroke(path(f"M50 {y + 10} Q54 {y + 13} 56 {y + 10.6}"), 0.9, "dark"),
        *both(Fill(oval(60, y - 2, 2.6, 2.8), "dark"), Fill(oval(59.2, y - 3, 0.8, 0.8), "light")),
        Soft(oval(40, y - tall / 2, 6, 4), 8, 0.24),
    )


def ball(form: Form) -> Marks:
    """A beach ball, a football or a basketball."""
    if form[0] < 0.34:
        panels: Marks = (
            Fill(path("M50 10 Q24 30 26 78 Q14 66 12 50 Q14 18 50 10"), "second"),
            Fill(path("M50 10 Q46 50 52 90 Q66 90 74 80 Q72 36 50 10"), "second"),
            Fill(path("M50 10 Q82 26 88 56 Q92 34 76 18 Q62 9 50 10"), "light"),
            Fill(oval(50, 11.4, 5, 2.6), "light"),
        )
    elif form[0] < 0.67:
        panels = (
            Fill(path("M50 36 L63 45 L58 60 L42 60 L37 45"), "second", 0.8),
            *(
                Stroke(path(line), 1.3)
                for line in (
                    "M50 36 L50 22",
                    "M63 45 L76 40",
                    "M58 60 L66 72",
                    "M42 60 L34 72",
                    "M37 45 L24 40",
                )
            ),
            *(
                Fill(path(patch), "second", 0.8)
                for patch in (
                    "M40 20 L50 23 L60 20 L57 11 L43 11",
                    "M76 40 L74 30 L83 28 L90 44 L85 52",
                    "M66 72 L76 68 L80 77 L68 86 L62 82",
                    "M34 72 L24 68 L20 77 L32 86 L38 82",
                    "M24 40 L26 30 L17 28 L10 44 L15 52",
                )
            ),
        )
    else:
        panels = (
            Stroke(path("M50 10 L50 90"), 1.5, "dark"),
            Stroke(path("M10 50 Q50 44 90 50"), 1.5, "dark"),
            Stroke(path("M22 22 Q44 50 22 78"), 1.5, "dark"),
            Stroke(path("M78 22 Q56 50 78 78"), 1.5, "dark"),
        )
    return (
        Fill(oval(50, 50, 40, 40)),
        *panels,
        Soft(oval(38, 32, 9, 8), 14, 0.4),
        Soft(oval(52, 52, 36, 36, -20, 120), 12, -0.34),
    )


def toy_car(form: Form) -> Marks:
    """A small car or van seen from the side."""
    van = form[0] > 0.55
    cabin = (
        "M16 50 L18 30 Q19 26 24 26 L72 26 Q78 26 84 50"
        if van
        else "M26 50 L36 31 Q38 28 42 28 L60 28 Q64 28 68 33 L78 50"
    )
    windows = (
        (box(23, 31, 42, 47, 2), box(46, 31, 62, 47, 2), path("M66 31 L72 31 L79 47 L66 47"))
        if van
        else (path("M39 33 L51 33 L51 48 L32 48"), path("M54 33 L61 33 Q64 36 71 48 L54 48"))
    )
    return (
        Fill(path(cabin), "plain"),
        *(Fill(window, "screen") for window in windows),
        Fill(path("M8 50 Q8 46 14 46 L80 46 Q94 50 95 60 L95 68 Q95 71 92 71 L10 71 Q7 71 7 67")),
        Fill(box(90, 54, 95.4, 59, 2), "gold"),
        Fill(box(6.4, 54, 10, 60, 1), "second"),
        Stroke(path("M8 64 L95 64"), 2.4, "second"),
        seam("M52 48 L52 70", 0.8),
        Fill(box(55, 53, 60, 54.6, 0.6), "metal"),
        *(
            mark
            for x in (27, 75)
            for mark in (
                Fill(oval(x, 71, 11.4, 11.4), "dark"),
                Fill(oval(x, 71, 5.6, 5.6), "metal"),
                Fill(oval(x, 71, 2, 2), "dark"),
            )
        ),
        fold("M14 50 L84 50", 0.34, 4),
        fold("M36 31 L60 30", 0.3, 3),
    )


def blocks(form: Form) -> Marks:
    """Wooden building blocks in a pile: two cubes, and a third or a roof on top."""
    top = _roof() if form[0] > 0.6 else _cube(50, 34, "gold" if form[1] > 0.5 else "glow")
    return (*_cube(30, 66, "body"), *_cube(70, 66, "second"), *top)


def _cube(x: float, y: float, paint: Paint) -> Marks:
    """A cube seen from above one edge, its middle at x, y; a disc is printed on each side."""
    half, slope, side = 19.0, 9.0, 22.0
    middle = y - slope / 2
    return (
        Fill(((x, middle - slope), (x + half, middle), (x, middle + slope), (x - half, middle)), paint, 1.18),
        Fill(
            ((x - half, middle), (x, middle + slope), (x, middle + slope + side), (x - half, middle + side)),
            paint,
        ),
        Fill(
            ((x + half, middle), (x, middle + slope), (x, middle + slope + side), (x + half, middle + side)),
            paint,
            0.72,
        ),
        Fill(oval(x - half / 2, middle + slope / 2 + side / 2, 4.6, 6.4), "light"),
        Fill(oval(x + half / 2, middle + slope / 2 + side / 2, 4.6, 6.4), "light", 0.75),
    )


def _roof() -> Marks:
    """A wedge lying across both cubes."""
    return (
        Fill(path("M28 48 L44 16 L62 50 L40 58"), "gold"),
        Fill(path("M44 16 L72 24 L86 50 L62 50"), "gold", 0.74),
        fold("M36 44 L44 26", 0.3, 4),
    )


def guitar(form: Form) -> Marks:
    """A guitar standing upright."""
    waist = 62 - 3 * form[0]
    strings = tuple(
        Stroke(path(f"M{48.4 + 0.65 * n} 12 L{48.4 + 0.65 * n} 80"), 0.2, "light") for n in range(6)
    )
    return (
        Fill(mirrored(f"M50 44 Q60 40 66 46 Q70 54 {waist} 60 Q74 68 71 82 Q66 94 50 95")),
        Stroke(mirrored(f"M50 44 Q60 40 66 46 Q70 54 {waist} 60 Q74 68 71 82 Q66 94 50 95"), 1.2, "wood"),
        Fill(oval(50, 61, 7, 7), "dark"),
        Stroke(oval(50, 61, 7.6, 7.6), 1.2, "second"),
        Fill(box(47.4, 14, 52.6, 60), "wood", 0.7),
        *(Stroke(path(f"M47.4 {y} L52.6 {y}"), 0.4, "metal") for y in range(18, 54, 7)),
        Fill(path("M46 4 L54 4 L53 15 L47 15"), "wood"),
        *both(*(Fill(oval(55.6, y, 1.4, 1), "metal") for y in (6.4, 9.4, 12.4))),
        Fill(box(42, 78, 58, 81.4, 1), "wood", 0.6),
        *strings,
        fold("M38 50 Q34 54 38 58", 0.3, 5),
        fold("M66 72 Q68 84 58 92", -0.25, 5),
        *((Fill(path("M54 64 Q62 62 62 72 Q58 78 54 74"), "dark"),) if form[1] > 0.4 else ()),
    )


def umbrella(form: Form) -> Marks:
    """An open umbrella seen from the side."""
    ribs = tuple(seam(f"M50 14 Q{50 + d * 0.7} 26 {50 + d} 54", 0.8) for d in (-24, -8, 8, 24))
    return (
        Stroke(path("M50 40 L50 84 Q50 92 44 92 Q38 92 38 86"), 2.6, "wood" if form[0] > 0.5 else "dark"),
        Fill(
            path(
                "M8 56 C10 28 30 14 50 14 C70 14 90 28 92 56 Q84 50 75 54 Q66 49 58 54 Q50 49 42 54 Q34 49 25 54 Q16 50 8 56"
            )
        ),
        *ribs,
        Stroke(path("M50 14 L50 7"), 1.6, "metal"),
        fold("M22 38 Q30 24 44 20", 0.3, 8),
        fold("M74 28 Q86 40 88 50", -0.25, 8),
        fold("M14 52 L86 52", -0.14, 4),
    )
