"""Files of listings to events, a line at a time, however large the file."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from indexer.errors import UnreadableFile
from mappings.listing import CATEGORY_SEPARATOR, Listing, isoformat
from mappings.photos import is_remote

# A listing of the largest allowed size has some 60 kB; a longer line is some other kind of file.
MAX_LINE = 1_000_000
# No listing nests deeper than three; far deeper JSON breaks the encoders on its way.
MAX_DEPTH = 50
IMAGE_SEPARATOR = "|"
ATTRIBUTE_PREFIX = "attributes."
SUFFIXES = (".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class Row:
    """One line or record of a file: an event, or why it is none."""

    event: dict[str, Any] | None
    raw: str = ""
    reason: str = ""
    detail: str = ""


def files_of(path: Path) -> list[Path]:
    """The files of listings that a path names: itself, or those of a folder.

    A folder with a `listings.jsonl` is a data set whose other files may be anything.

    Raises:
        UnreadableFile: nothing there, or nothing that can be read.
    """
    if not path.exists():
        raise UnreadableFile(f"{path}: not found")
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise UnreadableFile(f"{path}: expected a file that ends in {', '.join(SUFFIXES)}")
        return [path]
    if (path / "listings.jsonl").is_file():
        return [path / "listings.jsonl"]
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
    if not files:
        raise UnreadableFile(f"{path}: found no file that ends in {', '.join(SUFFIXES)}")
    return files


def estimate_rows(path: Path) -> int:
    """About how many rows the file has: for the time that remains, not for the account."""
    try:
        with path.open("rb") as file:
            if path.suffix == ".parquet":
                return int(pq.ParquetFile(file).metadata.num_rows)
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    except (OSError, pa.ArrowException) as error:
        raise UnreadableFile(f"{path}: {error}") from error


def read_rows(path: Path, root: Path) -> Iterator[Row]:
    """The rows of a file. Relative photo paths are taken from `root`.

    Raises:
        UnreadableFile: the file cannot be opened, or is not what its name says.
    """
    readers = {".jsonl": read_jsonl, ".csv": read_csv, ".parquet": read_parquet}
    try:
        with path.open("rb") as file:
            for row in readers[path.suffix](file):
                yield row if row.event is None else Row(with_root(row.event, root))
    except (OSError, pa.ArrowException, csv.Error) as error:
        raise UnreadableFile(f"{path}: {error}") from error


def read_jsonl(file: BinaryIO) -> Iterator[Row]:
    """An event a line; blank lines do not count."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            yield Row(None, _text(line), "line_too_long", f"found over {MAX_LINE:,} bytes")
            skip_line(file)
        elif line.strip():
            yield parse_line(line)


def skip_line(file: BinaryIO) -> None:
    """Moves to the end of the line."""
    while (part := file.readline(MAX_LINE)) and not part.endswith(b"\n"):
        pass


def parse_line(line: bytes) -> Row:
    """The event on a line, if it is a JSON object in UTF-8."""
    try:
        event = json.loads(line)
        deep = is_deeper(event, MAX_DEPTH)
    except (ValueError, RecursionError) as error:
        return Row(None, _text(line), "not_json", f"{type(error).__name__}: {error}")
    if not isinstance(event, dict) or deep:
        found = "JSON nested too deep" if deep else f"JSON of type {type(event).__name__}"
        return Row(None, _text(line), "not_json", f"found {found}, expected an object")
    return Row(event)


def is_deeper(value: object, depth: int) -> bool:
    """Whether lists and objects nest deeper than `depth`."""
    if isinstance(value, dict):
        return depth == 0 or any(is_deeper(inner, depth - 1) for inner in value.values())
    if isinstance(value, list):
        return depth == 0 or any(is_deeper(inner, depth - 1) for inner in value)
    return False


def read_csv(file: BinaryIO) -> Iterator[Row]:
    """An event a record: category as "A > B > C", images between "|", columns named attributes.colour."""
    csv.field_size_limit(min(sys.maxsize, MAX_LINE))
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
    reader = csv.DictReader(text, restkey=None)
    while True:
        try:
            record = next(reader, None)
        except csv.Error as error:
            yield Row(None, "", "not_csv", f"line {reader.line_num}: {error}")
            continue
        if record is None:
            return
        if None in record:
            detail = f"line {reader.line_num}: more fields than the header has"
            yield Row(None, json.dumps(record), "not_csv", detail)
        else:
            yield Row(from_columns(record))


def from_columns(record: Mapping[str, str | None]) -> dict[str, Any]:
    """The event in the columns of a CSV record. Empty fields are absent ones, and so is a column without a
    name: a row number, or nothing after a last comma."""
    filled = {name: value for name, value in record.items() if name and value not in {None, ""}}
    event: dict[str, Any] = {
        name: value for name, value in filled.items() if not name.startswith(ATTRIBUTE_PREFIX)
    }
    event["attributes"] = {
        name.removeprefix(ATTRIBUTE_PREFIX): value
        for name, value in filled.items()
        if name.startswith(ATTRIBUTE_PREFIX)
    }
    event["category"] = split(filled.get("category"), CATEGORY_SEPARATOR.strip())
    event["images"] = split(filled.get("images"), IMAGE_SEPARATOR)
    event["price"] = number(filled.get("price"))
    return {name: value for name, value in event.items() if value is not None}


def split(text: str | None, separator: str) -> list[str]:
    """The parts between separators, without the spaces around them."""
    return [part.strip() for part in text.split(separator)] if text else []


def number(text: str | None) -> float | str | None:
    """The number in the text, or the text itself: the indexer then says what is wrong with it."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def read_parquet(file: BinaryIO) -> Iterator[Row]:
    """An event a row. Lists and maps are read as such; text columns as in CSV. Other columns are not read:
    they may hold anything."""
    parquet = pq.ParquetFile(file)
    columns = [name for name in parquet.schema_arrow.names if is_known(name)]
    for batch in parquet.iter_batches(batch_size=500, columns=columns):
        yield from rows_of(with_readable_times(batch))


def is_known(name: str) -> bool:
    """Whether a column belongs to a listing."""
    return name in Listing.model_fields or name.startswith(ATTRIBUTE_PREFIX)


def with_readable_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with its times as Python can hold them: microseconds, which order events, and UTC."""
    for position, column in enumerate(batch.schema):
        if pa.types.is_timestamp(column.type):
            unit = "us" if column.type.unit == "ns" else column.type.unit
            kind = pa.timestamp(unit, tz="UTC" if column.type.tz else None)
            batch = batch.set_column(position, column.name, batch.column(position).cast(kind, safe=False))
    return batch


def rows_of(batch: pa.RecordBatch) -> list[Row]:
    """The rows of a batch. One with a value that cannot be read is set aside alone."""
    try:
        return [Row(from_record(with_maps(record, batch.schema))) for record in batch.to_pylist()]
    except (ValueError, OverflowError) as error:  # text that is not UTF-8, a date after the year 9999
        if batch.num_rows == 1:
            return [Row(None, readable(batch), "row_unreadable", f"{type(error).__name__}: {error}")]
    half = batch.num_rows // 2
    return rows_of(batch.slice(0, half)) + rows_of(batch.slice(half))


def with_maps(record: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any]:
    """The record with its maps as such, which Arrow gives as lists of pairs."""
    maps = {column.name for column in schema if pa.types.is_map(column.type)}
    return {
        name: dict(value) if name in maps and value is not None else value for name, value in record.items()
    }


def readable(batch: pa.RecordBatch) -> str:
    """The columns of a batch as text."""
    columns = (f"{name}: {_shown(column)}" for name, column in zip(batch.schema.names, batch, strict=True))
    return "; ".join(columns)


def _shown(column: pa.Array) -> str:
    try:
        return str(column.to_pylist()[0])
    except (ValueError, OverflowError):
        return f"({column.type} that cannot be read)"


def from_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """The event in a parquet row: dates as text, maps as objects, nulls left out."""
    event = {name: plain(value) for name, value in record.items() if value is not None}
    nested = {name: event.pop(name) for name in list(event) if name.startswith(ATTRIBUTE_PREFIX)}
    for name, separator in (("category", CATEGORY_SEPARATOR.strip()), ("images", IMAGE_SEPARATOR)):
        if isinstance(event.get(name), str):
            event[name] = split(event[name], separator)
    if nested:
        event["attributes"] = {name.removeprefix(ATTRIBUTE_PREFIX): value for name, value in nested.items()}
    return event


def plain(value: Any) -> Any:  # noqa: PLR0911  one case a type
    """The value as JSON can hold it."""
    match value:
        case None | str() | bool() | int() | float():
            return value
        case datetime() if value.tzinfo:
            return isoformat(value)
        case date() | time():
            return value.isoformat()
        case Decimal():
            return float(value)
        case bytes():
            return value.hex()
        case dict():
            return {str(name): plain(inner) for name, inner in value.items() if inner is not None}
        case list():
            return [plain(inner) for inner in value]
        case _:
            return str(value)


def with_root(event: dict[str, Any], root: Path) -> dict[str, Any]:
    """The event with its relative photo paths made absolute. Whether they may be read, the worker decides."""
    images = event.get("images")
    if not isinstance(images, list):
        return event
    return event | {"images": [join(root, image) for image in images]}


def join(root: Path, image: object) -> object:
    """The reference below the root, if it is a relative path."""
    if not isinstance(image, str) or not image or is_remote(image) or ":" in image.split("/")[0]:
        return image
    return str(root / image)


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\n")
