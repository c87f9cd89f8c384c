"""The search box: listings by the words of their titles, and single listings."""

from __future__ import annotations

from dataclasses import dataclass

from mappings.values import CATEGORY_SEPARATOR
from query.search.builder import ANY_LISTING, listings_body
from query.search.errors import InvalidParameters, UnusableParameter
from query.search.filter_values import FilterValues
from query.search.reader import Answer, Found, IndexReader
from query.search.request import MAX_RESULTS, ListingsRequest


@dataclass(frozen=True)
class Category:
    """A category one level below the one shown, and how many listings it has."""

    path: str
    count: int

    @property
    def name(self) -> str:
        """The last level of the path."""
        return self.path.rpartition(CATEGORY_SEPARATOR)[2]


@dataclass(frozen=True)
class Page:
    """One page of an answer to the search box."""

    request: ListingsRequest
    answer: Answer
    took_s: float
    index_empty: bool = False
    """Whether there is no listing of any status at all."""

    def subcategories(self) -> tuple[Category, ...]:
        """The categories one level below the one asked for (or the root), the largest first."""
        below = self.request.category
        prefix = f"{below}{CATEGORY_SEPARATOR}" if below else ""
        return tuple(
            Category(bucket["key"], bucket["doc_count"])
            for bucket in self.answer.aggregations["categories"]["buckets"]
            if _is_child(bucket["key"], prefix)
        )


class ListingService:
    """Search for listings by title, category and status."""

    def __init__(self, reader: IndexReader) -> None:
        self._reader = reader
        self._filters = FilterValues(reader)

    def find(self, item_id: str) -> Found:
        """Find one listing.

        Raises:
            UnknownItem, NoLiveIndex, SearchUnavailable
        """
        return self._reader.find(item_id, self._reader.deadline())

    def page(self, request: ListingsRequest) -> Page:
        """Find one page of listings, newest first.

        Raises:
            InvalidParameters: the page is further on than Elasticsearch pages, or the category is unknown.
            NoLiveIndex, SearchUnavailable
        """
        check_window(request)
        deadline = self._reader.deadline()
        index, _ = self._reader.live(deadline)
        request = self._filters.listings(index, request, deadline)
        answer = self._reader.search(index, listings_body(request), deadline)
        empty = not answer.total and not self._reader.search_ids(index, ANY_LISTING, deadline)
        return Page(request, answer, deadline.elapsed_s(), empty)


def check_window(request: ListingsRequest) -> None:
    """Reject a page beyond what Elasticsearch pages through.

    Raises:
        InvalidParameters: the last result of the page is beyond MAX_RESULTS.
    """
    if request.page * request.size > MAX_RESULTS:
        last = MAX_RESULTS // request.size
        found = f"{request.page} with {request.size} a page"
        expected = f"at most {last}: only the first {MAX_RESULTS:,} are paged through, so narrow the search"
        raise InvalidParameters((UnusableParameter("page", "page_too_far", found, expected),))


def _is_child(path: str, prefix: str) -> bool:
    return path.startswith(prefix) and CATEGORY_SEPARATOR not in path.removeprefix(prefix)
