"""Maps: how a producer's columns, status words and values become those of a listing."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from indexer.intake.columns import ATTRIBUTE_PREFIX, json_object, listed
from indexer.intake.value_formats import ValueFormats
from mappings.changes import OPERATION, UPDATE
from mappings.listing import Listing, Status
from mappings.problems import problem_of_file
from mappings.values import canonical
from settings.errors import UserError

FIELDS: Final = tuple(Listing.model_fields)
OPTIONAL: Final = frozenset({"images", "attributes", "popularity"})
"""Fields that a table may lack: without the column, a listing has no photo, attribute or popularity."""
REQUIRED: Final = tuple(name for name in FIELDS if name not in OPTIONAL)
IGNORED: Final = "ignore"
"""In a map, the field of a column that is not read."""

_STATUSES: Final = frozenset(map(str, Status))
_ABSENT = (None, "")
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")


class InvalidMap(UserError):
    """A map of columns that cannot be used."""


def is_known(name: str) -> bool:
    """Return whether a field belongs to a listing."""
    return name in FIELDS or name.startswith(ATTRIBUTE_PREFIX)


def _field(name: str) -> str:
    if not is_known(name):
        expected = ", ".join(["a field of a listing:", *FIELDS, "attributes.NAME"])
        raise PydanticCustomError("unusable", "{expected}", {"expected": expected.replace(":,", ":")})
    return name


def _field_or_ignored(name: str) -> str:
    return name if name == IGNORED else _field(name)


FieldName = Annotated[str, AfterValidator(_field)]


class ListingMap(BaseModel):
    """What `--map` reads: the fields of columns, the statuses of words, constants, templates, formats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: Mapping[str, Annotated[str, AfterValidator(_field_or_ignored)]] = {}
    """Column to field. In JSON, `a.b` is the field `b` of the object `a`."""
    status: Mapping[str, Status] = {}
    """A producer's word to the status; in any case."""
    constants: Mapping[FieldName, str | bool | int | float | list[str]] = {}
    """Field to the value of rows that have none."""
    templates: Mapping[FieldName, Annotated[str, Field(min_length=1)]] = {}
    """Field to a text with the columns or fields of a row in braces."""
    formats: ValueFormats = ValueFormats()

    @classmethod
    def load(cls, path: Path) -> ListingMap:
        """Return the map in a TOML file.

        Raises:
            InvalidMap: it cannot be read, or a part of it cannot be used.
        """
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8-sig")))
        except ValidationError as error:
            problems = "; ".join(problem_of_file(cls, each) for each in error.errors(include_url=False))
            raise InvalidMap(f"{path}: {problems}. docs/listing-files.md has an example") from error
        except (OSError, ValueError) as error:
            raise InvalidMap(f"{path}: {error}") from error

    @cached_property
    def field_of(self) -> Callable[[str], str]:
        """A function that returns the field of a column; empty if it is not read.

        For names of fields, case and surrounding spaces are ignored. The name after `attributes.` is the
        producer's and is kept as it is.
        """
        return lru_cache(1_000)(self._field_of)

    def _field_of(self, column: str) -> str:
        name = column.strip().strip("\ufeff")
        if (mapped := self.columns.get(name)) is not None:
            return "" if mapped == IGNORED else mapped
        lower = name.lower()
        if lower.startswith(ATTRIBUTE_PREFIX):
            return ATTRIBUTE_PREFIX + name[len(ATTRIBUTE_PREFIX) :]
        if lower in self.columns.values():
            return ""
        return lower if lower in FIELDS else name

    @cached_property
    def required(self) -> frozenset[str]:
        """The fields that need a column."""
        return frozenset(REQUIRED) - set(self.constants) - set(self.templates)

    def is_status(self, word: str) -> bool:
        """Return whether the word stands for a status."""
        return word.strip().lower() in _STATUSES or word.strip().casefold() in self._words

    def reads(self, column: str) -> bool:
        """Return whether a column of a table is part of an event."""
        return is_known(self.field_of(column)) or column in self._placeholders

    def column_problem(self, columns: Sequence[str]) -> str:
        """Return what is wrong with the columns of a table; empty if nothing is."""
        fields = [self.field_of(column) for column in columns]
        known = [name for name in fields if is_known(name)]
        if repeated := sorted({name for name in known if known.count(name) > 1}):
            return f"repeated {_columns(repeated)}: keep one of each, or pass --map FILE"
        names = {column.strip().strip("\ufeff") for column in columns}
        found = f"the header is {','.join(columns)[:200]!r}"
        if unknown := [column for column in self.columns if column not in names]:
            return f"missing {_columns(unknown)} of the map: {found}"
        if missing := [name for name in REQUIRED if name in self.required and name not in known]:
            return f"missing {_columns(missing)}: {found}. --guess proposes a map of other names"
        return ""

    def event_of(self, record: Mapping[str, Any], *, nulls_clear: bool = False) -> dict[str, Any]:
        """Return the event in a row, by column. None and empty text mean absent.

        Text is kept as it is, except that spaces around it are removed outside of attributes.
        nulls_clear: None in an update clears the field, as in JSON; a row of a table has all columns.
        """
        given = self._fields(record)
        fields: dict[str, Any] = dict(self.constants)
        fields |= {name: value for name, value in given.items() if value not in _ABSENT}
        for name, template in self.templates.items():
            fields[name] = _filled(template, record, fields)
        event = _with_attributes(fields)
        if (word := event.get("status")) is not None:
            event["status"] = self._words.get(str(word).casefold(), word)
        found = canonical(self.formats.applied(event))
        if nulls_clear and found.get(OPERATION) == UPDATE:
            nulls = (name for name, value in given.items() if value is None and name in FIELDS)
            return dict.fromkeys(nulls) | found
        return found

    def _fields(self, record: Mapping[str, Any]) -> dict[str, Any]:
        fields = {self.field_of(column): value for column, value in record.items()}
        fields.pop("", None)
        for column, field in self._nested.items():
            if column not in record:
                fields[field] = _inner(record, column)
        return fields

    @cached_property
    def _nested(self) -> dict[str, str]:
        return {column: field for column, field in self.columns.items() if "." in column and field != IGNORED}

    @cached_property
    def _placeholders(self) -> frozenset[str]:
        return frozenset(name for each in self.templates.values() for name in _PLACEHOLDER.findall(each))

    @cached_property
    def _words(self) -> dict[str, str]:
        return {word.casefold(): status.value for word, status in self.status.items()}


NO_MAP: Final = ListingMap()


def _inner(record: Mapping[str, Any], path: str) -> Any:
    """Return the value at a path such as `price.amount`; None if there is none."""
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _filled(template: str, *sources: Mapping[str, Any]) -> str | None:
    """Return the template with the values of the row, percent-encoded in a URL; None if one is absent."""
    encode: Callable[[str], str] = _encoded if template.startswith(("http://", "https://")) else str
    values = {
        name: next((each[name] for each in sources if each.get(name) not in _ABSENT), None)
        for name in _PLACEHOLDER.findall(template)
    }
    if None in values.values():
        return None
    return _PLACEHOLDER.sub(lambda match: encode(str(values[match[1]]).strip()), template)


def _encoded(text: str) -> str:
    return quote(text, safe="")


def _with_attributes(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the event with its attributes in one object, and lists that are written as text."""
    event: dict[str, Any] = {}
    nested: dict[str, Any] = {}
    for name, value in fields.items():
        if name.startswith(ATTRIBUTE_PREFIX):
            nested[name.removeprefix(ATTRIBUTE_PREFIX)] = value
        else:
            event[name] = value.strip() if isinstance(value, str) else value
    if nested or "attributes" in event:
        found = json_object(event.get("attributes") or {})
        event["attributes"] = {**found, **nested} if isinstance(found, Mapping) else found
    return event | {name: listed(event[name]) for name in ("category", "images") if name in event}


def _columns(names: Sequence[str]) -> str:
    return f"column{'s' if len(names) > 1 else ''} {', '.join(names)}"
