"""Titles: what sellers write, in both languages."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest

from demo.marketplace.catalogue import CONDITIONS
from demo.marketplace.designs import Design, design_at
from demo.marketplace.patterns import PATTERNS
from demo.marketplace.random_source import Purpose, stream
from demo.marketplace.titles import reserved_title, title


def make_design(pattern: str = "stripes") -> Design:
    """A men's T-shirt in some colours."""
    found = next(design for n in count() if (design := design_at(n, 7)).item_type.name == "t shirt")
    return replace(found, pattern=pattern, gender="Men")


def titles(design: Design, size: str = "M") -> Iterator[str]:
    return (title(design, size, CONDITIONS[2], stream(1, Purpose.LISTING, n)) for n in range(300))


def test_every_title_names_the_type() -> None:
    """Each contains T-shirt or Tシャツ."""
    assert all("T-shirt" in written or "Tシャツ" in written for written in titles(make_design()))


def test_titles_mention_brand_colour_size_and_condition_in_their_language() -> None:
    """Each fact occurs in some English and in some Japanese title."""
    design, written = make_design(), list(titles(make_design()))
    english = " | ".join(x for x in written if "T-shirt" in x)
    japanese = " | ".join(x for x in written if "Tシャツ" in x)
    for fact in (design.brand.english, design.colour.english, "striped", "size M", "good condition", "men's"):
        assert fact in english
    for fact in (design.brand.japanese, design.colour.japanese, "ボーダー", "Mサイズ", "【美品】", "メンズ"):
        assert fact in japanese


def test_a_size_in_centimetres_is_written_as_it_is() -> None:
    """24.5cm never becomes 24.5cmサイズ."""
    assert all("24.5cm" in written and "サイズ" not in written for written in titles(make_design(), "24.5cm"))


def test_an_item_without_a_size_is_given_none() -> None:
    """No empty mention of a size."""
    assert not any("size" in written or "サイズ" in written for written in titles(make_design(), ""))


@pytest.mark.parametrize("pattern", [pattern for pattern in PATTERNS if pattern != "plain"])
def test_every_pattern_has_a_word_in_japanese_titles(pattern: str) -> None:
    """And two-coloured ones name the second colour in English titles where they name the first."""
    design = make_design(pattern)
    written = list(titles(design))
    assert all(PATTERNS[pattern].japanese in x for x in written if "Tシャツ" in x)
    assert any(f"and {design.second.english}" in x for x in written) == (
        pattern in ("gradient", "colour block")
    )


def test_titles_have_no_stray_spaces_or_commas() -> None:
    """Left-out parts leave no trace."""
    for written in titles(make_design("plain")):
        assert written == written.strip(" ,")
        assert "  " not in written
        assert ", ," not in written


def test_reserved_titles_name_only_the_buyer() -> None:
    """Both languages occur; none mentions an item."""
    written = {reserved_title(stream(1, Purpose.LISTING, n)) for n in range(300)}
    assert any("様" in x and "専用" in x for x in written)
    assert any(x.startswith("Reserved for ") for x in written)
    assert all(len(x) < 30 for x in written)
