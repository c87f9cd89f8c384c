"""The conditions under which a new index goes live."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from indexer.errors import UnreadableFile
from indexer.jobs.gates import (
    Answers,
    Coverage,
    agreement,
    coverage_gate,
    judgment_gate,
    ndcg,
    read_judgments,
    recall,
    recall_gate,
)


def test_ndcg_by_hand() -> None:
    """Gains 1 and 2 in the wrong order; an answer without any, and an item without gains."""
    gains = {"a": 2.0, "b": 1.0}
    ideal = 2 + 1 / math.log2(3)

    assert ndcg(["b", "x", "a"], gains) == pytest.approx((1 + 2 / 2) / ideal)
    assert ndcg(["a", "b"], gains) == pytest.approx(1)
    assert ndcg(["x"], gains) == 0
    assert ndcg(["a"], {}) == 0


def test_coverage_needs_every_listing_and_names_those_without_a_vector() -> None:
    """A reason that is not known is a fault of ours."""
    few = coverage_gate(Coverage(200, [], Counter(photo_gone=2)), most_rejected=0.01)
    assert (few.passes, few.figure) == (True, "99.00% of 200; without a vector: photo_gone 2")
    assert not coverage_gate(Coverage(200, [], Counter(photo_gone=3)), 0.01).passes
    assert not coverage_gate(Coverage(200, [], Counter(unknown=1)), 0.01).passes
    missing = coverage_gate(Coverage(2, ["m1"]), 0.01)
    assert (missing.passes, missing.figure) == (False, "50.00% of 2; missing: 1, such as m1")
    assert coverage_gate(Coverage(), 0.01).passes


def answers(**items: str) -> Answers:
    """Answers of items of one letter: `q="ab"`, with cosines that fall from 1 by tenths."""
    return {
        item: [(found, 1 - rank / 10) for rank, found in enumerate(ranked)] for item, ranked in items.items()
    }


def test_recall_is_the_mean_share_of_the_exact_answers() -> None:
    """An item without an exact answer counts for nothing; of equal vectors, any counts."""
    exact = answers(q="ab", r="cd", s="")
    found = answers(q="a", r="dc", s="z")

    assert recall(found, exact) == 0.75
    assert recall_gate(found, exact, 0.75).passes
    assert not recall_gate(found, exact, 0.8).passes
    assert recall({"q": [("x", 1.0), ("y", 0.9)]}, {"q": [("a", 1.0), ("b", 0.9)]}) == 1
    assert recall({}, {}) == 1


def test_agreement_is_only_shown() -> None:
    """It is the share of the old answers."""
    assert agreement(answers(q="ax", r="cd"), answers(q="ab", r="dc")).figure == "0.750"
    assert agreement(answers(q="a"), answers(q="b")).passes is None


def test_judgments_compare_the_items_that_both_indices_answer() -> None:
    """The new one may be worse by the tolerance."""
    judged = {"q": {"a": 1.0}, "gone": {"b": 1.0}}
    best, worse = answers(q="a"), answers(q="xa")

    assert judgment_gate(best, worse, judged, 0).passes
    assert not judgment_gate(worse, best, judged, 0).passes
    assert judgment_gate(worse, best, judged, 0.5).passes
    assert judgment_gate({}, best, judged, 1).figure == "none of the judged items is in both indices"


@pytest.mark.parametrize(
    "text", ["query,item\nq,a\n", "query,item,gain\nq,a,much\n", "\x00", "query,item,gain\n"]
)
def test_a_file_that_is_no_judgments_is_refused(tmp_path: Path, text: str) -> None:
    """With the columns that it must have."""
    path = tmp_path / "judgments.csv"
    path.write_text("query,item,gain\nq,a,1\nq,b,0.5\n")
    assert read_judgments(path) == {"q": {"a": 1.0, "b": 0.5}}

    path.write_text(text)
    with pytest.raises(UnreadableFile, match="the columns query, item and gain"):
        read_judgments(path)
