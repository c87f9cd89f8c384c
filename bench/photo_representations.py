"""How Elasticsearch can hold one vector for each photo of a listing, and search them."""

from __future__ import annotations

import copy
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from elasticsearch import Elasticsearch, helpers

from bench.catalogue import Catalogue, Vectors, actions, merge
from bench.drawn_photos import DrawnPhotos
from mappings.creation import IndexOptions, index_body

Body = dict[str, Any]
NESTED: Final = "photos"
READABLE: Final = "photo_vectors"
"""All nested vectors in one binary value of the listing's own document."""
BEST_PHOTO: Final = {
    "size": 1,
    "_source": False,
    "docvalue_fields": [{"field": f"{NESTED}.vector", "format": "binary"}],
}
MAX_CANDIDATES: Final = 10_000


@dataclass(frozen=True)
class Representation:
    """A way to hold the vectors of a listing's photos, and to search them."""

    name: str
    nested: Callable[[DrawnPhotos], Sequence[Vectors]] | None = None
    """The photos that are nested in the listing's document."""
    siblings: bool = False
    """Whether each further photo has a document of its own."""
    first_searched: bool = True
    """Whether the vector of the first photo is searched beside those that are nested."""
    read: Literal["", "inner hits", "fields", "binary"] = ""
    """How hits have the vectors of nested photos, which the rules of an answer compare; by default not."""

    def documents(self, index: str, catalogue: Catalogue, photos: DrawnPhotos) -> Iterator[Body]:
        """The bulk actions of all listings."""
        nested = self.nested(photos) if self.nested else ()
        for row, action in enumerate(actions(index, catalogue)):
            source = action["_source"]
            if "vector" in source:  # not removed
                if nested:
                    source[NESTED] = [{"vector": each[row].tolist()} for each in nested]
                if self.read == "binary":
                    source[READABLE] = b64encode(b"".join(each[row].tobytes() for each in nested)).decode()
                for place, each in enumerate(photos.further if self.siblings else ()):
                    other = source | {"vector": each[row].tolist()}
                    yield action | {"_id": f"{action['_id']}#{place}", "_source": other}
            yield action

    def search(self, body: Body, photos: int) -> Body:
        """The search in place of that for the first photos. photos: of a listing."""
        changed = copy.deepcopy(body)
        searches = changed["query"]["function_score"]["query"]["dis_max"]["queries"]
        if self.siblings:
            for each in searches:
                for name in ("k", "num_candidates"):
                    each["knn"][name] = min(MAX_CANDIDATES, each["knn"][name] * photos)
            return changed | {"collapse": {"field": "item_id"}}
        if self.nested:
            nested = [_nested(each["knn"], photos) for each in searches]
            for number, each in enumerate(nested if self.read == "inner hits" else ()):
                each["nested"]["inner_hits"] = BEST_PHOTO | {"name": str(number)}
            searches[:] = [*searches, *nested] if self.first_searched else nested
        if self.read == "fields":
            changed["fields"] = [f"{NESTED}.vector"]
        if self.read == "binary":
            changed["docvalue_fields"] = [*changed["docvalue_fields"], READABLE]
            changed["_source"] = {"excludes": [READABLE]}
        return changed


def _nested(knn: Body, photos: int) -> Body:
    """The same search of nested vectors; the best photo of a listing counts."""
    inner = {name: value for name, value in knn.items() if name != "boost"} | {
        "field": f"{NESTED}.vector",
        "num_candidates": min(MAX_CANDIDATES, knn["num_candidates"] * photos),
    }
    return {"nested": {"path": NESTED, "query": {"knn": inner}, "score_mode": "max", "boost": knn["boost"]}}


def _further(photos: DrawnPhotos) -> Sequence[Vectors]:
    return photos.further


def _every(photos: DrawnPhotos) -> Sequence[Vectors]:
    return photos.first, *photos.further


FIRST: Final = Representation("first photo alone")
KINDS: Final = (
    FIRST,
    Representation("further photos nested", _further),
    Representation("further photos nested, read by inner hits", _further, read="inner hits"),
    Representation("further photos nested, read by fields", _further, read="fields"),
    Representation("further photos nested, read from a binary field", _further, read="binary"),
    Representation("all photos nested", _every, first_searched=False),
    Representation("a document a photo, collapsed", siblings=True),
)


@contextmanager
def index_of(
    es: Elasticsearch, prefix: str, kind: Representation, catalogue: Catalogue, photos: DrawnPhotos
) -> Iterator[str]:
    """An index of the listings in one segment; deleted afterwards."""
    name = f"{prefix}-several-{KINDS.index(kind)}"
    body = index_body(catalogue.encoder, IndexOptions(replicas=0))
    fields = body["mappings"]["properties"]
    if kind.nested:
        fields[NESTED] = {"type": "nested", "properties": {"vector": copy.deepcopy(fields["vector"])}}
    if kind.read == "binary":
        fields[READABLE] = {"type": "binary", "doc_values": True}
    es.indices.create(index=name, **body)
    try:
        for _ in helpers.streaming_bulk(es, kind.documents(name, catalogue, photos), chunk_size=500):
            pass
        merge(es, name)
        yield name
    finally:
        es.indices.delete(index=name)
