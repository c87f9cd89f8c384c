"""The category term, by numbers worked out by hand."""

from __future__ import annotations

import pytest

from query.search.terms.category import Category, shared_depth
from query.search.terms.term import Columns
from tests.factories import make_document

SKIRTS = ("Apparel", "Bottomwear", "Skirts")


@pytest.mark.parametrize(
    ("path", "other", "depth"),
    [
        (SKIRTS, SKIRTS, 3),
        (SKIRTS, ("Apparel", "Bottomwear", "Shorts"), 2),
        (SKIRTS, ("Apparel", "Topwear", "Skirts"), 1),
        (SKIRTS, ("Home", "Bottomwear", "Skirts"), 0),
        (("Apparel",), ("Apparel", "Bottomwear"), 1),
        (("Apparel", "Bottomwear"), ("Apparel",), 1),
    ],
)
def test_depth_counts_from_the_root(path: tuple[str, ...], other: tuple[str, ...], depth: int) -> None:
    """A name in common below a difference counts for nothing."""
    assert shared_depth(path, other) == depth


def test_each_shared_level_adds_an_equal_step() -> None:
    """Three levels share the weight of 0.06 between them."""
    others = [("Home",), ("Apparel",), ("Apparel", "Bottomwear", "Shorts"), SKIRTS]
    asked = Columns.of([make_document(category=SKIRTS)])
    found = Columns.of([make_document(category=path) for path in others])
    assert Category().values(asked, found, 0.06)[0] == pytest.approx([0, 0.02, 0.04, 0.06])


def test_elasticsearch_adds_the_same_step_for_each_level() -> None:
    """A named function for each path of the item, so that an answer says which matched."""
    functions = Category().functions(make_document(category=SKIRTS), 0.06)
    assert [clause["filter"]["term"]["category_paths"]["value"] for clause in functions] == [
        "Apparel",
        "Apparel > Bottomwear",
        "Apparel > Bottomwear > Skirts",
    ]
    assert {clause["weight"] for clause in functions} == {0.02}
