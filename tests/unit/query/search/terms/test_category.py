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


LEARNED = {
    ("Apparel", "Skirts"): {("Apparel", "Dresses"): 0.75, ("Home", "Vases"): 0.25, ("Apparel", "Jeans"): 0.1}
}


def test_a_learned_similarity_replaces_shared_levels() -> None:
    """From the item's category to the other and all below it; every other pair stays as it was."""
    skirt = make_document(category=("Apparel", "Skirts"))
    others = [
        make_document(category=path)
        for path in (
            ("Apparel", "Dresses"),
            ("Apparel", "Dresses", "Long"),
            ("Home", "Vases"),
            ("Apparel", "Skirts"),
            ("Apparel", "Shirts"),
            ("Home", "Lamps"),
        )
    ]
    asked, found = Columns.of([skirt], with_vectors=False), Columns.of(others, with_vectors=False)
    values = Category(LEARNED).values(asked, found, 0.08)
    assert values[0] == pytest.approx([0.06, 0.06, 0.02, 0.08, 0.04, 0])
    assert Category(LEARNED).values(found, asked, 0.08)[0] == pytest.approx([0.04])  # not the other way
    assert Category(LEARNED).facts(skirt, others[0]) == {"shared_depth": 1, "learned_similarity": 0.75}
    assert Category(LEARNED).facts(skirt, others[4]) == {"shared_depth": 1}


def test_elasticsearch_leaves_learned_categories_out_of_shared_levels() -> None:
    """It refuses negative weights, so a lower similarity cannot be subtracted."""
    skirt = make_document(category=("Apparel", "Skirts"))
    root, leaf, *learned = Category(LEARNED).functions(skirt, 0.08)
    assert root == {
        "filter": {
            "bool": {
                "filter": [{"term": {"category_paths": "Apparel"}}],
                "must_not": [{"terms": {"category_paths": ["Apparel > Dresses", "Apparel > Jeans"]}}],
                "_name": "category:1",
            }
        },
        "weight": 0.04,
    }
    assert leaf["filter"] == {
        "term": {"category_paths": {"value": "Apparel > Skirts", "_name": "category:2"}}
    }
    assert [each["weight"] for each in learned] == [0.06, 0.02, 0.008]
    assert learned[1]["filter"] == {
        "terms": {"category_paths": ["Home > Vases"], "_name": "category:learned:0.25"}
    }


def test_an_empty_table_and_a_weight_of_0_send_nothing_more() -> None:
    """The search body is as before, or empty."""
    document = make_document()
    assert Category({}).functions(document, 0.06) == Category().functions(document, 0.06)
    assert Category(LEARNED).functions(document, 0.06) == Category().functions(document, 0.06)
    assert Category().functions(document, 0.0) == []
