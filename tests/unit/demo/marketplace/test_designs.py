"""Designs and the catalogue they are drawn from."""

from collections import Counter

from demo.marketplace.catalogue import BRANDS_OF, COLOURS, TYPES
from demo.marketplace.designs import design_at
from demo.marketplace.patterns import PATTERNS
from demo.marketplace.silhouettes import drawings, silhouette

DESIGNS = [design_at(number, 7) for number in range(4000)]


def test_the_catalogue_is_broad() -> None:
    """At least 20 types under 5 roots, 12 colours and 8 patterns, each type with a drawing of its own."""
    assert len(TYPES) >= 20
    assert len({kind.category[0] for kind in TYPES}) >= 5
    assert len(COLOURS) >= 12
    assert len(PATTERNS) >= 8
    assert {kind.name for kind in TYPES} == set(drawings())
    assert len({silhouette(kind.name, (0.5, 0.5, 0.5)) for kind in TYPES}) == len(TYPES)


def test_all_types_colours_patterns_and_brands_occur() -> None:
    """Nothing in the catalogue is never drawn."""
    assert {design.item_type for design in DESIGNS} == set(TYPES)
    assert {design.colour for design in DESIGNS} == set(COLOURS)
    assert {design.pattern for design in DESIGNS} == set(PATTERNS)
    assert {design.brand for design in DESIGNS} == {brand for group in BRANDS_OF.values() for brand in group}


def test_popular_types_have_more_designs() -> None:
    """T-shirts are the most common, sofas the rarest."""
    counts = Counter(design.item_type.name for design in DESIGNS)
    assert max(counts, key=lambda name: counts[name]) == "t shirt"
    assert min(counts, key=lambda name: counts[name]) == "sofa"


def test_a_design_takes_brand_pattern_and_gender_from_its_type() -> None:
    """No phone by a shoemaker, no floral phone, no men's dress."""
    for design in DESIGNS:
        assert design.brand.group == design.item_type.brands
        assert design.pattern in design.item_type.patterns
        assert design.gender in (design.item_type.genders or ("",))


def test_the_two_colours_of_a_design_can_be_told_apart() -> None:
    """They differ by at least 40 levels in some channel, after dyeing."""
    for design in DESIGNS:
        assert max(abs(a - b) for a, b in zip(design.rgb, design.second_rgb, strict=True)) >= 40


def test_a_dye_stays_near_the_colour_it_is_named_after() -> None:
    """12 levels at most, so black stays black."""
    for design in DESIGNS:
        assert all(abs(a - b) <= 12 for a, b in zip(design.rgb, design.colour.rgb, strict=True))
