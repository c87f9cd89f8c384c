"""Request parameters, validated. The same models make the parameters of `/openapi.json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from mappings.listing import ListingId, Status
from mappings.problems import shown
from mappings.values import CATEGORY_SEPARATOR
from query.search.cursor import MAX_LENGTH
from query.search.errors import InvalidParameters, UnknownItem, UnknownParameter, UnusableParameter
from query.search.price_band import DEFAULT_RATIO
from query.search.request import (
    DEFAULT_SIZE,
    MAX_RESULTS,
    MAX_SIZE,
    MAX_WEIGHT,
    ListingsRequest,
    SimilarRequest,
    VisitorRequest,
)
from settings.numbers import decimal_number, whole_number

# Five names of at most 100 characters each, and the separators between them.
MAX_CATEGORY_LENGTH = 5 * 100 + 4 * len(CATEGORY_SEPARATOR)

# Names the user, as the parameter `user_id` does.
USER_HEADER = "X-User-Id"

_SHOWN_CHARACTERS = 60


class ShownStatus(StrEnum):
    """The statuses that can be listed. Removed listings have nothing left to show."""

    ON_SALE = "on_sale"
    RESERVED = "reserved"
    SOLD_OUT = "sold_out"


def _category_path(text: str) -> str:
    names = [name.strip() for name in text.split(CATEGORY_SEPARATOR.strip())]
    if not all(names) or len(names) > 5:
        raise PydanticCustomError("category", "one to five names, separated by '>'")
    return CATEGORY_SEPARATOR.join(names)


def _name_and_value(text: str) -> str:
    name, _, value = text.partition(":")
    if not name or not value or "." in name or "\x00" in text:
        raise PydanticCustomError("attribute", "a name and a value, such as 'colour:Blue'")
    return text


CategoryPath = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_CATEGORY_LENGTH), AfterValidator(_category_path)
]


def _experiment_and_arm(text: str) -> str:
    if not all(part and part.isascii() for part in text.split(":")) or text.count(":") != 1:
        raise PydanticCustomError("arm", "an experiment and an arm, such as 'new-encoder:control'")
    return text


def _whole(value: object) -> object:
    return _readable(whole_number, value)


def _decimal(value: object) -> object:
    return _readable(decimal_number, value)


def _readable(read: Callable[[str], float], value: object) -> object:
    try:
        if isinstance(value, str):
            read(value.removeprefix("-"))
    except ValueError as error:
        raise PydanticCustomError("number", "a number in digits") from error
    if isinstance(value, str) and value.startswith("-"):
        raise PydanticCustomError("negative", "a number from 0 up")
    return value


# They come after the limits in an annotation, or else the description of the API loses those.
_IN_DIGITS = BeforeValidator(_whole)
_IN_DECIMALS = BeforeValidator(_decimal)

ArmChoice = Annotated[str, StringConstraints(max_length=97), AfterValidator(_experiment_and_arm)]
UserId = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Attribute = Annotated[str, StringConstraints(max_length=64 + 1 + 256), AfterValidator(_name_and_value)]


class Parameters(BaseModel):
    """Parameters of a request. Unknown ones are rejected, so that a misspelt filter is noticed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ItemPath(Parameters):
    """The item that a request is about."""

    item_id: Annotated[ListingId, Field(description="Id of a listing.")]


RULES: Final = (
    "collapse_duplicates",
    "seller_cap",
    "min_similarity",
    "diversity",
    "attribute_boost",
    "freshness",
    "popularity",
)
"""The parameters that differ from the server's result policy. Without one, the setting of that name holds."""


class SimilarParameters(Parameters):
    """Parameters of `/v1/listings/{item_id}/similar`."""

    size: Annotated[int, Field(ge=1, le=MAX_SIZE, description="How many items at most."), _IN_DIGITS] = (
        DEFAULT_SIZE
    )
    price_ratio: Annotated[
        float,
        Field(
            gt=1,
            le=100,
            description="Prices from the item's own divided by this to times this; widened if too few.",
        ),
        _IN_DECIMALS,
    ] = DEFAULT_RATIO
    category: Annotated[
        CategoryPath | None,
        Field(description="Only items below this category: its path, or a part that no other has."),
    ] = None
    attribute: Annotated[
        tuple[Attribute, ...],
        Field(
            max_length=10,
            description="Only items with this attribute, as `name:value` in any case. May be repeated.",
        ),
    ] = ()
    exclude_seller: Annotated[
        tuple[ListingId, ...],
        Field(max_length=20, description="No items of this seller. May be repeated."),
    ] = ()
    collapse_duplicates: Annotated[
        bool | None,
        Field(description="Whether only the best of listings with nearly the same photo is shown."),
    ] = None
    seller_cap: Annotated[
        int | None,
        Field(ge=0, le=MAX_SIZE, description="Most items of one seller in 24; 0 for any number."),
        _IN_DIGITS,
    ] = None
    min_similarity: Annotated[
        float | None,
        Field(
            ge=0,
            le=1,
            description="Least similarity of an item; 0 turns it off.",
        ),
        _IN_DECIMALS,
    ] = None
    diversity: Annotated[
        float | None,
        Field(
            ge=0, le=1, description="0 orders by score, 1 makes the items as unlike each other as possible."
        ),
        _IN_DECIMALS,
    ] = None
    attribute_boost: Annotated[
        float | None,
        Field(
            ge=0,
            le=MAX_WEIGHT,
            description="Factor on the weights of gender, colour and brand; 0 turns them off.",
        ),
        _IN_DECIMALS,
    ] = None
    freshness: Annotated[
        float | None,
        Field(ge=0, le=MAX_WEIGHT, description="Weight of new listings, in spreads of similarity."),
        _IN_DECIMALS,
    ] = None
    popularity: Annotated[
        float | None,
        Field(ge=0, le=MAX_WEIGHT, description="Weight of popular listings, in spreads of similarity."),
        _IN_DECIMALS,
    ] = None
    cursor: Annotated[
        str | None,
        Field(
            max_length=MAX_LENGTH,
            description="The `next_cursor` of the page before, with the same parameters otherwise.",
        ),
    ] = None
    explain: Annotated[bool, Field(description="Whether each item has an explanation of its score.")] = False
    explain_missing: Annotated[
        tuple[ListingId, ...],
        Field(
            max_length=5, description="An item of which `missing` says why it is not shown. May be repeated."
        ),
    ] = ()

    def request(self) -> SimilarRequest:
        """Convert the parameters to a search request."""
        rules = {name: value for name in RULES if (value := getattr(self, name)) is not None}
        return SimilarRequest(
            self.size,
            self.price_ratio,
            self.category,
            self.attribute,
            self.exclude_seller,
            self.explain,
            rules,
            explain_missing=self.explain_missing,
            cursor=self.cursor,
        )


class VisitorParameters(SimilarParameters):
    """Parameters of the same route with a visitor, who may be assigned to arms of experiments."""

    user_id: Annotated[
        UserId | None,
        Field(
            repr=False,
            description=(
                "Id of the user, from which the arms follow. It is hashed at once. "
                f"In the header `{USER_HEADER}` it stays out of URLs and of access logs."
            ),
        ),
    ] = None
    arm: Annotated[
        tuple[ArmChoice, ...],
        Field(
            max_length=8,
            description=(
                "For testers: the arm to see, as `experiment:arm`, at most one for each layer. "
                "May be repeated."
            ),
        ),
    ] = ()

    def visitor_request(self) -> VisitorRequest:
        """Convert the parameters to a visitor's search request."""
        return VisitorRequest(self.request(), self.user_id, self.arm)


class UserHeader(Parameters):
    """The header that names the user."""

    user_id: Annotated[
        UserId | None,
        Field(alias=USER_HEADER, description="Id of the user, instead of the parameter `user_id`."),
    ] = None


class ListingParameters(Parameters):
    """Parameters of `/v1/listings`."""

    q: Annotated[
        str,
        StringConstraints(max_length=200, strip_whitespace=True),
        Field(description="Words that must all be in the title."),
    ] = ""
    category: Annotated[
        CategoryPath | None,
        Field(description="Only listings below this category: its path, or a part that no other has."),
    ] = None
    status: Annotated[ShownStatus, Field(description="Only listings of this status.")] = ShownStatus.ON_SALE
    size: Annotated[int, Field(ge=1, le=MAX_SIZE, description="Listings a page."), _IN_DIGITS] = DEFAULT_SIZE
    page: Annotated[int, Field(ge=1, le=MAX_RESULTS, description="The page, from 1."), _IN_DIGITS] = 1

    def request(self) -> ListingsRequest:
        """Convert the parameters to a search request."""
        return ListingsRequest(self.q, self.category, Status(self.status), self.size, self.page)


P = TypeVar("P", bound=Parameters)


def parse(model: type[P], values: Mapping[str, Sequence[str]]) -> P:
    """Parse a query string, given as each name with all its values.

    Raises:
        InvalidParameters: each that is unknown, malformed, out of range or given twice.
    """
    twice = tuple(_given_twice(model, values))
    try:
        parameters = model.model_validate(
            {name: _value(model, name, given) for name, given in values.items()}
        )
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise InvalidParameters((*twice, *(_to_problem(model, detail) for detail in details))) from error
    if twice:
        raise InvalidParameters(twice)
    return parameters


def known_id(item_id: str) -> str:
    """The id, if it is valid for a listing.

    Raises:
        UnknownItem: it is not.
    """
    try:
        return ItemPath(item_id=item_id).item_id
    except ValidationError as error:
        raise UnknownItem(item_id) from error


def _is_repeatable(model: type[Parameters], name: str) -> bool:
    field = model.model_fields.get(name)
    return field is not None and get_origin(field.annotation) is tuple


def _value(model: type[Parameters], name: str, given: Sequence[str]) -> object:
    return tuple(given) if _is_repeatable(model, name) else given[0]


def _given_twice(model: type[Parameters], values: Mapping[str, Sequence[str]]) -> Iterable[UnusableParameter]:
    for name, given in values.items():
        if len(given) > 1 and name in model.model_fields and not _is_repeatable(model, name):
            yield UnusableParameter(name, f"{name}_repeated", f"{len(given)} values", "one value")


# pydantic's error types, as the second half of a reason code.
_SUFFIXES = {
    "missing": "missing",
    "greater_than": "out_of_range",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
    "negative": "out_of_range",
    "enum": "unknown_value",
    "string_too_long": "too_long",
    "string_too_short": "empty",
    "too_long": "too_many",
    "id_empty": "empty",
    "id_too_long": "too_long",
}


# What pydantic says less well, by its error type.
_EXPECTED = {
    "bool_parsing": "true or false",
    "too_long": "at most {max_length} values",
}


def _to_problem(model: type[Parameters], detail: ErrorDetails) -> UnusableParameter | UnknownParameter:
    name, found = str(detail["loc"][0])[:_SHOWN_CHARACTERS], _shown(detail["input"])
    if detail["type"] == "extra_forbidden":
        return UnknownParameter(name, f"{name}_unknown", found, ", ".join(model.model_fields))
    suffix = _SUFFIXES.get(detail["type"], "malformed")
    return UnusableParameter(name, f"{name}_{suffix}", found, _expected(model, detail))


def _expected(model: type[Parameters], detail: ErrorDetails) -> str:
    schema = model.model_json_schema()["properties"].get(detail["loc"][0], {})
    numbers = [each for each in schema.get("anyOf", []) if each.get("type") in ("integer", "number")]
    schema = numbers[0] if numbers else schema
    if schema.get("type") in ("integer", "number"):
        return _number(schema)
    if detail["type"] in _EXPECTED:
        return _EXPECTED[detail["type"]].format(**detail.get("ctx", {}))
    message: str = detail["msg"]
    for prefix in ("Input should be ", "String should have "):
        message = message.removeprefix(prefix)
    return message


def _number(schema: Mapping[str, Any]) -> str:
    """Description of the allowed numbers of a JSON schema: `a whole number from 1 to 100, in digits`."""
    kind = "a whole number" if schema["type"] == "integer" else "a number"
    least, above = (schema.get(name) for name in ("minimum", "exclusiveMinimum"))
    low = f"from {least:,g} to" if least is not None else f"above {above:,g}, at most"
    return f"{kind} {low} {schema['maximum']:,.15g}, in digits"


def _shown(value: Any) -> str:
    return f"{len(value)} values" if isinstance(value, tuple) else shown(value)
