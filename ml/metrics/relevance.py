"""Relevance of candidates to queries: graded by labels, or by judgments from a log."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError

from ml.data.json_lines import json_lines
from ml.data.pairs import Labels
from ml.errors import MlError

Rows = NDArray[np.int64]

EXACT: Final = 3
"""Gain of a candidate of the same type, gender and colour."""

MAX_GAIN: Final = 30
"""Largest gain of a judgment. ndcg_exp uses 2^gain − 1: far above this one judgment outweighs all others, and
at 1,024 it overflows."""


class UnusableJudgments(MlError):
    """A file of judgments that cannot be read, or that is not about the photos searched."""


class UninformativeLabels(MlError):
    """Labels under which every order of results scores the same."""


class Relevance(Protocol):
    """Gains of candidates for queries. Both are row numbers of the photos searched."""

    queries: Rows
    """(q,) int64 row numbers of the queries."""
    hit: float
    """Minimum gain of a hit."""
    graded_by_labels: bool
    """Whether gains come from labels."""

    def gains(self, queries: Rows) -> NDArray[np.float64]:
        """(b, n) float64 gain of each photo for queries (b,); 0 for the query itself."""
        ...


class LabelRelevance:
    """Every photo is a query. Gain 3: same type, gender, colour; 2: same type and gender; 1: same type."""

    hit: float = EXACT
    graded_by_labels = True

    def __init__(self, labels: Sequence[Labels]) -> None:
        """Index the labels of each photo.

        Raises:
            UninformativeLabels: all photos have the same labels, or no two share a type.
        """
        columns = np.array([(label.type, label.gender, label.colour) for label in labels])
        self._codes = np.stack([np.unique(column, return_inverse=True)[1] for column in columns.T], axis=1)
        self.queries = np.arange(len(labels))
        if not self._codes.any():
            raise UninformativeLabels(
                f"all {len(labels)} photos have the same labels ({labels[0]}), so all orders score the same; "
                "add photos of other classes"
            )
        if len(np.unique(self._codes[:, 0])) == len(labels):
            raise UninformativeLabels(
                f"no two of {len(labels)} photos share a type, so no query has a relevant photo; "
                "add photos of each class, or choose another --split"
            )

    def gains(self, queries: Rows) -> NDArray[np.float64]:
        """(b, n) float64 gain of each photo for queries (b,); 0 for the query itself."""
        same = self._codes[queries][:, None, :] == self._codes[None, :, :]
        gains: NDArray[np.float64] = np.cumprod(same, axis=2).sum(axis=2).astype(np.float64)
        gains[np.arange(len(queries)), queries] = 0
        return gains


class Judgment(BaseModel):
    """How relevant an item is to a query item, from 0 (not at all)."""

    query_id: str = Field(min_length=1)
    item_id: str = Field(min_length=1)
    gain: float = Field(ge=0, le=MAX_GAIN, allow_inf_nan=False)


@dataclass(frozen=True)
class Counts:
    """How many judgments of a file were used and ignored."""

    used: int
    unknown_queries: int
    """Judgments whose query_id is not among the photos searched."""
    unknown_items: int
    """Judgments of a known query whose item_id is not among the photos searched."""


class JudgedRelevance:
    """The judged items are the queries; a candidate without a judgment has gain 0."""

    graded_by_labels = False

    def __init__(self, judgments: Sequence[Judgment], item_ids: Sequence[str], name: str) -> None:
        """Index the judgments of the photos searched by item_id; of several for a pair the best counts.

        name: the file and source, for messages.

        Raises:
            UnusableJudgments: none has a gain above 0 between two of the photos searched.
        """
        row_of = {item_id: row for row, item_id in enumerate(item_ids)}
        known = [judgment for judgment in judgments if judgment.query_id in row_of]
        used = [judgment for judgment in known if judgment.item_id in row_of]
        self.counts = Counts(len(used), len(judgments) - len(known), len(known) - len(used))
        self._judged: dict[int, dict[int, float]] = {}
        for judgment in used:
            query, item = row_of[judgment.query_id], row_of[judgment.item_id]
            gains = self._judged.setdefault(query, {})
            if item != query:
                gains[item] = max(judgment.gain, gains.get(item, 0.0))
        positive = [gain for gains in self._judged.values() for gain in gains.values() if gain > 0]
        if not positive:
            raise UnusableJudgments(
                f"{name}: {len(judgments)} judgments, none with a gain above 0 between two of the "
                f"{len(item_ids)} photos searched ({self.counts.unknown_queries} with an unknown query_id, "
                f"{self.counts.unknown_items} with an unknown item_id); check that the ids are item_ids of "
                "the data, and that --split contains them"
            )
        self.hit = min(positive)
        self.queries = np.array(sorted(self._judged), dtype=np.int64)
        self._candidates = len(item_ids)

    def gains(self, queries: Rows) -> NDArray[np.float64]:
        """(b, n) float64 judged gain of each photo for queries (b,); 0 for the query itself."""
        gains = np.zeros((len(queries), self._candidates))
        for index, query in enumerate(queries):
            for item, gain in self._judged.get(int(query), {}).items():
                gains[index, item] = gain
        return gains


def read_judgments(path: Path) -> list[Judgment]:
    """Read a .jsonl or .parquet file with the fields query_id, item_id and gain.

    Raises:
        UnusableJudgments: the file cannot be read or is empty, or a line is invalid; the message names it.
    """
    try:
        judgments = list(
            parquet_judgments(path) if path.suffix.lower() == ".parquet" else line_judgments(path)
        )
    except OSError as error:
        raise UnusableJudgments(f"{path}: {error}; expected JSON lines or parquet") from error
    if not judgments:
        raise UnusableJudgments(
            f"{path}: no judgments found; expected query_id, item_id and gain on each line"
        )
    return judgments


def line_judgments(path: Path) -> Iterator[Judgment]:
    """Read the judgments of a JSONL file.

    Raises:
        UnusableJudgments: a line is invalid.
    """
    for number, line in json_lines(path):
        yield judgment_of(line, f"{path}:{number}")


def parquet_judgments(path: Path) -> Iterator[Judgment]:
    """Read the judgments of a parquet file.

    Raises:
        UnusableJudgments: the file is damaged, or a row is invalid.
    """
    import pyarrow  # noqa: PLC0415  only parquet files need it
    import pyarrow.parquet  # noqa: PLC0415

    try:
        table = pyarrow.parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise UnusableJudgments(f"{path}: {error}; restore or rewrite the file") from error
    for number, row in enumerate(table.to_pylist(), start=1):
        yield judgment_of(row, f"{path}: row {number}")


def judgment_of(line: bytes | dict[str, object], position: str) -> Judgment:
    """Parse a line as a judgment. position: file and line, for messages.

    Raises:
        UnusableJudgments: the line is invalid.
    """
    try:
        if isinstance(line, bytes):
            return Judgment.model_validate_json(line)
        return Judgment.model_validate(line)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(map(str, fault["loc"])) or "the line"
        raise UnusableJudgments(
            f"{position}: {field}: {fault['msg']}; expected "
            f'{{"query_id": "m1", "item_id": "m2", "gain": 1}} with gain from 0 to {MAX_GAIN}'
        ) from error
