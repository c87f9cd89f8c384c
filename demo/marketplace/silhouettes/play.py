"""Toys and instruments."""

from demo.marketplace.shapes import Form, Paint


def plush(form: Form) -> str:
    """A sitting soft toy: a bear, or a rabbit with long ears."""
    rabbit = form[0] > 0.55
    ribbon = (
        "both; fill M50 56 L60 51 L60 61 : second 0.9; end; fill oval 50 56 2.4 2.4 : second 0.75"
        if form[1] > 0.4
        else ""
    )
    return f"""
    both; {_ears(rabbit)}; fill oval 71 67 9 14 : body 0.9; fill oval 68 88 12 8.4 : body 0.94;
    fill oval 71 89 6.4 5 : second; end;
    fill oval 50 74 23 21; fill oval 50 76 13 13 : {"second" if rabbit else "plain"} 1.08;
    {_face(40 if rabbit else 36, 18 if rabbit else 22)}; {ribbon}; fold M30 56 Q50 63 70 56 : -0.3 4;
    fold M34 87 Q50 97 66 87 : -0.24 5
    """


def _ears(rabbit: bool) -> str:
    """The right ear; the left one is its reflection."""
    if rabbit:
        return "fill oval 61 17 6.4 15; fill oval 61 17 3.2 10.6 : second"
    return "fill oval 67 18 9 9; fill oval 67 18.6 5 5 : second"


def _face(y: float, tall: float) -> str:
    """A head whose middle is at height `y`, with a muzzle and eyes."""
    return f"""
    fill oval 50 {y} 26 {tall} : plain; fill oval 50 {y + 8} 11 8 : light;
    fill oval 50 {y + 4.4} 3.6 2.6 : dark;
    line M50 {y + 7} L50 {y + 10} Q46 {y + 13} 44 {y + 10.6} : 0.9 dark;
    line M50 {y + 10} Q54 {y + 13} 56 {y + 10.6} : 0.9 dark;
    both; fill oval 60 {y - 2} 2.6 2.8 : dark; fill oval 59.2 {y - 3} 0.8 0.8 : light; end;
    soft oval 40 {y - tall / 2} 6 4 : 8 0.24
    """


BEACH_BALL = """
    fill M50 10 Q24 30 26 78 Q14 66 12 50 Q14 18 50 10 : second;
    fill M50 10 Q46 50 52 90 Q66 90 74 80 Q72 36 50 10 : second;
    fill M50 10 Q82 26 88 56 Q92 34 76 18 Q62 9 50 10 : light; fill oval 50 11.4 5 2.6 : light
"""
FOOTBALL = """
    fill M50 36 L63 45 L58 60 L42 60 L37 45 : second 0.8;
    line M50 36 L50 22 : 1.3; line M63 45 L76 40 : 1.3; line M58 60 L66 72 : 1.3; line M42 60 L34 72 : 1.3;
    line M37 45 L24 40 : 1.3;
    fill M40 20 L50 23 L60 20 L57 11 L43 11 : second 0.8;
    fill M76 40 L74 30 L83 28 L90 44 L85 52 : second 0.8;
    fill M66 72 L76 68 L80 77 L68 86 L62 82 : second 0.8;
    fill M34 72 L24 68 L20 77 L32 86 L38 82 : second 0.8;
    fill M24 40 L26 30 L17 28 L10 44 L15 52 : second 0.8
"""
BASKETBALL = """
    line M50 10 L50 90 : 1.5 dark; line M10 50 Q50 44 90 50 : 1.5 dark;
    line M22 22 Q44 50 22 78 : 1.5 dark; line M78 22 Q56 50 78 78 : 1.5 dark
"""


def ball(form: Form) -> str:
    """A beach ball, a football or a basketball."""
    panels = BEACH_BALL if form[0] < 0.34 else FOOTBALL if form[0] < 0.67 else BASKETBALL
    return f"""
    fill oval 50 50 40 40; {panels}; soft oval 38 32 9 8 : 14 0.4; soft oval 52 52 36 36 -20 120 : 12 -0.34
    """


def toy_car(form: Form) -> str:
    """A small car or van seen from the side."""
    van = form[0] > 0.55
    cabin = (
        "M16 50 L18 30 Q19 26 24 26 L72 26 Q78 26 84 50"
        if van
        else "M26 50 L36 31 Q38 28 42 28 L60 28 Q64 28 68 33 L78 50"
    )
    windows = (
        ("box 23 31 42 47 2", "box 46 31 62 47 2", "M66 31 L72 31 L79 47 L66 47")
        if van
        else ("M39 33 L51 33 L51 48 L32 48", "M54 33 L61 33 Q64 36 71 48 L54 48")
    )
    panes = "; ".join(f"fill {window} : screen" for window in windows)
    wheels = "; ".join(
        f"fill oval {x} 71 11.4 11.4 : dark; fill oval {x} 71 5.6 5.6 : metal; fill oval {x} 71 2 2 : dark"
        for x in (27, 75)
    )
    return f"""
    fill {cabin} : plain; {panes};
    fill M8 50 Q8 46 14 46 L80 46 Q94 50 95 60 L95 68 Q95 71 92 71 L10 71 Q7 71 7 67;
    fill box 90 54 95.4 59 2 : gold; fill box 6.4 54 10 60 1 : second; line M8 64 L95 64 : 2.4 second;
    seam M52 48 L52 70 : 0.8; fill box 55 53 60 54.6 0.6 : metal;
    {wheels};
    fold M14 50 L84 50 : 0.34 4; fold M36 31 L60 30 : 0.3 3
    """


def blocks(form: Form) -> str:
    """Wooden building blocks in a pile: two cubes, and a third or a roof on top."""
    top = _roof() if form[0] > 0.6 else _cube(50, 34, "gold" if form[1] > 0.5 else "glow")
    return f"""{_cube(30, 66, "body")}; {_cube(70, 66, "second")}; {top}"""


def _cube(x: float, y: float, paint: Paint) -> str:
    """A cube seen from above one edge, its middle at x, y; a disc is printed on each side."""
    half, slope, side = 19.0, 9.0, 22.0
    middle = y - slope / 2
    return f"""
    fill M{x} {middle - slope} L{x + half} {middle} L{x} {middle + slope} L{x - half} {middle}
        : {paint} 1.18;
    fill M{x - half} {middle} L{x} {middle + slope} L{x} {middle + slope + side} L{x - half} {middle + side}
        : {paint};
    fill M{x + half} {middle} L{x} {middle + slope} L{x} {middle + slope + side} L{x + half} {middle + side}
        : {paint} 0.72;
    fill oval {x - half / 2} {middle + slope / 2 + side / 2} 4.6 6.4 : light;
    fill oval {x + half / 2} {middle + slope / 2 + side / 2} 4.6 6.4 : light 0.75
    """


def _roof() -> str:
    """A wedge lying across both cubes."""
    return """
    fill M28 48 L44 16 L62 50 L40 58 : gold; fill M44 16 L72 24 L86 50 L62 50 : gold 0.74;
    fold M36 44 L44 26 : 0.3 4
    """


def guitar(form: Form) -> str:
    """A guitar standing upright."""
    waist = 62 - 3 * form[0]
    strings = "; ".join(f"line M{48.4 + 0.65 * n} 12 L{48.4 + 0.65 * n} 80 : 0.2 light" for n in range(6))
    return f"""
    fill mirrored M50 44 Q60 40 66 46 Q70 54 {waist} 60 Q74 68 71 82 Q66 94 50 95;
    line mirrored M50 44 Q60 40 66 46 Q70 54 {waist} 60 Q74 68 71 82 Q66 94 50 95 : 1.2 wood;
    fill oval 50 61 7 7 : dark; line oval 50 61 7.6 7.6 : 1.2 second; fill box 47.4 14 52.6 60 : wood 0.7;
    {"; ".join(f"line M47.4 {y} L52.6 {y} : 0.4 metal" for y in range(18, 54, 7))};
    fill M46 4 L54 4 L53 15 L47 15 : wood;
    both; {"; ".join(f"fill oval 55.6 {y} 1.4 1 : metal" for y in (6.4, 9.4, 12.4))}; end;
    fill box 42 78 58 81.4 1 : wood 0.6; {strings}; fold M38 50 Q34 54 38 58 : 0.3 5;
    fold M66 72 Q68 84 58 92 : -0.25 5;
    {"fill M54 64 Q62 62 62 72 Q58 78 54 74 : dark" if form[1] > 0.4 else ""}
    """
