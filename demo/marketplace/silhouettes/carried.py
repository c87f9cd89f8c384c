"""Bags, shoes, scarves and umbrellas."""

from demo.marketplace.shapes import Form


def backpack(form: Form) -> str:
    """A rounded body, a front pocket, zips, a handle and the straps behind."""
    top, pocket = 16 + 4 * form[0], 54 + 6 * form[1]
    return f"""
    both; line M66 24 Q88 40 80 84 : 5 plain 0.62; end;
    line M42 {top + 2} Q42 7 50 7 Q58 7 58 {top + 2} : 3 plain 0.7;
    both; fill M74 58 Q82 60 81 76 Q81 86 74 87 : plain 0.75; end;
    fill mirrored M50 {top} Q74 {top} 76 36 L77 84 Q77 92 66 92 L50 92;
    line M29 46 Q28 {top + 8} 50 {top + 7} Q72 {top + 8} 71 46 : 1.2 dark; fill box 69 45 72 52 1.2 : metal;
    fill box 30 {pocket} 70 88 6 : second; line M32 {pocket + 6} L68 {pocket + 6} : 1.2 dark;
    fill box 61 {pocket + 6} 63.4 {pocket + 12} 1 : metal;
    fill box 44 34 56 41 1.4 : {"gum" if form[2] > 0.5 else "dark"}; fold M32 34 Q34 26 44 23 : 0.28 6;
    fold M72 34 Q74 60 73 84 : -0.25 6; fold M32 {pocket - 1} L68 {pocket - 1} : -0.3 3;
    fold M34 66 L34 84 : 0.16 5
    """


def tote(form: Form) -> str:
    """An open bag with two long handles."""
    wide, handle = 70 + 8 * form[0], 8 + 8 * form[1]
    return f"""
    line M38 42 C38 {handle} 62 {handle} 62 42 : 3 plain 0.55;
    fill mirrored M50 40 L{wide + 2} 40 L{wide + 4} 88 Q{wide + 3} 92 {wide - 2} 92 L50 92;
    line M35 50 C35 {handle + 6} 65 {handle + 6} 65 50 : 3.2 {"gum" if form[2] > 0.6 else "plain"};
    both; fill box 62.6 42 67.6 53 : {"gum" if form[2] > 0.6 else "plain"} 0.85; end;
    seam M{100 - wide - 1.6} 44 L{wide + 1.6} 44 : 0.6;
    both; fold M{wide} 46 Q{wide - 4} 66 {wide - 1} 88 : -0.2 5; end;
    fold M40 56 Q38 72 41 88 : 0.14 6; fold M56 60 Q60 74 56 88 : -0.14 4
    """


def handbag(form: Form) -> str:
    """A stiff bag with a flap, a clasp and a round handle."""
    flap = 58 + 8 * form[0]
    return f"""
    line M32 44 C32 10 68 10 68 44 : 3.6 plain 0.7;
    fill mirrored M50 38 L76 38 Q80 38 81 44 L86 82 Q86 88 80 88 L50 88;
    fill mirrored M50 36 L75 36 Q80 36 81 42 L82 48 Q80 {flap} 50 {flap + 4} : plain 1.08;
    line M18 48 Q20 {flap} 50 {flap + 4} Q80 {flap} 82 48 : 0.9;
    fold M20 54 Q24 {flap + 4} 50 {flap + 7} Q76 {flap + 4} 80 54 : -0.32 3;
    fill box 45 {flap - 3} 55 {flap + 7} 2 : gold; fill oval 50 {flap + 2} 1.6 1.6 : dark;
    both; line oval 68 42 2.6 3.2 : 1.4 gold; end;
    fold M26 40 Q24 46 26 50 : 0.3 6; fold M18 82 L82 82 : -0.2 4
    """


def wallet(form: Form) -> str:
    """A folded wallet lying flat."""
    clasp = (
        "fill box 76 42 90 56 4 : plain 0.85; fill oval 82 49 2.4 2.4 : gold"
        if form[0] > 0.5
        else "seam M12 38 L84 38 : 0.6"
    )
    return f"""
    fill box 14 28 90 76 4 : plain 0.7; fill box 10 26 86 73 4; line box 12 28 84 71 3 : 0.6; {clasp};
    fill box 18 60 32 65 1 : {"gold" if form[1] > 0.6 else "plain"} 0.8; fold M18 32 Q40 29 70 32 : 0.26 6;
    fold M14 70 L84 70 : -0.2 4
    """


def sneakers(form: Form) -> str:
    """A low shoe seen from the side, with laces and a rubber sole."""
    sole = 4 * form[0]
    laces = "; ".join(
        f"line M{40 + 5.4 * n} {40.5 + 3.6 * n} L{49 + 5 * n} {36 + 4 * n} : 1.7 light" for n in range(5)
    )
    swoosh = "line M32 64 Q44 62 58 47 : 3.4 second"
    stripes = "; ".join(f"line M{36 + 6 * n} 67 L{42 + 6 * n} 50 : 2.4 second" for n in range(3))
    return f"""
    fill M12 34 Q22 30 36 33 L38 42 Q24 44 14 42 : plain 0.4;
    fill M30 36 Q36 26 46 32 L52 40 L40 46 : plain 0.78;
    fill M11 32 Q9 30 13 32 Q17 44 28 42 Q34 40 37 34 L66 54 Q72 58 80 59 Q93 61 94 71 L94 74 L8 74
        Q5 52 11 32;
    fill M68 56 Q76 58 82 59.4 Q94 62 94.5 73 L76 73 Q75 62 68 56 : second 0.95;
    line M8 68 Q7 50 11 34 : 3.4 second; {swoosh if form[1] > 0.5 else stripes}; {laces};
    fill M6 71 L95 71 Q98 {76 + sole} 93 {80 + sole} L10 {80 + sole} Q4 {80 + sole} 6 71 : light;
    line M7 {76 + sole / 2} L95 {76 + sole / 2} : 0.8 grey; seam M68 56 Q75 62 76 71 : 0.7;
    fold M18 46 Q30 52 34 62 : -0.16 5; fold M40 38 Q56 48 68 60 : 0.16 4; fold M10 71 L94 71 : -0.3 2
    """


def boots(form: Form) -> str:
    """An ankle boot seen from the side, laced or with an elastic panel."""
    top = 10 + 14 * form[0]
    laces = "; ".join(
        f"line M{52 - 0.4 * n} {50 - 6 * n} L{60.5 - 0.6 * n} {46.6 - 6 * n} : 1.4 light"
        for n in range(int((46 - top) / 6) + 1)
    )
    panel = f"fill M32 {top + 4} L46 {top + 4} Q45 40 40 52 Q34 40 32 {top + 4} : dark"
    return f"""
    fill oval 40 {top + 1} 20 3 : plain 0.4;
    fill M20 {top} Q40 {top + 4} 60 {top} Q59 38 66 50 Q76 58 86 62 Q94 66 93 82 L16 82 Q20 58 20 {top};
    {laces if form[1] > 0.45 else panel}; seam M50 {top + 3} Q49 46 54 54 Q62 62 64 78 : 0.8;
    seam M18 64 Q28 60 36 80 : 0.7;
    fill M14 80 L94 80 Q96 85 92 87 L42 87 L40 92 L14 92 : {"gum" if form[2] > 0.6 else "dark"};
    fold M28 {top + 8} Q27 40 26 66 : 0.24 6; fold M64 54 Q58 60 52 60 : -0.26 4;
    fold M74 62 Q86 66 90 76 : 0.22 5; fold M56 20 Q56 40 62 50 : -0.2 4
    """


def heels(form: Form) -> str:
    """A pump with a high, thin heel seen from the side."""
    thin = 4 + 7 * form[0]
    return f"""
    fill M12 44 L{14 + thin + 6} 54 Q{13 + thin} 70 {12 + thin} 87 L11 87 Q12 66 8 50 : plain 0.82;
    fill M9 30 Q6 44 9 54 Q22 58 36 68 Q54 84 68 86 L92 86 Q98 84 94 78 Q86 70 74 66 L40 54 Q22 50 9 30;
    fill M9 30 Q13 40 24 46 Q36 51 46 53 Q60 56 74 66 Q56 66 42 60 Q20 52 9 30 : plain 0.5;
    line M9 54 Q22 58 36 69 Q54 86 68 87.4 L93 87.4 : 1.8 dark;
    fill box 10.6 86 {12.6 + thin} 89 0.6 : dark;
    {"line M12 36 Q28 30 44 54 : 1.8 plain 0.8" if form[1] > 0.6 else ""};
    fold M72 70 Q84 73 90 80 : 0.36 4; fold M14 46 Q26 54 38 62 : 0.2 4; fold M48 70 Q60 80 74 84 : -0.24 4
    """


def sandals(form: Form) -> str:
    """Two flat sandals seen from above."""
    left = (
        "M26 12 C40 8 46 22 43 40 C41 54 43 66 42 78 C41 92 21 94 19 78 C18 64 20 54 15 40 C11 24 16 14 26 12"
    )
    straps = (
        "line M29 28 Q17 38 15 50 : 4.6 body; line M29 28 Q41 36 43 50 : 4.6 body"
        if form[0] > 0.5
        else "fill M13 30 Q28 20 45 32 L44 48 Q29 38 15 48; seam M15 46 Q29 36 44 46 : 0.6"
    )
    return f"""
    both; fill shifted {left} : dark; fill {left} : gum;
    line {left} : 1 wood; soft oval 30 74 6 9 : 6 -0.18; soft oval 28 24 7 6 : 5 -0.18; {straps};
    fold M20 36 Q28 30 36 33 : 0.25 3; {"line M18 66 Q31 60 43 66 : 3.4 body" if form[1] > 0.5 else ""};
    end
    """


def scarf(form: Form) -> str:
    """A scarf looped once, both ends hanging, with a fringe."""
    long = 84 + 5 * form[0]
    fringe = "; ".join(
        f"line M{x} {end - 1} L{x + 0.6} {end + 6} : 0.9 plain 0.85"
        for left, end in ((33, long - 8), (54, long))
        for x in range(left, left + 16, 2)
    )
    return f"""
    {fringe}; fill M32 40 L50 40 L49 {long - 8} L32 {long - 8} : body 0.9;
    fill M50 40 L67 38 L70 {long} L53 {long};
    fill M22 30 Q18 14 50 12 Q82 14 78 30 Q80 50 50 51 Q20 50 22 30;
    hole M36 24 Q40 19 50 19 Q60 19 64 24 Q60 30 50 30 Q40 30 36 24;
    seam M24 34 Q34 44 50 44 Q68 44 77 32 : 0.7; fold M26 26 Q34 38 50 38 Q66 38 74 26 : -0.3 4;
    fold M28 38 Q40 48 60 46 : 0.24 4; fold M40 52 L40 {long - 12} : -0.22 4;
    fold M60 52 L62 {long - 4} : 0.2 5; fold M66 52 L67 {long - 4} : -0.2 3
    """


def umbrella(form: Form) -> str:
    """An open umbrella seen from the side."""
    ribs = "; ".join(f"seam M50 14 Q{50 + d * 0.7} 26 {50 + d} 54 : 0.8" for d in (-24, -8, 8, 24))
    return f"""
    line M50 40 L50 84 Q50 92 44 92 Q38 92 38 86 : 2.6 {"wood" if form[0] > 0.5 else "dark"};
    fill M8 56 C10 28 30 14 50 14 C70 14 90 28 92 56 Q84 50 75 54 Q66 49 58 54 Q50 49 42 54 Q34 49 25 54
        Q16 50 8 56;
    {ribs}; line M50 14 L50 7 : 1.6 metal; fold M22 38 Q30 24 44 20 : 0.3 8;
    fold M74 28 Q86 40 88 50 : -0.25 8; fold M14 52 L86 52 : -0.14 4
    """
