"""Values of filters as listings spell them.

A request may spell a value in any case and width, and may give any unambiguous part of a category's path. A
value that no listing has is refused, with the nearest spellings: a misspelt filter is no empty answer.

The values of each index are kept for a minute. Before a value is refused, those kept for longer than
REFRESH_S are read afresh, so a misspelling costs few searches, however often it is sent.
"""

from __future__ import annotations

import difflib
import threading
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from cachetools import TTLCache

from mappings.errors import Problem
from mappings.values import CATEGORY_SEPARATOR
from query.search.errors import InvalidParameters, UnusableParameter
from query.search.reader import IndexReader, RequestDeadline
from query.search.request import ListingsRequest, SimilarRequest

MOST_VALUES: Final = 10_000
"""A field of more values is not checked: its values are taken as they are given."""

KEPT_S: Final = 60.0
"""Seconds."""

REFRESH_S: Final = 5.0
"""Seconds for which a value of a new listing may be refused."""

MOST_FIELDS: Final = 200
"""Fields whose values are kept, and names known to be no attribute's."""

SAMPLE: Final = 1_000
"""Documents whose attributes' names are read at once."""

_ROUNDS: Final = 3
_NEAREST: Final = 3
_MOST_COMPARED: Final = 500
"""About 10 ms of a processor for each unknown value."""
_MOST_SHOWN: Final = 20

CATEGORIES: Final = "category_paths"

NAMES: Final = "attributes"
"""The field whose values are the names of attributes."""

R = TypeVar("R")


@dataclass(frozen=True)
class Spellings:
    """The values of one field, the most common first."""

    values: tuple[str, ...]
    complete: bool
    """Whether these are all of them."""
    by_form: Mapping[str, Sequence[str]]
    """Each form in which one can be asked for, to all that it can mean."""

    @classmethod
    def of(cls, values: Sequence[str], forms: Callable[[str], Iterable[str]]) -> Spellings:
        """Build the spellings of at most MOST_VALUES values.

        forms: a value to the forms in which it can be asked for.
        """
        kept = tuple(values[:MOST_VALUES])
        by_form: defaultdict[str, list[str]] = defaultdict(list)
        for value in kept:
            for form in forms(value):
                by_form[form].append(value)
        return cls(kept, len(values) <= MOST_VALUES, by_form)

    def nearest(self, form: str) -> tuple[str, ...]:
        """Return the values whose forms are nearest to one; the most common if none is near."""
        known = sorted(self.by_form, key=lambda each: each[:1] != form[:1])[:_MOST_COMPARED]
        near = difflib.get_close_matches(form, known, _NEAREST)
        found = _distinct(value for each in near for value in self.by_form[each])
        return (found or _distinct(self.values[:_MOST_COMPARED]))[:_NEAREST]


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    """Return the values without those that differ from an earlier one by case or width alone."""
    found: dict[str, str] = {}
    for value in values:
        found.setdefault(folded(value), value)
    return tuple(found.values())


_NONE: Final = Spellings((), complete=True, by_form={})


@dataclass(frozen=True)
class IndexValues:
    """The values of the fields of one index, each read when it is first needed."""

    read: Callable[[str], Spellings]
    """Field to its values. Those of NAMES are what a sample of documents has."""

    def category(self, given: str) -> str:
        """Return the path that a category or a part of its path means.

        Raises:
            InvalidParameters: there is no such category, or there are several.
        """
        known, form = self.read(CATEGORIES), path_form(given)
        meant = known.by_form.get(form, ())
        if given in meant or not known.values or not known.complete:
            return given
        whole = [path for path in meant if path_form(path) == form]
        if len(whole or meant) == 1:
            return (whole or meant)[0]
        raise InvalidParameters((_category_problem(given, meant, known),))

    def attribute(self, given: str) -> tuple[str, ...]:
        """Return `name:value` in each spelling that listings have, the most common first.

        Raises:
            InvalidParameters: no listing has such an attribute.
        """
        name, _, value = given.partition(":")
        known = self.read(_attribute_field(name))
        if not known.values:
            return self._attribute_by_name(given, name, value)
        if not known.complete:
            return (given,)
        meant = known.by_form.get(folded(value), ())
        if not meant:
            near = _quoted(f"{name}:{each}" for each in known.nearest(folded(value)))
            expected = f"a value that a listing has, such as {near}"
            raise InvalidParameters((_unknown_value("attribute", given, expected),))
        return tuple(f"{name}:{each}" for each in meant)

    def _attribute_by_name(self, given: str, name: str, value: str) -> tuple[str, ...]:
        """Return the same for a name that no listing has in this spelling."""
        if not self.read(CATEGORIES).values:
            return (given,)
        names = self.read(NAMES)
        for meant in names.by_form.get(folded(name), ()):
            if self.read(_attribute_field(meant)).values:
                return self.attribute(f"{meant}:{value}")
        known = _quoted(sorted(names.values)[:_MOST_SHOWN]) or "none, because no listing has any"
        expected = f"the name of an attribute that a listing has: {known}"
        raise InvalidParameters((_unknown_value("attribute", given, expected),))


@dataclass
class _Resolution:
    """Values as listings spell them, and what is wrong with the others."""

    problems: list[Problem] = field(default_factory=list)

    def of(self, find: Callable[[str], R], given: str) -> R | None:
        """Return what is found for a value, or None for one with a problem, which is noted."""
        try:
            return find(given)
        except InvalidParameters as error:
            self.problems += error.problems
            return None

    def check(self) -> None:
        """Raise the problems noted.

        Raises:
            InvalidParameters: there are any.
        """
        if self.problems:
            raise InvalidParameters(tuple(self.problems))


@dataclass(frozen=True)
class _Kept:
    """The values of a field, and when reading them began."""

    values: Spellings
    read_at: float


class FilterValues:
    """The values of filters in each index. Safe to share between threads."""

    def __init__(self, reader: IndexReader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._clock = clock
        self._kept: TTLCache[tuple[str, str], _Kept] = TTLCache(MOST_FIELDS, KEPT_S, timer=clock)
        # Apart, so that misspelt names do not displace what listings have.
        self._absent: TTLCache[tuple[str, str], _Kept] = TTLCache(MOST_FIELDS, REFRESH_S, timer=clock)
        self._lock = threading.Lock()

    def similar(self, index: str, request: SimilarRequest, deadline: RequestDeadline) -> SimilarRequest:
        """Return the request with its filters' values as the listings of an index spell them.

        Raises:
            InvalidParameters: each value that no listing has, or that is ambiguous.
            NoLiveIndex, SearchUnavailable
        """
        if request.category is None and not request.attribute:
            return request
        reading = _Reading(self, index, deadline)
        reading.find_absent(_attribute_field(each.partition(":")[0]) for each in request.attribute)
        return reading.resolved(lambda values: similar_request(request, values))

    def listings(self, index: str, request: ListingsRequest, deadline: RequestDeadline) -> ListingsRequest:
        """Return the same for a page of listings.

        Raises:
            InvalidParameters, NoLiveIndex, SearchUnavailable
        """
        if request.category is None:
            return request
        return _Reading(self, index, deadline).resolved(lambda values: listings_request(request, values))

    def is_old(self, kept: _Kept) -> bool:
        """Return whether values are too old to refuse one by."""
        return self._clock() - kept.read_at >= REFRESH_S

    def kept(self, index: str, name: str) -> _Kept | None:
        """Return the values of a field, if they are kept."""
        with self._lock:
            return self._kept.get((index, name)) or self._absent.get((index, name))

    def read(self, index: str, name: str, deadline: RequestDeadline) -> _Kept:
        """Read the values of a field, and keep them.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        began = self._clock()
        found = self._names(index, deadline) if name == NAMES else self._values(index, name, deadline)
        return self._keep(index, name, _Kept(found, began))

    def read_absent(self, index: str, names: Sequence[str], deadline: RequestDeadline) -> dict[str, _Kept]:
        """Read which of some fields no listing has, in one search, and keep that.

        Raises:
            NoLiveIndex, SearchUnavailable
        """
        began = self._clock()
        found = self._reader.search(index, presence_body(names), deadline).aggregations
        absent = [name for place, name in enumerate(names) if not found[str(place)]["buckets"]]
        return {name: self._keep(index, name, _Kept(_NONE, began)) for name in absent}

    def _keep(self, index: str, name: str, read: _Kept) -> _Kept:
        with self._lock:
            self._kept.pop((index, name), None)
            self._absent.pop((index, name), None)
            if read.values.values:
                self._kept[index, name] = read
            elif name != CATEGORIES:  # without any, all values are taken: not for longer than that is so
                self._absent[index, name] = read
        return read

    def _values(self, index: str, name: str, deadline: RequestDeadline) -> Spellings:
        buckets = self._reader.search(index, values_body(name), deadline).aggregations["values"]["buckets"]
        forms = path_forms if name == CATEGORIES else _folded_alone
        return Spellings.of([bucket["key"] for bucket in buckets], forms)

    def _names(self, index: str, deadline: RequestDeadline) -> Spellings:
        """Read the names of attributes: of random documents, then of those that have none of these.

        Elasticsearch aggregates the values of a flattened field, and not the names.
        """
        names: dict[str, None] = {}
        for _ in range(_ROUNDS):
            sources = self._reader.search_sources(index, names_body(tuple(names)), deadline)
            found = [name for source in sources for name in source.get("attributes", {})]
            if not found:
                break
            names |= dict.fromkeys(found)
        return Spellings.of(tuple(names), _folded_alone)


class _Reading:
    """The values that one request needs. Each field is read once, or twice if what was kept is too old."""

    def __init__(self, source: FilterValues, index: str, deadline: RequestDeadline) -> None:
        self._source = source
        self._index = index
        self._deadline = deadline
        self._fresh: dict[str, _Kept] = {}
        self._used: dict[str, _Kept] = {}

    def find_absent(self, fields: Iterable[str]) -> None:
        """Find which of some fields no listing has, in one search instead of one for each."""
        unread = [name for name in dict.fromkeys(fields) if self._source.kept(self._index, name) is None]
        if len(unread) > 1:
            self._fresh |= self._source.read_absent(self._index, unread, self._deadline)

    def resolved(self, resolve: Callable[[IndexValues], R]) -> R:
        """Resolve a request by the values kept or, where one is unknown, by those of now."""
        try:
            return resolve(IndexValues(self._read))
        except InvalidParameters:
            if not self._renew_old():
                raise
        return resolve(IndexValues(self._read))

    def _read(self, name: str) -> Spellings:
        if name not in self._used:
            self._used[name] = (
                self._fresh.get(name) or self._source.kept(self._index, name) or self._now(name)
            )
        return self._used[name].values

    def _now(self, name: str) -> _Kept:
        self._fresh[name] = self._source.read(self._index, name, self._deadline)
        return self._fresh[name]

    def _renew_old(self) -> bool:
        """Read afresh what was read too long before this request, and return whether there was any."""
        old = [
            name for name, kept in self._used.items() if name not in self._fresh and self._source.is_old(kept)
        ]
        for name in old:
            self._used[name] = self._now(name)
        return bool(old)


def similar_request(request: SimilarRequest, values: IndexValues) -> SimilarRequest:
    """Return a request for similar items with its filters' values as listings spell them.

    Raises:
        InvalidParameters: each value that no listing has, or that is ambiguous.
    """
    found = _Resolution()
    category = found.of(values.category, request.category) if request.category else None
    attributes = [found.of(values.attribute, each) or () for each in request.attribute]
    found.check()
    return replace(
        request,
        category=category,
        attribute=tuple(dict.fromkeys(first for first, *_ in attributes)),
        spellings={first: (first, *others) for first, *others in attributes if others},
    )


def listings_request(request: ListingsRequest, values: IndexValues) -> ListingsRequest:
    """Return a request for a page of listings with its category as listings spell it.

    Raises:
        InvalidParameters: no listing has the category, or it is ambiguous.
    """
    return replace(request, category=values.category(request.category) if request.category else None)


def folded(text: str) -> str:
    """Return the text without differences of case and width."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).strip()


def path_form(path: str) -> str:
    """Return a path without differences of case and width, with one space around each separator."""
    return CATEGORY_SEPARATOR.join(part.strip() for part in folded(path).split(CATEGORY_SEPARATOR.strip()))


def path_forms(path: str) -> Iterator[str]:
    """Return the forms in which a path can be asked for: from any of its levels to the last.

    Every start of a path is a category of its own, so these are all of its parts.
    """
    levels = path_form(path).split(CATEGORY_SEPARATOR)
    return (CATEGORY_SEPARATOR.join(levels[first:]) for first in range(len(levels)))


def values_body(name: str) -> dict[str, Any]:
    """Return the search for the values of a field, the most common first, and one more than are kept."""
    return {"size": 0, "aggs": {"values": {"terms": {"field": name, "size": MOST_VALUES + 1}}}}


def presence_body(names: Sequence[str]) -> dict[str, Any]:
    """Return the search for whether there is a value of each field, by its place among them."""
    terms = {str(place): {"terms": {"field": name, "size": 1}} for place, name in enumerate(names)}
    return {"size": 0, "aggs": terms}


def names_body(known: Sequence[str]) -> dict[str, Any]:
    """Return the search for random documents with attributes, and none of those known."""
    without = [{"exists": {"field": f"attributes.{name}"}} for name in known]
    filters = {"filter": [{"exists": {"field": "attributes"}}], "must_not": without}
    return {
        "query": {
            "function_score": {"query": {"bool": filters}, "random_score": {}, "boost_mode": "replace"}
        },
        "size": SAMPLE,
        "track_total_hits": False,
        "_source": ["attributes"],
    }


def _attribute_field(name: str) -> str:
    return f"{NAMES}.{name}"


def _folded_alone(value: str) -> tuple[str, ...]:
    return (folded(value),)


def _category_problem(given: str, meant: Sequence[str], known: Spellings) -> UnusableParameter:
    """Return the problem of a category that means several paths, or none."""
    if meant:
        expected = f"one of the paths that this may be: {_quoted(meant[:_MOST_SHOWN])}"
        return UnusableParameter("category", "category_ambiguous", _shown(given), expected)
    expected = f"a category that a listing has, such as {_quoted(known.nearest(path_form(given)))}"
    return _unknown_value("category", given, expected)


def _unknown_value(name: str, given: str, expected: str) -> UnusableParameter:
    return UnusableParameter(name, f"{name}_unknown_value", _shown(given), expected)


def _shown(given: str) -> str:
    return repr(given if len(given) <= 60 else f"{given[:60]}…")


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(repr(value) for value in values)
