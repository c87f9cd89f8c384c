"""The tables of docs/listing-schema.md, which `python -m docs.listing_schema` writes from the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mappings.changes import OPERATIONS
from mappings.listing import MAX_ID_BYTES, Listing, listing_schema

PAGE: Final = Path(__file__).with_name("listing-schema.md")
START: Final = "<!-- Written by `python -m docs.listing_schema`. -->\n"
END: Final = "<!-- End of the table. -->\n"

Schema = Mapping[str, Any]


def table() -> str:
    """Return the Markdown table of all fields, in the order of the model."""
    schema = listing_schema()
    lines = ["| field | required | form | meaning |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        required = "yes" if name in schema["required"] else "with a price" if name == "currency" else ""
        meaning = Listing.model_fields[name].description
        lines.append(
            f"| `{name}` | {required} | {form(field, schema['$defs'])} | {meaning} |".replace(
                "a.jpg|b", "a.jpg\\|b"
            )
        )
    return "\n".join(lines) + "\n"


def table_of_operations() -> str:
    """Return the Markdown table of the operations of events."""
    rows = (f"| `{name}` | {meaning} |\n" for name, meaning in OPERATIONS.items())
    return "| `op` | what the event says |\n|---|---|\n" + "".join(rows)


def page_with_tables(page: str) -> str:
    """Return the page with the tables between their marks replaced, in their order."""
    before, *parts = page.split(START)
    rests = (part.partition(END)[2] for part in parts)
    tables = (table(), table_of_operations())
    return before + "".join(f"{START}{each}{END}{rest}" for each, rest in zip(tables, rests, strict=True))


def form(field: Schema, defs: Schema) -> str:
    """Return the form of a value in words."""
    if "$ref" in field:
        return form(defs[field["$ref"].rpartition("/")[2]], defs)
    if "type" not in field:
        single = [each for each in field["anyOf"] if each.get("type") not in ("null", "array")]
        lists = [each for each in field["anyOf"] if each.get("type") == "array"]
        these = (f"a list of up to {each['maxItems']} of these" for each in lists)
        return ", or ".join([", ".join(form(each, defs) for each in single), *these])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    return _BY_TYPE[field["type"]](field, defs)


def _text(field: Schema, _: Schema) -> str:
    if field.get("format") == "date-time":
        return "date and time"
    if field.get("maxLength") == MAX_ID_BYTES and "minLength" in field:
        return f"text of 1 to {MAX_ID_BYTES} bytes of UTF-8"
    least = f"{field['minLength']} to " if "minLength" in field else "up to "
    return (
        f"text of {least}{field['maxLength']:,} characters" if "maxLength" in field else "text of 3 capitals"
    )


def _number(field: Schema, _: Schema) -> str:
    if "maximum" not in field:
        return "number"
    least = "0, or " if "anyOf" in field else ""
    lowest = field["anyOf"][1]["minimum"] if "anyOf" in field else field["minimum"]
    return f"{least}number from {lowest:g} to {field['maximum']:.0e}".replace("e+", "e")


def _list(field: Schema, defs: Schema) -> str:
    least = f"{field['minItems']} to " if "minItems" in field else "up to "
    return f"list of {least}{field['maxItems']}, each {form(field['items'], defs)}"


def _object(field: Schema, defs: Schema) -> str:
    (values,) = field["patternProperties"].values()
    longest = field["propertyNames"]["maxLength"]
    names = f"names of up to {longest} characters without a point"
    return f"object of up to {field['maxProperties']} {names}; each value is {form(values, defs)}"


_BY_TYPE: Final = {
    "string": _text,
    "number": _number,
    "integer": lambda *_: "whole number of 64 bits",
    "boolean": lambda *_: "true or false",
    "array": _list,
    "object": _object,
}


if __name__ == "__main__":
    PAGE.write_text(page_with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
