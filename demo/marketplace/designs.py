"""Designs: one model of one brand, made once and sold by many."""

from dataclasses import dataclass
from functools import lru_cache
from random import Random

from demo.marketplace.catalogue import BRANDS_OF, COLOURS, TYPES, Brand, Colour, ItemType
from demo.marketplace.patterns import Rgb
from demo.marketplace.random_source import Purpose, stream

TYPES_BY_POPULARITY = tuple(item_type for item_type in TYPES for _ in range(item_type.popularity))


@dataclass(frozen=True)
class Design:
    """What all copies of a product share. `form` varies its cut, `grain` seeds its pattern."""

    number: int
    item_type: ItemType
    brand: Brand
    colour: Colour
    second: Colour
    rgb: Rgb
    second_rgb: Rgb
    pattern: str
    form: tuple[float, float, float]
    grain: int
    gender: str
    yen: int


@lru_cache(maxsize=65_536)
def design_at(number: int, seed: int) -> Design:
    """Return the design of this number."""
    rng = stream(seed, Purpose.DESIGN, number)
    item_type = rng.choice(TYPES_BY_POPULARITY)
    brand = rng.choice(BRANDS_OF[item_type.brands])
    colour, second = two_colours(rng)
    return Design(
        number=number,
        item_type=item_type,
        brand=brand,
        colour=colour,
        second=second,
        rgb=_dyed(colour.rgb, rng),
        second_rgb=_dyed(second.rgb, rng),
        pattern=rng.choice(item_type.patterns),
        form=(rng.random(), rng.random(), rng.random()),
        grain=rng.getrandbits(32),
        gender=rng.choice(item_type.genders) if item_type.genders else "",
        yen=round(item_type.yen * brand.factor * (0.8 + 0.45 * rng.random())),
    )


def two_colours(rng: Random) -> tuple[Colour, Colour]:
    """Return a main colour and one far enough from it that a pattern of the two shows."""
    main = rng.choice(COLOURS)
    return main, rng.choice(CONTRASTS[main.english])


def _distance(one: Rgb, other: Rgb) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5)


CONTRASTS = {
    main.english: tuple(colour for colour in COLOURS if _distance(main.rgb, colour.rgb) > 110)
    for main in COLOURS
}


def _dyed(rgb: Rgb, rng: Random) -> Rgb:
    """Return the colour as one maker's dye gives it: each channel up to 12 levels off."""
    red, green, blue = (min(250, max(12, level + rng.randint(-12, 12))) for level in rgb)
    return red, green, blue
