"""Gains from labels and from judgments, worked out by hand; what is rejected."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from ml.data.pairs import Labels
from ml.metrics.relevance import (
    MAX_GAIN,
    JudgedRelevance,
    Judgment,
    LabelRelevance,
    UninformativeLabels,
    UnusableJudgments,
    read_judgments,
)
from ml.metrics.retrieval import scores_of

LABELS = [
    Labels("Skirts", "Women", "Red"),
    Labels("Skirts", "Women", "Red"),
    Labels("Skirts", "Women", "Blue"),
    Labels("Skirts", "Men", "Red"),
    Labels("Ties", "Men", "Red"),
]
LINE = '{"query_id": "a", "item_id": "b", "gain": 2}\n'


def judged(*judgments: tuple[str, str, float]) -> JudgedRelevance:
    """Judgments among photos a, b and c."""
    lines = [Judgment(query_id=query, item_id=item, gain=gain) for query, item, gain in judgments]
    return JudgedRelevance(lines, ["a", "b", "c"], "taps.jsonl")


def test_gains_are_graded_by_type_gender_and_colour() -> None:
    """Colour counts only within a gender, gender only within a type; the query itself has gain 0."""
    gains = LabelRelevance(LABELS).gains(np.array([0, 4]))
    assert gains.tolist() == [[0, 3, 2, 1, 0], [0, 0, 0, 0, 0]]


def test_photos_with_equal_labels_are_rejected() -> None:
    """Every order of a single class is perfect, so scores would mean nothing."""
    with pytest.raises(UninformativeLabels, match=r"all 3 photos have the same labels .*other classes"):
        LabelRelevance([Labels("Ties")] * 3)


def test_photos_without_a_common_type_are_rejected() -> None:
    """No query has a relevant photo if every photo is of another class."""
    with pytest.raises(UninformativeLabels, match="no two of 2 photos share a type"):
        LabelRelevance([Labels("Ties"), Labels("Belts")])


def test_judgments_become_gains() -> None:
    """The best judgment of a pair counts, an item is not relevant to itself, and unknown ids are counted."""
    relevance = judged(("b", "a", 1), ("b", "a", 3), ("b", "b", 9), ("b", "x", 1), ("y", "a", 1))
    assert relevance.queries.tolist() == [1]
    assert relevance.gains(relevance.queries).tolist() == [[3, 0, 0]]
    assert relevance.hit == 3
    assert (relevance.counts.used, relevance.counts.unknown_queries, relevance.counts.unknown_items) == (
        3,
        1,
        1,
    )


def test_judgments_of_other_items_are_rejected() -> None:
    """Judgments with ids of another data set would leave no query to score."""
    with pytest.raises(
        UnusableJudgments, match=r"taps.jsonl: 2 judgments, .*1 with an unknown query_id, 1 with"
    ):
        judged(("x", "a", 1), ("a", "y", 1))


def test_judgments_are_read_from_lines_and_parquet(tmp_path: Path) -> None:
    """Both give the same judgments; blank lines and a byte order mark are skipped."""
    lines, table = tmp_path / "taps.jsonl", tmp_path / "taps.parquet"
    lines.write_text(LINE + "\n", encoding="utf-8-sig")
    pyarrow.parquet.write_table(pa.table({"query_id": ["a"], "item_id": ["b"], "gain": [2]}), table)
    assert read_judgments(lines) == read_judgments(table) == [Judgment(query_id="a", item_id="b", gain=2)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no judgments found"),
        (
            LINE + '{"query_id": "a", "item_id": "b", "gain": -1}',
            r"taps.jsonl:2: gain: .*greater than or equal to 0",
        ),
        (LINE + '{"query_id": "a", "gain": 1}', r"taps.jsonl:2: item_id: Field required"),
        (LINE + LINE.replace("2", "31"), r"taps.jsonl:2: gain: .*less than or equal to 30.*from 0 to 30"),
        ("no JSON", r"taps.jsonl:1: the line: Invalid JSON"),
    ],
)
def test_invalid_lines_are_named(text: str, message: str, tmp_path: Path) -> None:
    """The message has the file, the line and the field."""
    path = tmp_path / "taps.jsonl"
    path.write_text(text)
    with pytest.raises(UnusableJudgments, match=message):
        read_judgments(path)


def test_a_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    """By its number, like any other invalid line."""
    path = tmp_path / "taps.jsonl"
    path.write_bytes(LINE.encode() + LINE.replace("a", "あ").encode("shift_jis"))
    with pytest.raises(UnusableJudgments, match=r"taps.jsonl:2: the line: Invalid JSON"):
        read_judgments(path)


def test_the_largest_gain_does_not_overflow() -> None:
    """The ideal order scores 1 also with 2^gain − 1."""
    scores = scores_of(np.array([[1, 2], [0, 2], [0, 1]]), judged(("a", "b", MAX_GAIN), ("a", "c", 1)))
    assert scores["ndcg_exp@5"].tolist() == [1]


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    """A missing file, and an invalid parquet file."""
    with pytest.raises(UnusableJudgments, match=r"gone.jsonl.*expected JSON lines or parquet"):
        read_judgments(tmp_path / "gone.jsonl")
    (tmp_path / "taps.parquet").write_text("no parquet")
    with pytest.raises(UnusableJudgments, match=r"taps.parquet: .*rewrite the file"):
        read_judgments(tmp_path / "taps.parquet")
