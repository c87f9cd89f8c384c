"""Clothes and hats."""

from demo.marketplace.shapes import Form


def t_shirt(form: Form) -> str:
    """Short sleeves, a round neck."""
    hem, sleeve, neck = 82 + 8 * form[0], 44 + 8 * form[1], 20 + 5 * form[2]
    return f"""
    fill oval 50 16 11 3.6 : plain 0.55;
    fill mirrored M50 {neck} Q58 {neck} 61 14 L70 17 Q75 19 78 24 L91 {sleeve - 8} L79 {sleeve + 1} L71.5 40
        Q71 62 72 {hem} Q60 {hem + 2} 50 {hem + 2};
    line M39 14 Q42 {neck + 1} 50 {neck + 1} Q58 {neck + 1} 61 14 : 2.4 plain 0.84;
    both; seam M69 17 Q73 28 71.5 41; seam M89.5 {sleeve - 9.5} L77.5 {sleeve - 0.8} : 0.5;
    fold M71 42 Q64 48 60 58; fold M66 80 Q62 66 64 52 : -0.12; fold M76 24 Q82 32 84 38 : 0.14 3; end;
    seam M28.5 {hem - 2} Q40 {hem} 50 {hem} Q60 {hem} 71.5 {hem - 2} : 0.5;
    fold M44 30 Q40 50 43 74 : 0.13 6; fold M55 60 Q52 72 56 86 : -0.14 3
    """


def shirt(form: Form) -> str:
    """Long sleeves, a collar, buttons down the front, a breast pocket."""
    hem, collar = 84 + 6 * form[0], 24 + 3 * form[1]
    buttons = "; ".join(f"fill oval 50 {y} 1 1 : light" for y in range(32, int(hem) - 3, 9))
    pocket = "seam M57 38 L66 38 L66 47 L61.5 49.5 L57 47 L57 38 : 0.8; seam M57 40 L66 40 : 0.5"
    return f"""
    fill oval 50 14 9 4 : plain 0.5;
    fill mirrored M50 24 L58 12 L69 16 Q77 19 80 28 L92 74 L83 78 L72.5 42 L72 {hem - 4}
        Q66 {hem + 3} 50 {hem + 1};
    both; fill M50 23 L58 11 L63 15 L57 {collar + 6} : body 1.12; line M50 23 L57 {collar + 6} L63 15 : 0.7;
    seam M69 16 Q74 28 72.5 42; fill M90.4 68 L92.4 75 L83 78.6 L80.6 71.6 : body 0.9;
    seam M90.4 68 L80.6 71.6; fold M73 44 Q66 48 61 56; fold M82 40 Q80 50 85 60 : -0.16 3;
    fold M66 82 Q63 68 65 54 : -0.14; end;
    line M48.2 25 L48.2 {hem} : 0.5; line M52.4 25 L52.4 {hem} : 0.5; {buttons};
    {pocket if form[2] > 0.35 else ""}; fold M42 34 Q39 54 42 78 : 0.14 6
    """


def sweater(form: Form) -> str:
    """Long sleeves, ribbed neck, cuffs and hem."""
    hem = 78 + 8 * form[0]
    ribs = "; ".join(f"seam M{x} {hem} L{x} {hem + 6} : 0.45" for x in range(30, 72, 3))
    return f"""
    fill oval 50 15 11 3.6 : plain 0.5;
    fill mirrored M50 21 Q58 21 62 14 Q74 17 79 28 L93 70 L82 75 L73.5 46 Q73 62 73 {hem}
        Q60 {hem + 1} 50 {hem + 1};
    fill mirrored M50 {hem} L72.5 {hem - 1} Q72 {hem + 4} 70 {hem + 6} Q60 {hem + 7} 50 {hem + 7}
        : plain 0.86;
    {ribs}; line M38 14 Q42 22.5 50 22.5 Q58 22.5 62 14 : 3.4 plain 0.86;
    both; fill M93 69 L94.5 77 L85 80 L81.6 74 : plain 0.86; seam M71 17 Q76 30 73.5 46 : 0.9;
    fold M74 47 Q66 51 61 60; fold M84 44 Q82 54 87 64 : -0.18 3; fold M67 78 Q64 68 66 56 : -0.14; end;
    fold M42 32 Q38 52 42 74 : 0.15 7
    """


def hoodie(form: Form) -> str:
    """A hood, drawstrings and a pouch pocket; a zip on some."""
    hem = 82 + 6 * form[0]
    zipped = f"line M50 30 L50 {hem + 5} : 1.2 metal" if form[1] > 0.6 else ""
    return f"""
    fill M34 24 Q30 6 50 5 Q70 6 66 24 Q60 34 50 34 Q40 34 34 24 : plain 0.95;
    fill mirrored M50 30 Q60 28 64 18 Q77 20 81 30 L93 72 L82 77 L74 48 Q73.5 64 74 {hem}
        Q60 {hem + 2} 50 {hem + 2};
    fill M37 20 Q38 9 50 9 Q62 9 63 20 Q60 30 50 31 Q40 30 37 20 : plain 0.42;
    line M35 20 Q37 30 50 34 Q63 30 65 20 : 3.2 plain 1.05;
    fill mirrored M50 {hem} L74 {hem - 1} L72 {hem + 5} Q60 {hem + 7} 50 {hem + 7} : plain 0.84;
    fill mirrored M50 58 L62 58 L69 68 L69 76 L50 76 : plain 0.93;
    line M38 58 L62 58 L69 68 L69 76 L31 76 L31 68 L38 58 : 0.8; {zipped};
    both; line M45 33 Q44 42 45 49 : 0.9 light; fill M92.4 70 L94.4 78 L85 81.5 L81.6 75.5 : plain 0.84;
    seam M72 20 Q77 32 74 48; fold M74 49 Q67 52 62 58; fold M85 46 Q82 56 87 66 : -0.18 3; end;
    fold M36 36 Q34 44 38 54 : 0.14 6
    """


def jacket(form: Form) -> str:
    """A zip down the front, a stand-up collar, two slanted pockets."""
    hem = 76 + 8 * form[0]
    return f"""
    fill M38 18 Q40 9 50 9 Q60 9 62 18 L58 24 L42 24 : plain 0.4;
    fill mirrored M50 22 L60 13 Q74 15 80 26 L93 70 L82 75 L74 46 L74 {hem} L50 {hem + 1};
    both; fill M50 24 L59 9 Q65 11 66 18 L55 31 : plain 0.9; line M59 9 Q65 11 66 18 L55 31 L50 24 : 0.8;
    fill M50.6 {hem} L74 {hem - 1} L73 {hem + 6} L50.6 {hem + 7} : second 0.95;
    fill M92 68 L94 76 L84.6 79.6 L81.4 73.4 : second 0.95; line M58 66 L66 56 : 1.8 line 0.8;
    seam M71 16 Q77 30 74 46 : 0.9; fold M74 47 Q67 51 62 60 : -0.28; fold M84 42 Q82 54 87 64 : -0.22 3;
    fold M64 32 Q60 42 63 50 : 0.18 5; end;
    line M50 24 L50 {hem + 7} : 1.8 dark; line M50 24 L50 {hem + 7} : 0.8 metal;
    fill box 49.2 32 50.8 37 0.6 : metal
    """


def coat(form: Form) -> str:
    """Knee-long, lapels, two rows of buttons, flap pockets, a belt on some."""
    hem = 90 + 4 * form[0]
    buttons = "; ".join(f"fill oval {x} {y} 1.3 1.3 : dark" for y in (42, 51, 60) for x in (45, 55))
    belt = "fill box 32 54 68 58 : plain 0.72; line box 46 53 54 59 : 0.9 gold"
    return f"""
    fill oval 50 12 8 4 : plain 0.45;
    fill mirrored M50 20 L57 9 L66 12 Q73 15 75 24 L85 68 L77 71 L69 40 Q70 66 75 {hem} L50 {hem + 1};
    both; fill M50 36 L57 9 L62 11 L66 24 L61 25 L63 28 : plain 1.14;
    line M50 36 L63 28 L61 25 L66 24 L62 11 : 0.7; fill M57 64 L68 63 L68.6 67 L57.4 68 : plain 0.84;
    seam M66 13 Q71 26 69 40; fold M70 42 Q64 46 60 52; fold M64 70 Q66 80 68 92 : -0.2 4;
    fold M77 40 Q75 52 80 62 : -0.2 3; end;
    line M50 36 L50 {hem} : 0.8; {belt if form[1] > 0.55 else buttons}; fold M40 60 Q38 76 38 90 : 0.14 6
    """


def dress(form: Form) -> str:
    """Straps, a fitted waist, a wide skirt."""
    hem, flare = 84 + 10 * form[0], 76 + 10 * form[1]
    pleats = "; ".join(
        f"fold M{50 + d * 9} 52 Q{50 + d * 15} 70 {50 + d * 24} {hem} : {amount} 3.6"
        for d, amount in ((-0.9, -0.2), (-0.5, 0.18), (-0.1, -0.2), (0.35, 0.16), (0.6, -0.22), (1, -0.18))
    )
    return f"""
    fill mirrored M50 24 Q56 22 58 8 L62 8 Q62 22 66 30 L50 34 : plain 0.6;
    fill mirrored M50 25 Q57 25 58.5 8 L62.5 8 Q62 24 67 31 Q64 40 61 47 Q66 66 {flare} {hem}
        Q66 {hem + 4} 50 {hem + 4};
    {pleats}; fill mirrored M50 46 L61.5 45 L61.5 49 L50 50 : second 0.95;
    both; fold M62 34 Q57 38 56 46 : -0.2 3; end;
    line M42 14 Q43 25 50 25.5 Q57 25 58 14 : 0.7
    """


def skirt(form: Form) -> str:
    """A waistband and pleats."""
    hem, flare = 70 + 16 * form[0], 76 + 10 * form[1]
    pleats = "; ".join(
        f"fold M{50 + d * 15} 26 L{50 + d * (flare - 50)} {hem} : -0.26 3.4;"
        f"fold M{52.4 + d * 15} 28 L{54.5 + d * (flare - 50)} {hem} : 0.18 3"
        for d in (-0.75, -0.45, -0.15, 0.15, 0.45, 0.75)
    )
    return f"""
    fill mirrored M50 14 Q60 14 65 16 L66 22 L50 22 : plain 0.5;
    fill mirrored M50 24 L66 22 Q71 46 {flare} {hem} Q66 {hem + 5} 50 {hem + 5}; {pleats};
    fill mirrored M50 19 Q60 18.6 65 16 L66.4 23 Q60 25.6 50 26 : plain 0.88;
    line M33.6 23 Q40 25.6 50 26 Q60 25.6 66.4 23 : 0.7
    """


def trousers(form: Form) -> str:
    """Two long legs, pockets, a fly, a turned-up hem on some."""
    ankle = 62 + 14 * form[0]
    cuffs = f"both; fill M54.5 88 L{ankle} 88 L{ankle + 0.6} 94 L54.6 94 : plain 1.15; end"
    return f"""
    fill mirrored M50 8 Q60 8 66 9 L66 13 L50 13 : plain 0.5;
    fill mirrored M50 10 L66 9 Q70 26 70 40 L{ankle} 94 L54.5 94 L51.2 40 L50 38;
    fill mirrored M50 10.5 L66 9 L67 14.5 L50 16 : plain 0.86; line M33 14.5 L50 16 L67 14.5 : 0.6;
    seam M50 16 L50 38 : 0.9; seam M50 16 Q54.5 22 54 28 Q53 32 50 33 : 0.5;
    fill oval 50 13.2 1.2 1.2 : gold;
    both; seam M60 15.6 Q62 23 69 24 : 0.9; line M58 12 L58 16.4 : 1.4 plain 0.7;
    fold M52 40 Q58 42 66 38 : -0.24 3; fold M61 34 L{(ankle + 54) / 2 + 1} 90 : 0.2 4;
    fold M54 60 L64 57 : -0.18 3; fold M56 86 L{ankle - 3} 82 : -0.16 3; end;
    {cuffs if form[1] > 0.6 else ""}
    """


def shorts(form: Form) -> str:
    """Legs to above the knee, a drawstring."""
    hem, leg = 60 + 16 * form[0], 76 + 6 * form[1]
    return f"""
    fill mirrored M50 18 Q62 18 70 20 L70 25 L50 25 : plain 0.5;
    fill mirrored M50 21 L71 20 Q76 42 {leg + 4} {hem} L53 {hem + 4} L50 48;
    fill mirrored M50 21 L71 19.6 L72 27 L50 28.4 : plain 0.86;
    {"; ".join(f"seam M{x} 21 L{x} 28 : 0.5" for x in range(31, 71, 3))}; seam M50 28 L50 48 : 0.9;
    both; line M49 27 Q46 32 47 40 : 0.9 light; seam M53.5 {hem + 1} L{leg + 3.6} {hem - 3} : 0.6;
    seam M66 27.5 Q67 36 75 40 : 0.8; fold M51 50 Q58 48 66 44 : -0.24 4;
    fold M62 34 Q63 48 66 {hem - 4} : 0.16 5; end
    """


def cap(form: Form) -> str:
    """A peaked cap seen from the side."""
    peak = 90 + 6 * form[0]
    star = "fill M51 36 L54 42 L60 43 L55.6 47 L57 53 L51 50 L46 53 L47 47 L43 43 L48.6 42 : light"
    return f"""
    fill M18 62 C16 34 34 22 50 22 C68 22 80 36 81 58 Q52 52 18 62;
    fill M54 57 Q74 51 {peak} 66 Q{peak + 1} 70 {peak - 4} 70 Q74 62 50 65 Q48 60 54 57 : second;
    soft M56 64 Q76 60 {peak - 4} 69 : 2.6 -0.4; seam M50 22 Q38 36 36 57 : 0.8;
    seam M50 22 Q64 34 66 55 : 0.8; seam M19 58 Q50 50 80 55 : 0.5; fill oval 50 22 3 1.6 : second;
    fill oval 42 32 1 1 : dark; fill oval 28 36 1 1 : dark; fold M26 38 Q34 28 46 26 : 0.3 6;
    fold M70 38 Q77 46 78 56 : -0.25 6;
    {star if form[1] > 0.5 else "seam M20 61 Q50 53 81 57 : 0.6"}
    """


def beanie(form: Form) -> str:
    """A knitted hat with a turned-up rim; a bobble on some."""
    bobble = "fill oval 50 17 10 9.6 : second; soft oval 47 14 4 3 : 4 0.3"
    ribs = "; ".join(f"seam M{x} {63.5} L{x} {80} : 0.7" for x in range(22, 80, 4))
    knit = "; ".join(
        f"seam M{50 + d * 30} 64 Q{50 + d * 28} 38 {50 + d * 6} 24 : 0.6"
        for d in (-0.85, -0.6, -0.35, -0.1, 0.15, 0.4, 0.65, 0.9)
    )
    return f"""
    {bobble if form[0] > 0.4 else ""}; fill M20 68 C18 38 34 22 50 22 C66 22 82 38 80 68; {knit};
    fill box 17 62 83 81 5 : plain 0.88; {ribs}; fold M28 52 Q32 34 44 28 : 0.25 8;
    fold M74 40 Q78 52 78 62 : -0.25 7; fold M20 63 Q50 60 80 63 : -0.3 3
    """
