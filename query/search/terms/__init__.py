"""Ranking terms, each in a file of its own. A candidate's score is the sum of their values."""

from typing import Final

from query.search.terms.brand import Brand
from query.search.terms.category import Category
from query.search.terms.colour import Colour
from query.search.terms.freshness import Freshness
from query.search.terms.gender import Gender
from query.search.terms.popularity import Popularity
from query.search.terms.price import Price
from query.search.terms.similarity import Similarity
from query.search.terms.term import Term

TERMS: Final[tuple[Term, ...]] = (
    Similarity(),
    Category(),
    Price(),
    Gender(),
    Colour(),
    Brand(),
    Freshness(),
    Popularity(),
)
"""In the order in which explanations list them. A new term is a file beside these, and a place here."""
