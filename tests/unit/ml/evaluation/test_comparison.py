"""Comparisons from data to rows: names, rejected and skipped sources, and the command."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ml.artifact import EncoderArtifact
from ml.cli import group
from ml.data.corpus import Corpus, unique_names
from ml.evaluation.comparison import SplitTooSmall, Task, comparisons
from ml.evaluation.evaluated_encoders import EvaluatedEncoders
from ml.metrics.relevance import Judgment, UninformativeLabels, UnusableJudgments
from tests.unit.ml.conftest import TYPES, draw_photo, make_event, write_listings


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["evaluate", *map(str, arguments)])


def test_names_of_sources_are_unique() -> None:
    """The folder's name is used unless two sources share it."""
    sources = ["/a/shop/x.jsonl", "/a/shop/y.jsonl", "/a/photos/own", "/b/data/z.jsonl", "/c/data/z.jsonl"]
    assert unique_names(sources) == dict(
        zip(
            sources,
            ["shop/x.jsonl", "shop/y.jsonl", "photos", "b/data/z.jsonl", "c/data/z.jsonl"],
            strict=True,
        )
    )


def test_too_few_photos_are_rejected(artifact: EncoderArtifact, corpus: Corpus) -> None:
    """The message has the source, the split and a remedy."""
    train = corpus.part(corpus.rows("train"))
    with pytest.raises(
        SplitTooSmall, match=r"listings.jsonl: 0 usable photos in split test.*another --split"
    ):
        list(comparisons(train, EvaluatedEncoders((artifact,), {}), Task()))


def test_one_class_is_rejected(artifact: EncoderArtifact, corpus: Corpus) -> None:
    """Every order of photos with equal labels scores the same."""
    alike = np.array([row for row, pair in enumerate(corpus.pairs) if pair.labels == corpus.pairs[0].labels])
    with pytest.raises(UninformativeLabels, match="have the same labels"):
        list(comparisons(corpus.part(alike), EvaluatedEncoders((artifact,), {}), Task("all")))


def test_judgments_of_other_photos_are_rejected(artifact: EncoderArtifact, corpus: Corpus) -> None:
    """Before any encoder runs."""
    judgments = [Judgment(query_id="x", item_id="y", gain=1)]
    task = Task("all", judgments=judgments, judgments_name="taps.jsonl")
    with pytest.raises(UnusableJudgments, match=r"taps.jsonl on .*listings.jsonl: 1 judgments, none"):
        list(comparisons(corpus, EvaluatedEncoders((artifact,), {}), task))


def test_sources_without_judgments_are_skipped(artifact: EncoderArtifact, corpus: Corpus) -> None:
    """If another source has some; the reason is reported."""
    pairs = tuple(replace(pair, source=f"shop/{row % 2}.jsonl") for row, pair in enumerate(corpus.pairs))
    task = Task("all", judgments=[Judgment(query_id="m1", item_id="m3", gain=1)], judgments_name="taps")
    left_out: list[UnusableJudgments] = []
    measured = comparisons(
        replace(corpus, pairs=pairs), EvaluatedEncoders((artifact,), {}), task, left_out.append
    )
    assert [one.source for one in measured] == ["shop/1.jsonl"]
    assert [str(error).partition(":")[0] for error in left_out] == ["taps on shop/0.jsonl"]


def test_comparing_without_torch_fails_before_photos_are_decoded(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data is not read either."""
    (tmp_path / "config.json").write_text('{"model_type": "mobilenet_v2"}')
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr("ml.commands.evaluate.read", lambda *_: pytest.fail("data was read"))
    result = evaluate(tmp_path, "--data", shop)
    assert result.exit_code == 1
    assert "torch is not installed, and this command needs it" in result.output


def test_json_has_null_without_a_score(artifact: EncoderArtifact, tmp_path: Path) -> None:
    """JSON has no NaN; the table has a dash."""
    for number in range(8):
        folder = tmp_path / "images"
        draw_photo(folder / f"m{number}.png", "Red", list(TYPES)[number % 2], number)
    events = [
        make_event(
            f"m{number}",
            title=f"number {number}",
            category=[str(number % 2)],
            attributes={"colour": str(number)},
        )
        for number in range(8)
    ]
    options = ("--data", write_listings(tmp_path, events), "--split", "all", artifact.folder)
    (rows,) = json.loads(evaluate(*options, "--json").stdout).values()
    assert rows[0]["means"]["p@1"] is None
    assert rows[0]["intervals"]["p@1"] == [None, None]
    assert rows[0]["means"]["ndcg@5"] > 0
    table = evaluate(*options).output
    assert "–  " in table
    assert "nan" not in table
