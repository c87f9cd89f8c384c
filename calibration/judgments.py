"""Judgments: how well a candidate answers an item, read from CSV or JSON lines."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from statistics import fmean
from typing import Annotated, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from calibration.errors import InvalidJudgments
from console.counts import count_of
from mappings.json_problems import NOT_JSON, not_json
from mappings.listing import ListingId
from mappings.problems import problem_of_file

Row = TypeVar("Row", bound=BaseModel)

Judgments = Mapping[str, Mapping[str, float]]
"""Item to candidate to the grade of the candidate as an answer: 0 for unlike, more is better."""

SamePhotos = Mapping[tuple[str, str], bool]
"""Two item ids, the lower first, to whether their photos are one."""

COLUMNS: Final = ("item_id", "other_id", "grade")
SAME_PHOTO: Final = "same_photo"
JSON_LINES: Final = (".jsonl", ".ndjson")

_SHOWN: Final = 3
"""Problems that a message names."""


class Judgment(BaseModel):
    """One row: a grade, same_photo or both. Further fields, such as who judged, are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    item_id: ListingId
    other_id: ListingId
    grade: Annotated[float, Field(ge=0, le=1000)] | None = None
    same_photo: bool | None = None

    @model_validator(mode="after")
    def _of_two_items(self) -> Judgment:
        if self.item_id == self.other_id:
            raise ValueError("an item is judged against itself")
        if self.grade is None and self.same_photo is None:
            raise ValueError(f"no grade and no {SAME_PHOTO}")
        return self


def read_judgments(path: Path) -> Judgments:
    """Return the judgments of a file. A pair that was judged several times has the mean of its grades.

    Raises:
        InvalidJudgments: the file cannot be read, has another form or lines that cannot be used, or none.
    """
    grades: defaultdict[str, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in validated(path, rows_of(path), Judgment):
        if row.grade is not None:
            grades[row.item_id][row.other_id].append(row.grade)
    if not grades:
        expected = f"rows of {', '.join(COLUMNS)}, also where only {SAME_PHOTO} is to be fitted"
        raise InvalidJudgments(f"{path}: nothing is graded; expected {expected}")
    return {item: {other: fmean(given) for other, given in of.items()} for item, of in grades.items()}


def read_same_photos(path: Path) -> SamePhotos:
    """Return which pairs of a file have one photo, of those for which it says so.

    A pair that was judged several times has one photo if all say so.

    Raises:
        InvalidJudgments: the file cannot be read, has another form or lines that cannot be used.
    """
    said: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in validated(path, rows_of(path), Judgment):
        if row.same_photo is not None:
            one, other = sorted((row.item_id, row.other_id))
            said[one, other].append(row.same_photo)
    return {pair: all(given) for pair, given in said.items()}


def rows_of(path: Path) -> Iterator[tuple[int, object]]:
    """Yield the fields of each row of a file with its line, by the file's suffix.

    Raises:
        InvalidJudgments: neither CSV nor JSON lines.
    """
    suffix = path.suffix.lower()
    if suffix != ".csv" and suffix not in JSON_LINES:
        raise InvalidJudgments(f"{path}: expected a file that ends in .csv, {' or '.join(JSON_LINES)}")
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield from csv_rows(path, text) if suffix == ".csv" else json_rows(path, text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidJudgments(f"{path} cannot be read: {error}") from error


def csv_rows(path: Path, text: Iterable[str]) -> Iterator[tuple[int, object]]:
    """Yield the rows under a header with COLUMNS and optionally SAME_PHOTO, without empty fields.

    Raises:
        InvalidJudgments: a column is missing.
    """
    reader = csv.DictReader(text)
    if missing := set(COLUMNS) - set(reader.fieldnames or ()):
        found = ", ".join(reader.fieldnames or ()) or "none"
        raise InvalidJudgments(
            f"{path}: no column {', '.join(sorted(missing))}; found {found}, expected {', '.join(COLUMNS)}"
        )
    for row in reader:
        yield reader.line_num, {name: row[name] for name in (*COLUMNS, SAME_PHOTO) if row.get(name)}


def json_rows(path: Path, text: Iterable[str]) -> Iterator[tuple[int, object]]:
    """Yield the objects of lines that are not blank.

    Raises:
        InvalidJudgments: a line is not JSON.
    """
    for number, line in enumerate(text, start=1):
        if line.strip():
            try:
                yield number, json.loads(line.rstrip("\n"))
            except NOT_JSON as error:
                found = not_json(error, of_line=True)
                raise InvalidJudgments(f"{path}, line {number}: found {found}, expected JSON") from error


def validated(path: Path, rows: Iterable[tuple[int, object]], model: type[Row]) -> list[Row]:
    """Return the rows as a model.

    Raises:
        InvalidJudgments: some do not fit it; the message names the first ones.
    """
    found, problems = [], []
    for number, fields in rows:
        try:
            found.append(model.model_validate(fields))
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            problems.append(f"line {number}: {problem_of_file(model, detail)}")
    if problems:
        rest = len(problems) - _SHOWN
        more = f"; and {count_of(rest, 'more line')}" if rest > 0 else ""
        raise InvalidJudgments(f"{path}: {'; '.join(problems[:_SHOWN])}{more}")
    return found
