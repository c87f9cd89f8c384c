"""Labels as judgments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calibration.errors import InvalidJudgments
from calibration.labels import Labelled, fixed_by, grade, read_labels
from tests.factories import make_event


def labelled(category: str = "Skirts", **attributes: Any) -> Labelled:
    """A listing with these attributes."""
    return Labelled(item_id="m1", category=("Apparel", category), attributes=attributes)


def test_a_grade_counts_shared_labels() -> None:
    """Another leaf category has 0, unless the category is itself a label."""
    item, labels = labelled(fit="slim", length=3), ("fit", "length")
    assert grade(item, labelled(fit="slim", length=3), labels) == 2
    assert grade(item, labelled(fit="slim"), labels) == 1
    assert grade(labelled(), labelled(), labels) == 0
    assert grade(item, labelled("Dresses", fit="slim", length=3), labels) == 0
    assert grade(item, labelled("Dresses", fit="slim"), (*labels, "category")) == 1
    assert grade(item, labelled(fit="slim"), (*labels, "category")) == 2


def test_terms_that_read_a_label_are_not_fitted() -> None:
    """The category decides in either case."""
    assert fixed_by(["fit"]) == ("category",)
    assert fixed_by(["colour", "category", "gender"]) == ("category", "gender", "colour")


def test_listings_are_read(tmp_path: Path) -> None:
    """Of them only what judges is validated."""
    path = tmp_path / "listings.jsonl"
    path.write_text(json.dumps({**make_event(item_id=7), "price": None}) + "\n")
    assert read_labels(path, ["colour", "category"])["7"].value("colour") == "Red"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "listings as JSON lines"),
        ("a.jsonl", json.dumps(make_event()), "no listing has the label `fit`; it has category, colour"),
        ("a.jsonl", "{}", "line 1: item_id: found nothing, expected a value"),
    ],
)
def test_unusable_labels_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    """A misspelt one, too."""
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidJudgments, match=message):
        read_labels(tmp_path / name, ["fit"])
