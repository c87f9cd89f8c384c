"""Household goods."""

from demo.marketplace.shapes import Form, hour_marks


def mug(form: Form) -> str:
    """A cylinder with a handle, its inside seen from above."""
    right, bottom = 62 + 6 * form[0], 80 + 6 * form[1]
    return f"""
    line M{right - 1} 38 C{right + 26} 34 {right + 26} 70 {right - 2} 68 : 6 plain 0.92;
    fill M16 26 L{right} 26 L{right - 1} {bottom - 4} Q{right / 2 + 8} {bottom + 8} 17 {bottom - 4};
    fill oval {(16 + right) / 2} 26 {(right - 16) / 2} 7 : light;
    fill oval {(16 + right) / 2} 27.6 {(right - 16) / 2 - 3} 4.8 : {"wood" if form[2] > 0.5 else "grey"};
    line oval {(16 + right) / 2} 26 {(right - 16) / 2} 7 : 0.9; fold M25 40 L25 {bottom - 8} : 0.4 6;
    fold M{right - 5} 38 L{right - 6} {bottom - 6} : -0.3 8;
    fold M18 {bottom - 4} Q40 {bottom + 6} {right - 2} {bottom - 4} : -0.2 4
    """


def lamp(form: Form) -> str:
    """A table lamp with a cloth shade, lit."""
    top, wide = 34 + 6 * form[0], 74 + 8 * form[1]
    foot = 64 + 6 * form[2]
    return f"""
    line M50 50 L50 88 : 3.4 {"metal" if form[2] > 0.5 else "wood"};
    fill mirrored M50 85 Q{foot - 4} 85 {foot} 90 L{foot} 93 L50 94
        : {"metal" if form[2] > 0.5 else "wood"};
    line M60 52 L60 64 : 0.6 metal; fill oval 60 65 1.2 1.2 : metal;
    fill mirrored M50 10 L{100 - top} 10 L{wide} 54 Q62 58 50 58;
    line M{top} 10.6 L{100 - top} 10.6 : 1.4 plain 0.8;
    line M{100 - wide} 54 Q38 58 50 58 Q62 58 {wide} 54 : 1.6 plain 0.8; soft oval 50 40 7 9 : 13 0.5;
    both; fold M{98 - top} 14 L{wide - 3} 52 : -0.22 5; end;
    fold M48.6 62 L48.6 84 : 0.4 1.6
    """


def chair(form: Form) -> str:
    """Four legs, a padded seat, a backrest."""
    wood = "wood" if form[2] > 0.4 else "dark"
    padded = "fill M30 12 Q50 7 70 12 L69 44 Q50 47 31 44; fold M36 16 Q34 28 36 40 : 0.26 6;"
    padded += "fold M66 16 Q67 28 66 42 : -0.2 5"
    slats = "; ".join(
        f"fill M31 {y} Q50 {y - 3} 69 {y} L69 {y + 6} Q50 {y + 3} 31 {y + 6}" for y in (12, 24, 36)
    )
    return f"""
    both; line M66 58 L68 84 : 3 {wood} 0.75; end;
    both; line M69 56 L67.4 10 : 3.4 {wood}; end;
    {padded if form[0] > 0.5 else slats};
    both; line M73 60 L76 95 : 3.8 {wood}; end;
    line M26 78 L74 78 : 1.8 {wood} 0.8; fill M30 50 L70 50 L80 60 Q80 63 77 64 L23 64 Q20 63 20 60;
    fill M20 60 L80 60 L79.4 66 Q50 69 20.6 66 : plain 0.72; fold M30 54 L60 54 : 0.3 5;
    fold M66 52 L76 60 : -0.2 5
    """


def sofa(form: Form) -> str:
    """Two seats, arms, short legs."""
    back = 26 + 8 * form[0]
    return f"""
    both; fill box 78 76 82 86 : {"wood" if form[1] > 0.4 else "dark"}; end;
    fill box 14 {back} 86 70 8 : body 0.94; seam M50 {back + 2} L50 54 : 1;
    fill box 16 50 84 66 5 : body 1.08; seam M50 50 L50 66 : 1; fill box 8 62 92 79 4 : body 0.86;
    both; fill box 80 42 95 79 6 : body 0.96; line box 80 42 95 79 6 : 0.8;
    fold M58 {back + 6} Q66 {back + 3} 74 {back + 7} : 0.24 6; fold M54 52 L78 52 : -0.3 3;
    fold M82 46 L90 45 : 0.28 4; fold M56 56 L76 56 : 0.2 4; end;
    {"fill M22 36 L36 33 L39 50 L25 52 : second; fold M25 38 L34 36 : 0.3 4" if form[2] > 0.45 else ""}
    """


def cushion(form: Form) -> str:
    """A square pad, pulled in between its corners, with piping."""
    pull = 16 + 4 * form[0]
    button = "fill oval 50 50 2.6 2.6 : second; soft oval 50 51 6 6 : 3 -0.3"
    shape = f"M12 12 Q50 {pull} 88 12 Q{100 - pull} 50 88 88 Q50 {100 - pull} 12 88 Q{pull} 50 12 12"
    return f"""
    fill {shape}; line {shape} : 1.6 {"second" if form[1] > 0.5 else "line"};
    fold M30 28 Q46 24 58 30 : 0.26 14; fold M26 82 Q50 74 80 80 : -0.24 8;
    fold M80 26 Q74 50 80 76 : -0.2 8;
    fold M16 16 L28 26 : -0.26 3; fold M84 16 L73 27 : -0.26 3; fold M16 84 L28 74 : -0.26 3;
    fold M84 84 L72 74 : -0.26 3;
    {button if form[2] > 0.6 else ""}
    """


def vase(form: Form) -> str:
    """A thrown pot with a neck; a few stems in some."""
    neck, belly, high = 54 + 6 * form[0], 68 + 12 * form[1], 52 + 14 * form[0]
    stems = """line M50 28 Q46 16 38 8 : 1.2 wood; line M50 28 Q52 16 58 5 : 1.2 wood;
    fill oval 38 8 3.4 3 : second; fill oval 58 5 3.4 3 : second; fill oval 43 13 3.4 3 : second;
    fill oval 54 11 3.4 3 : second"""
    return f"""
    {stems if form[2] > 0.5 else ""};
    fill mirrored M50 26 L{neck + 3} 25 Q{neck} 34 {neck} 38
        C{belly + 4} {high - 4} {belly + 4} {high + 22} 62 92 Q56 94 50 94;
    fill oval 50 25.4 {neck - 47} 2.6 : plain 0.45; line oval 50 25.4 {neck - 47} 2.6 : 1 plain 1.1;
    fold M{104 - belly} {high} Q{103 - belly} {high + 12} 40 {high + 24} : 0.42 5;
    fold M{belly - 3} {high} Q{belly - 2} {high + 16} 60 90 : -0.3 7
    """


def plate(form: Form) -> str:
    """A plate seen from above, with a rim in the second colour."""
    rim = 26 + 6 * form[0]
    return f"""
    fill oval 50 50 42 42 : {"plain" if form[1] > 0.5 else "light"}; line oval 50 50 40.5 40.5 : 2.4 second;
    fill oval 50 50 {rim + 3} {rim + 3} : body; line oval 50 50 {rim + 3} {rim + 3} : 0.7;
    soft oval 50 50 {rim + 4} {rim + 4} 180 280 : 3 -0.3;
    soft oval 50 50 {rim + 4} {rim + 4} 10 90 : 3 0.35; soft oval 50 50 37 37 200 260 : 4 0.35
    """


def clock(form: Form) -> str:
    """A wall clock with twelve marks and two hands."""
    round_face = form[0] > 0.35
    face = "oval 50 50 40 40" if round_face else "box 12 12 88 88 8"
    dial = "oval 50 50 33 33" if round_face else "box 18 18 82 82 5"
    return f"""
    fill {face}; fill {dial} : light; line {dial} : 1; {hour_marks(28, 1.6, "dark")};
    line M50 50 L40 34 : 2.6 dark; line M50 50 L{66 + 6 * form[1]} {38 + 10 * form[2]} : 1.8 dark;
    fill oval 50 50 2.4 2.4 : second; soft oval 50 50 36.5 36.5 190 270 : 4 0.35;
    soft oval 50 50 36.5 36.5 10 90 : 4 -0.3; soft oval 50 51 32 32 190 350 : 3 -0.2
    """


def poster(form: Form) -> str:
    """A framed picture: a sun over hills, or circles."""
    hills = """fill oval 56 38 9 9 : second;
    fill M24 62 Q38 44 52 58 Q64 46 76 56 L76 82 L24 82 : plain 0.75;
    fill M24 72 Q44 58 76 74 L76 82 L24 82 : plain 0.5"""
    circles = """fill oval 44 42 14 14 : plain 0.9; fill oval 57 54 12 12 : second;
    line M30 76 L70 76 : 1.4 dark"""
    return f"""
    fill box 14 6 86 94 : {"wood" if form[1] > 0.5 else "dark"}; hole box 17 9 83 91;
    fill box 17 9 83 91 : light; fill box 24 18 76 82 : body 1.05; {hills if form[0] > 0.5 else circles};
    line M17 91 L17 9 L83 9 : 0.8 dark 0.7; fold M28 20 L60 20 L34 60 : 0.16 8
    """
