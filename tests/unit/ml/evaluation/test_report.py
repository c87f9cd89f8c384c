"""The page of an evaluation: self-contained, escaped, and equal to the rows."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ml.artifact import EncoderArtifact
from ml.atomic_files import NotWritten
from ml.cli import group
from ml.data.corpus import Corpus
from ml.evaluation.comparison import Comparison, Task, comparisons
from ml.evaluation.evaluated_encoders import EvaluatedEncoders
from ml.evaluation.report import page, write_report
from tests.html_page import HtmlPage
from tests.unit.ml.evaluation.conftest import RISKY


class Page(HtmlPage):
    """The page of an evaluation."""

    def figures(self, kind: str) -> int:
        return sum(tag == "figure" and attrs.get("class") == kind for tag, attrs in self.tags)


def test_the_page_is_self_contained(comparison: Comparison) -> None:
    """No script, style sheet or image from elsewhere; markup in a title is escaped."""
    html = page([comparison])
    found = Page(html)
    assert RISKY in " ".join(str(attrs.get("title")) for _, attrs in found.tags) + found.text
    assert {"script", "link", "iframe"}.isdisjoint(tag for tag, _ in found.tags)
    sources = [
        value or "" for _, attrs in found.tags for name, value in attrs.items() if name in {"src", "href"}
    ]
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.search(r"url\((?!#)", html), "references only to parts of the page"
    assert "http" not in html


def test_the_page_shows_every_row_and_marks_results(comparison: Comparison) -> None:
    """Twelve examples with five results of each encoder; colours and words mark hits."""
    found = Page(page([comparison]))
    for row in comparison.rows:
        assert row.encoder in found.text
        assert f"{row.means['ndcg@5']:.3f}" in found.text
    kinds = {kind: found.figures(kind) for kind in ("hit", "partly", "miss")}
    assert sum(kinds.values()) == 12 * 5 * len(comparison.rows)
    assert found.text.count("✗ miss") == kinds["miss"] + 1, "and once in the legend"
    assert found.text.count("✓ hit") == kinds["hit"] + 1
    assert kinds["partly"] > 0
    assert "category: Belts" in found.text


def test_a_score_that_no_query_has_is_a_dash_on_the_page(comparison: Comparison) -> None:
    """Not nan."""
    row = comparison.rows[0]
    nothing = replace(
        row, means=row.means | {"p@1": np.nan}, intervals=row.intervals | {"p@1": (np.nan, np.nan)}
    )
    text = Page(page([replace(comparison, rows=[nothing])])).text
    assert "nan" not in text
    assert "\n– \n" in text


def test_two_files_of_a_folder_have_different_names_on_the_page(
    artifact: EncoderArtifact, corpus: Corpus
) -> None:
    """The file name is added."""
    pairs = tuple(replace(pair, source=f"shop/{row % 2}.jsonl") for row, pair in enumerate(corpus.pairs))
    html = page(
        list(comparisons(replace(corpus, pairs=pairs), EvaluatedEncoders((artifact,), {}), Task("all")))
    )
    assert re.findall("<h2>(.*): 48 photos", html) == ["shop/0.jsonl", "shop/1.jsonl"]


def test_an_unwritable_page_is_named(comparison: Comparison, tmp_path: Path) -> None:
    """The message has the file and a remedy."""
    with pytest.raises(NotWritten, match=r"gone/report.html: cannot be written .No such file.*another file"):
        write_report([comparison], tmp_path / "gone" / "report.html")


def call(*arguments: str | Path) -> str:
    result = CliRunner().invoke(group, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_evaluate_compares_several_encoders_on_judgments(
    artifact: EncoderArtifact, shop: Path, tmp_path: Path
) -> None:
    """Two encoders after one option, judgments, slices, two k, and a page."""
    other = Path(shutil.copytree(artifact.folder, tmp_path / "other"))
    log, html = tmp_path / "taps.jsonl", tmp_path / "report.html"
    lines = [{"query_id": f"m{n}", "item_id": f"m{n + 12}", "gain": 1 + n % 2} for n in range(40)]
    log.write_text("".join(json.dumps(line) + "\n" for line in [*lines, lines[0] | {"item_id": "x"}]))
    options = ("--queries", shop, "--split", "all", "--judgments", log, "-k", "3", "-k", "10", "--slices")
    output = call("evaluate", *options, "--report", html, "--encoders", artifact.folder, other)
    assert "96 photos (all), 40 judged queries; 40 judgments used" in output
    assert "0 with an unknown query_id, 1 with an unknown item_id" in output
    assert "nDCG@3 gain" in output
    assert "recall@10" in output
    assert "type@" not in output, "judgments have no type"
    assert "after Holm" in output
    assert "title: seen in training" in output
    assert "40 judgments of 40 queries" in Page(html.read_text(encoding="utf-8")).text.replace("\n", " ")
