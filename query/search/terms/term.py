"""The interface of a ranking term, and the columns that terms read."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from mappings.listing import ListingDocument

Clause = dict[str, Any]
Floats = NDArray[np.floating[Any]]


IN_LIST: Final = "\x1f"
"""The unit separator of ASCII, between the texts of a list."""

RANKED_ATTRIBUTES: Final[set[str]] = set()
"""The attributes that have a ranking term; each subclass of SharedAttribute adds its own."""


@dataclass(frozen=True)
class Columns:
    """The fields of n listings that terms read: row i of each column belongs to listing i."""

    vectors: Floats
    """(n, dims) unit vectors; (n, 0) where no photos are compared. Their dtype is that of all values."""

    categories: tuple[tuple[str, ...], ...]
    """The distinct category paths, from the root."""

    category: NDArray[np.integer[Any]]
    """(n,) row of `categories`."""

    price: Floats
    """(n,) in the listings' currency; 0 for what is free or has no price."""

    created: Floats
    """(n,) Unix seconds."""

    attributes: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    """Name to (n,) texts, empty where a listing has none; those of a list joined by IN_LIST."""

    popularity: Floats = field(default_factory=lambda: np.empty(0))
    """(n,) 0 where a listing has none; (0,) where no listing has one."""

    def __getitem__(self, rows: slice | NDArray[np.integer[Any]]) -> Columns:
        """The columns of some of the listings."""
        return Columns(
            self.vectors[rows],
            self.categories,
            self.category[rows],
            self.price[rows],
            self.created[rows],
            {name: values[rows] for name, values in self.attributes.items()},
            self.popularity[rows] if len(self.popularity) else self.popularity,
        )

    @classmethod
    def of(
        cls,
        documents: Sequence[ListingDocument],
        *,
        with_vectors: bool = True,
        vectors: Floats | None = None,
    ) -> Columns:
        """Build the columns of documents, as float64. With vectors, every document must have one.

        vectors: (n, dims) those of the documents, if they are not in them.
        """
        paths = {document.category: None for document in documents}
        rows = {path: row for row, path in enumerate(paths)}
        units = np.empty((len(documents), 0))
        if with_vectors and documents:
            units = np.array([each.vector for each in documents] if vectors is None else vectors, np.float64)
            # Stored numbers of 32 bits have a norm of nearly 1; the cosine takes exactly 1.
            units /= np.linalg.norm(units, axis=1, keepdims=True)
        return cls(
            vectors=units,
            categories=tuple(paths),
            category=np.array([rows[document.category] for document in documents], dtype=np.intp),
            price=np.array([document.price or 0.0 for document in documents]),
            created=np.array([document.created_at.timestamp() for document in documents]),
            attributes=attribute_columns([document.attributes for document in documents]),
            popularity=np.array([document.popularity or 0.0 for document in documents]),
        )


def attribute_columns(attributes: Sequence[Mapping[str, object]]) -> dict[str, NDArray[np.str_]]:
    """Name of each attribute that ranking terms read, to (n,) texts."""
    return {
        name: np.array([IN_LIST.join(texts_of(each.get(name))) for each in attributes], dtype=np.str_)
        for name in RANKED_ATTRIBUTES
    }


def texts_of(value: object) -> tuple[str, ...]:
    """Return the texts in the value of an attribute: one, or those of a list."""
    values = value if isinstance(value, list | tuple) else (value,)
    return tuple(text for text in values if isinstance(text, str))


class Term(ABC):
    """One summand of a score, on the scale of the cosine, with its weight.

    A weight is in the encoder's `similarity_spread`: the standard deviation of the cosine among an item's
    nearest hundred. A weight of 1 can lift a candidate past those that are one deviation more similar,
    whichever encoder made the vectors. On the scale of the cosine itself, a weight that suits one encoder
    drowns another's similarities (docs/decisions/151-ranking-weights.md).
    """

    name: ClassVar[str]
    """As in `explanation.terms` of the API, and in an experiment's `weights`."""

    weight: ClassVar[float]
    """The default, in spreads."""

    needs_vector: ClassVar[bool]
    """Whether only items with a vector are ranked by it."""

    adjustable: ClassVar[bool] = True
    """Whether an experiment may weigh it differently."""

    def on_cosine_scale(self, weight: float, spread: float) -> float:
        """The weight on the scale of the cosine, which is the largest value of the term."""
        return round(weight * spread, 6)

    @abstractmethod
    def functions(self, item: ListingDocument, weight: float) -> list[Clause]:
        """The functions of an Elasticsearch `function_score` that add the term to a candidate's score.

        weight: on the scale of the cosine.
        """

    @abstractmethod
    def values(self, items: Columns, candidates: Columns, weight: float) -> Floats:
        """(items, candidates) summands of the scores, in the dtype of the vectors."""

    def facts(self, item: ListingDocument, candidate: ListingDocument) -> Mapping[str, float]:  # noqa: ARG002
        """The inputs of the value, for an explanation."""
        return {}
