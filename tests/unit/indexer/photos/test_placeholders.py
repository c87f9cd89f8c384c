"""Which shared photos are placeholders."""

from __future__ import annotations

import pytest

from indexer.photos.placeholders import Usage, is_placeholder, leaves_of


@pytest.mark.parametrize(
    ("sellers", "listings", "expected"),
    [
        (10, [5, 5], True),
        (10, [3, 3, 2, 1, 1], True),
        (9, [1] * 9, False),
        (10, [6, 2, 2], False),
        (100, [80, *[1] * 20], False),
        (1, [1] * 20, False),
        (2, [1, 1], False),
    ],
)
def test_a_placeholder_has_many_sellers_in_many_categories(
    sellers: int, listings: list[int], expected: bool
) -> None:
    """Not a photo of the maker, most of whose listings are in one, nor one that a seller uses for all."""
    leaves = {f"leaf {number}": count for number, count in enumerate(listings)}
    usage = Usage(frozenset(map(str, range(sellers))), leaves)

    assert is_placeholder(usage, 10) is expected


def test_leaves_are_the_paths_that_none_continues() -> None:
    """As `category_paths` has them: each prefix of each category."""
    paths = {"A": 4, "A > B": 3, "A > B > C": 3, "A > D": 1, "E": 2}

    assert leaves_of(paths) == {"A > B > C": 3, "A > D": 1, "E": 2}
