"""How a producer writes numbers, times and lists, where that is not certain from a value alone."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.numbers import NumberFormatError, parse_decimal
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from mappings.values import CATEGORY_SEPARATOR, IMAGE_SEPARATOR, split

_DIGITS = re.compile("[+-]?[0-9][0-9.,'’ \u00a0\u202f]*")
_LOCAL_TIME = re.compile(
    r"(\d{4})([-/])(\d\d?)\2(\d\d?)[Tt ](\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?", re.ASCII
)
_DATES: Final = ("created_at", "updated_at")
_NUMBERS: Final = ("price", "popularity")


def _unusable(expected: str) -> PydanticCustomError:
    return PydanticCustomError("unusable", "{expected}", {"expected": expected})


def is_text_encoding(name: str) -> bool:
    """Return whether Python has a text encoding of that name."""
    try:
        return bool(codecs.lookup(name)._is_text_encoding)
    except LookupError:
        return False


def _encoding(name: str) -> str:
    if not is_text_encoding(name):
        raise _unusable("an encoding of text such as cp932, euc_jp or latin-1")
    return name


def _locale(name: str) -> str:
    try:
        Locale.parse(name, sep="-" if "-" in name else "_")
    except (UnknownLocaleError, ValueError) as error:
        raise _unusable("a locale such as de, en or pt-BR") from error
    return name.replace("-", "_")


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:  # ZoneInfoNotFoundError is a KeyError
        raise _unusable("a time zone such as Asia/Tokyo or UTC") from error
    return name


Separator = Annotated[str, Field(min_length=1, max_length=10)]


class ValueFormats(BaseModel):
    """The encoding of text files, the locale of numbers, the time zone of local times, and separators."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoding: Annotated[str, AfterValidator(_encoding)] | None = None
    locale: Annotated[str, AfterValidator(_locale)] | None = None
    timezone: Annotated[str, AfterValidator(_timezone)] | None = None
    category_separator: Separator = CATEGORY_SEPARATOR.strip()
    image_separator: Separator = IMAGE_SEPARATOR

    def applied(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Return the event with the values that these formats make certain in the form of the schema."""
        fields = dict(event)
        if self.locale:
            fields |= {name: local_number(fields[name], self.locale) for name in _NUMBERS if name in fields}
        if self.timezone:
            fields |= {name: local_time(fields[name], self.timezone) for name in _DATES if name in fields}
        for name, separator in (("category", self.category_separator), ("images", self.image_separator)):
            if name in fields:
                fields[name] = split(separator)(fields[name])
        return fields


def local_number(value: object, locale: str) -> object:
    """Return the number in a text by the rules of a locale; if it breaks them, a text that says so.

    In German, `1.290,50` is 1290.5 and `12.90` is refused: it is another locale's.
    """
    if not isinstance(value, str) or not _DIGITS.fullmatch(value):
        return value
    symbols = Locale.parse(locale).number_symbols["latn"]
    group = symbols["group"]
    text = re.sub(r"\s", group, value.strip()) if group.isspace() else value.strip()
    try:
        return float(parse_decimal(text, locale, strict=True))
    except NumberFormatError:
        return f"{value} (no number in the locale {locale})"


def local_time(value: object, timezone: str) -> object:
    """Return the instant of a time without a zone as ISO 8601; other values unchanged.

    So is a time that a change of clocks skips or repeats: it is no instant, or two.
    """
    match = _LOCAL_TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        return value
    year, _, month, day, hour, minute, second, fraction = match.groups()
    text = f"{year}-{month:0>2}-{day:0>2}T{hour:0>2}:{minute}:{second or '00'}.{(fraction or '')[:6]:0<6}"
    try:
        moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone))
        certain = moment.utcoffset() == moment.replace(fold=1).utcoffset()
    except (ValueError, OverflowError):
        return value
    return moment.isoformat() if certain else value
