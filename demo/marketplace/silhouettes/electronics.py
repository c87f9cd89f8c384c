"""Electronics."""

from demo.marketplace.shapes import Form, hour_marks

ICONS = (
    (58, ("second", "light", "gold")),
    (69, ("light", "second", "glow")),
    (80, ("gold", "light", "second")),
)
BUTTONS = """fill oval 73 39 2.7 2.7 : second; fill oval 73 53 2.7 2.7 : glow; fill oval 66 46 2.7 2.7 : gold;
    fill oval 80 46 2.7 2.7 : light"""


def phone(form: Form) -> str:
    """The back with its cameras, or the front with its screen."""
    left, right = 29 - 3 * form[0], 71 + 3 * form[0]
    case = f"fill box {left - 1} 5 {right + 1} 95 7 : metal; fill box {left} 6 {right} 94 6.4"
    if form[1] > 0.5:
        return f"{case}; {_phone_front(left, right)}; fold M{left + 6} 14 L{left + 6} 60 : 0.2 6"
    return f"{case}; {_phone_back(left, form[2])}; fold M{right - 8} 20 L{left + 10} 84 : 0.2 10"


def _phone_front(left: float, right: float) -> str:
    icons = "; ".join(
        f"fill box {x} {y} {x + 6} {y + 6} 1.6 : {paint}"
        for y, paints in ICONS
        for x, paint in zip((left + 7, 47, right - 13), paints, strict=True)
    )
    return f"""
    fill box {left + 2} 8.4 {right - 2} 91.6 4.6 : screen;
    soft M{left + 6} 30 Q50 20 {right - 6} 40 : 12 0.35; fill box 44 11 56 13.4 1.2 : dark;
    fill box 40 24 60 28 1 : light; {icons}
    """


def _phone_back(left: float, detail: float) -> str:
    three = detail > 0.5
    return f"""
    fill box {left + 3} 9.6 {left + (23 if three else 15)} 33 4 : plain 0.8; {_small_lens(left + 8, 16)};
    {_small_lens(left + 8, 27)}; {_small_lens(left + 17, 21.5) if three else ""};
    fill oval 50 56 4 4 : second
    """


def _small_lens(x: float, y: float) -> str:
    return f"""
    fill oval {x} {y} 4.4 4.4 : metal; fill oval {x} {y} 3.6 3.6 : dark;
    fill oval {x - 1} {y - 1} 0.9 0.9 : light
    """


def headphones(form: Form) -> str:
    """A headband and two large cups."""
    cup = 14 + 3 * form[0]
    return f"""
    line oval 50 52 35 39 180 360 : 6.4 plain 0.9; line oval 50 53 31.4 35 200 340 : 3.6 dark;
    both; line M85 46 L84 58 : 3.4 metal; fill box 66 54 76 90 5 : dark;
    fill oval 80 72 {cup * 0.72} {cup + 5}; line oval 80 72 {cup * 0.72} {cup + 5} : 0.9;
    fill oval 81.5 72 {cup * 0.4} {cup * 0.72} : second 0.95;
    soft M{80 - cup * 0.4} {62 - cup * 0.3} Q{80 - cup * 0.55} 72 {80 - cup * 0.3} 84 : 4 0.3; end;
    soft oval 50 51 35 39 210 270 : 2.6 0.4
    """


def watch(form: Form) -> str:
    """A round or square dial on a strap."""
    square = f"fill box 28 30 72 70 9 : metal; fill box 31 33 69 67 7 : screen; {RINGS}"
    rim = "gold" if form[1] > 0.6 else "metal"
    round_dial = f"fill oval 50 50 23 23 : {rim}; {_dial(form[2] > 0.5)}"
    holes = "; ".join(f"fill oval 50 {y} 1.1 1.1 : dark" for y in (82, 86, 90))
    return f"""
    fill mirrored M50 3 L60 3 Q62 20 65 34 L50 40; fill mirrored M50 60 L65 66 Q62 80 60.5 92 Q58 97 50 97;
    both; fold M61 8 L63 28 : -0.24 4; fold M61 90 L64 72 : -0.24 4; end;
    line M39 10 L61 10 : 2.4 plain 0.75; {holes};
    fill box 72 46 77 54 1.4 : metal; {square if form[0] > 0.5 else round_dial};
    soft M34 44 Q38 34 50 31 : 3 0.4
    """


RINGS = """line oval 50 50 11 11 -90 160 : 2.6 second; line oval 50 50 7 7 -90 100 : 2.4 glow;
    fill box 36 36.5 46 39 0.8 : light"""


def _dial(light: bool) -> str:
    face = "light" if light else "dark"
    ink = "dark" if light else "light"
    return f"""
    fill oval 50 50 19 19 : {face}; {hour_marks(16, 0.9, ink)}; line M50 50 L43 42 : 1.8 {ink};
    line M50 50 L58 39 : 1.3 {ink}; fill oval 50 50 1.4 1.4 : gold
    """


def camera(form: Form) -> str:
    """A camera from the front: leather body, metal top, one large lens."""
    x = 46 + 8 * form[0]
    return f"""
    fill box 30 20 56 34 3 : metal 0.9; fill box 8 28 92 80 6 : metal; fill box 8 38 92 74 1;
    fill box 74 24 84 30 1.4 : dark; fill oval 66 27.4 5 2.4 : metal 0.8; fill box 36 23 50 31 1.4 : screen;
    fill oval {x} 56 23 23 : metal 0.85; fill oval {x} 56 20 20 : dark; fill oval {x} 56 15 15 : grey 0.55;
    fill oval {x} 56 12 12 : dark; fill oval {x} 56 8.4 8.4 : screen; fill oval {x - 4} 51.6 2.4 2 : light;
    soft oval {x} 56 18 18 190 260 : 3 0.5;
    fill box 80 42 88 47 1 : {"gold" if form[1] > 0.5 else "second"}; fold M12 31 L88 31 : 0.4 3
    """


def controller(form: Form) -> str:
    """A game pad with two grips, sticks, a cross and four buttons."""
    grip = 80 + 6 * form[0]
    return f"""
    fill mirrored M50 32 L66 30 Q82 28 87 44 Q96 66 92 {grip - 4} Q86 {grip + 4} 78 {grip - 8} Q70 68 62 67
        L50 67;
    fill box 42 35 58 48 2 : screen;
    fill M24 38 L30 38 L30 43 L35 43 L35 49 L30 49 L30 54 L24 54 L24 49 L19 49 L19 43 L24 43 : dark;
    {BUTTONS};
    both; fill oval 62 60 7 7 : dark; fill oval 62 60 4.6 4.6 : grey 0.7;
    line M66 30 Q82 28 87 42 : 2 plain 0.75; fold M90 60 Q92 72 88 {grip - 4} : -0.26 5;
    fold M70 33 Q80 33 84 42 : 0.3 4; end
    """
