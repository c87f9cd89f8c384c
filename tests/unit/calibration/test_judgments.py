"""Files of judgments."""

from __future__ import annotations

from pathlib import Path

import pytest

from calibration.errors import InvalidJudgments
from calibration.judgments import read_judgments, read_same_photos


def written(folder: Path, name: str, text: str) -> Path:
    """A file with this text."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_csv_and_json_lines_say_the_same(tmp_path: Path) -> None:
    """A pair that several people judged has the mean of their grades."""
    csv = written(tmp_path, "a.csv", "who,item_id,other_id,grade\nx,m1,m2,2\ny,m1,m2,1\nx,m1,日本,0\n")
    lines = [
        '{"item_id": "m1", "other_id": "m2", "grade": 2}',
        "",
        '{"item_id": "m1", "other_id": "m2", "grade": 1, "who": "y"}',
        '{"item_id": "m1", "other_id": "日本", "grade": 0}',
    ]
    jsonl = written(tmp_path, "a.jsonl", "\n".join(lines))
    assert read_judgments(csv) == read_judgments(jsonl) == {"m1": {"m2": 1.5, "日本": 0}}


def test_some_rows_say_whether_the_photos_are_one(tmp_path: Path) -> None:
    """In either order; a row with same_photo needs no grade. Where people differ the photos are two."""
    rows = ["m2,m1,1,true", "m1,m2,1,TRUE", "m1,m3,,true", "m3,m1,0,false", "m1,m4,2,"]
    csv = written(tmp_path, "a.csv", "\n".join(["item_id,other_id,grade,same_photo", *rows]))
    assert read_same_photos(csv) == {("m1", "m2"): True, ("m1", "m3"): False}
    assert read_judgments(csv) == {"m1": {"m2": 1, "m4": 2}, "m2": {"m1": 1}, "m3": {"m1": 0}}
    jsonl = written(tmp_path, "a.jsonl", '{"item_id": "m1", "other_id": "m2", "same_photo": false}')
    assert read_same_photos(jsonl) == {("m1", "m2"): False}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "ends in .csv, .jsonl or .ndjson"),
        ("a.csv", "", "no column grade, item_id, other_id; found none"),
        ("a.csv", "item_id,grade\n", "no column other_id; found item_id, grade"),
        ("a.csv", "item_id,other_id,grade\n", "nothing is graded"),
        ("a.jsonl", "", "nothing is graded"),
        ("a.csv", "item_id,other_id,grade,same_photo\nm1,m2,,true\n", "nothing is graded"),
        ("a.csv", "item_id,other_id,grade,same_photo\nm1,m2,1,maybe\n", "line 2: same_photo: "),
        ("a.jsonl", "{", "line 1: found invalid JSON at column 2, expected JSON"),
        ("a.jsonl", "[]", "line 1: "),
        ("a.csv", "item_id,other_id,grade\nm1,m2,good\n", "line 2: grade: "),
        (
            "a.csv",
            "item_id,other_id,grade\nm1,m2,-1\n",
            "line 2: grade: found .-1., expected a number from 0 up",
        ),
        ("a.csv", "item_id,other_id,grade\nm1,m2,nan\n", "finite"),
        ("a.csv", "item_id,other_id,grade\nm1,m2\n", "line 2: no grade and no same_photo"),
        ("a.csv", "item_id,other_id,grade\nm1,m1,1\n", "line 2: an item is judged against itself"),
        ("a.csv", "item_id,other_id,grade\n" + ",m,1\n" * 5, "and 2 more lines"),
    ],
)
def test_an_unusable_file_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    """With its name and line."""
    path = written(tmp_path, name, text)
    with pytest.raises(InvalidJudgments, match=message) as refused:
        read_judgments(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    """As is one that is not there."""
    path = tmp_path / "a.csv"
    with pytest.raises(InvalidJudgments, match="cannot be read"):
        read_judgments(path)
    path.write_bytes("item_id,other_id,grade\nm1,日本,1\n".encode("shift_jis"))
    with pytest.raises(InvalidJudgments, match="cannot be read"):
        read_judgments(path)
